//! Pages printed to standard output.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub text: Option<String>,
    /// Whether it is told that an incident is over.
    pub send_resolved: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { text: None, send_resolved: true }
    }
}
