//! Events that concern the bridge as a whole.

use std::{collections::BTreeSet, net::IpAddr};

use jiff::Timestamp;
use metrics::gauge;

/// Sets the alarm gauges to the bridge's present alarms.
///
/// An alarm of `before` that is not among those of `now` is over, even if another replica reported
/// that.
pub fn alarms(before: &BTreeSet<String>, now: &BTreeSet<String>) {
    let over = before.difference(now).map(|alarm| (alarm, 0.0));
    for (alarm, value) in over.chain(now.iter().map(|alarm| (alarm, 1.0))) {
        gauge!("alertbridge_alarm", "alarm" => alarm.clone()).set(value);
    }
}

/// Records that an alarm of the bridge began, or is over.
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
        tracing::info!(incident = incident_id, receivers, "resolved: {text}");
    }
}

/// Records that the machine's clock went back. Deliveries that would wait for the old time are
/// brought forward.
pub fn clock_set_back(from: Timestamp, to: Timestamp) {
    tracing::warn!(%from, %to, "the clock was set back: pending deliveries are brought forward");
}

/// Records that somebody who came back from the identity provider was not signed in.
pub fn sign_in_refused(peer: IpAddr, reason: &str) {
    tracing::warn!(%peer, reason, "a sign-in by the identity provider was refused");
}

/// Records that a page of the web interface could not be rendered.
pub fn page_failed(page: &str, error: &str) {
    tracing::error!(page, error, "a page could not be rendered");
}
