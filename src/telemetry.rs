//! One function per observable event: a log line with fields and units, and a metric. Logged once,
//! where handled.
//!
//! The metrics' names are part of the contract with users.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write},
    net::IpAddr,
    time::Duration,
};

use clap::ValueEnum;
use jiff::Timestamp;
use metrics::{
    Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::{
    delivery::{Action, FailureReason, Target},
    message::{Authenticity, Evidence, MailId, Outcome, Verdict, hidden::is_hidden},
    store::{Claim, Decision, Depth, Heard, Next, Settlement, Spare, StoreError},
};

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text where standard error is a terminal, JSON elsewhere
    #[default]
    Auto,
    /// A line for people to read
    Text,
    /// A JSON object on each line, for what collects logs
    Json,
}

/// Log lines go to standard error, `info` and above unless `RUST_LOG` says otherwise.
///
/// What these trace is for their authors, and holds passwords, mails and the addresses of proxies:
/// they stay silent whatever `RUST_LOG` says.
pub fn log_to_stderr(format: LogFormat) {
    let silent = [
        "async_imap=off",
        "async_imap::imap_stream=off",
        "imap_proto=off",
        "refinery_core=warn",
        "deadpool.postgres=off",
        "reqwest=info",
        "hyper_util=info",
    ];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = silent
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Plain(io::stderr()))
        .with_target(false);

    // A second subscriber would be a second program in this process: there is none.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(terminal).try_init(),
        LogFormat::Auto if terminal => lines.with_ansi(true).try_init(),
        LogFormat::Json | LogFormat::Auto => lines.json().flatten_event(true).try_init(),
    };
}

/// Where the log goes, without the hidden characters that a mail may have brought into it: each is
/// escaped as JSON has it. ASCII's own are escaped before, where they are not the colours of the
/// log itself.
struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let is_raw = |c: char| !c.is_ascii() && is_hidden(c);
        if !text.contains(is_raw) {
            return self.0.write_all(line).map(|()| line.len());
        }

        let mut safe = String::with_capacity(line.len() + 64);
        for c in text.chars() {
            if is_raw(c) {
                safe.extend(
                    c.encode_utf16(&mut [0; 2])
                        .iter()
                        .map(|unit| format!("\\u{unit:04x}")),
                );
            } else {
                safe.push(c);
            }
        }
        self.0.write_all(safe.as_bytes()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Names, units and meanings, for `/metrics`.
pub fn describe() {
    describe_counter!(
        "alertbridge_mails_total",
        "Mails decided, by ingress and outcome."
    );
    describe_counter!(
        "alertbridge_connections_refused_total",
        "Connections an ingress refused, by reason."
    );
    describe_counter!(
        "alertbridge_mails_refused_total",
        "Mails an ingress refused or put off, by reason."
    );
    describe_histogram!(
        "alertbridge_mail_late_seconds",
        "How much later than another ingress this one brought a copy of the same alert."
    );
    describe_counter!(
        "alertbridge_authenticity_total",
        "Mails judged, by ingress, verdict and evidence."
    );
    describe_counter!(
        "alertbridge_schema_drift_total",
        "Mails with JSON members the schema does not know."
    );
    describe_counter!(
        "alertbridge_notifications_total",
        "Notifications delivered."
    );
    describe_counter!(
        "alertbridge_notifications_failed_total",
        "Failed attempts, by reason."
    );
    describe_counter!(
        "alertbridge_notifications_dead_total",
        "Notifications given up: they wait in the dead letters."
    );
    describe_counter!("alertbridge_attempts_total", "Requests made to receivers.");
    describe_counter!(
        "alertbridge_store_failures_total",
        "Times the store could not be read or written."
    );
    describe_gauge!(
        "alertbridge_store_writable",
        "Whether the store could be written at this scrape."
    );
    describe_counter!(
        "alertbridge_mails_cut_total",
        "Mails of which only the header is kept, to make room."
    );
    describe_counter!(
        "alertbridge_store_pruned_total",
        "Rows past their retention deleted."
    );
    describe_gauge!("alertbridge_deliveries", "Deliveries by state.");
    describe_gauge!(
        "alertbridge_circuit_open",
        "1 while a receiver's integration does not answer and is only probed."
    );
    describe_gauge!(
        "alertbridge_delivery_oldest_pending_seconds",
        "Age of the oldest delivery that is owed."
    );
    describe_gauge!(
        "alertbridge_alarm",
        "What the bridge tells of itself: 1 while it is so."
    );
    describe_gauge!(
        "alertbridge_ingress_last_success_timestamp_seconds",
        "When an ingress last did its work."
    );
    describe_counter!(
        "alertbridge_mails_withheld_total",
        "Mails that a mail server did not give, and that were told."
    );
    describe_gauge!(
        "alertbridge_config_last_reload_successful",
        "Whether the latest configuration was taken."
    );
    describe_histogram!(
        "alertbridge_mail_to_page_seconds",
        "From a mail's arrival to its page's delivery."
    );
    describe_gauge!(
        "alertbridge_config_last_reload_success_timestamp_seconds",
        "When a configuration was last taken."
    );
}

/// The counters of each receiver stand at 0 before anything is counted: the first of a kind is an
/// increase, too.
pub fn configured<'a>(targets: impl IntoIterator<Item = &'a Target>) {
    for target in targets {
        let (receiver, integration) = (target.receiver.as_str(), target.kind());
        for name in [
            "alertbridge_attempts_total",
            "alertbridge_notifications_total",
            "alertbridge_notifications_dead_total",
        ] {
            counter!(name, "receiver" => receiver.to_owned(), "integration" => integration.to_owned()).increment(0);
        }
        for reason in FailureReason::ALL {
            counter!("alertbridge_notifications_failed_total", "receiver" => receiver.to_owned(),
                "integration" => integration.to_owned(), "reason" => reason.as_str())
            .increment(0);
        }
    }
    counter!("alertbridge_store_failures_total").increment(0);
}

