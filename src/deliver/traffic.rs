//! Limits on how much may be in flight at one integration, and when: slots, pace, pauses and the
//! circuit breaker.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::RwLock;

use crate::{
    delivery::{Backoff, DeliveryId, Verdict},
    receiver::RateLimit,
};

use super::breaker::{Breaker, Change};

/// The largest number of concurrent attempts at one integration.
pub(super) const MOST: u32 = 32;

/// The traffic at one integration. None of this state needs to survive a restart: a restart only
/// tries again.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    now: Mutex<Now>,
    turn: RwLock<()>,
}

#[derive(Debug)]
struct Now {
    /// The least time between two requests, if pacing is wanted.
    pace: Option<SignedDuration>,
    under_way: u32,
    /// The largest number of attempts that may be in flight. After a pause it begins with one and
    /// doubles with each attempt that causes no other pause, so that a throttled receiver is not
    /// hit by everything that waited.
    most: u32,
    /// No attempt begins before this time.
    closed_until: Timestamp,
    /// Whether a due delivery waits in the store. It takes precedence over new deliveries.
    behind: bool,
    breaker: Breaker,
}

impl Default for Now {
    fn default() -> Self {
        Self {
            pace: None,
            under_way: 0,
            most: MOST,
            closed_until: Timestamp::MIN,
            behind: true,
            breaker: Breaker::default(),
        }
    }
}

