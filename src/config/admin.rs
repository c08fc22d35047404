//! `admin` of the configuration: the listener of the interface, the metrics and the health checks.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::SecretText;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    pub listen: String,
    /// The bearer token; may be left out on loopback only.
    pub token: Option<SecretText>,
    pub token_file: Option<PathBuf>,
    /// The names it is asked for by, besides its address and the host of `global.external_url`.
    pub hosts: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8026".into(),
            token: None,
            token_file: None,
            hosts: Vec::new(),
        }
    }
}
