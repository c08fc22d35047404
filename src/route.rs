//! 4. Labels → receivers: Alertmanager's tree, to the same receivers.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{label::Labels, settings::Problem};

/// `route:` and each of its `routes` of the configuration: Alertmanager's words.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Inherited from the parent where it is not given; the root needs one.
    pub receiver: Option<String>,
    pub matchers: Vec<String>,
    pub r#continue: bool,
    pub mute_time_intervals: Vec<String>,
    pub active_time_intervals: Vec<String>,
    pub on_mute: Option<OnMute>,
    pub routes: Vec<Settings>,
}

/// What becomes of a trigger while its route is muted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMute {
    /// Told when the window ends, if still open then.
    #[default]
    Hold,
    Drop,
}

pub mod interval;

/// A compiled route tree with its time intervals.
pub struct Routes {}

/// A receiver a set of labels reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    pub receiver: String,
    /// The path of the route that named it: `route.routes[1]`.
    pub path: String,
    pub mute: Option<Mute>,
}

/// Why a receiver is not told now.
#[derive(Debug, Clone, PartialEq)]
pub struct Mute {
    /// The time intervals at work.
    pub intervals: Vec<String>,
    /// `on_mute: hold`: told at this time, if the incident is still open then. None is `on_mute: drop`.
    pub until: Option<Timestamp>,
}

impl Routes {
    /// Compiles the tree. `receivers` are the names that exist.
    pub fn compile(
        _route: &Settings,
        _intervals: &[interval::Settings],
        _receivers: &[String],
    ) -> Result<Self, Vec<Problem>> {
        todo!()
    }

    /// Where the labels lead, in the tree's order, each receiver once. With `at`, time intervals apply.
    pub fn reach(&self, _labels: &Labels, _at: Option<Timestamp>) -> Vec<Reached> {
        todo!()
    }
}
