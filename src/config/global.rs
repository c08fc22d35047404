//! The section `global` of the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    settings::{
        Duration, Problem,
        bounds::{self, YEAR},
    },
    telemetry::LogFormat,
};

/// General settings: the external address, the maximum age of a trigger and the format of the log.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Global {
    /// The web address at which people reach the admin listener, such as
    /// `https://alertbridge.example.com`. Pages link to their incidents there; without it they have
    /// no such link. Sign-in by OpenID Connect requires it.
    pub external_url: Option<String>,
    /// The maximum age of a trigger by its Date, from 0s to 3650d; 0s means no limit. An older
    /// trigger is recorded, but pages nobody. The default is 24h.
    pub max_age: Duration,
    /// How log lines are written. The default is `auto`.
    pub log_format: LogFormat,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            external_url: None,
            max_age: Duration::from_secs(24 * 3600),
            log_format: LogFormat::Auto,
        }
    }
}

impl Global {
    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        let is_web = |url: &&String| url.starts_with("https://") || url.starts_with("http://");

        if let Some(url) = self.external_url.as_ref().filter(|url| !is_web(url)) {
            found.push(Problem::new(
                format!("{key}.external_url"),
                format!("`{url}` is not a valid web address"),
                "write the whole address: `https://alertbridge.example.com`",
            ));
        }

        found.extend(bounds::duration(
            &format!("{key}.max_age"),
            self.max_age,
            0,
            10 * YEAR,
        ));

        found
    }
}