impl Traffic {
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        let pace =
            limit.and_then(|limit| SignedDuration::try_from(limit.per / limit.requests.get()).ok());
        Self {
            now: Mutex::new(Now {
                pace,
                ..Now::default()
            }),
            turn: RwLock::default(),
        }
    }

    /// Returns the lock that keeps pages and repetitions of open alerts apart: pages run
    /// concurrently (read), and a repetition runs alone (write).
    pub(super) fn turn(&self) -> &RwLock<()> {
        &self.turn
    }

    /// Takes over the pace of another traffic.
    pub(super) fn keep_pace_of(&self, other: &Self) {
        let pace = other.lock().pace;
        self.lock().pace = pace;
    }

    /// Returns the time from which the integration may be tried; it lies in the past if it may be
    /// tried now.
    pub(super) fn opens_at(&self) -> Timestamp {
        let now = self.lock();
        now.breaker
            .probe_at()
            .map_or(now.closed_until, |probe_at| probe_at.max(now.closed_until))
    }

    /// Returns the time of the next probe; `None` while the circuit is closed.
    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        self.lock().breaker.probe_at()
    }

    /// Applies the verdict of an attempt to the circuit breaker. Returns what it changed, and the
    /// time of the next attempt if the integration does not answer.
    pub(super) fn judge(
        &self,
        delivery: DeliveryId,
        verdict: &Verdict,
        backoff: &Backoff,
        at: Timestamp,
    ) -> (Option<Change>, Option<Timestamp>) {
        let mut now = self.lock();
        let change = now.breaker.judge(delivery, verdict, backoff, at);
        if now.breaker.probe_at().is_some() {
            now.most = 1;
        }
        (change, now.breaker.probe_at())
    }

    /// Returns how many attempts may begin once the integration is open.
    pub(super) fn room(&self) -> u32 {
        let now = self.lock();
        let most = if now.pace.is_some() {
            now.most.min(now.under_way + 1)
        } else {
            now.most
        };
        most.saturating_sub(now.under_way)
    }

    /// Reserves a slot for a delivery that is about to be created.
    ///
    /// Returns false if the delivery must not be sent at once. It then waits in the store, and
    /// later ones wait behind it.
    pub(super) fn reserve(&self, at: Timestamp) -> bool {
        let mut now = self.lock();
        let open = now.pace.is_none() && now.breaker.probe_at().is_none() && now.closed_until <= at;
        let taken = open && !now.behind && now.under_way < now.most;

        if taken {
            now.under_way += 1;
        } else {
            now.behind = true;
        }

        taken
    }

    /// Frees a reserved slot that was not used.
    pub(super) fn give_back(&self) {
        let mut now = self.lock();
        now.under_way = now.under_way.saturating_sub(1);
    }

    /// Sets whether a due delivery still waits in the store.
    pub(super) fn set_behind(&self, behind: bool) {
        self.lock().behind = behind;
    }

    /// Counts an attempt that begins. With pacing, its time determines the time of the next
    /// attempt.
    pub(super) fn begin(&self, at: Timestamp) {
        let mut now = self.lock();
        now.under_way += 1;
        if let Some(pace) = now.pace {
            now.closed_until = now.closed_until.max(at.saturating_add(pace).unwrap_or(at));
        }
    }

    /// Counts an attempt that has ended. `pause` is the time until which the receiver asked to be
    /// left alone, if it did.
    ///
    /// Returns whether a due delivery waits for the slot.
    pub(super) fn end(&self, pause: Option<Timestamp>) -> bool {
        let mut now = self.lock();
        now.under_way = now.under_way.saturating_sub(1);
        match pause {
            Some(until) => {
                now.closed_until = now.closed_until.max(until);
                now.most = 1;
            }
            None if now.breaker.probe_at().is_some() => {}
            None => now.most = now.most.saturating_mul(2).min(MOST),
        }

        now.behind
    }

    /// Ends the pause, because the clock was set back or the cause may be fixed.
    pub(super) fn open(&self) {
        let mut now = self.lock();
        now.closed_until = Timestamp::MIN;
        now.breaker.hurry();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;
    use crate::delivery::FailureReason;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    #[test]
    fn after_a_pause_the_receiver_is_asked_by_one_then_by_more() {
        let traffic = Traffic::new(None);
        assert_eq!(traffic.room(), MOST);
        traffic.begin(at(0));
        traffic.begin(at(0));
        traffic.end(Some(at(30)));
        assert_eq!(
            (traffic.opens_at(), traffic.room()),
            (at(30), 0),
            "one is still under way"
        );
        traffic.end(Some(at(10)));
        assert_eq!(
            (traffic.opens_at(), traffic.room()),
            (at(30), 1),
            "a shorter pause does not cut a longer one"
        );
        for room in [2, 4, 8, 16, 32, 32] {
            traffic.begin(at(40));
            traffic.end(None);
            assert_eq!(traffic.room(), room);
        }
    }

    #[test]
    fn a_pace_lets_one_attempt_begin_at_a_time_however_long_it_takes() {
        let limit = RateLimit {
            requests: NonZeroU32::MIN.saturating_add(1),
            per: Duration::from_secs(4),
        };
        let traffic = Traffic::new(Some(limit));
        for second in [0, 2, 4] {
            assert!(traffic.opens_at() <= at(second));
            assert_eq!(traffic.room(), 1);
            traffic.begin(at(second));
            assert_eq!(traffic.opens_at(), at(second + 2));
        }
    }

    #[test]
    fn what_is_new_takes_room_only_where_nothing_waits_before_it() {
        let traffic = Traffic::new(None);
        assert!(
            !traffic.reserve(at(0)),
            "nobody has looked yet at what the store holds"
        );
        traffic.set_behind(false);
        for _ in 0..MOST {
            assert!(traffic.reserve(at(0)));
        }
        assert!(!traffic.reserve(at(0)), "it is full");
        traffic.give_back();
        assert_eq!(
            (traffic.room(), traffic.reserve(at(0))),
            (1, false),
            "the one that found no room comes first"
        );
        assert!(traffic.end(Some(at(30))), "and is to be told of the room");
        traffic.set_behind(false);
        assert!(!traffic.reserve(at(29)), "left alone");
    }

    #[test]
    fn what_is_new_does_not_probe_a_receiver_that_does_not_answer() {
        let traffic = Traffic::new(None);
        traffic.set_behind(false);
        let silence = Verdict::Retry {
            reason: FailureReason::Timeout,
            detail: String::new(),
            after: None,
        };
        for delivery in 0..10 {
            traffic.judge(delivery, &silence, &Backoff::default(), at(0));
        }
        assert!(!traffic.reserve(at(1000)));
    }

    #[test]
    fn another_pace_takes_effect_and_leaves_what_goes_on_as_it_is() {
        let traffic = Traffic::new(None);
        traffic.begin(at(0));
        let limit = RateLimit {
            requests: NonZeroU32::MIN,
            per: Duration::from_secs(4),
        };
        traffic.keep_pace_of(&Traffic::new(Some(limit)));
        assert_eq!(
            traffic.room(),
            1,
            "one is under way, and one more may begin"
        );
        traffic.begin(at(1));
        assert_eq!(traffic.opens_at(), at(5));
        traffic.keep_pace_of(&Traffic::new(None));
        assert_eq!(traffic.room(), MOST - 2);
    }

    #[test]
    fn a_clock_set_back_opens_what_was_closed() {
        let traffic = Traffic::new(None);
        traffic.begin(at(0));
        traffic.end(Some(at(9999)));
        traffic.open();
        assert!(traffic.opens_at() < at(0));
    }
}
