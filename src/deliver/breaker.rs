//! A circuit breaker for one integration: an integration that does not answer gets one probe at a
//! time. Pure.
//!
//! The circuit opens when several deliveries in a row got no answer. While it is open, nothing is
//! dropped: the deliveries stay due in the store, and the first of them is the probe. The pauses
//! between probes grow as `delivery.backoff` does, but to half a minute at most: that is how late
//! the first page after a recovery can be because of the breaker. An answer of any kind, even a
//! refusal, closes the circuit.

use std::time::Duration;

use jiff::Timestamp;

use crate::delivery::{Backoff, DeliveryId, FailureReason, Verdict};

use super::next::later;

/// The number of consecutive failures that opens the circuit.
const ENOUGH: u32 = 5;
/// The longest pause between two probes.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// The number of consecutive failures, the first delivery that failed, and whether other
    /// deliveries failed too: one page that its receiver cannot handle must not block the rest.
    failures: u32,
    first: Option<DeliveryId>,
    several: bool,
    /// The state while the circuit is open.
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// The number of failed probes.
    probes: u32,
    /// The time from which the next probe may begin.
    at: Timestamp,
}

/// A change of the circuit that a verdict caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Opened { failures: u32 },
    Closed,
}

impl Breaker {
    /// Returns the time from which the next probe may begin; `None` while the circuit is closed.
    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        self.open.map(|open| open.at)
    }

    /// Applies the verdict of an attempt, and returns what it changed.
    pub(super) fn judge(
        &mut self,
        delivery: DeliveryId,
        verdict: &Verdict,
        backoff: &Backoff,
        now: Timestamp,
    ) -> Option<Change> {
        if !is_silence(verdict) {
            return std::mem::take(self).open.map(|_| Change::Closed);
        }

        self.failures = self.failures.saturating_add(1);
        self.several |= *self.first.get_or_insert(delivery) != delivery;

        let probes = match self.open {
            None if self.failures < ENOUGH || !self.several => return None,
            None => 0,
            // Attempts that were in flight when the circuit opened tell nothing new.
            Some(open) if now < open.at => return None,
            Some(open) => open.probes.saturating_add(1),
        };

        self.open = Some(Open {
            probes,
            at: later(now, backoff.pause(probes.saturating_add(1)).min(LONGEST)),
        });

        (probes == 0).then_some(Change::Opened {
            failures: self.failures,
        })
    }

    /// Lets a probe begin at once, because the clock was set back or the cause may be fixed.
    pub(super) fn hurry(&mut self) {
        if let Some(open) = &mut self.open {
            open.at = Timestamp::MIN;
        }
    }
}

/// Shortens the pause that a receiver asked for, so that every receiver is still probed.
///
/// A receiver that limits the rate of requests is left alone for as long as it says. One that
/// reports an outage is probed as often as one that does not answer.
pub(super) fn probed(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Retry {
            reason,
            detail,
            after,
        } if reason != FailureReason::RateLimited => Verdict::Retry {
            reason,
            detail,
            after: after.map(|after| after.min(LONGEST)),
        },
        verdict => verdict,
    }
}

