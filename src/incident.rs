//! What a mail says of an incident, and the state machine over it.
//!
//! Pure: the store loads what is [`Known`], [`transition()`] decides what follows, and the store
//! writes it. The rules are the contract's "What counts as the same".

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{label::Labels, settings::Problem};

mod transition;

pub use transition::{
    Known, Observation, Phase, State, Transition, UNREAD, Values, transition, unread,
};

const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// Returns the path of an incident's page, below the address of the bridge's pages.
pub fn page_of(id: &str) -> String {
    format!("/incidents/{}", utf8_percent_encode(id, IN_A_PATH))
}

/// One alert, read and checked: the result of every profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The identity of the incident: the same for a trigger and its resolve.
    pub incident_id: String,
    /// The status as the mail writes it.
    pub status: String,
    /// The meaning of the status, by its profile.
    pub signal: Signal,
    /// The time according to the mail.
    pub time: Timestamp,
    /// Whether `time` is the mail's Date.
    pub by_date: bool,
    /// The content of the mail, for routes, rules and templates.
    pub labels: Labels,
    /// What the openings of the incident are counted under.
    pub series: Series,
    /// The app that the incident is about, if its profile expects only certain apps.
    pub app: Option<String>,
    /// The content of the mail as JSON, including additions.
    pub json: Value,
}

/// The status of an incident that a person has resolved.
pub const RESOLVED_BY_HAND: &str = "RESOLVED_BY_HAND";

/// The built-in profile of `alerts:`: Atlassian's own SLI mail. The ids of its incidents are those
/// of the mail; all others' are `PROFILE:KEY`.
pub const ATLASSIAN_SLI: &str = "atlassian-sli";

/// What openings are counted under for `recurrence_28d`: an app and its metric, or a profile and
/// its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    pub of: String,
    pub what: String,
}

/// The meaning of a status (`alerts.status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    Trigger,
    Resolve,
    /// An update of an open incident: announced while it is open, and otherwise ignored.
    Update,
    /// In neither list: delivered as a trigger and reported as drift, never dropped.
    Unknown,
}

/// Which statuses open an incident, and which end it (`alerts.status`). Case, `_`, `-` and spaces
/// make no difference. A status in neither list is delivered as a trigger and reported as drift.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Statuses {
    /// The statuses that open an incident. The default is `[ANOMALOUS]`.
    pub trigger: Vec<String>,
    /// The statuses that end an incident. The default is
    /// `[OK, AUTO_RESOLVED, MANUALLY_RESOLVED, STOPPED]`.
    pub resolve: Vec<String>,
}

impl Default for Statuses {
    /// The states of SignalFx detectors, which the one published example uses.
    fn default() -> Self {
        Self {
            trigger: vec!["ANOMALOUS".into()],
            resolve: ["OK", "AUTO_RESOLVED", "MANUALLY_RESOLVED", "STOPPED"]
                .map(Into::into)
                .to_vec(),
        }
    }
}

impl Statuses {
    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.trigger.is_empty() {
            found.push(Problem::new(
                format!("{key}.trigger"),
                "without a status nothing opens an incident",
                "add one: `trigger: [ANOMALOUS]`",
            ));
        }

        for (index, status) in self.resolve.iter().enumerate() {
            if self.signal(status) == Signal::Trigger {
                found.push(Problem::new(
                    format!("{key}.resolve[{index}]"),
                    format!("`{status}` is listed in `trigger` as well"),
                    "a status either opens an incident or ends it: keep it in one list",
                ));
            }
        }

        found
    }

    /// Returns the meaning of a status, however it is spelt.
    pub fn signal(&self, status: &str) -> Signal {
        let status = normalize_status(status);
        let among = |list: &[String]| list.iter().any(|known| normalize_status(known) == status);

        if among(&self.trigger) {
            Signal::Trigger
        } else if among(&self.resolve) {
            Signal::Resolve
        } else {
            Signal::Unknown
        }
    }
}

/// Returns one spelling of a status, however it is spelt: `manually resolved` and
/// `MANUALLY_RESOLVED` become equal.
pub fn normalize_status(status: &str) -> String {
    status
        .trim()
        .split(|c: char| c == '_' || c == '-' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
        .to_uppercase()
}

#[cfg(test)]
mod tests;
