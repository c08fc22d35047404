//! Reads a folder from the last position: by UID, in bounded batches, each of which is stored
//! before anything in the folder is changed.
//!
//! The position is the bookmark, which is stored in the same commit as the mails; it never depends
//! on `\Seen`. Every new mail ends up in the store: whole, with its header alone if it is over the
//! limit, or as wanted if the server did not return it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Imap, arrival,
    fault::Fault,
    session::{Folder, Listed, Session},
    wanted::Backlog,
};
use crate::{
    ingress::{Health, Inbox},
    message::Message,
};

mod batch;
mod commit;
mod cut;
mod end;
mod falsely_old;
mod fetch;
mod find;
mod last;
mod left;
mod missing;
mod moved;
mod start;
mod turn;
mod walk;

pub(super) use moved::of_ingress;

use batch::Fetched;
use last::Last;
use start::Age;

/// The most mails that one SEARCH may find, so that its answer is one line of bounded length.
pub(super) const SEARCH_WIDTH: u32 = 20_000;
/// The most mails whose size is queried by one command.
const LIST_MAILS: usize = 512;
/// The number of consecutive failures, with no mail returned, after which the server is to blame.
const FAILURES_IN_A_ROW: usize = 4;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    /// The scan reached the end of the folder, with this number of new mails.
    New(usize),
    /// The stop signal ended the scan between two commits. The connection may be in the middle of
    /// an answer.
    Stopped,
}