/// Whether the receiver is unreachable or does not work, even if the page is given up for that
/// reason. Throttling (429) does not count, because it has pauses of its own.
fn is_silence(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Retry {
            reason: FailureReason::Network
                | FailureReason::Tls
                | FailureReason::Timeout
                | FailureReason::ServerError
                | FailureReason::Unconfirmed,
            ..
        } | Verdict::Permanent {
            reason: FailureReason::Unconfirmed,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    fn failed(reason: FailureReason) -> Verdict {
        Verdict::Retry {
            reason,
            detail: String::new(),
            after: None,
        }
    }

    fn silence() -> Verdict {
        failed(FailureReason::Timeout)
    }

    /// Returns a breaker that opened at second 0.
    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for failures in 1..=ENOUGH {
            let change = breaker.judge(failures.into(), &silence(), &Backoff::default(), at(0));
            assert_eq!(
                change,
                (failures == ENOUGH).then_some(Change::Opened { failures }),
                "after {failures}"
            );
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_of_any_kind_closes_it() {
        for answer in [
            Verdict::Delivered { receipt: None },
            Verdict::Accepted {
                request_id: "r".into(),
            },
            Verdict::NotYet,
            Verdict::Permanent {
                reason: FailureReason::Unauthorized,
                detail: String::new(),
            },
            failed(FailureReason::RateLimited),
        ] {
            let mut breaker = open();
            assert_eq!(
                breaker.judge(1, &answer, &Backoff::default(), at(1)),
                Some(Change::Closed),
                "{answer:?}"
            );
            assert_eq!(breaker.probe_at(), None);
            assert_eq!(
                breaker.judge(2, &silence(), &Backoff::default(), at(2)),
                None,
                "the count began anew"
            );
        }
    }

    #[test]
    fn pages_that_are_given_up_unheard_open_it_and_do_not_close_it() {
        let (mut breaker, reason) = (Breaker::default(), FailureReason::Unconfirmed);
        let given_up = Verdict::Permanent {
            reason,
            detail: String::new(),
        };
        for (number, verdict) in [failed(reason), given_up]
            .iter()
            .cycle()
            .take(20)
            .enumerate()
        {
            let delivery = i64::try_from(number).unwrap_or_default();
            let change = breaker.judge(delivery, verdict, &Backoff::default(), at(0));
            let opens = number + 1 == ENOUGH as usize;
            assert_eq!(change.is_some(), opens, "{number}");
        }
        assert!(breaker.probe_at().is_some());
    }

    #[test]
    fn one_page_that_fails_for_ever_stands_in_nobodys_way() {
        let mut breaker = Breaker::default();
        for second in 0..100 {
            assert_eq!(
                breaker.judge(1, &silence(), &Backoff::default(), at(second)),
                None
            );
        }
        assert_eq!(
            breaker.judge(2, &silence(), &Backoff::default(), at(100)),
            Some(Change::Opened { failures: 101 })
        );
    }

    #[test]
    fn a_receiver_that_answers_now_and_then_is_not_cut_off() {
        let mut breaker = Breaker::default();
        for second in 0..100 {
            let verdict = if second % 4 == 3 {
                Verdict::Delivered { receipt: None }
            } else {
                silence()
            };
            assert_eq!(
                breaker.judge(second, &verdict, &Backoff::default(), at(second)),
                None
            );
        }
    }

    #[test]
    fn probes_come_at_growing_pauses_of_half_a_minute_at_most() {
        let mut breaker = open();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let probe_at = breaker.probe_at().unwrap_or_default();
            pauses.push(probe_at.duration_since(now).as_secs());
            now = probe_at;
            assert_eq!(breaker.judge(1, &silence(), &Backoff::default(), now), None);
        }
        assert!(
            pauses[0] <= 2 && pauses[3] >= 8 && pauses[10..].iter().all(|pause| *pause == 30),
            "{pauses:?}"
        );
    }

    #[test]
    fn those_under_way_when_it_opened_do_not_put_the_probe_off() {
        let mut breaker = open();
        let probe_at = breaker.probe_at();
        for delivery in 0..30 {
            assert_eq!(
                breaker.judge(delivery, &silence(), &Backoff::default(), at(0)),
                None
            );
        }
        assert_eq!(breaker.probe_at(), probe_at);
    }

    #[test]
    fn only_a_limit_keeps_a_receiver_from_being_probed_within_half_a_minute() {
        let hour = Duration::from_hours(1);
        for (reason, pause) in [
            (FailureReason::ServerError, LONGEST),
            (FailureReason::Unconfirmed, LONGEST),
            (FailureReason::UnexpectedReply, LONGEST),
            (FailureReason::RateLimited, hour),
        ] {
            let asks = |after| Verdict::Retry {
                reason,
                detail: String::new(),
                after,
            };
            assert_eq!(probed(asks(Some(hour))), asks(Some(pause)));
            let soon = asks(Some(Duration::from_secs(7)));
            assert_eq!(probed(soon.clone()), soon);
            assert_eq!(probed(asks(None)), asks(None));
        }
    }
}
