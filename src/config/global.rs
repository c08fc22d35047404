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

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Global {
    /// Where people reach the admin listener; pages link there.
    pub external_url: Option<String>,
    /// A trigger whose Date is older pages nobody. 0s: no limit.
    pub max_age: Duration,
    /// How log lines are written.
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