/// A configuration was taken: at the start, or by a reload.
pub fn config_taken(now: Timestamp) {
    gauge!("alertbridge_config_last_reload_successful").set(1.0);
    gauge!("alertbridge_config_last_reload_success_timestamp_seconds").set(seconds(now));
}

/// A running bridge took another configuration; the remarks name what of it needs a restart, or is
/// better otherwise.
pub fn config_reloaded(now: Timestamp, remarks: &[String]) {
    config_taken(now);
    tracing::info!("the configuration was reloaded");
    for remark in remarks {
        tracing::warn!("{remark}");
    }
}

/// A configuration was not taken, and why: the old one stays in force.
pub fn config_refused(faults: &[String]) {
    gauge!("alertbridge_config_last_reload_successful").set(0.0);
    tracing::error!("the configuration was not reloaded: the old one stays in force");
    for fault in faults {
        tracing::error!("{}", fault.replace("\n  ", "; "));
    }
}

/// An ingress did its work.
pub fn ingress_succeeded(ingress: &str, now: Timestamp) {
    gauge!("alertbridge_ingress_last_success_timestamp_seconds", "ingress" => ingress.to_owned())
        .set(seconds(now));
}

/// An ingress failed and goes on trying.
pub fn ingress_failed(ingress: &str, failure: &str, login_refused: bool) {
    tracing::warn!(
        ingress,
        failure,
        login_refused,
        "ingress failed; it goes on trying"
    );
}

/// An ingress takes no mail from a connection, or no more: it is of no client of ours, one too
/// many, or ill-behaved.
pub fn connection_refused(ingress: &str, peer: IpAddr, reason: &'static str) {
    counter!("alertbridge_connections_refused_total", "ingress" => ingress.to_owned(), "reason" => reason).increment(1);
    tracing::info!(ingress, %peer, reason, "connection refused");
}

/// An ingress did not take a mail. Its sender has been told, and comes again where waiting mends
/// it.
pub fn mail_refused(
    ingress: &str,
    peer: Option<IpAddr>,
    reason: &str,
    detail: &dyn std::fmt::Display,
) {
    counter!("alertbridge_mails_refused_total", "ingress" => ingress.to_owned(), "reason" => reason.to_owned())
        .increment(1);
    let peer = peer.map(tracing::field::display);
    tracing::info!(ingress, peer, reason, %detail, "mail refused");
}

