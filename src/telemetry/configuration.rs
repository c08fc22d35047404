//! A configuration was taken or refused.

use jiff::Timestamp;
use metrics::gauge;

use super::seconds;

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
    tracing::error!("the configuration was not reloaded: the old one remains in force");
    for fault in faults {
        tracing::error!("{}", fault.replace("\n  ", "; "));
    }
}
