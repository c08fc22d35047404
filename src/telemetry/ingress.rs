//! A way in works, fails or refuses.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use metrics::{counter, gauge, histogram};

use super::seconds;
use crate::{message::MailId, store::Heard};

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
        "the ingress failed; it will keep trying"
    );
}

/// An ingress takes no mail from a connection, or no more: it is of no client of ours, one too
/// many, or ill-behaved.
pub fn connection_refused(ingress: &str, peer: IpAddr, reason: &'static str) {
    counter!("alertbridge_connections_refused_total", "ingress" => ingress.to_owned(),
             "reason" => reason)
    .increment(1);
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
    counter!("alertbridge_mails_refused_total", "ingress" => ingress.to_owned(),
             "reason" => reason.to_owned())
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