/// One pass over the folder.
pub(super) struct Scan<'a> {
    pub(super) imap: &'a Imap,
    pub(super) session: &'a mut Session,
    pub(super) folder: Folder,
    pub(super) inbox: &'a Arc<dyn Inbox>,
    health: &'a Health,
    pub(super) backlog: &'a mut Backlog,
    pub(super) stop: &'a CancellationToken,
    /// The position that the store's bookmark has.
    last_uid: u32,
    /// Whether the folder was restored to an earlier state, which the bookmark follows.
    rewound: bool,
    /// Mail that arrived before this time was left out when the mailbox was first read.
    starts_at: Option<Timestamp>,
    /// Since when a mailbox that was never read is to be read, if it could not be looked at then.
    pub(super) unread_since: Option<Timestamp>,
    /// Whether the folder numbers its mails anew: it may be a copy of what it was.
    is_anew: bool,
    /// The last of the mails that were read and are not remembered yet.
    latest: Option<Last>,
    /// Whether a mail was stored.
    pub(super) has_stored: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        imap: &'a Imap,
        session: &'a mut Session,
        folder: Folder,
        inbox: &'a Arc<dyn Inbox>,
        health: &'a Health,
        backlog: &'a mut Backlog,
        stop: &'a CancellationToken,
    ) -> Self {
        backlog.nothing_in_memory();
        Self {
            imap,
            session,
            folder,
            inbox,
            health,
            backlog,
            stop,
            last_uid: 0,
            rewound: false,
            starts_at: None,
            unread_since: None,
            is_anew: false,
            latest: None,
            has_stored: false,
        }
    }

    /// Reads the new mails.
    pub(super) async fn read_new(&mut self) -> Result<Scanned, Fault> {
        let bookmark = self.inbox.bookmark(&self.imap.mailbox).await?;
        let start = match &bookmark {
            Some(known) => self.start(known).await?,
            None => self.first_start().await?,
        };
        self.last_uid = start.after;

        if self.read_earlier().await? == Scanned::Stopped {
            return Ok(Scanned::Stopped);
        }

        let (mut after, mut new, mut read) = (start.after, 0, start.after);
        let above = self.backlog.passed.look_above(start.after);
        let end = match start.age {
            Age::Any => None,
            age => Some(self.look_at_the_end(age).await?),
        };
        let since = start.age.since();
        let mut highest = None;

        if start.age != Age::Coming {
            for questions in walk::stretches(above, &self.folder) {
                let Some(found) = self.find(&questions, since).await? else {
                    return Ok(Scanned::Stopped);
                };
                highest = highest.max(found.last().copied());
                let Some((count, last)) = self.read_found(found, after, start.age).await? else {
                    return Ok(Scanned::Stopped);
                };
                (new, read) = (new + count, read.max(last));
                after = after.max(read);
            }
        }

        if let Some(end) = end {
            let Some((count, last)) = self.read_found(end.young, start.after, Age::Any).await?
            else {
                return Ok(Scanned::Stopped);
            };
            (new, read) = (new + count, read.max(last));
            // Mail that was skipped as too old must not look new to the next scan.
            self.commit(Vec::new(), read.max(end.last)).await?;
        } else if let Some(highest) = highest
            && let Some(before) = self.backlog.passed.rose(highest, above)
        {
            // The bookmark is ahead of the folder.
            self.go_back(before);
            let questions = [format!("UID {}:*", before.saturating_add(1))];
            let Some(found) = self.find(&questions, None).await? else {
                return Ok(Scanned::Stopped);
            };
            match self.read_found(found, before, Age::Any).await? {
                Some((count, _)) => new += count,
                None => return Ok(Scanned::Stopped),
            }
        }

        Ok(Scanned::New(new))
    }

    /// Reads those of the mails found that are new. Returns how many they are, and the last UID
    /// covered; `None` after `stop`.
    async fn read_found(
        &mut self,
        found: BTreeSet<u32>,
        after: u32,
        age: Age,
    ) -> Result<Option<(usize, u32)>, Fault> {
        // `n:*` always contains the last mail, even if its UID is below n (RFC 3501, 6.4.8). Wanted
        // mails above the bookmark are read in their turn.
        let found: Vec<u32> = found
            .into_iter()
            .filter(|uid| self.backlog.passed.is_new(*uid, after))
            .filter(|uid| *uid > self.last_uid || !self.backlog.is_wanted(*uid))
            .collect();

        let new = found
            .iter()
            .filter(|uid| !self.backlog.is_wanted(**uid))
            .count();
        let mut read = after;

        for uids in found.chunks(LIST_MAILS) {
            match self.read(uids, age.not_before()).await? {
                Some(last) => read = read.max(last),
                None => return Ok(None),
            }
        }

        Ok(Some((new, read)))
    }

    /// Stores these mails, batch by batch. Returns the last UID covered, or `None` after `stop`.
    async fn read(
        &mut self,
        uids: &[u32],
        not_before: Option<Timestamp>,
    ) -> Result<Option<u32>, Fault> {
        let stop = self.stop;
        let listed = self.list_young(uids, not_before);
        let Some(listed) = stop.run_until_cancelled(listed).await else {
            return Ok(None);
        };
        let mut waiting = VecDeque::from(listed?);

        let given = self.backlog.given();
        let mut failures = 0;

        while !waiting.is_empty() {
            let batch = self.next_batch(&mut waiting);
            let failures_before = failures;
            let fetched = match batch[..] {
                // This mail has failed before, and is requested again in its turn, or else at the
                // end.
                [mail] if self.backlog.is_wanted(mail.uid) => Fetched::nothing_up_to(mail.uid),
                _ => match stop.run_until_cancelled(self.fetch(&batch)).await {
                    Some(fetched) => {
                        let fetched = fetched?;
                        failures += batch.len() - fetched.messages();
                        fetched
                    }
                    None => return Ok(None),
                },
            };
            // From here on, the batch is completed even after `stop`.
            if fetched.one_by_one {
                batch
                    .into_iter()
                    .rev()
                    .for_each(|mail| waiting.push_front(mail));
                failures = failures_before;
                continue;
            }
            if self.store_in_turn(fetched).await? == Scanned::Stopped {
                return Ok(None);
            }
            if failures >= FAILURES_IN_A_ROW
                && self.backlog.given() == given
                && let Some(why) = self.backlog.stuck()
            {
                return Err(Fault::NothingGiven(why.to_owned()));
            }
            if stop.is_cancelled() {
                return Ok(None);
            }
        }

        Ok(uids.last().copied())
    }

    fn limit(&self) -> u64 {
        self.imap.settings.max_message_size.bytes()
    }

    fn message(&self, mail: Listed, raw: Bytes) -> Message {
        Message {
            ingress: self.imap.settings.name.clone(),
            arrived_at: arrival::of(&raw, mail.arrived, self.imap.clock.now()),
            raw,
            cut_from: None,
            withheld: None,
            envelope: None,
        }
    }
}
