//! One function per observable event: a log line with fields and units, a metric. Logged once, where handled.

use jiff::Timestamp;

/// An ingress did its work.
pub fn ingress_succeeded(ingress: &str, now: Timestamp) {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus gauges are floats; seconds fit")]
    metrics::gauge!("alertbridge_ingress_last_success_timestamp_seconds", "ingress" => ingress.to_owned())
        .set(now.as_millisecond() as f64 / 1000.0);
}

/// An ingress failed and goes on trying.
pub fn ingress_failed(ingress: &str, failure: &str, login_refused: bool) {
    tracing::warn!(ingress, failure, login_refused, "ingress failed");
}

/// A mailbox numbers its mails anew: it is read again, back to `global.max_age`.
pub fn mailbox_renumbered(ingress: &str, uid_validity: u32) {
    tracing::warn!(ingress, uid_validity, "the mailbox numbers its mails anew (UIDVALIDITY changed): reading it again");
}

/// A mail is stored, but its server refused to mark, delete or move it: it stays in its folder.
pub fn mail_left_in_folder(ingress: &str, mails: usize, reason: &str) {
    tracing::warn!(ingress, mails, reason, "mail is stored, but stays in its folder as it was");
}

/// A server failed to give a mail, time and again: it is recorded without content.
pub fn mail_unreadable(ingress: &str, uid: u32, size_bytes: u64) {
    tracing::warn!(ingress, uid, size_bytes, "the server cannot give this mail: recorded without its content");
}
