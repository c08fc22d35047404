//! Time intervals, as Alertmanager has them.

use schemars::JsonSchema;
use serde::Deserialize;

/// `time_intervals[]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub time_intervals: Vec<Interval>,
}

/// All of its fields must hold; an empty one always does.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interval {
    pub times: Vec<Times>,
    /// `monday:friday`, `sunday`.
    pub weekdays: Vec<String>,
    /// `1:5`, `-3:-1`.
    pub days_of_month: Vec<String>,
    /// `january:march`, `12`.
    pub months: Vec<String>,
    /// `2026:2027`.
    pub years: Vec<String>,
    /// An IANA time zone, UTC where it is not given.
    pub location: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// `HH:MM`.
    pub start_time: String,
    /// `HH:MM`, exclusive; up to 24:00.
    pub end_time: String,
}
