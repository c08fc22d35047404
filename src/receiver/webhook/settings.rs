//! `webhook_configs:` as it is written.

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
    /// What stands here begins with a preset: maps merge key by key, lists and texts replace.
    #[serde(rename = "use")]
    pub preset: Option<Preset>,
    /// A template; what is filled in is encoded, and the host is written out.
    pub url: Option<SecretText>,
    pub url_file: Option<PathBuf>,
    /// POST where it is not given.
    pub method: Option<Method>,
    /// A template; the signed event of Standard Webhooks where it is not given.
    pub body: Option<String>,
    /// How the end of an incident is told, as far as it differs.
    pub resolved: Resolved,
    /// The statuses that mean that it was taken; 200-299 where none is given.
    pub success: Vec<Statuses>,
    /// Where the trigger's reply holds what the vendor calls the alert, as a JSON pointer: the
    /// `receipt` of the resolve's templates.
    pub receipt: Option<String>,
    /// `whsec_` + base64; without it requests are not signed.
    pub secret: Option<SecretText>,
    pub secret_file: Option<PathBuf>,
    /// The signing secret before it, while it is rotated: requests are signed with both.
    pub previous_secret: Option<SecretText>,
    pub previous_secret_file: Option<PathBuf>,
    /// More headers; their values are templates.
    pub headers: IndexMap<String, String>,
    /// A token sent as `Authorization: Bearer …`.
    pub bearer: Option<SecretText>,
    pub bearer_file: Option<PathBuf>,
    pub basic_auth: Option<BasicAuth>,
    /// Whether it is told that an incident is over.
    pub send_resolved: DefaultOn,
    /// Pacing, `60/m` or `1/s`; none unless wanted: a 429 is honoured anyway.
    pub rate_limit: Option<String>,
    /// In place of `delivery.timeout`.
    pub timeout: Option<settings::Duration>,
    /// The HTTP proxy its requests go through, in place of the environment's `HTTPS_PROXY`.
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

    /// Whether it says something by itself: DELETE and GET do by their address.
    pub(super) fn has_body(self) -> bool {
        !matches!(self, Self::Delete | Self::Get)
    }
}
