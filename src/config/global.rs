//! `global` of the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{settings::Duration, telemetry::LogFormat};

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
