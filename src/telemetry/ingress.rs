//! Events of an ingress: it works, fails or refuses.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use metrics::{counter, gauge, histogram};

use super::seconds;
use crate::{message::MailId, store::Heard};

/// Records that an ingress did its work.
pub fn ingress_succeeded(ingress: &str, now: Timestamp) {
    gauge!("alertbridge_ingress_last_success_timestamp_seconds", "ingress" => ingress.to_owned())
        .set(seconds(now));
}

/// Records that an ingress failed. It keeps trying.
pub fn ingress_failed(ingress: &str, failure: &str, login_refused: bool) {
    tracing::warn!(
        ingress,
        failure,
        login_refused,
        "the ingress failed; it will keep trying"
    );
}

/// Records that an ingress accepts no mail, or no more, from a connection: it is from an unexpected
/// client, exceeds a limit, or misbehaves.
pub fn connection_refused(ingress: &str, peer: IpAddr, reason: &'static str) {
    counter!("alertbridge_connections_refused_total", "ingress" => ingress.to_owned(),
             "reason" => reason)
    .increment(1);
    tracing::info!(ingress, %peer, reason, "connection refused");
}

/// Records that an ingress did not accept a mail. Its sender has been told, and tries again if
/// waiting may help.
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

/// Records that a mail of a known client was refused for good, so that an alert may be lost.
pub fn refused_for_good(ingress: &str, why: &str) {
    tracing::warn!(ingress, why, "mail of a known client refused for good");
}

/// Records that a genuine request of a provider holds no mail, so that an alert may be lost.
pub fn request_without_mail(ingress: &str, why: &str) {
    tracing::warn!(ingress, why, "the provider's request holds no mail");
}

/// Records that the same alert came through another ingress before, with the delay that this
/// ingress alone would have caused.
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
