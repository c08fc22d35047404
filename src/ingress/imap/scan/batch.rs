//! The mails that one command fetches and one commit stores, bounded in number and in bytes.

use std::collections::{BTreeMap, VecDeque};

use super::{Listed, Scan};
use crate::{
    ingress::imap::{arrival, fault::Fault},
    message::Message,
};

/// The most mails in one commit.
const BATCH_MAILS: usize = 64;
/// The most bytes in one commit, and so in memory; a single mail may be larger.
const BATCH_BYTES: u64 = 8 << 20;

impl Scan<'_> {
    /// Returns each of these mails with what the server reports about it; anything missing is
    /// requested with the mail itself.
    pub(super) async fn list(&mut self, uids: &[u32]) -> Result<Vec<Listed>, Fault> {
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

        let all = uids
            .iter()
            .map(|uid| listed.remove(uid).unwrap_or(Listed::only(*uid)));

        let now = self.imap.clock.now();
        Ok(all
            .map(|mail| Listed {
                arrived: mail.arrived.filter(|at| arrival::is_plausible(*at, now)),
                ..mail
            })
            .collect())
    }

    /// Returns the mails to fetch with one command: many small ones, or one that needs care.
    pub(super) fn next_batch(&self, waiting: &mut VecDeque<Listed>) -> Vec<Listed> {
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
}

/// The mails that were fetched, for one commit.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub last_uid: u32,
    /// The mails, by UID.
    pub mails: BTreeMap<u32, Message>,
    /// Whether nothing came, so that the mails must be fetched one by one.
    pub one_by_one: bool,
}

impl Fetched {
    pub fn nothing_up_to(last_uid: u32) -> Self {
        Self {
            last_uid,
            ..Self::default()
        }
    }

    pub fn push(&mut self, uid: u32, message: Message) {
        self.mails.insert(uid, message);
    }

    /// Takes out the mails below `uid`.
    pub fn split_below(&mut self, uid: u32) -> Self {
        let from_there = self.mails.split_off(&uid);
        Self {
            last_uid: uid.saturating_sub(1),
            mails: std::mem::replace(&mut self.mails, from_there),
            one_by_one: false,
        }
    }

    pub fn messages(&self) -> usize {
        self.mails.len()
    }
}
