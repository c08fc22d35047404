//! Mail received over SMTP. Home of smtp-proto.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::ByteSize;

/// `ingress.smtp[]` of the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub listen: String,
    /// The name it greets with; the machine's where it is not given.
    pub hostname: Option<String>,
    /// The addresses it takes mail for, `@example.com` for a whole domain. May be empty on loopback only: then it takes all.
    pub recipients: Vec<String>,
    // Comes later: refused by name until then.
    pub tls: Option<Tls>,
    pub max_message_size: ByteSize,
    pub allow_from: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            listen: "127.0.0.1:2525".into(),
            hostname: None,
            recipients: Vec::new(),
            tls: None,
            max_message_size: ByteSize::from_mib(10),
            allow_from: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}
