//! Opsgenie Alert API v2, and Jira Service Management Operations, which takes the same wire format at another base.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub api_key: Option<String>,
    pub api_key_file: Option<PathBuf>,
    /// The base: `https://api.opsgenie.com` (EU: `https://api.eu.opsgenie.com`), for JSM
    /// `https://api.atlassian.com/jsm/ops/integration`.
    pub api_url: Option<String>,
    pub message: Option<String>,
    pub description: Option<String>,
    /// `P1`–`P5`, or a template that gives one.
    pub priority: Option<String>,
    pub responders: Vec<Responder>,
    pub tags: Vec<String>,
    /// Added to the details every alert carries.
    pub details: IndexMap<String, String>,
    /// How long an accepted request may stay unconfirmed before it counts as failed.
    pub confirm_timeout: settings::Duration,
    /// Whether it is told that an incident is over.
    pub send_resolved: bool,
    /// Pacing, `60/m` or `1/s`; none unless wanted: a 429 is honoured anyway.
    pub rate_limit: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_key: None,
            api_key_file: None,
            api_url: None,
            message: None,
            description: None,
            priority: None,
            responders: Vec::new(),
            tags: Vec::new(),
            details: IndexMap::new(),
            confirm_timeout: settings::Duration::from_secs(60),
            send_resolved: true,
            rate_limit: None,
        }
    }
}

/// Who is to be called, as Opsgenie has it: by id, name or (a user) username.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Responder {
    pub id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
    /// `team`, `user`, `escalation` or `schedule`.
    pub r#type: String,
}
