//! What Atlassian reports about an SLI, and the labels made from it.

use jiff::Timestamp;
use serde_json::Value;

use crate::label::{Labels, sli};

/// The checked JSON of one alert mail.
#[derive(Debug, Clone, PartialEq)]
pub struct SliAlert {
    /// `appKey`: the Marketplace app.
    pub app_key: String,
    /// `appDetails.name`.
    pub app_name: Option<String>,
    /// `appDetails.partnerName`.
    pub partner: Option<String>,
    /// `incidentId`: the same for a trigger and its resolve.
    pub incident_id: String,
    /// `incidentStatus`, verbatim.
    pub status: String,
    /// `time`: when the detector observed it.
    pub time: Timestamp,
    /// `metricName`.
    pub metric: String,
    /// `metricUnit`.
    pub unit: Option<String>,
    /// `measurementDurationSeconds`.
    pub window_seconds: Option<f64>,
    /// `sliValue`: the measured value, in `unit`.
    pub sli_value: Option<f64>,
    /// `sloValue`: the objective, in `unit`.
    pub slo_value: Option<f64>,
    /// The whole object as extracted, including additions.
    pub json: Value,
}

impl SliAlert {
    /// Returns its labels; what the mail does not say is empty.
    pub fn labels(&self) -> Labels {
        let gap = self
            .slo_value
            .zip(self.sli_value)
            .map(|(objective, measured)| gap(objective, measured));
        let text = |value: &Option<String>| value.clone().unwrap_or_default();

        [
            ("incident_id", self.incident_id.clone()),
            ("app_key", self.app_key.clone()),
            ("app_name", text(&self.app_name)),
            ("partner", text(&self.partner)),
            ("metric", self.metric.clone()),
            ("sli", sli(&self.metric).to_owned()),
            ("unit", text(&self.unit)),
            ("status", self.status.clone()),
            ("sli_value", number(self.sli_value)),
            ("slo_value", number(self.slo_value)),
            ("sli_gap", number(gap)),
            ("window_seconds", number(self.window_seconds)),
            ("title", self.metric.clone()),
            ("url", String::new()),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect()
    }
}

/// Returns the shortest text that parses back to the number: `60`, `99.9`.
fn number(value: Option<f64>) -> String {
    // Adding zero turns -0 into 0.
    value.map_or_else(String::new, |value| (value + 0.0).to_string())
}

/// Returns how far the measured value is below the objective, without the noise of binary
/// fractions: 99.9 − 99.85 is 0.05.
fn gap(objective: f64, measured: f64) -> f64 {
    const PLACES: f64 = 1e9;
    let gap = objective - measured;
    let rounded = (gap * PLACES).round() / PLACES;
    if rounded.is_finite() { rounded } else { gap }
}
