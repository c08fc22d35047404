//! Labels, the view of an alert that routes, severity rules and templates have, and the matchers
//! that test them.

use std::{borrow::Cow, collections::BTreeMap};

mod classic;
mod grammar;
pub mod matcher;
mod re2;
pub mod severity;
mod sli;
mod utf8;

pub use matcher::{Matcher, MatcherError, Operator};
pub use severity::{Severities, SeverityRule};
pub use sli::sli;

/// The labels of an alert. A label that is not set reads as empty, as in Alertmanager.
pub type Labels = BTreeMap<Cow<'static, str>, String>;

/// Every built-in label.
pub const NAMES: [&str; 21] = [
    "incident_id",
    "app_key",
    "app_name",
    "partner",
    "metric",
    "sli",
    "unit",
    "status",
    "state",
    "severity",
    "sli_value",
    "slo_value",
    "sli_gap",
    "window_seconds",
    "recurrence_28d",
    "authenticity",
    "ingress",
    "kind",
    "profile",
    "title",
    "url",
];

/// The built-in labels whose values are numbers.
pub const NUMBERS: [&str; 5] = [
    "sli_value",
    "slo_value",
    "sli_gap",
    "window_seconds",
    "recurrence_28d",
];

/// The built-in labels that may differ between the mails of one incident.
///
/// The others make up an alert's identity at a receiver that knows an alert by its labels.
pub const CHANGING: [&str; 12] = [
    "unit",
    "status",
    "state",
    "sli_value",
    "slo_value",
    "sli_gap",
    "window_seconds",
    "recurrence_28d",
    "authenticity",
    "ingress",
    "title",
    "url",
];

/// The additional label of a missing canary's page: the stage where it stopped.
pub const STAGE: &str = "stage";

/// Returns the name of an alert for display: its title, otherwise its metric, otherwise its id.
pub fn alert_name(labels: &Labels) -> &str {
    let id = || labels.get("incident_id").map_or("", String::as_str);
    title_of(labels).unwrap_or_else(id)
}

/// Returns the title of an alert, otherwise its metric; `None` if its sender states neither.
pub fn title_of(labels: &Labels) -> Option<&str> {
    let said = ["title", "metric"].iter();
    let mut said = said.filter_map(|name| labels.get(*name));
    said.find(|value| !value.is_empty()).map(String::as_str)
}

/// Adds every missing one of [`NAMES`] with an empty value.
pub fn complete(mut labels: Labels) -> Labels {
    for name in NAMES {
        labels.entry(Cow::Borrowed(name)).or_default();
    }
    labels
}
