//! Reading a folder from the last position: by UID, in bounded batches, each of which is stored
//! before anything in the folder is changed.
//!
//! The position is the bookmark, stored in the same commit as the mails, never `\Seen`. Every new
//! mail ends up in the store: whole, with its header alone if it is over the limit, or as wanted if
//! the server did not return it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, civil};
use tokio_util::sync::CancellationToken;

use super::{
    Imap, after,
    fault::Fault,
    session::{Folder, HEADER_LIMIT, Listed, Session},
    wanted::Backlog,
};
use crate::{
    ingress::Inbox,
    message::{Bookmark, Message, Wanted},
};

mod cut;
mod fetch;
mod missing;
mod start;
mod walk;

use start::calendar_day;

/// The most mails that one SEARCH may find, so that its answer is one line of bounded length.
pub(super) const SEARCH_WIDTH: u32 = 20_000;
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
    pub(super) backlog: &'a mut Backlog,
    pub(super) stop: &'a CancellationToken,
    /// The position in the store's bookmark.
    last_uid: u32,
    /// The folder was restored to an earlier state: the bookmark follows it.
    rewound: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        imap: &'a Imap,
        session: &'a mut Session,
        folder: Folder,
        inbox: &'a Arc<dyn Inbox>,
        backlog: &'a mut Backlog,
        stop: &'a CancellationToken,
    ) -> Self {
        Self {
            imap,
            session,
            folder,
            inbox,
            backlog,
            stop,
            last_uid: 0,
            rewound: false,
        }
    }

    /// Reads the new mails.
    pub(super) async fn read_new(&mut self) -> Result<Scanned, Fault> {
        let bookmark = self.inbox.bookmark(&self.imap.mailbox).await?;
        let Some(start) = self.start(bookmark.as_ref()).await? else {
            self.commit(Vec::new(), self.folder.uid_next.saturating_sub(1))
                .await?;
            return Ok(Scanned::New(0));
        };

        self.last_uid = start.after;

        let since = start.not_before.map(calendar_day);
        let (mut after, mut new, mut read) = (start.after, 0, start.after);
        let above = self.backlog.passed.look_above(start.after);
        if since.is_some() {
            self.backlog.passed.leave_out_old();
        }

        for questions in walk::stretches(above, &self.folder) {
            let Some(found) = self.find(&questions, since).await? else {
                return Ok(Scanned::Stopped);
            };
            // `n:*` always contains the last mail, even if its UID is below n (RFC 3501, 6.4.8).
            let found: Vec<u32> = found
                .into_iter()
                .filter(|uid| self.backlog.passed.is_new(*uid, after))
                .filter(|uid| !self.backlog.is_wanted(*uid))
                .collect();
            new += found.len();
            for uids in found.chunks(LIST_MAILS) {
                match self.read(uids, start.not_before).await? {
                    Some(last) => read = read.max(last),
                    None => return Ok(Scanned::Stopped),
                }
            }
            after = after.max(read);
        }

        // Mail that was skipped as too old must not look new to the next scan.
        if since.is_some() {
            self.commit(Vec::new(), read.max(self.folder.uid_next.saturating_sub(1)))
                .await?;
        }

        Ok(Scanned::New(new))
    }

    /// The mails that answer these queries; `None` after `stop`.
    async fn find(
        &mut self,
        questions: &[String],
        since: Option<civil::Date>,
    ) -> Result<Option<BTreeSet<u32>>, Fault> {
        let mut found = BTreeSet::new();
        for keys in questions {
            let search = self.session.search(keys, since);
            let Some(answer) = self.stop.run_until_cancelled(search).await else {
                return Ok(None);
            };
            found.extend(answer?);
        }

        Ok(Some(found))
    }

    /// Stores these mails, batch by batch. Returns the last UID covered, or `None` after `stop`.
    async fn read(
        &mut self,
        uids: &[u32],
        not_before: Option<Timestamp>,
    ) -> Result<Option<u32>, Fault> {
        let stop = self.stop;
        let Some(listed) = stop.run_until_cancelled(self.list(uids)).await else {
            return Ok(None);
        };
        let mut waiting: VecDeque<Listed> = listed?
            .into_iter()
            .filter(|mail| {
                not_before.is_none_or(|limit| mail.arrived.is_none_or(|arrived| arrived >= limit))
            })
            .collect();

        let given = self.backlog.given();
        let mut failures = 0;

        while !waiting.is_empty() {
            let batch = self.next_batch(&mut waiting);
            let Some(fetched) = stop.run_until_cancelled(self.fetch(&batch)).await else {
                return Ok(None);
            };
            // From here on, the batch is completed even after `stop`.
            let fetched = fetched?;
            if fetched.one_by_one {
                batch
                    .into_iter()
                    .rev()
                    .for_each(|mail| waiting.push_front(mail));
                continue;
            }
            failures += batch.len() - fetched.messages();
            if fetched.messages() > 0 {
                self.store(fetched).await?;
            } else if failures >= FAILURES_IN_A_ROW
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
        let mut listed = std::collections::BTreeMap::new();

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

        Ok(all
            .map(|mail| Listed {
                arrived: mail.arrived.filter(|at| self.is_plausible(*at)),
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
            let single = self.backlog.is_suspect(mail.uid) || size.is_none();
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
            last_uid,
            uids,
            cut,
            mails,
            ..
        } = fetched;

        let came = || uids.iter().chain(&cut).copied();
        let given = came().filter(|uid| self.backlog.is_kept(*uid)).collect();

        // If the store refuses them, they are new, or known as wanted, to the next scan.
        came().for_each(|uid| self.backlog.forget(uid));
        self.commit_with(mails, last_uid, given, None).await?;
        came().for_each(|uid| self.backlog.passed.add(uid));

        after::settle(self.session, &self.imap.settings, &uids, &cut).await
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
        };

        self.inbox.accept(mails, Some(bookmark)).await?;
        self.backlog.kept(&wanted);
        self.backlog.passed.moved_to(last_uid);
        (self.last_uid, self.rewound) = (last_uid, false);

        Ok(())
    }

    fn limit(&self) -> u64 {
        self.imap.settings.max_message_size.bytes()
    }

    /// The arrival time of a mail from the future, or from before IMAP existed, means nothing.
    fn is_plausible(&self, arrived: Timestamp) -> bool {
        arrived > EARLIEST_ARRIVAL && arrived <= self.imap.clock.now() + CLOCKS_DIFFER
    }

    fn message(&self, mail: Listed, raw: Bytes) -> Message {
        Message {
            ingress: self.imap.settings.name.clone(),
            arrived_at: mail
                .arrived
                .filter(|at| self.is_plausible(*at))
                .unwrap_or_else(|| self.imap.clock.now()),
            raw,
            cut_from: None,
            withheld: None,
            envelope: None,
        }
    }
}

/// How far a server's clock may be ahead.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);
/// IMAP4 dates from 1994.
const EARLIEST_ARRIVAL: Timestamp = Timestamp::constant(725_846_400, 0);

/// What was fetched, for one commit.
#[derive(Debug, Default)]
struct Fetched {
    last_uid: u32,
    /// The UIDs of mails that came whole,
    uids: Vec<u32>,
    /// and of those whose content is still only in the folder.
    cut: Vec<u32>,
    mails: Vec<Message>,
    /// Nothing came: the mails must be fetched one by one.
    one_by_one: bool,
}

impl Fetched {
    fn push(&mut self, uid: u32, message: Message) {
        if message.cut_from.is_some() {
            self.cut.push(uid);
        } else {
            self.uids.push(uid);
        }
        self.mails.push(message);
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
