//! Labels: what routes, severity rules and templates see of an alert, and the matchers that test them.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    incident::{Incident, Phase},
    message::Verdict,
};

mod classic;
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

/// The label `kind`: what an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Atlassian's alert, read and checked.
    Incident,
    /// An alert that could not be read.
    Unparsed,
    /// The bridge tells on itself.
    Itself,
    /// `receivers test`.
    Test,
    /// The canary did not come through.
    Canary,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Unparsed => "unparsed",
            Self::Itself => "self",
            Self::Test => "test",
            Self::Canary => "canary",
        }
    }
}

/// The labels that an alert has whatever it says.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub kind: Kind,
    pub state: Phase,
    /// The name of the ingress.
    pub ingress: &'a str,
    pub authenticity: Verdict,
}

impl Origin<'_> {
    /// The labels of an alert of which nothing else is known, with its severity.
    pub fn labels(self, severities: &Severities) -> Labels {
        with_severity(self.bare(), severities)
    }

    /// The labels of an incident, all of [`NAMES`]: what the mail does not say is empty.
    ///
    /// `recurrence_28d` counts the earlier openings of the same app and metric within 28 days; None is unknown.
    pub fn labels_of(self, incident: &Incident, recurrence_28d: Option<u64>, severities: &Severities) -> Labels {
        let gap = incident.slo_value.zip(incident.sli_value).map(|(objective, measured)| gap(objective, measured));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut labels = self.bare();
        for (name, value) in [
            ("incident_id", incident.incident_id.clone()),
            ("app_key", incident.app_key.clone()),
            ("app_name", text(&incident.app_name)),
            ("partner", text(&incident.partner)),
            ("metric", incident.metric.clone()),
            ("sli", sli(&incident.metric).to_owned()),
            ("unit", text(&incident.unit)),
            ("status", incident.status.clone()),
            ("sli_value", number(incident.sli_value)),
            ("slo_value", number(incident.slo_value)),
            ("sli_gap", number(gap)),
            ("window_seconds", number(incident.window_seconds)),
            ("recurrence_28d", recurrence_28d.map_or_else(String::new, |times| times.to_string())),
        ] {
            labels.insert(Cow::Borrowed(name), value);
        }
        with_severity(labels, severities)
    }

    fn bare(self) -> Labels {
        [
            ("kind", self.kind.as_str()),
            ("state", self.state.as_str()),
            ("ingress", self.ingress),
            ("authenticity", verdict(self.authenticity)),
        ]
        .into_iter()
        .map(|(name, value)| (Cow::Borrowed(name), value.to_owned()))
        .collect()
    }
}

fn with_severity(mut labels: Labels, severities: &Severities) -> Labels {
    let severity = severities.of(&labels).to_owned();
    labels.insert(Cow::Borrowed("severity"), severity);
    labels
}

/// The shortest text that reads back as the number: `60`, `99.9`.
fn number(value: Option<f64>) -> String {
    // Adding zero turns -0 into 0.
    value.map_or_else(String::new, |value| (value + 0.0).to_string())
}

/// How far the measured value is below the objective, without the noise of binary fractions: 99.9 − 99.85 is 0.05.
fn gap(objective: f64, measured: f64) -> f64 {
    const PLACES: f64 = 1e9;
    let gap = objective - measured;
    let rounded = (gap * PLACES).round() / PLACES;
    if rounded.is_finite() { rounded } else { gap }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::None => "none",
        Verdict::TempError => "temperror",
        Verdict::Off => "off",
    }
}
