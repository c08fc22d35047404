//! Events of a mail.

use jiff::Timestamp;
use metrics::counter;

use super::trace;
use crate::{
    message::{Evidence, MailId, Outcome, Verdict},
    store::{Decision, StoredMail, most_notable},
};

/// Records that mails were judged for authenticity and stored, so that their senders may be
/// acknowledged.
///
/// That a mail is no alert, or forged, is logged with its outcome. `times` are those of arrival, of
/// the judgement and of storing.
pub fn mails_accepted(mails: &[StoredMail], times: [Timestamp; 3]) {
    trace::accepted(mails, times);

    for StoredMail {
        id: mail,
        message,
        authenticity,
        ..
    } in mails
    {
        let (ingress, size) = (message.ingress.as_str(), message.raw.len());
        let verdict = authenticity.verdict.as_str();
        let evidence = authenticity.evidence.map_or("none", Evidence::as_str);
        counter!("alertbridge_authenticity_total",
            "ingress" => ingress.to_owned(), "verdict" => verdict, "evidence" => evidence)
        .increment(1);

        let peer = message.envelope.as_ref().and_then(|envelope| envelope.peer);
        let peer = peer.map(tracing::field::display);
        tracing::debug!(mail, ingress, peer, size, verdict, evidence, "mail stored");
        if authenticity.verdict == Verdict::TempError {
            let detail = authenticity.detail.as_deref().unwrap_or_default();
            tracing::warn!(
                mail,
                ingress,
                detail,
                "a mail could not be checked: DNS gives no answer"
            );
        }
    }
}

/// Records that a mail was checked again: its authenticity could be checked, or a person released
/// it from the quarantine.
pub fn mail_looked_at_again(mail: &StoredMail, decisions: &[Decision], times: [Timestamp; 2]) {
    let (ingress, authenticity) = (&mail.message.ingress, &mail.authenticity);
    let (verdict, detail) = (
        authenticity.verdict.as_str(),
        authenticity.detail.as_deref().unwrap_or_default(),
    );

    tracing::info!(
        mail = mail.id,
        ingress,
        verdict,
        detail,
        "mail looked at again"
    );

    // The mail was told before it could be checked, so its outcome is counted already.
    let is_known = |decision: &Decision| decision.outcome.notifies() && !decision.tells();

    if !decisions.iter().all(is_known) {
        mail_decided(mail, decisions, times);
    }
}

/// Records that a mail has its outcome, or that it waits because its authenticity cannot be
/// checked.
///
/// A mail is counted once, however many incidents it reports. `times` are the start of the decision
/// and its commit.
pub fn mail_decided(mail: &StoredMail, decisions: &[Decision], times: [Timestamp; 2]) {
    let ingress = &mail.message.ingress;
    let outcome = most_notable(decisions);

    if outcome != Outcome::Pending {
        let profile = decisions
            .first()
            .and_then(|decision| decision.profile.as_deref());
        counter!("alertbridge_mails_total",
            "ingress" => ingress.clone(), "outcome" => outcome.as_str(),
            "profile" => profile.unwrap_or("none").to_owned())
        .increment(1);
    }

    let owed = decisions.iter().map(|one| one.deliveries.len()).sum();
    let is_first = outcome != Outcome::Pending && mail.released.is_none();
    trace::decided(mail, outcome, owed, is_first, times);

    for decision in decisions {
        log_decision(mail.id, ingress, mail.message.arrived_at, decision);
    }
}

fn log_decision(mail: MailId, ingress: &str, arrived_at: Timestamp, decision: &Decision) {
    let outcome = decision.outcome;
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
            tracing::warn!(mail, ingress, %outcome, incident, reason, receivers, %arrived_at,
                           "mail decided");
        }
        _ => {
            tracing::info!(mail, ingress, %outcome, incident, reason, receivers, %arrived_at,
                           "mail decided");
        }
    }
}

/// Records members of an alert's JSON that the schema does not know, if there are any.
pub fn drifted(mail: MailId, members: &[String]) {
    if !members.is_empty() {
        counter!("alertbridge_schema_drift_total").increment(1);
        tracing::warn!(
            mail,
            members = members.join(" "),
            "the alert's JSON has members the schema does not know"
        );
    }
}

/// Records that the last silence that covered an incident ended, or that another one holds it
/// further.
pub fn unsilenced(incident: &str, decision: &Decision) {
    let (reason, receivers) = (
        decision.reason.as_deref().unwrap_or_default(),
        decision.receivers.join(","),
    );

    if decision.tells() {
        tracing::info!(
            incident,
            reason,
            receivers,
            "announced at the end of a silence"
        );
    } else {
        tracing::info!(incident, reason, "not announced at the end of a silence");
    }
}

/// Records that an incident ended because no more mail came for it.
pub fn ended_quiet(incident: &str, decision: &Decision) {
    if decision.outcome == Outcome::Resolved {
        let receivers = decision.receivers.join(",");
        tracing::info!(
            incident,
            receivers,
            "no more mail came for the incident: resolved"
        );
    }
}

/// Records that expected mail is missing, or came again.
pub fn expected_mail(incident: &str, is_missing: bool, decision: &Decision) {
    let receivers = decision.receivers.join(",");
    if is_missing {
        tracing::warn!(incident, receivers, "expected mail is missing");
    } else {
        tracing::info!(incident, receivers, "expected mail came again");
    }
}
