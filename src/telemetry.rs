//! The observable events of the bridge, a function for each.
//!
//! Each event is a log line with fields and units, a metric and, if a collector is configured, a
//! span. It is logged once, where it is handled.
//!
//! The names of the metrics are part of the contract with users.

use jiff::Timestamp;

mod bridge;
mod canary;
mod configuration;
mod delivery;
mod describe;
mod ingress;
mod log;
mod mail;
mod mailbox;
mod store;
mod trace;

pub use self::{
    bridge::*, canary::*, configuration::*, delivery::*, describe::*, ingress::*, log::*, mail::*,
    mailbox::*, store::*, trace::*,
};

#[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
