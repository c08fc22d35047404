//! Looks at the upper end of a folder before the folder is read for the first time, or anew.
//!
//! What a folder announces (UIDNEXT) and what it shows (SEARCH) may differ in either direction,
//! because an index lags behind or the announcement is wrong. So the bookmark moves to the highest
//! mail that was seen, and the mails right below it are remembered: one that appears there later is
//! new.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Age, Listed, SEARCH_WIDTH, Scan};
use crate::ingress::imap::{
    arrival::{self, CLOCKS_DIFFER},
    fault::Fault,
    passed::BEHIND,
};

/// The age up to which a mailbox that is read from now on takes mail that it announced before and
/// shows only later: clocks may differ. A larger difference shows by what the mail says itself.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// The upper end of a folder.
pub(super) struct End {
    /// The highest UID.
    pub(super) last: u32,
    /// The mails that SEARCH SINCE left out although they are young enough, because SEARCH lags
    /// behind or what it goes by is false. For a mailbox that is read from now on, these are the
    /// mails that came since the first look, which failed.
    pub(super) young: BTreeSet<u32>,
}

impl Scan<'_> {
    pub(super) async fn look_at_the_end(&mut self, age: Age) -> Result<End, Fault> {
        let announced = self.folder.uid_next.saturating_sub(1);
        let now = self.imap.clock.now();
        let late = age.not_before().or_else(|| now.checked_sub(LATE).ok());
        self.backlog
            .passed
            .leave_out_old(late.map(|late| (announced, late)));

        let mut young = BTreeSet::new();
        let newest = self.newest().await;
        if newest.is_err() && age == Age::Coming && self.folder.is_uid_next_told {
            self.backlog.passed.could_not_begin(announced);
        }
        let mut old = newest?;
        let Some(last) = old.last().copied() else {
            let is_empty = self.folder.exists.is_none_or(|exists| exists == 0);
            if !is_empty && self.backlog.passed.is_doubtful() {
                return Err(Fault::Protocol(
                    "SEARCH finds none of the mails of the folder".into(),
                ));
            }
            let last = if is_empty { 0 } else { announced };
            self.backlog.passed.begin(last, old);
            return Ok(End { last, young });
        };

        let bottom = last.saturating_sub(BEHIND);
        if let Age::NotBefore(limit) = age {
            let keys = format!("UID {}:*", bottom.saturating_add(1));
            let found = self.session.search(&keys, age.since()).await?;
            old.retain(|uid| !found.contains(uid));
            let doubtful: Vec<u32> = old.iter().copied().collect();
            let listed = self.list(&doubtful).await?;
            let (arrived, said_old): (Vec<Listed>, Vec<Listed>) = listed
                .into_iter()
                .partition(|mail| mail.arrived.is_some_and(|arrived| arrived >= limit));
            young.extend(arrived.iter().map(|mail| mail.uid));
            young.extend(self.falsely_old(&said_old, Some(limit)).await?);
            old.retain(|uid| !young.contains(uid));
        } else if let Some(before) = self.backlog.passed.first_announced() {
            young = old.split_off(&before.saturating_add(1));
        }
        self.backlog.passed.begin(bottom, old);

        Ok(End { last, young })
    }

    /// Returns the mails with the highest UIDs, as far down as one may still appear later. SEARCH
    /// may find only some of them, so the mails that FETCH shows count too.
    async fn newest(&mut self) -> Result<BTreeSet<u32>, Fault> {
        let first = self.folder.uid_next.saturating_sub(BEHIND).max(1);
        // If the announcement is far too low, the sequence numbers bound the length of the answer.
        let numbers = match self.folder.exists {
            Some(exists) if exists > SEARCH_WIDTH => format!("{}:* ", exists - SEARCH_WIDTH + 1),
            _ => String::new(),
        };
        let keys = format!("{numbers}UID {first}:*");
        let mut found = self.search(&keys, None).await?;
        found.append(&mut self.above(found.last().copied()).await?);

        // UIDNEXT is too high, or the mails that were there are gone: `*` is the last mail.
        if let Some(last) = found.last().copied()
            && last < first
        {
            let keys = format!("UID {}:*", last.saturating_sub(BEHIND).saturating_add(1));
            found = self.search(&keys, None).await?;
        }

        Ok(match found.last() {
            Some(last) => found.split_off(&last.saturating_sub(BEHIND).saturating_add(1)),
            None => found,
        })
    }

    /// Returns the mails above the last that SEARCH found, if FETCH shows them and they arrived
    /// some time ago. The others may have come just now, and are new when SEARCH finds them.
    async fn above(&mut self, found: Option<u32>) -> Result<BTreeSet<u32>, Fault> {
        if found.is_none()
            && self
                .folder
                .exists
                .is_none_or(|exists| exists > SEARCH_WIDTH)
        {
            return Ok(BTreeSet::new());
        }
        let first = found.map_or(1, |found| found.saturating_add(1));
        let present = match self.session.present(first).await {
            Err(Fault::Answer { .. }) => BTreeMap::new(),
            other => other?,
        };

        let now = self.imap.clock.now();
        let has_arrived_before = |arrived: Timestamp| {
            arrival::is_plausible(arrived, now) && now.duration_since(arrived) > CLOCKS_DIFFER
        };
        let before = present
            .into_iter()
            .filter(|(_, arrived)| arrived.is_some_and(has_arrived_before));
        Ok(before.map(|(uid, _)| uid).collect())
    }
}
