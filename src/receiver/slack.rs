//! Slack incoming webhooks.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The incoming webhook's address, which is the credential.
    pub api_url: Option<String>,
    pub api_url_file: Option<PathBuf>,
    pub title: Option<String>,
    pub text: Option<String>,
    // Bot mode comes later: refused by name until then.
    pub bot_token: Option<String>,
    pub bot_token_file: Option<PathBuf>,
    pub channel: Option<String>,
    pub bot_api_url: Option<String>,
    pub update_message: Option<bool>,
    /// Whether it is told that an incident is over.
    pub send_resolved: bool,
    /// Pacing, `60/m` or `1/s`; none unless wanted: a 429 is honoured anyway.
    pub rate_limit: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: None,
            api_url_file: None,
            title: None,
            text: None,
            bot_token: None,
            bot_token_file: None,
            channel: None,
            bot_api_url: None,
            update_message: None,
            send_resolved: true,
            rate_limit: None,
        }
    }
}