/// The same alert had come through another ingress before: what this one would have cost, had it
/// been the only one.
pub fn mail_late(mail: MailId, ingress: &str, first: &Heard, now: Timestamp) {
    let late = Duration::try_from(now.duration_since(first.at)).unwrap_or_default();
    histogram!("alertbridge_mail_late_seconds", "ingress" => ingress.to_owned()).record(late);
    tracing::debug!(
        mail,
        ingress,
        first = first.ingress,
        late_ms = late.as_millis(),
        "a copy by another ingress"
    );
}

/// The store could not do what was asked.
pub fn store_failed(what: &str, error: &StoreError) {
    counter!("alertbridge_store_failures_total").increment(1);
    tracing::error!(%error, "{what}");
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

/// What the bridge tells of itself now. Whatever of `before` is not among it is over, though
/// another replica told so.
pub fn alarms(before: &BTreeSet<String>, now: &BTreeSet<String>) {
    let over = before.difference(now).map(|alarm| (alarm, 0.0));
    for (alarm, value) in over.chain(now.iter().map(|alarm| (alarm, 1.0))) {
        gauge!("alertbridge_alarm", "alarm" => alarm.clone()).set(value);
    }
}

/// What the bridge tells of itself has begun or is over.
pub fn alarm(incident_id: &str, firing: bool, text: &str, receivers: &[String]) {
    gauge!("alertbridge_alarm", "alarm" => incident_id.to_owned()).set(if firing {
        1.0
    } else {
        0.0
    });
    let receivers = receivers.join(",");
    if firing {
        tracing::error!(alarm = incident_id, receivers, "{text}");
    } else {
        tracing::info!(alarm = incident_id, receivers, "over: {text}");
    }
}

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

/// An attempt was made and is recorded.
pub fn attempt_settled(claim: &Claim, settlement: &Settlement) {
    let Some(attempt) = &settlement.attempt else {
        return;
    };
    let (receiver, integration) = (
        claim.target.receiver.clone(),
        claim.target.kind().to_owned(),
    );
    counter!("alertbridge_attempts_total", "receiver" => receiver.clone(), "integration" => integration.clone())
        .increment(1);
    let (delivery, incident) = (claim.id, claim.notification.incident_id.as_str());
    let (action, took_ms, detail) = (
        claim.notification.action.as_str(),
        attempt.took_ms,
        attempt.detail.as_str(),
    );
    let failed = || {
        counter!("alertbridge_notifications_failed_total",
            "receiver" => receiver.clone(), "integration" => integration.clone(), "reason" => attempt.result.clone())
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
            tracing::warn!(delivery, receiver, integration, action, incident, took_ms, failures, again_at = %at, "{detail}");
        }
        Next::Again { .. } => {
            tracing::debug!(
                delivery,
                receiver,
                integration,
                action,
                incident,
                took_ms,
                "{detail}"
            );
        }
        Next::Dead { reason } => {
            failed();
            counter!("alertbridge_notifications_dead_total",
                "receiver" => receiver.clone(), "integration" => integration.clone())
            .increment(1);
            tracing::error!(
                delivery,
                receiver,
                integration,
                action,
                incident,
                "given up, to the dead letters (`alertbridge deliveries list --state dead`): {reason}"
            );
        }
    }
}

/// Somebody else had the delivery by the time its attempt ended.
pub fn lease_lost(claim: &Claim) {
    tracing::warn!(
        delivery = claim.id,
        receiver = claim.target.receiver,
        "the attempt took longer than its lease"
    );
}

/// The machine's clock went back: what would wait for the old time is brought forward.
pub fn clock_set_back(from: Timestamp, to: Timestamp) {
    tracing::warn!(%from, %to, "the clock was set back: what waits to be delivered is brought forward");
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
        "the receiver does not answer: what it is owed waits, and one probe at a time is sent"
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
        "the receiver answers again: what waited for it is sent"
    );
}

/// The configuration has it no more: whether it answers concerns nobody.
pub fn circuit_gone(target: &Target) {
    circuit(target).set(0.0);
}

fn circuit(target: &Target) -> Gauge {
    let number = target.integration.rsplit('/').next().unwrap_or_default();
    gauge!("alertbridge_circuit_open", "receiver" => target.receiver.clone(), "integration" => target.kind().to_owned(),
        "number" => number.to_owned())
}

