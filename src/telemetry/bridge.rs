//! What the bridge tells of itself.

use std::{collections::BTreeSet, net::IpAddr};

use jiff::Timestamp;
use metrics::gauge;

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
        tracing::error!(incident = incident_id, receivers, "{text}");
    } else {
        tracing::info!(incident = incident_id, receivers, "over: {text}");
    }
}

/// The machine's clock went back: what would wait for the old time is brought forward.
pub fn clock_set_back(from: Timestamp, to: Timestamp) {
    tracing::warn!(%from, %to, "the clock was set back: pending deliveries are brought forward");
}

/// Somebody who came back from the identity provider was not signed in.
pub fn sign_in_refused(peer: IpAddr, reason: &str) {
    tracing::warn!(%peer, reason, "a sign-in by the identity provider was refused");
}

/// A page for people could not be made.
pub fn page_failed(page: &str, error: &str) {
    tracing::error!(page, error, "a page could not be rendered");
}
