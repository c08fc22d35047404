//! Events of the bridge's own canaries.

use metrics::gauge;

use super::seconds;
use crate::canary::Flight;

/// Records that a canary came through.
pub fn canary_came_through(flight: &Flight) {
    let mut before = flight.begun_at;
    for (stage, at) in flight.stages() {
        let took = at.duration_since(before).as_secs_f64().max(0.0);
        gauge!("alertbridge_canary_stage_seconds", "stage" => stage.as_str()).set(took);
        before = at;
    }

    if let Some(at) = flight.completed_at() {
        gauge!("alertbridge_canary_last_success_timestamp_seconds").set(seconds(at));
        let took = at.duration_since(flight.begun_at).as_secs_f64();
        tracing::info!(
            canary = flight.number,
            mail = flight.mail,
            seconds = took,
            "a canary came through"
        );
    }
}

/// Records that no mail server accepted a canary.
pub fn canary_not_sent(number: u64, why: &str) {
    tracing::warn!(canary = number, why, "the canary could not be sent");
}

/// Records that the heartbeat could not be pinged. It is tried again.
pub fn heartbeat_failed(why: &str) {
    tracing::warn!(
        why,
        "the heartbeat could not be pinged after a canary came through"
    );
}
