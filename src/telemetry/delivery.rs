//! Events of a page's delivery, and the health of its receiver.

use std::time::Duration;

use jiff::Timestamp;
use metrics::{Gauge, counter, gauge, histogram};

use crate::{
    delivery::{Action, Notification, Target},
    store::{Attempt, Claim, Escalated, Next, Settlement},
};

/// Logs the result of an attempt, with the fields that every such line has.
macro_rules! log_attempt {
    ($level:ident, $claim:expr, $($more:tt)*) => {{
        let Claim { id, target, notification, .. } = $claim;
        tracing::$level!(
            mail = notification.mail,
            delivery = id,
            receiver = target.receiver,
            integration = target.kind(),
            action = notification.action.as_str(),
            incident = notification.incident_id,
            $($more)*
        );
    }};
}

/// Records that an attempt was made and is stored.
pub fn attempt_settled(claim: &Claim, settlement: &Settlement) {
    let Some(attempt) = &settlement.attempt else {
        return;
    };
    let target = &claim.target;
    let (took_ms, detail) = (attempt.took_ms, attempt.detail.as_str());

    count("alertbridge_attempts_total", target);

    match &settlement.next {
        Next::Delivered { .. } => {
            count("alertbridge_notifications_total", target);
            record_wait(&claim.notification, settlement.at);
            log_attempt!(info, claim, took_ms, "delivered");
        }
        Next::Again { failures, at, .. } if *failures > claim.failures => {
            count_failure(target, attempt);
            log_attempt!(warn, claim, took_ms, failures, again_at = %at, "{detail}");
        }
        Next::Again { .. } => log_attempt!(debug, claim, took_ms, "{detail}"),
        Next::Dead { reason, .. } => {
            count_failure(target, attempt);
            count("alertbridge_notifications_dead_total", target);
            log_attempt!(
                error,
                claim,
                "given up, to the dead letters (`alertbridge deliveries list --state dead`): \
                 {reason}"
            );
        }
    }
}

fn count(name: &'static str, target: &Target) {
    counter!(name, "receiver" => target.receiver.clone(),
             "integration" => target.kind().to_owned())
    .increment(1);
}

fn count_failure(target: &Target, attempt: &Attempt) {
    counter!("alertbridge_notifications_failed_total",
        "receiver" => target.receiver.clone(), "integration" => target.kind().to_owned(),
        "reason" => attempt.result.clone())
    .increment(1);
}

/// Records how long a mail took to become a page. Alarms of the bridge itself come from no mail.
fn record_wait(page: &Notification, delivered_at: Timestamp) {
    if page.action == Action::Trigger && page.mail.is_some() {
        let waited = Duration::try_from(delivered_at.duration_since(page.arrived_at));
        histogram!("alertbridge_mail_to_page_seconds").record(waited.unwrap_or_default());
    }
}

/// Records that another process had the delivery by the time its attempt ended.
pub fn lease_lost(claim: &Claim) {
    tracing::warn!(
        mail = claim.notification.mail,
        incident = claim.notification.incident_id,
        delivery = claim.id,
        receiver = claim.target.receiver,
        integration = claim.target.kind(),
        "the attempt took longer than its lease"
    );
}

/// Records that a trigger has waited too long for its receiver, so that the fallback is told too.
pub fn escalated(late: &Escalated) {
    let (target, page) = (&late.target, &late.notification);
    tracing::warn!(
        mail = page.mail,
        incident = page.incident_id,
        delivery = late.delivery,
        receiver = target.receiver,
        integration = target.kind(),
        "not delivered in time: the fallback is notified"
    );
}

/// Records that an integration does not answer. From now on, it gets one probe at a time.
pub fn circuit_opened(target: &Target, failures: u32) {
    circuit(target).set(1.0);
    let Target {
        receiver,
        integration,
    } = target;

    tracing::warn!(
        receiver,
        integration,
        failures,
        "the receiver does not answer: its deliveries wait, and one probe at a time is sent"
    );
}

/// Records that the open alerts could not be repeated to a receiver that forgets them. This is
/// tried again, and logged only once.
pub fn not_resent(target: &Target, why: &str) {
    let Target {
        receiver,
        integration,
    } = target;
    tracing::warn!(
        receiver,
        integration,
        why,
        "the open alerts could not be repeated: the receiver will let them expire"
    );
}

/// Records that the open alerts could be repeated again.
pub fn resent(target: &Target) {
    let Target {
        receiver,
        integration,
    } = target;
    tracing::info!(
        receiver,
        integration,
        "the open alerts are repeated to the receiver"
    );
}

/// Records that an integration answers again, so that the deliveries that waited for it are sent.
pub fn circuit_closed(target: &Target) {
    circuit(target).set(0.0);
    let Target {
        receiver,
        integration,
    } = target;

    tracing::info!(
        receiver,
        integration,
        "the receiver answers again: the deliveries that waited for it are sent"
    );
}

/// Records that the configuration no longer has an integration, so that its circuit is of no
/// interest.
pub fn circuit_gone(target: &Target) {
    circuit(target).set(0.0);
}

fn circuit(target: &Target) -> Gauge {
    let number = target.integration.rsplit('/').next().unwrap_or_default();
    gauge!("alertbridge_circuit_open", "receiver" => target.receiver.clone(),
           "integration" => target.kind().to_owned(),
        "number" => number.to_owned())
}
