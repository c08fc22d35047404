//! Any HTTP endpoint, by Standard Webhooks 1.0.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub url: Option<String>,
    pub url_file: Option<PathBuf>,
    /// `whsec_` + base64; without it requests are not signed.
    pub secret: Option<String>,
    pub secret_file: Option<PathBuf>,
    /// Whether it is told that an incident is over.
    pub send_resolved: bool,
    /// Pacing, `60/m` or `1/s`; none unless wanted: a 429 is honoured anyway.
    pub rate_limit: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: None, url_file: None, secret: None, secret_file: None, send_resolved: true, rate_limit: None }
    }
}
