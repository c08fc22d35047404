//! Reading a folder from where it was left: by UID, in bounded batches, each stored before anything in the folder is
//! touched.
//!
//! Our memory is the bookmark, stored in the same commit as the mails, never `\Seen`. Every new mail ends in the store:
//! whole, by its header alone where it is over the limit, or without content where the server cannot give it.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use tokio_util::sync::CancellationToken;

use super::{
    Imap, after,
    fault::Fault,
    notation::uid_set,
    session::{Folder, HEADER_LIMIT, Listed, Session},
    trouble::{Portion, Trouble},
};
use crate::{
    ingress::{Inbox, Refused},
    message::{Bookmark, Message},
    telemetry,
};

/// UIDs looked at in one SEARCH, so that its answer is one line of bounded length.
pub(super) const SEARCH_WIDTH: u32 = 20_000;
/// Mails in one commit.
const BATCH_MAILS: usize = 64;
/// Bytes in one commit, and so in memory; one mail may be larger.
const BATCH_BYTES: u64 = 8 << 20;
/// Mails whose size is asked in one command.
const LIST_MAILS: usize = 512;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    ToTheEnd,
    /// By the stop signal, between two commits. The connection may be in mid-answer.
    Stopped,
}

/// One pass over the folder.
pub(super) struct Scan<'a> {
    pub(super) imap: &'a Imap,
    pub(super) session: &'a mut Session,
    pub(super) folder: Folder,
    pub(super) inbox: &'a Arc<dyn Inbox>,
    pub(super) trouble: &'a mut Trouble,
    pub(super) stop: &'a CancellationToken,
}

/// Where to read from, and how old mail may be.
struct Start {
    /// The last UID that is known.
    after: u32,
    not_before: Option<Timestamp>,
}

impl Scan<'_> {
    pub(super) async fn run(mut self) -> Result<Scanned, Fault> {
        let bookmark = self.inbox.bookmark(&self.imap.mailbox).await?;
        let Some(start) = self.start(bookmark.as_ref()) else {
            self.remember(self.folder.uid_next.saturating_sub(1)).await?;
            return Ok(Scanned::ToTheEnd);
        };
        let since = start.not_before.map(calendar_day);
        let mut read = start.after;
        let mut after = start.after;
        loop {
            let from = after.saturating_add(1);
            let last = from.saturating_add(SEARCH_WIDTH - 1);
            let open = last >= self.folder.uid_next.saturating_sub(1);
            let range = if open { format!("{from}:*") } else { format!("{from}:{last}") };
            let stop = self.stop;
            let Some(found) = stop.run_until_cancelled(self.session.search(&range, since)).await else {
                return Ok(Scanned::Stopped);
            };
            // `n:*` always has the last mail in it, even where its UID is below n (RFC 3501, 6.4.8).
            let new: Vec<u32> = found?.range((Bound::Excluded(after), Bound::Unbounded)).copied().collect();
            for uids in new.chunks(LIST_MAILS) {
                match self.read(uids, start.not_before).await? {
                    Some(last) => read = read.max(last),
                    None => return Ok(Scanned::Stopped),
                }
            }
            if open {
                break;
            }
            after = last;
        }
        // Mail that was passed over as too old must not look new to the next scan.
        if since.is_some() {
            self.remember(read.max(self.folder.uid_next.saturating_sub(1))).await?;
        }
        Ok(Scanned::ToTheEnd)
    }

    /// None: nothing that is in the folder now is of interest.
    fn start(&mut self, bookmark: Option<&Bookmark>) -> Option<Start> {
        let now = self.imap.clock.now();
        let ago = |span: SignedDuration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
        match bookmark {
            Some(known) if known.uid_validity == self.folder.uid_validity => {
                Some(Start { after: known.last_uid, not_before: None })
            }
            Some(_) => {
                telemetry::mailbox_renumbered(&self.imap.settings.name, self.folder.uid_validity);
                self.trouble.forget();
                let limit = self.imap.max_age;
                Some(Start { after: 0, not_before: (!limit.is_zero()).then(|| ago(limit.as_signed())) })
            }
            None if self.imap.settings.backfill.is_zero() => None,
            None => Some(Start { after: 0, not_before: Some(ago(self.imap.settings.backfill.as_signed())) }),
        }
    }

    /// Stores these mails, batch by batch. The last UID covered, or none where `stop` came.
    async fn read(&mut self, uids: &[u32], not_before: Option<Timestamp>) -> Result<Option<u32>, Fault> {
        let stop = self.stop;
        let Some(listed) = stop.run_until_cancelled(self.session.list(uids)).await else { return Ok(None) };
        let mut waiting: VecDeque<Listed> = listed?
            .into_iter()
            .filter(|mail| not_before.is_none_or(|limit| mail.arrived.is_none_or(|arrived| arrived >= limit)))
            .collect();
        while !waiting.is_empty() {
            let batch = self.next_batch(&mut waiting);
            let Some(mails) = stop.run_until_cancelled(self.fetch(&batch)).await else { return Ok(None) };
            // From here on the batch is seen through, whatever `stop` says.
            self.store(mails?).await?;
            if stop.is_cancelled() {
                return Ok(None);
            }
        }
        Ok(uids.last().copied())
    }

    /// The mails to fetch with one command: many small ones, or one that needs care.
    fn next_batch(&self, waiting: &mut VecDeque<Listed>) -> Vec<Listed> {
        let mut batch: Vec<Listed> = Vec::new();
        let mut bytes = 0;
        while let Some(mail) = waiting.front().copied() {
            let single = self.trouble.is_suspect(mail.uid) || self.portion(mail) != Portion::Whole;
            let full = single || batch.len() == BATCH_MAILS || bytes + mail.size > BATCH_BYTES;
            if full && !batch.is_empty() {
                break;
            }
            waiting.pop_front();
            bytes += mail.size;
            batch.push(mail);
            if single {
                break;
            }
        }
        batch
    }

    fn portion(&self, mail: Listed) -> Portion {
        match self.trouble.portion(mail.uid) {
            Portion::Whole if mail.size > self.imap.settings.max_message_size.bytes() => Portion::Header,
            portion => portion,
        }
    }

    async fn fetch(&mut self, batch: &[Listed]) -> Result<Batch, Fault> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(Batch::default()) };
        self.trouble.begin(first.uid, last.uid);
        let mut fetched = Batch { last_uid: last.uid, ..Batch::default() };
        match self.portion(*first) {
            Portion::Whole => self.fetch_whole(batch, &mut fetched).await?,
            Portion::Header => {
                if let Some(header) = self.session.header(first.uid).await? {
                    fetched.push(self.message(*first, header, true));
                } else {
                    self.must_be_gone(&[first.uid]).await?;
                }
            }
            Portion::Nothing => {
                telemetry::mail_unreadable(&self.imap.settings.name, first.uid, first.size);
                fetched.push(self.message(*first, Bytes::new(), true));
            }
        }
        Ok(fetched)
    }

    async fn fetch_whole(&mut self, batch: &[Listed], fetched: &mut Batch) -> Result<(), Fault> {
        let uids: Vec<u32> = batch.iter().map(|mail| mail.uid).collect();
        let mut bodies = self.session.bodies(&uids, batch.iter().map(|mail| mail.size).sum()).await?;
        let missing: Vec<u32> = uids.iter().copied().filter(|uid| !bodies.contains_key(uid)).collect();
        self.must_be_gone(&missing).await?;
        for mail in batch {
            let Some(body) = bodies.remove(&mail.uid) else { continue };
            // Some servers only guess a mail's size beforehand (Exchange).
            let cut = body.len() as u64 > self.imap.settings.max_message_size.bytes();
            let mail = Listed { size: body.len() as u64, ..*mail };
            fetched.push(self.message(mail, if cut { header_of(&body) } else { body }, cut));
        }
        Ok(())
    }

    /// Mail that was asked for and did not come was expunged meanwhile; else the server fails to give it.
    async fn must_be_gone(&mut self, uids: &[u32]) -> Result<(), Fault> {
        if uids.is_empty() {
            return Ok(());
        }
        let present = self.session.search(&uid_set(uids), None).await?;
        if uids.iter().any(|uid| present.contains(uid)) {
            return Err(Fault::Protocol("a mail that is there was left out of the answer".into()));
        }
        Ok(())
    }

    fn message(&self, mail: Listed, raw: Bytes, cut: bool) -> (u32, Message) {
        let message = Message {
            ingress: self.imap.settings.name.clone(),
            arrived_at: mail.arrived.unwrap_or_else(|| self.imap.clock.now()),
            raw,
            cut_from: cut.then_some(mail.size),
            envelope: None,
        };
        (mail.uid, message)
    }

    async fn store(&mut self, batch: Batch) -> Result<(), Fault> {
        let Batch { last_uid, uids, cut, mails } = batch;
        self.inbox.accept(mails, Some(self.bookmark(last_uid))).await?;
        self.trouble.end();
        after::settle(self.session, &self.imap.settings, &uids, &cut).await
    }

    async fn remember(&self, last_uid: u32) -> Result<(), Refused> {
        self.inbox.accept(Vec::new(), Some(self.bookmark(last_uid))).await.map(drop)
    }

    fn bookmark(&self, last_uid: u32) -> Bookmark {
        Bookmark { mailbox: self.imap.mailbox.clone(), uid_validity: self.folder.uid_validity, last_uid }
    }
}

