//! Finds mails that their server says arrived long ago although they were written since, and the
//! reverse: old mails that are said to have arrived on the day they were copied.
//!
//! A host without a clock, or a program that fills a folder without giving a time, causes a new
//! mail to have an old INTERNALDATE. Where old mail is left out, what such a mail says itself
//! counts.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::{Listed, Scan};
use crate::{
    ingress::imap::{arrival, fault::Fault},
    message::header,
};

/// The longest delivery: a mail arrives within a day of when it was written.
const UNDERWAY: SignedDuration = SignedDuration::from_hours(24);

impl Scan<'_> {
    /// Returns those of these mails that are young enough; the others count as passed.
    pub(super) async fn list_young(
        &mut self,
        uids: &[u32],
        not_before: Option<Timestamp>,
    ) -> Result<Vec<Listed>, Fault> {
        let (mut young, said_old): (Vec<Listed>, Vec<Listed>) =
            self.list(uids).await?.into_iter().partition(|mail| {
                let limit = self.limit_of(mail.uid, not_before);
                limit.is_none_or(|limit| mail.arrived.is_none_or(|arrived| arrived >= limit))
            });

        let falsely = self.falsely_old(&said_old, not_before).await?;
        let (younger, old): (Vec<Listed>, Vec<Listed>) = said_old
            .into_iter()
            .partition(|mail| falsely.contains(&mail.uid));
        for mail in old {
            self.backlog.passed.add(mail.uid);
        }
        young.extend(younger);
        young.sort_by_key(|mail| mail.uid);

        self.leave_out_copies(young).await
    }

    /// Leaves out the mails that were written before the mailbox was first read. The server of a
    /// folder that was migrated or rebuilt says that all its mails arrived on the day of the copy.
    async fn leave_out_copies(&mut self, mails: Vec<Listed>) -> Result<Vec<Listed>, Fault> {
        let starts_at = self.starts_at.filter(|_| self.is_anew);
        let Some(limit) = starts_at.and_then(|starts_at| starts_at.checked_sub(UNDERWAY).ok())
        else {
            return Ok(mails);
        };

        let uids: Vec<u32> = mails.iter().map(|mail| mail.uid).collect();
        let dates = self.dates(&uids).await?;
        let is_copy = |mail: &Listed| {
            let header = dates.get(&mail.uid);
            let written = header.and_then(|header| header::date(header));
            written.is_some_and(|written| written < limit)
        };
        let (copies, young): (Vec<Listed>, Vec<Listed>) = mails.into_iter().partition(is_copy);
        for mail in copies {
            self.backlog.passed.add(mail.uid);
        }

        Ok(young)
    }

    /// Returns the Date of each of these mails, as far as the server returns it.
    async fn dates(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Bytes>, Fault> {
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else {
            return Ok(BTreeMap::new());
        };
        if self.backlog.is_suspect(*last) {
            return Ok(BTreeMap::new());
        }

        self.backlog.begin(*first, (*last).max(first + 1));
        let dates = match self.session.dates(uids).await {
            Ok(dates) => dates,
            Err(Fault::Answer { .. }) => BTreeMap::new(),
            Err(fault) => return Err(fault),
        };
        self.backlog.end();

        Ok(dates)
    }

    fn limit_of(&self, uid: u32, not_before: Option<Timestamp>) -> Option<Timestamp> {
        not_before.or_else(|| self.backlog.passed.not_before(uid))
    }

    /// Returns those of these mails, all said to be older than their limit, that were written
    /// since. If the server does not answer, they stay as old as it said.
    pub(super) async fn falsely_old(
        &mut self,
        old: &[Listed],
        not_before: Option<Timestamp>,
    ) -> Result<BTreeSet<u32>, Fault> {
        let uids: Vec<u32> = old.iter().map(|mail| mail.uid).collect();
        let dates = self.dates(&uids).await?;
        let now = self.imap.clock.now();
        let is_written_since = |mail: &&Listed| {
            let limit = self.limit_of(mail.uid, not_before);
            let header = dates.get(&mail.uid);
            limit.zip(header).is_some_and(|(limit, header)| {
                arrival::is_written_since(header, mail.arrived, limit, now)
            })
        };
        Ok(old
            .iter()
            .filter(is_written_since)
            .map(|mail| mail.uid)
            .collect())
    }
}
