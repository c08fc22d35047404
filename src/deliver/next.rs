//! The step that follows a verdict: what the store must hold, and the time of the next attempt or
//! the end. Pure.

use std::{mem, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    delivery::{FailureReason, Refused, Settings, Step, Verdict},
    store::{Claim, Next},
};

/// The first and the longest pause between queries for the result of an accepted request.
const CONFIRM_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How often a page is sent if no reply to it is heard.
const MOST_UNHEARD: u32 = 4;
/// The pause before the last sending but one, capped at `backoff.max`: a receiver that restarts is
/// back by then.
const LAST_PAUSE: Duration = Duration::from_mins(1);
/// The pause before the last sending is this many times as long: most outages are over by then.
const TIMES_LONGER: u32 = 15;

/// Returns the verdict that applies once a request was accepted at least `timeout` ago without
/// being confirmed: the page is to be sent again.
pub(super) fn matured(verdict: Verdict, step: &Step, timeout: Duration, now: Timestamp) -> Verdict {
    let Step::Confirm {
        request_id, since, ..
    } = step
    else {
        return verdict;
    };

    if waited(*since, now) < timeout {
        return verdict;
    }

    let reason = FailureReason::Unconfirmed;
    let never = format!("accepted as request {request_id}, but never confirmed");

    match verdict {
        Verdict::NotYet => Verdict::Retry {
            reason,
            detail: never,
            after: None,
        },
        Verdict::Retry { detail, after, .. } => Verdict::Retry {
            reason,
            detail: format!("{never}: {detail}"),
            after,
        },
        verdict => verdict,
    }
}

/// Returns the verdict on one of several alerts that a resolve ends by their receipts.
///
/// The next alert is ended whatever the outcome of this one. If any could not be ended, the
/// delivery fails when all were tried. `step` is set to what is left to do.
pub(super) fn of_each(verdict: Verdict, step: &mut Step, receipts: Vec<String>) -> Verdict {
    let (reason, why) = match &verdict {
        Verdict::Delivered { .. } => (FailureReason::Rejected, None),
        Verdict::Permanent { reason, detail } => (*reason, Some(detail.clone())),
        _ => return verdict,
    };
    let (mut left, mut refused) = match step.proper() {
        Step::Ends { left, refused } if !left.is_empty() => (left.clone(), refused.clone()),
        _ => (receipts, Vec::new()),
    };
    if left.is_empty() {
        return verdict;
    }

    let receipt = left.remove(0);
    let became = match why {
        None => format!("{receipt} is closed"),
        Some(why) => {
            let became = unended(&receipt, &why);
            refused.push(Refused { receipt, why });
            became
        }
    };

    if let Some(next) = left.first() {
        let detail = format!("{became}; {next} is next");
        *step = Step::Ends { left, refused };
        return Verdict::Partly {
            next: step.clone(),
            detail,
        };
    }
    if refused.is_empty() {
        return verdict;
    }

    let all = refused.iter().map(|one| unended(&one.receipt, &one.why));
    let detail = all.collect::<Vec<_>>().join("; ");
    *step = Step::Ends { left, refused };
    Verdict::Permanent { reason, detail }
}

/// Returns the verdict on a page that a gateway answered for. The gateway may have passed the page
/// on, so the verdict is the same as if no reply had been heard.
pub(super) fn unconfirmed(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Retry {
            reason: FailureReason::Timeout | FailureReason::ServerError,
            detail,
            after,
        } => Verdict::Retry {
            reason: FailureReason::Unconfirmed,
            detail,
            after,
        },
        verdict => verdict,
    }
}

/// Returns the verdict on a page that was sent for `step` and got no reply. It may have been taken,
/// so it is sent [`MOST_UNHEARD`] times at most, whatever else fails in between.
pub(super) fn unheard(verdict: Verdict, step: &mut Step) -> Verdict {
    let Verdict::Retry {
        reason: reason @ FailureReason::Unconfirmed,
        detail,
        after,
    } = verdict
    else {
        return verdict;
    };
    let (times, of) = match mem::take(step) {
        Step::Unheard { times, of } => (times + 1, of),
        of => (1, Box::new(of)),
    };
    *step = Step::Unheard { times, of };
    if times < MOST_UNHEARD {
        return Verdict::Retry {
            reason,
            detail,
            after,
        };
    }
    Verdict::Permanent {
        reason,
        detail: format!(
            "it was sent {times} times, and may have been accepted each time: {detail}"
        ),
    }
}

/// Returns the pause before a page is sent again that got no reply more than once. Such a page is
/// sent only a few times, so the pauses must outlast a restart and an outage.
fn pause_unheard(reason: FailureReason, step: &Step, settings: &Settings) -> Option<Duration> {
    let Step::Unheard { times, .. } = step else {
        return None;
    };
    let pause = LAST_PAUSE.min(settings.backoff.max.as_std());
    match MOST_UNHEARD.saturating_sub(*times) {
        _ if reason != FailureReason::Unconfirmed => None,
        1 => Some(pause * TIMES_LONGER),
        2 => Some(pause),
        _ => None,
    }
}

fn unended(receipt: &str, why: &str) -> String {
    format!("{receipt} could not be closed: {why}")
}