/// What one commit holds.
#[derive(Debug, Default)]
struct Batch {
    last_uid: u32,
    /// The UIDs of the mails that are stored whole,
    uids: Vec<u32>,
    /// and of those whose content is still in the folder only.
    cut: Vec<u32>,
    mails: Vec<Message>,
}

impl Batch {
    fn push(&mut self, (uid, message): (u32, Message)) {
        if message.cut_from.is_some() {
            self.cut.push(uid);
        } else {
            self.uids.push(uid);
        }
        self.mails.push(message);
    }
}

/// The day to SEARCH SINCE for: the server compares calendar days of its own zone, which may be one behind UTC's.
fn calendar_day(limit: Timestamp) -> civil::Date {
    let day = limit.to_zoned(TimeZone::UTC).date();
    // A year of four digits is all that IMAP can write.
    day.yesterday().unwrap_or(day).max(civil::date(1970, 1, 1))
}

fn header_of(body: &Bytes) -> Bytes {
    let end = body.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(body.len(), |at| at + 4);
    Bytes::copy_from_slice(&body[..end.min(HEADER_LIMIT)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_searched_for_is_early_enough_for_every_time_zone() {
        let limit = "2026-03-01T00:30:00Z".parse().unwrap();
        assert_eq!(calendar_day(limit), civil::date(2026, 2, 28));
        assert_eq!(calendar_day(Timestamp::MIN), civil::date(1970, 1, 1));
    }

    #[test]
    fn the_header_of_a_mail_ends_with_its_empty_line() {
        assert_eq!(header_of(&Bytes::from_static(b"A: b\r\n\r\nbody")), "A: b\r\n\r\n");
        assert_eq!(header_of(&Bytes::from(vec![b'a'; 100_000])).len(), HEADER_LIMIT);
    }
}
