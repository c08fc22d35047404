//! Events of the store.

use jiff::Timestamp;
use metrics::{counter, gauge};

use crate::store::{Depth, Spare, StoreError};

/// Records that the store could not do what was asked.
pub fn store_failed(what: &str, error: &StoreError) {
    counter!("alertbridge_store_failures_total").increment(1);
    tracing::error!(%error, "{what}");
}

/// Records whether the store accepts mail, which is tested at each scrape. Readiness says why it
/// does not.
pub fn store_probed(writable: bool) {
    gauge!("alertbridge_store_writable").set(if writable { 1.0 } else { 0.0 });
}

/// Records what is owed, which is queried at each scrape.
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

/// Records that of a mail only the header was kept from the start.
pub fn mail_cut(spare: Spare) {
    counter!("alertbridge_mails_cut_total", "kind" => spare.as_str()).increment(1);
}

/// Records a step that cut mails because too much was kept.
pub fn mails_cut(spare: Spare, mails: u64) {
    if mails > 0 {
        let kind = spare.as_str();
        counter!("alertbridge_mails_cut_total", "kind" => kind).increment(mails);
        tracing::info!(kind, mails, "only the header is kept of the oldest");
    }
}

/// Records a step that deleted what is past its retention.
pub fn pruned(deleted: usize) {
    if deleted > 0 {
        counter!("alertbridge_store_pruned_total").increment(deleted as u64);
        tracing::debug!(
            deleted,
            "mails, deliveries and incidents past their retention deleted"
        );
    }
}
