//! PagerDuty Events API v2.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub routing_key: Option<String>,
    pub routing_key_file: Option<PathBuf>,
    /// The whole address; EU: `https://events.eu.pagerduty.com/v2/enqueue`.
    pub url: String,
    /// `critical`, `error`, `warning`, `info`, or a template that gives one.
    pub severity: Option<String>,
    pub summary: Option<String>,
    pub details: IndexMap<String, String>,
    pub links: Vec<Link>,
    /// Whether it is told that an incident is over.
    pub send_resolved: bool,
    /// Pacing, `60/m` or `1/s`; none unless wanted: a 429 is honoured anyway.
    pub rate_limit: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            routing_key: None,
            routing_key_file: None,
            url: "https://events.pagerduty.com/v2/enqueue".into(),
            severity: None,
            summary: None,
            details: IndexMap::new(),
            links: Vec::new(),
            send_resolved: true,
            rate_limit: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub href: String,
    pub text: Option<String>,
}