/// Returns the step that follows a verdict.
///
/// `probe_at` is the time at which the integration is tried next while it does not answer. No
/// delivery waits for it beyond that time, except for the pauses of `pause_unheard`.
pub(super) fn step(
    claim: &Claim,
    verdict: &Verdict,
    settings: &Settings,
    probe_at: Option<Timestamp>,
    now: Timestamp,
) -> Next {
    match verdict {
        Verdict::Delivered { receipt } => Next::Delivered {
            receipt: receipt.clone(),
        },
        Verdict::Accepted { request_id } => Next::Again {
            step: Step::Confirm {
                request_id: request_id.clone(),
                since: now,
                of: Box::new(accepted(&claim.step)),
            },
            at: later(now, CONFIRM_EVERY.0),
            failures: claim.failures,
        },
        Verdict::NotYet => {
            let waited = match &claim.step {
                Step::Confirm { since, .. } => waited(*since, now),
                _ => Duration::ZERO,
            };
            let pause = waited.clamp(CONFIRM_EVERY.0, CONFIRM_EVERY.1);
            Next::Again {
                step: claim.step.clone(),
                at: later(now, pause),
                failures: claim.failures,
            }
        }
        Verdict::Partly { next, .. } => Next::Again {
            step: next.clone(),
            at: now,
            failures: claim.failures,
        },
        // Repeat a query for a confirmation that failed: sending the request again could only
        // repeat the page.
        Verdict::Retry { reason, after, .. } => {
            let said = detail(verdict, &claim.step);
            retried(claim, settings, (*reason, *after, &said), probe_at, now)
        }
        Verdict::Permanent { .. } => Next::Dead {
            reason: detail(verdict, &claim.step),
            retry: claim.step.clone().retried(),
        },
    }
}

/// Returns the step after an attempt that failed for a `reason`; `after` is the pause that the
/// receiver named, if it did.
fn retried(
    claim: &Claim,
    settings: &Settings,
    (reason, after, detail): (FailureReason, Option<Duration>, &str),
    probe_at: Option<Timestamp>,
    now: Timestamp,
) -> Next {
    let step = match &claim.step {
        Step::Confirm { of, .. } if reason == FailureReason::Unconfirmed => (**of).clone(),
        step => step.clone(),
    };
    let (after, probe_at) = match pause_unheard(reason, &step, settings) {
        Some(pause) => (Some(after.unwrap_or_default().max(pause)), None),
        None => (after, probe_at),
    };

    match (again(claim, settings, after, detail, step, now), probe_at) {
        (Next::Again { step, at, failures }, Some(probe_at)) => Next::Again {
            step,
            at: at.min(probe_at.max(now)),
            failures,
        },
        (next, _) => next,
    }
}

/// Returns the step for which a request was accepted.
fn accepted(step: &Step) -> Step {
    match step {
        Step::Confirm { of, .. } => (**of).clone(),
        step => step.clone(),
    }
}

/// Returns how long ago a request was accepted.
fn waited(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

fn again(
    claim: &Claim,
    settings: &Settings,
    after: Option<Duration>,
    detail: &str,
    step: Step,
    now: Timestamp,
) -> Next {
    let failures = claim.failures.saturating_add(1);
    let deadline = later(claim.since, settings.give_up_after.as_std());

    if now >= deadline && failures >= settings.fewest_failures {
        return Next::Dead {
            reason: format!("given up after {}: {detail}", settings.give_up_after),
            retry: step.retried(),
        };
    }

    let pause = settings
        .backoff
        .pause(failures)
        .max(after.unwrap_or_default());

    // Make the last attempt at the deadline instead of skipping it.
    let at = later(now, pause);

    Next::Again {
        step,
        at: if now < deadline { at.min(deadline) } else { at },
        failures,
    }
}

pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| time.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Returns the verdict as one word, for the timeline and the metrics.
pub(super) fn result(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered { .. } => "delivered",
        Verdict::Accepted { .. } => "accepted",
        Verdict::NotYet => "waiting",
        Verdict::Partly { .. } => "partly",
        Verdict::Retry { reason, .. } | Verdict::Permanent { reason, .. } => reason.as_str(),
    }
}

/// Returns the reason of the failure if the verdict is one.
pub(super) fn failure(verdict: &Verdict) -> Option<FailureReason> {
    match verdict {
        Verdict::Retry { reason, .. } | Verdict::Permanent { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// Returns the verdict as a sentence.
pub(super) fn detail(verdict: &Verdict, step: &Step) -> String {
    match verdict {
        Verdict::Delivered {
            receipt: Some(receipt),
        } => format!("delivered as {receipt}"),
        Verdict::Delivered { receipt: None } => "delivered".to_owned(),
        Verdict::Accepted { request_id } => {
            format!("accepted as request {request_id}, to be confirmed")
        }
        Verdict::NotYet => match step {
            Step::Confirm { request_id, .. } => {
                format!("accepted as request {request_id}, not confirmed yet")
            }
            _ => "not confirmed yet".to_owned(),
        },
        Verdict::Retry { detail, .. }
        | Verdict::Permanent { detail, .. }
        | Verdict::Partly { detail, .. } => detail.clone(),
    }
}

#[cfg(test)]
mod tests;
