//! What becomes of a page, and how its receiver fares.

use std::time::Duration;

use metrics::{Gauge, counter, gauge, histogram};

use crate::{
    delivery::{Action, Target},
    store::{Claim, Escalated, Next, Settlement},
};

/// An attempt was made and is recorded.
pub fn attempt_settled(claim: &Claim, settlement: &Settlement) {
    let Some(attempt) = &settlement.attempt else {
        return;
    };
    let (receiver, integration) = (
        claim.target.receiver.clone(),
        claim.target.kind().to_owned(),
    );

    counter!("alertbridge_attempts_total", "receiver" => receiver.clone(),
             "integration" => integration.clone())
    .increment(1);

    let (delivery, incident) = (claim.id, claim.notification.incident_id.as_str());
    let mail = claim.notification.mail;
    let (action, took_ms, detail) = (
        claim.notification.action.as_str(),
        attempt.took_ms,
        attempt.detail.as_str(),
    );

    let failed = || {
        counter!("alertbridge_notifications_failed_total",
            "receiver" => receiver.clone(), "integration" => integration.clone(),
            "reason" => attempt.result.clone())
        .increment(1);
    };

    match &settlement.next {
        Next::Delivered { .. } => {
            counter!("alertbridge_notifications_total",
                "receiver" => receiver.clone(), "integration" => integration.clone())
            .increment(1);
            // What the bridge tells of itself came by no mail.
            if claim.notification.action == Action::Trigger && claim.notification.mail.is_some() {
                let waited =
                    Duration::try_from(settlement.at.duration_since(claim.notification.arrived_at));
                histogram!("alertbridge_mail_to_page_seconds").record(waited.unwrap_or_default());
            }
            tracing::info!(
                mail,
                delivery,
                receiver,
                integration,
                action,
                incident,
                took_ms,
                "delivered"
            );
        }
        Next::Again { failures, at, .. } if *failures > claim.failures => {
            failed();
            tracing::warn!(mail, delivery, receiver, integration, action, incident, took_ms,
                           failures, again_at = %at, "{detail}");
        }
        Next::Again { .. } => {
            tracing::debug!(
                mail,
                delivery,
                receiver,
                integration,
                action,
                incident,
                took_ms,
                "{detail}"
            );
        }
        Next::Dead { reason, .. } => {
            failed();
            counter!("alertbridge_notifications_dead_total",
                "receiver" => receiver.clone(), "integration" => integration.clone())
            .increment(1);
            tracing::error!(
                mail,
                delivery,
                receiver,
                integration,
                action,
                incident,
                "given up, to the dead letters (`alertbridge deliveries list --state dead`): \
                 {reason}"
            );
        }
    }
}

/// Somebody else had the delivery by the time its attempt ended.
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

/// A trigger has waited too long for its receiver: the fallback is told too.
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

/// An integration does not answer: it is asked by one attempt at a time from now on.
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

/// What stands could not be told again to a receiver that forgets: it is tried again, and this is
/// said once.
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

/// It could be told again.
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

/// It answers again: what waited for it goes out.
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

/// The configuration has it no more: whether it answers concerns nobody.
pub fn circuit_gone(target: &Target) {
    circuit(target).set(0.0);
}

fn circuit(target: &Target) -> Gauge {
    let number = target.integration.rsplit('/').next().unwrap_or_default();
    gauge!("alertbridge_circuit_open", "receiver" => target.receiver.clone(),
           "integration" => target.kind().to_owned(),
        "number" => number.to_owned())
}