/// A trigger has waited too long for its receiver: the fallback is told too.
pub fn escalated(target: &Target) {
    tracing::warn!(
        receiver = target.receiver,
        integration = target.integration,
        "undelivered in time: its fallback is told"
    );
}

/// A step of deleting what is past its retention.
pub fn mails_cut(spare: Spare, mails: u64) {
    if mails > 0 {
        let kind = spare.as_str();
        counter!("alertbridge_mails_cut_total", "kind" => kind).increment(mails);
        tracing::info!(kind, mails, "only the header is kept of the oldest");
    }
}

pub fn pruned(deleted: usize) {
    if deleted > 0 {
        counter!("alertbridge_store_pruned_total").increment(deleted as u64);
        tracing::debug!(
            deleted,
            "mails, deliveries and incidents past their retention deleted"
        );
    }
}

/// Whether the store takes mail, asked at each scrape: readiness says why it does not.
pub fn store_probed(writable: bool) {
    gauge!("alertbridge_store_writable").set(if writable { 1.0 } else { 0.0 });
}

/// What is owed, asked at each scrape.
pub fn depth(depth: &Depth, now: Timestamp) {
    for (state, count) in &depth.deliveries {
        #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
        gauge!("alertbridge_deliveries", "state" => *state).set(*count as f64);
    }
    let oldest = depth.oldest_pending.map_or(0.0, |since| {
        now.duration_since(since).as_secs_f64().max(0.0)
    });
    gauge!("alertbridge_delivery_oldest_pending_seconds").set(oldest);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// This process reads a mailbox from now on.
pub fn mailbox_taken(ingress: &str) {
    tracing::info!(ingress, "the mailbox is read here");
}

/// Another replica reads a mailbox now, or none can tell this one that it still may.
pub fn mailbox_lost(ingress: &str) {
    tracing::warn!(ingress, "the mailbox is left to another replica");
}

/// A mailbox numbers its mails anew: it is read again, back to `global.max_age`.
pub fn mailbox_renumbered(ingress: &str, uid_validity: u32) {
    tracing::warn!(
        ingress,
        uid_validity,
        "the mailbox numbers its mails anew (UIDVALIDITY changed): reading it again"
    );
}

/// An access token expired, and with it the session: another is begun with a new one.
pub fn session_ended_with_its_token(ingress: &str) {
    tracing::info!(
        ingress,
        "the session ended with its access token; another begins"
    );
}

/// The provider replaced a refresh token, and the new one is in memory alone.
pub fn refresh_token_not_kept(ingress: &str, reason: &str) {
    tracing::warn!(
        ingress,
        reason,
        "the new refresh token is not stored: after a restart the login may be refused"
    );
}

/// A mail is stored, but its server refused to mark, delete or move it: it stays in its folder.
pub fn mail_left_in_folder(ingress: &str, mails: usize, reason: &str) {
    tracing::warn!(
        ingress,
        mails,
        reason,
        "mail is stored, but stays in its folder as it was"
    );
}

/// A folder stands as it stood earlier: mail is to get UIDs that others had.
pub fn mailbox_put_back(ingress: &str, last_uid: u32, uid_next: u32) {
    tracing::warn!(
        ingress,
        last_uid,
        uid_next,
        "the mailbox was put back to an earlier state: reading it again"
    );
}

/// A server failed to give a mail, time and again: somebody is told, and it is looked for at every
/// rescan.
pub fn mail_withheld(ingress: &str, uid: u32, reason: &str) {
    counter!("alertbridge_mails_withheld_total", "ingress" => ingress.to_owned()).increment(1);
    tracing::warn!(
        ingress,
        uid,
        reason,
        "the server does not give this mail: told as unparsed, and asked for again"
    );
}

/// A mail that somebody was told of still ends the connection.
pub fn mail_withheld_still(ingress: &str, reason: &str) {
    tracing::info!(
        ingress,
        reason,
        "the server still does not give a mail; it is asked for again"
    );
}

/// A mail that was told as withheld came.
pub fn mail_given_after_all(ingress: &str, uid: u32) {
    tracing::info!(ingress, uid, "the server gives a mail that it withheld");
}
