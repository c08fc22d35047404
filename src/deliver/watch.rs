//! Detection of a clock that was set back, so that waits until a time of the old clock can be
//! brought forward. Pure.

use jiff::{SignedDuration, Timestamp};

/// The tolerance beyond which a clock that goes back counts as set back.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);
/// How long after the change the old clock's time may still be written, by an attempt that had
/// ended or a mail that was decided.
const AFTERWARDS: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug)]
pub(super) struct Watch {
    latest: Timestamp,
    /// The time at which waits are brought forward once more.
    again_at: Option<Timestamp>,
}

/// The behaviour of the clock since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    GoesOn,
    /// The clock was set back from this time.
    SetBack(Timestamp),
    /// The clock was set back a little while ago.
    WasSetBack,
}

impl Watch {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            latest: now,
            again_at: None,
        }
    }

    /// Repeats the report at the next look, because it could not be handled.
    pub(super) fn missed(&mut self) {
        self.again_at = Some(self.latest);
    }

    /// Compares `now` with the time of the last look.
    pub(super) fn look(&mut self, now: Timestamp) -> Seen {
        let latest = std::mem::replace(&mut self.latest, now);
        if now.duration_since(latest) < -TOLERANCE {
            self.again_at = now.checked_add(AFTERWARDS).ok();
            return Seen::SetBack(latest);
        }

        if self.again_at.take_if(|at| *at <= now).is_some() {
            Seen::WasSetBack
        } else {
            Seen::GoesOn
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    #[test]
    fn a_clock_set_back_is_told_at_once_and_once_more_afterwards() {
        let mut watch = Watch::new(at(1000));
        let seen: Vec<_> = [1003, 1002, 500, 502, 504, 505, 507, 900_000, 900_001]
            .map(|second| watch.look(at(second)))
            .into();
        let [on, again] = [Seen::GoesOn, Seen::WasSetBack];
        assert_eq!(
            seen,
            [on, on, Seen::SetBack(at(1002)), on, on, again, on, on, on]
        );
    }

    #[test]
    fn a_clock_set_back_twice_is_told_twice() {
        let mut watch = Watch::new(at(1000));
        assert_eq!(watch.look(at(500)), Seen::SetBack(at(1000)));
        assert_eq!(watch.look(at(100)), Seen::SetBack(at(500)));
        assert_eq!(watch.look(at(104)), Seen::GoesOn);
        assert_eq!(watch.look(at(105)), Seen::WasSetBack);
        watch.missed();
        assert_eq!(watch.look(at(105)), Seen::WasSetBack);
        assert_eq!(watch.look(at(105)), Seen::GoesOn);
    }
}
