//! Labels → receivers: matchers, time intervals, the tree, and `routes show|test`; Alertmanager's
//! amtool is the peer.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod amtool;
mod intervals;
mod labels;
mod matchers;
mod tree;

use alertbridge::{
    label::Labels,
    route::{self, Routes},
    settings::Problem,
};
use serde_json::Value;

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).to_owned()))
        .collect()
}

/// Compiles `route` and `time_intervals` of a configuration in JSON, whose receivers are `names`.
fn compile(route: &Value, intervals: &Value, names: &[&str]) -> Result<Routes, Vec<Problem>> {
    let route: route::Settings = serde_json::from_value(route.clone()).unwrap();
    let intervals: Vec<route::interval::Settings> =
        serde_json::from_value(intervals.clone()).unwrap();
    Routes::compile(
        &route,
        &intervals,
        &names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )
}
