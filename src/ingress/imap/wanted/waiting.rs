//! Decides what the mails behind a wanted one wait for, and how long.
//!
//! If an end is stored before its beginning, nobody is told of either. So a mail that was not
//! returned is awaited for as long as its next tries may still bring it, which are few and soon. If
//! the server returns nothing at all, no mail is awaited, since none could overtake it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Backlog, TRIES, Want};

/// How long mails wait, in all, for earlier ones that were not returned.
const PATIENCE: Duration = Duration::from_secs(10);
/// The divisor of the time without waiting: a sixth of it is added to `PATIENCE` again.
const REGAINED: u32 = 6;

/// What mails behind a wanted one wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingress::imap) enum Awaited {
    /// Another request, at this time.
    Request(Instant),
    /// The announcement, because the mail has failed often enough.
    Announcement,
}

impl Backlog {
    /// Returns the lowest-numbered mail up to `up_to` that blocks later mail, and what the later
    /// mail waits for.
    pub(in crate::ingress::imap) fn awaited(&self, up_to: u32) -> Option<(u32, Awaited)> {
        let (all_fail, now) = (self.all_fail(), Instant::now());
        self.mails
            .range(..=up_to)
            .find_map(|(uid, want)| Some((*uid, self.awaits(want, all_fail, now)?)))
    }

    /// Returns the lowest awaited mail to request now, or else the time at which there will be one.
    pub(in crate::ingress::imap) fn next_request(
        &self,
        up_to: u32,
    ) -> Result<u32, Option<Instant>> {
        let (all_fail, now) = (self.all_fail(), Instant::now());
        let mut soonest = None;

        for (uid, want) in self.mails.range(..=up_to) {
            match self.awaits(want, all_fail, now) {
                Some(Awaited::Request(due)) if due <= now => return Ok(*uid),
                Some(Awaited::Request(due)) => {
                    soonest = Some(soonest.map_or(due, |soonest: Instant| soonest.min(due)));
                }
                _ => {}
            }
        }

        Err(soonest)
    }

    fn awaits(&self, want: &Want, all_fail: bool, now: Instant) -> Option<Awaited> {
        let others_came = self.given > want.given_before;
        if want.told || want.gone || want.let_go || want.in_memory {
            None
        } else if want.tries < TRIES {
            (others_came || !all_fail).then_some(Awaited::Request(want.due))
        } else if want.proven || (want.broke && !want.compared) {
            Some(Awaited::Announcement)
        } else if others_came {
            // The server returns mails again, and this one has had no fair try yet.
            Some(Awaited::Request(now))
        } else {
            (!want.compared).then_some(Awaited::Announcement)
        }
    }

    /// Returns whether a mail has failed often enough to be announced, and nothing was returned
    /// since.
    fn all_fail(&self) -> bool {
        self.mails.values().any(|want| {
            !want.told
                && !want.gone
                && !want.proven
                && want.tries >= TRIES
                && want.compared
                && want.given_before == self.given
        })
    }

    /// Returns whether the mail that ended the latest connection is awaited.
    pub(in crate::ingress::imap) fn is_blamed_awaited(&self) -> bool {
        self.blamed.is_some_and(|uid| {
            let (all_fail, now) = (self.all_fail(), Instant::now());
            let want = self.mails.get(&uid);
            want.is_some_and(|want| self.awaits(want, all_fail, now).is_some())
        })
    }

    /// Returns how long mails may still wait for earlier ones.
    pub(in crate::ingress::imap) fn patience(&mut self) -> Duration {
        let now = Instant::now();
        let since = self.reckoned.replace(now);
        let regained = since.map_or(Duration::ZERO, |since| (now - since) / REGAINED);
        self.waited = self.waited.saturating_sub(regained);
        PATIENCE.saturating_sub(self.waited)
    }

    /// Notes that mails have waited for the time `span`.
    pub(in crate::ingress::imap) fn has_waited(&mut self, span: Duration) {
        self.waited = PATIENCE.min(self.waited.saturating_add(span));
        self.reckoned = Some(Instant::now());
    }

    /// Ends the wait for the mails up to `up_to`, which has been long enough.
    pub(in crate::ingress::imap) fn let_go(&mut self, up_to: u32) {
        for (_, want) in self.mails.range_mut(..=up_to) {
            want.let_go |= !want.told;
        }
    }
}
