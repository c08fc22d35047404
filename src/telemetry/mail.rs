//! What becomes of a mail.

use jiff::Timestamp;
use metrics::counter;

use crate::{
    message::{Authenticity, Evidence, MailId, Outcome, Verdict},
    store::Decision,
};

/// A mail was judged by where it is from. That it is nobody's concern, or forged, is told with its
/// outcome.
pub fn mail_judged(ingress: &str, authenticity: &Authenticity) {
    let evidence = authenticity.evidence.map_or("none", Evidence::as_str);
    counter!("alertbridge_authenticity_total",
        "ingress" => ingress.to_owned(), "verdict" => authenticity.verdict.as_str(), "evidence" => evidence)
    .increment(1);
    if authenticity.verdict == Verdict::TempError {
        let detail = authenticity.detail.as_deref().unwrap_or_default();
        tracing::warn!(
            ingress,
            detail,
            "a mail could not be checked: DNS is of no help"
        );
    }
}

/// A mail was looked at again: its authenticity could be checked, or a person let it out of the
/// quarantine.
pub fn mail_looked_at_again(
    mail: MailId,
    ingress: &str,
    arrived_at: Timestamp,
    authenticity: &Authenticity,
    decision: &Decision,
    drift: &[String],
) {
    let (verdict, detail) = (
        authenticity.verdict.as_str(),
        authenticity.detail.as_deref().unwrap_or_default(),
    );

    tracing::info!(mail, ingress, verdict, detail, "mail looked at again");

    // Told before it could be checked: its outcome is counted.
    let known = matches!(
        decision.outcome,
        Outcome::Opened
            | Outcome::Reopened
            | Outcome::Updated
            | Outcome::Changed
            | Outcome::Unparsed
    ) && !decision.tells();

    if !known {
        mail_decided(mail, ingress, arrived_at, decision, drift);
    }
}

/// A mail has its outcome; or waits, where its authenticity cannot be checked.
pub fn mail_decided(
    mail: MailId,
    ingress: &str,
    arrived_at: Timestamp,
    decision: &Decision,
    drift: &[String],
) {
    let outcome = decision.outcome;
    if outcome != Outcome::Pending {
        counter!("alertbridge_mails_total", "ingress" => ingress.to_owned(), "outcome" => outcome.as_str())
            .increment(1);
    }

    let incident = decision
        .labels
        .get("incident_id")
        .map_or("", String::as_str);

    let reason = decision.reason.as_deref().unwrap_or_default();
    let receivers = decision.receivers.join(",");

    match outcome {
        Outcome::Pending => {
            tracing::warn!(mail, ingress, incident, reason, %arrived_at, "mail waits");
        }
        Outcome::Unparsed | Outcome::Updated | Outcome::Quarantined => {
            tracing::warn!(mail, ingress, %outcome, incident, reason, receivers, %arrived_at, "mail decided");
        }
        _ => {
            tracing::info!(mail, ingress, %outcome, incident, reason, receivers, %arrived_at, "mail decided");
        }
    }

    if !drift.is_empty() {
        counter!("alertbridge_schema_drift_total").increment(1);
        tracing::warn!(
            mail,
            members = drift.join(" "),
            "the alert's JSON has members the schema does not know"
        );
    }
}

/// The last silence that covered an incident has ended, or another holds it on.
pub fn unsilenced(incident: &str, decision: &Decision) {
    let (reason, receivers) = (
        decision.reason.as_deref().unwrap_or_default(),
        decision.receivers.join(","),
    );

    if decision.tells() {
        tracing::info!(incident, reason, receivers, "told at the end of a silence");
    } else {
        tracing::info!(incident, reason, "not told at the end of a silence");
    }
}
