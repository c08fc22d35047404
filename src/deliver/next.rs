//! From a verdict to what the store is to hold: the next step, its time, or the end. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    delivery::{Settings, Step, Verdict},
    receiver::Keys,
    store::{Claim, Next},
};

/// How soon an accepted request is asked after for the first time, and how seldom at most.
const CONFIRM_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

pub(super) fn step(
    claim: &Claim,
    verdict: &Verdict,
    settings: &Settings,
    confirm_timeout: Duration,
    now: Timestamp,
) -> Next {
    match verdict {
        Verdict::Delivered { receipt } => Next::Delivered { receipt: receipt.clone() },
        Verdict::Accepted { request_id } => Next::Again {
            step: Step::Confirm { request_id: request_id.clone(), since: now },
            at: later(now, CONFIRM_EVERY.0),
            failures: claim.failures,
        },
        Verdict::NotYet => match unconfirmed_for(&claim.step, now) {
            Some(waited) if waited < confirm_timeout => ask_again(claim, waited, now),
            _ => again(claim, settings, None, &unconfirmed(&claim.step), Step::Send, now),
        },
        Verdict::Retry { after, .. } => {
            // While there is time, a question that failed is asked again: sending anew could only repeat the page.
            let step = match unconfirmed_for(&claim.step, now) {
                Some(waited) if waited < confirm_timeout => claim.step.clone(),
                _ => Step::Send,
            };
            again(claim, settings, *after, &detail(verdict), step, now)
        }
        Verdict::Permanent { .. } => Next::Dead { reason: detail(verdict) },
    }
}

/// How long ago the request was accepted, where that is what is waited for.
fn unconfirmed_for(step: &Step, now: Timestamp) -> Option<Duration> {
    match step {
        Step::Confirm { since, .. } => Some(Duration::try_from(now.duration_since(*since)).unwrap_or_default()),
        Step::Send => None,
    }
}

fn unconfirmed(step: &Step) -> String {
    match step {
        Step::Confirm { request_id, .. } => format!("accepted as request {request_id}, and never confirmed"),
        Step::Send => "never confirmed".to_owned(),
    }
}

fn ask_again(claim: &Claim, waited: Duration, now: Timestamp) -> Next {
    let pause = waited.clamp(CONFIRM_EVERY.0, CONFIRM_EVERY.1);
    Next::Again { step: claim.step.clone(), at: later(now, pause), failures: claim.failures }
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
    if now >= deadline {
        return Next::Dead { reason: format!("given up after {}: {detail}", settings.give_up_after) };
    }
    let pause = settings.backoff.pause(failures).max(after.unwrap_or_default());
    // The last attempt is made at the deadline, not skipped.
    Next::Again { step, at: later(now, pause).min(deadline), failures }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| time.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// A verdict in a word, for the timeline and the metrics.
pub(super) fn result(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered { .. } => "delivered",
        Verdict::Accepted { .. } => "accepted",
        Verdict::NotYet => "waiting",
        Verdict::Retry { reason, .. } | Verdict::Permanent { reason, .. } => reason.as_str(),
    }
}

/// A verdict in a sentence.
pub(super) fn detail(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered { receipt: Some(receipt) } => format!("delivered as {receipt}"),
        Verdict::Delivered { receipt: None } => "delivered".to_owned(),
        Verdict::Accepted { request_id } => format!("accepted as request {request_id}, to be confirmed"),
        Verdict::NotYet => "not confirmed yet".to_owned(),
        Verdict::Retry { detail, .. } | Verdict::Permanent { detail, .. } => detail.clone(),
    }
}

/// The verdict without any of the credentials, whatever the receiver echoed.
pub(super) fn scrubbed(verdict: Verdict, keys: &Keys) -> Verdict {
    match verdict {
        Verdict::Retry { reason, detail, after } => Verdict::Retry { reason, detail: keys.scrub(&detail), after },
        Verdict::Permanent { reason, detail } => Verdict::Permanent { reason, detail: keys.scrub(&detail) },
        Verdict::Delivered { receipt } => Verdict::Delivered { receipt: receipt.map(|receipt| keys.scrub(&receipt)) },
        Verdict::Accepted { .. } | Verdict::NotYet => verdict,
    }
}
