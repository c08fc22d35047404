//! The settings of `webhook_configs:`.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{preset::Preset, success::Statuses};
use crate::{
    receiver::{authorization::BasicAuth, transport::Tls},
    settings::{self, DefaultOn, SecretText},
};

#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Begin with a preset: maps merge key by key, lists and texts replace.
    #[serde(rename = "use")]
    pub preset: Option<Preset>,
    /// A template; values filled in are encoded, and the host must be written out.
    pub url: Option<SecretText>,
    pub url_file: Option<PathBuf>,
    /// POST by default.
    pub method: Option<Method>,
    /// A template; by default, the signed event of Standard Webhooks.
    pub body: Option<String>,
    /// How the resolve differs from the trigger.
    pub resolved: Resolved,
    /// The statuses that mean success; 200-299 by default.
    pub success: Vec<Statuses>,
    /// A regular expression that the reply's body matches where the page was taken. It decides
    /// instead of the words by which refusals are known otherwise.
    pub success_body: Option<String>,
    /// Where the trigger's reply contains the vendor's id of the alert, as a JSON pointer: it is
    /// the `receipt` of the resolve's templates.
    pub receipt: Option<String>,
    /// Whether the endpoint knows a page that it gets twice, by its `webhook-id` or by a key in its
    /// body. Then a page whose reply was lost is sent until one comes, and not four times at most.
    pub deduplicates: bool,
    /// `whsec_` + base64; without it, requests are not signed.
    pub secret: Option<SecretText>,
    pub secret_file: Option<PathBuf>,
    /// The previous signing secret during a rotation: requests are signed with both.
    pub previous_secret: Option<SecretText>,
    pub previous_secret_file: Option<PathBuf>,
    /// Additional headers; their values are templates.
    pub headers: IndexMap<String, String>,
    /// A token sent as `Authorization: Bearer …`.
    pub bearer: Option<SecretText>,
    pub bearer_file: Option<PathBuf>,
    pub basic_auth: Option<BasicAuth>,
    /// Whether it is notified when an incident is resolved.
    pub send_resolved: DefaultOn,
    /// Pacing, `60/m` or `1/s`. There is none by default: a 429 is honoured in any case.
    pub rate_limit: Option<String>,
    /// Replaces `delivery.timeout`.
    pub timeout: Option<settings::Duration>,
    /// The HTTP proxy for its requests, which replaces the environment's `HTTPS_PROXY`.
    pub proxy_url: Option<SecretText>,
    pub tls: Option<Tls>,
}

/// `resolved:` of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resolved {
    pub url: Option<SecretText>,
    pub method: Option<Method>,
    pub body: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
    Delete,
    Get,
}

impl Method {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Get => "GET",
        }
    }

    /// Whether a request with this method carries a body: DELETE and GET do not.
    pub(super) fn has_body(self) -> bool {
        !matches!(self, Self::Delete | Self::Get)
    }
}
