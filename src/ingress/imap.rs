//! Mail fetched from an IMAP mailbox. Home of async-imap.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::{ByteSize, Duration};

/// `ingress.imap[]` of the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub host: String,
    /// 993 with implicit TLS, else 143.
    pub port: Option<u16>,
    pub tls: Tls,
    /// PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    pub username: String,
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    // Comes later: refused by name until then.
    pub oauth2: Option<serde_json::Value>,
    pub folder: String,
    /// Whether to wait with IDLE (RFC 2177) where the server can.
    pub idle: bool,
    /// How often the folder is read anew by UID, beside IDLE.
    pub rescan_interval: Duration,
    /// How far back the first connect reads; 0s: only mail that comes from then on.
    pub backfill: Duration,
    /// Larger mail is quarantined by its header alone.
    pub max_message_size: ByteSize,
    pub after: After,
    pub trusted_authserv_id: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: String::new(),
            port: None,
            tls: Tls::Implicit,
            ca_file: None,
            username: String::new(),
            password: None,
            password_file: None,
            oauth2: None,
            folder: "INBOX".into(),
            idle: true,
            rescan_interval: Duration::from_secs(300),
            backfill: Duration::from_secs(0),
            max_message_size: ByteSize::from_mib(10),
            after: After::Keep,
            trusted_authserv_id: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    Implicit,
    Starttls,
    /// Only sensible on loopback.
    None,
}

/// What is done with a mail in the mailbox once it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum After {
    Keep,
    Seen,
    Delete,
    /// To this folder, made where it does not exist.
    Move(String),
}
