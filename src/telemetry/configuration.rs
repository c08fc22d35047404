//! Events of configurations that were accepted or refused.

use jiff::Timestamp;
use metrics::gauge;

use super::seconds;

/// Records that a configuration was accepted, at the start or by a reload.
pub fn config_taken(now: Timestamp) {
    gauge!("alertbridge_config_last_reload_successful").set(1.0);
    gauge!("alertbridge_config_last_reload_success_timestamp_seconds").set(seconds(now));
}

/// Records that a running bridge accepted another configuration. The remarks name what needs a
/// restart, or would be better changed.
pub fn config_reloaded(now: Timestamp, remarks: &[String]) {
    config_taken(now);
    tracing::info!("the configuration was reloaded");
    for remark in remarks {
        tracing::warn!("{remark}");
    }
}

/// Records that a configuration was refused, and why. The old one stays in force.
pub fn config_refused(faults: &[String]) {
    gauge!("alertbridge_config_last_reload_successful").set(0.0);
    tracing::error!("the configuration was not reloaded: the old one remains in force");
    for fault in faults {
        tracing::error!("{}", fault.replace("\n  ", "; "));
    }
}
