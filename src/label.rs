//! Labels: what routes, severity rules and templates see of an alert, and the matchers that test
//! them.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    incident::{Incident, Phase, Signal},
    message::Authenticity,
};

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

/// What routes and templates see of an alert. A label not set reads as empty, as in Alertmanager.
pub type Labels = BTreeMap<Cow<'static, str>, String>;

/// Every label there is.
pub const NAMES: [&str; 18] = [
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
];

/// What the page of a missing canary has beside: where it stopped.
pub const STAGE: &str = "stage";

/// The labels of a mail's alert; of one that could not be read, those that are known all the same.
///
/// An incident has all of [`NAMES`]: what its mail does not say is empty. `recurrence_28d` counts
/// the earlier openings of the same app and metric within 28 days; None is unknown.
pub fn labels_of(
    incident: Option<&Incident>,
    signal: Signal,
    severities: &Severities,
    authenticity: &Authenticity,
    ingress: &str,
    recurrence_28d: Option<u64>,
) -> Labels {
    let mut labels = Labels::new();
    let mut set = |name: &'static str, value: String| labels.insert(Cow::Borrowed(name), value);
    set(
        "kind",
        if incident.is_some() {
            "incident"
        } else {
            "unparsed"
        }
        .to_owned(),
    );

    set(
        "state",
        if signal == Signal::Resolve {
            Phase::Resolved
        } else {
            Phase::Firing
        }
        .as_str()
        .to_owned(),
    );

    set("ingress", ingress.to_owned());
    set("authenticity", authenticity.verdict.as_str().to_owned());
    if let Some(incident) = incident {
        let gap = incident
            .slo_value
            .zip(incident.sli_value)
            .map(|(objective, measured)| gap(objective, measured));
        set("incident_id", incident.incident_id.clone());
        set("app_key", incident.app_key.clone());
        set("app_name", incident.app_name.clone().unwrap_or_default());
        set("partner", incident.partner.clone().unwrap_or_default());
        set("metric", incident.metric.clone());
        set("sli", sli(&incident.metric).to_owned());
        set("unit", incident.unit.clone().unwrap_or_default());
        set("status", incident.status.clone());
        set("sli_value", number(incident.sli_value));
        set("slo_value", number(incident.slo_value));
        set("sli_gap", number(gap));
        set("window_seconds", number(incident.window_seconds));
        set(
            "recurrence_28d",
            recurrence_28d.map_or_else(String::new, |times| times.to_string()),
        );
    }

    let severity = severities.of(&labels).to_owned();
    labels.insert(Cow::Borrowed("severity"), severity);

    labels
}

/// The same with every one of [`NAMES`]; those that were not set are empty.
pub fn complete(mut labels: Labels) -> Labels {
    for name in NAMES {
        labels.entry(Cow::Borrowed(name)).or_default();
    }
    labels
}

/// The shortest text that reads back as the number: `60`, `99.9`.
fn number(value: Option<f64>) -> String {
    // Adding zero turns -0 into 0.
    value.map_or_else(String::new, |value| (value + 0.0).to_string())
}

/// How far the measured value is below the objective, without the noise of binary fractions: 99.9 −
/// 99.85 is 0.05.
fn gap(objective: f64, measured: f64) -> f64 {
    const PLACES: f64 = 1e9;
    let gap = objective - measured;
    let rounded = (gap * PLACES).round() / PLACES;
    if rounded.is_finite() { rounded } else { gap }
}
