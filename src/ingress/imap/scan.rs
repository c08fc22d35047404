//! Reading a folder from the last position: by UID, in bounded batches, each of which is stored
//! before anything in the folder is changed.
//!
//! The position is the bookmark, stored in the same commit as the mails, never `\Seen`. Every new
//! mail ends up in the store: whole, with its header alone if it is over the limit, or as wanted if
//! the server did not return it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use jiff::{Timestamp, civil};
use tokio_util::sync::CancellationToken;

use super::{
    Imap, after, arrival,
    fault::Fault,
    session::{Folder, HEADER_LIMIT, Listed, Session},
    wanted::Backlog,
};
use crate::{
    ingress::{Health, Inbox},
    message::{Bookmark, Message, Wanted},
    telemetry,
};

mod cut;
mod end;
mod falsely_old;
mod fetch;
mod missing;
mod start;
mod turn;
mod walk;

use start::Age;

/// The most mails that one SEARCH may find, so that its answer is one line of bounded length.
pub(super) const SEARCH_WIDTH: u32 = 20_000;
/// The number of mails in one answer from which on the server may have left others out.
const CAPPED: usize = 10;
/// The most mails of one commit.
const BATCH_MAILS: usize = 64;
/// The most bytes of one commit, and so in memory; a single mail may be larger.
const BATCH_BYTES: u64 = 8 << 20;
/// The most mails whose size is queried by one command.
const LIST_MAILS: usize = 512;
/// The number of consecutive failures, with no mail returned, after which the server is to blame.
const FAILURES_IN_A_ROW: usize = 4;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    /// At the end; the number of new mails.
    New(usize),
    /// By the stop signal, between two commits. The connection may be within an answer.
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
    /// The position in the store's bookmark.
    last_uid: u32,
    /// The folder was restored to an earlier state: the bookmark follows it.
    rewound: bool,
    /// Mail that arrived before was left out when the mailbox was first read.
    starts_at: Option<Timestamp>,
    /// The folder numbers its mails anew: it may be a copy of what it was.
    is_anew: bool,
    /// A mail was stored.
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
            is_anew: false,
            has_stored: false,
        }
    }

    /// Reads the new mails.
    pub(super) async fn read_new(&mut self) -> Result<Scanned, Fault> {
        let bookmark = self.inbox.bookmark(&self.imap.mailbox).await?;
        let start = self.start(bookmark.as_ref()).await?;
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

    /// Reads what is new of the mails that were found. Returns how many those are, and the last UID
    /// covered; `None` after `stop`.
    async fn read_found(
        &mut self,
        found: BTreeSet<u32>,
        after: u32,
        age: Age,
    ) -> Result<Option<(usize, u32)>, Fault> {
        // `n:*` always contains the last mail, even if its UID is below n (RFC 3501, 6.4.8). What
        // is wanted above the bookmark is read in its turn.
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

    /// The mails that answer these queries; `None` after `stop`.
    async fn find(
        &mut self,
        questions: &[String],
        since: Option<civil::Date>,
    ) -> Result<Option<BTreeSet<u32>>, Fault> {
        let mut found = BTreeSet::new();
        let stop = self.stop;
        for keys in questions {
            let search = self.search(keys, since);
            let Some(answer) = stop.run_until_cancelled(search).await else {
                return Ok(None);
            };
            found.extend(answer?);
        }

        Ok(Some(found))
    }

    /// The mails that answer one query. Some servers find only so many of them, the last or the
    /// first, so whoever finds many is asked for those before and behind until there are none.
    async fn search(
        &mut self,
        keys: &str,
        since: Option<civil::Date>,
    ) -> Result<BTreeSet<u32>, Fault> {
        let mut found = self.session.search(keys, since).await?;
        if found.len() < CAPPED {
            return Ok(found);
        }

        while let Some(outside) = walk::outside(keys, &found, self.last_uid) {
            let before = found.len();
            for keys in outside {
                found.append(&mut self.session.search(&keys, since).await?);
            }
            if found.len() == before {
                break;
            }
        }

        Ok(found)
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
                // It has failed before: it is requested again in its turn, or else at the end.
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

    /// Each of these mails, with what the server reports about it; anything missing is requested
    /// with the mail itself.
    async fn list(&mut self, uids: &[u32]) -> Result<Vec<Listed>, Fault> {
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else {
            return Ok(Vec::new());
        };
        let mut listed = BTreeMap::new();

        if !self.backlog.is_suspect(*last) {
            self.backlog.begin(*first, (*last).max(first + 1));
            match self.session.list(uids).await {
                Ok(all) => listed = all,
                Err(Fault::Answer { .. }) => self.backlog.isolate(*last),
                Err(fault) => return Err(fault),
            }
            self.backlog.end();
        }

        let all = uids.iter().map(|uid| {
            listed.remove(uid).unwrap_or(Listed {
                uid: *uid,
                size: None,
                arrived: None,
            })
        });

        let now = self.imap.clock.now();
        Ok(all
            .map(|mail| Listed {
                arrived: mail.arrived.filter(|at| arrival::is_plausible(*at, now)),
                ..mail
            })
            .collect())
    }

    /// The mails to fetch with one command: many small ones, or one that needs care.
    fn next_batch(&self, waiting: &mut VecDeque<Listed>) -> Vec<Listed> {
        let mut batch: Vec<Listed> = Vec::new();
        let mut bytes = 0;

        while let Some(mail) = waiting.front().copied() {
            let size = mail.size.filter(|size| *size <= self.limit());
            let single = self.backlog.is_suspect(mail.uid)
                || self.backlog.is_wanted(mail.uid)
                || size.is_none();
            let full = single
                || batch.len() == BATCH_MAILS
                || bytes + size.unwrap_or_default() > BATCH_BYTES;
            if full && !batch.is_empty() {
                break;
            }
            waiting.pop_front();
            bytes += size.unwrap_or_default();
            batch.push(mail);
            if single {
                break;
            }
        }

        batch
    }

    /// Stores what was fetched, then does with it in its folder what is configured.
    async fn store(&mut self, fetched: Fetched) -> Result<(), Fault> {
        let Fetched {
            last_uid, mails, ..
        } = fetched;

        let is_cut = |mail: &Message| mail.cut_from.is_some();
        let which = |wanted: bool| -> Vec<u32> {
            let those = mails.iter().filter(|(_, mail)| is_cut(mail) == wanted);
            those.map(|(uid, _)| *uid).collect()
        };
        let (uids, cut) = (which(false), which(true));
        let came = || uids.iter().chain(&cut).copied();
        let given = came().filter(|uid| self.backlog.is_kept(*uid)).collect();
        let mails = mails.into_values().collect();

        // If the store refuses them, they are new, or known as wanted, to the next scan.
        came().for_each(|uid| self.backlog.forget(uid));
        self.commit_with(mails, last_uid, given, None).await?;
        came().for_each(|uid| self.backlog.passed.add(uid));

        after::settle(self.session, &self.imap.settings, &uids, &cut).await
    }

    /// The bookmark is ahead of the folder: an earlier version believed a wrong UIDNEXT.
    fn go_back(&mut self, to: u32) {
        telemetry::mailbox_put_back(
            &self.imap.settings.name,
            self.last_uid,
            to.saturating_add(1),
        );
        self.backlog.keep_again();
        self.backlog.passed.go_back(to);
        (self.last_uid, self.rewound) = (to, true);
    }

    /// Stores the mails, and that all mails up to `last_uid` are stored or known to be wanted.
    async fn commit(&mut self, mails: Vec<Message>, last_uid: u32) -> Result<(), Fault> {
        self.commit_with(mails, last_uid, Vec::new(), None).await
    }

    /// Like [`Scan::commit`]; `given` are wanted mails that were returned, and `told` is one that
    /// is announced now and still wanted.
    async fn commit_with(
        &mut self,
        mails: Vec<Message>,
        last_uid: u32,
        given: Vec<u32>,
        told: Option<Wanted>,
    ) -> Result<(), Fault> {
        let last_uid = last_uid.max(self.last_uid);
        let mut wanted = self.backlog.to_keep(last_uid);
        wanted.retain(|one| told.as_ref().is_none_or(|told| told.uid != one.uid));
        wanted.extend(told);

        let bookmark = Bookmark {
            mailbox: self.imap.mailbox.clone(),
            uid_validity: self.folder.uid_validity,
            last_uid,
            wanted: wanted.clone(),
            given,
            rewound: self.rewound,
            starts_at: self.starts_at,
        };

        let has_mails = !mails.is_empty();
        self.inbox.accept(mails, Some(bookmark)).await?;
        self.has_stored |= has_mails;
        self.backlog.kept(&wanted);
        self.backlog.passed.moved_to(last_uid);
        (self.last_uid, self.rewound) = (last_uid, false);

        Ok(())
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

/// What was fetched, for one commit.
#[derive(Debug, Default)]
struct Fetched {
    last_uid: u32,
    /// By UID.
    mails: BTreeMap<u32, Message>,
    /// Nothing came: the mails must be fetched one by one.
    one_by_one: bool,
}

impl Fetched {
    fn nothing_up_to(last_uid: u32) -> Self {
        Self {
            last_uid,
            ..Self::default()
        }
    }

    fn push(&mut self, uid: u32, message: Message) {
        self.mails.insert(uid, message);
    }

    /// Takes out what is below `uid`.
    fn split_below(&mut self, uid: u32) -> Self {
        let from_there = self.mails.split_off(&uid);
        Self {
            last_uid: uid.saturating_sub(1),
            mails: std::mem::replace(&mut self.mails, from_there),
            one_by_one: false,
        }
    }

    fn messages(&self) -> usize {
        self.mails.len()
    }
}

fn header_of(body: &Bytes) -> Bytes {
    let end = body
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .map_or(body.len(), |at| at + 4);
    Bytes::copy_from_slice(&body[..end.min(HEADER_LIMIT)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_mail_ends_with_its_empty_line() {
        assert_eq!(
            header_of(&Bytes::from_static(b"A: b\r\n\r\nbody")),
            "A: b\r\n\r\n"
        );
        assert_eq!(
            header_of(&Bytes::from(vec![b'a'; 100_000])).len(),
            HEADER_LIMIT
        );
    }
}
