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
