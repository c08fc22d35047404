//! Mail posted over HTTP by a mail provider, or by anything that has the raw mail.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::ByteSize;

/// `ingress.http` of the configuration: the listener all webhooks share.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    pub listen: String,
    pub max_body: ByteSize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8025".into(), max_body: ByteSize::from_mib(10) }
    }
}

/// `ingress.webhook[]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub provider: Provider,
    /// `/ingress/NAME` where it is not given.
    pub path: Option<String>,
    /// The bearer token; may be left out on loopback only.
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
    // Credentials of providers that come later: refused by name until then.
    pub signing_key: Option<String>,
    pub signing_key_file: Option<PathBuf>,
    pub basic_auth: Option<serde_json::Value>,
    pub topic_arn: Option<String>,
}

/// Who posts. All but `raw` come later: refused by name until then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    #[default]
    Raw,
    Mailgun,
    Sendgrid,
    Postmark,
    Ses,
    Cloudmailin,
}
