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

/// Requests to any HTTP API (`webhook_configs[]`). By default the signed JSON of Standard Webhooks
/// is posted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The preset on which the webhook is based. What is written here is laid over it: maps are
    /// merged key by key, lists and texts replace those of the preset.
    #[serde(rename = "use")]
    pub preset: Option<Preset>,
    /// A template of the address. Values that are filled in are encoded, and the host must be
    /// written out.
    pub url: Option<SecretText>,
    /// A file that contains the address, in place of `url`. The address is then no template. The
    /// file is read at each attempt, so that rotating it needs no reload.
    pub url_file: Option<PathBuf>,
    /// The HTTP method. The default is `POST`.
    pub method: Option<Method>,
    /// A template of the body. The default is the event of Standard Webhooks, which is signed if
    /// there is a `secret`, and no body if `method` is `DELETE` or `GET`.
    pub body: Option<String>,
    /// How the request for a resolve differs from that for a trigger. By default they are alike.
    pub resolved: Resolved,
    /// The statuses that mean that the page was taken, such as `[200-299, 409]`. The default is
    /// 200-299.
    pub success: Vec<Statuses>,
    /// A regular expression that matches the body of the reply if the page was taken. It alone then
    /// decides, instead of the words by which refusals are otherwise recognised.
    pub success_body: Option<String>,
    /// The place of the vendor's id of the alert in the reply to the trigger, as a JSON Pointer
    /// (RFC 6901) such as `/data/id`. The id is `receipt` in the templates of the resolve.
    pub receipt: Option<String>,
    /// Whether the endpoint recognises a page that it gets twice, by its `webhook-id` or by a key
    /// in its body. Then a page whose reply was lost is sent until a reply comes, instead of at
    /// most four times. The default is `false`.
    pub deduplicates: bool,
    /// The signing secret of Standard Webhooks: `whsec_` and base64. Without it, requests are not
    /// signed.
    pub secret: Option<SecretText>,
    /// A file that contains the signing secret, in place of `secret`. It is read at each attempt,
    /// so that rotating it needs no reload.
    pub secret_file: Option<PathBuf>,
    /// The previous signing secret during a rotation. Requests are signed with both.
    pub previous_secret: Option<SecretText>,
    /// A file that contains the previous signing secret, in place of `previous_secret`.
    pub previous_secret_file: Option<PathBuf>,
    /// Additional headers. Their values are templates.
    pub headers: IndexMap<String, String>,
    /// A token that is sent as `Authorization: Bearer …`. It excludes `basic_auth`.
    pub bearer: Option<SecretText>,
    /// A file that contains the token, in place of `bearer`. It is read at each attempt, so that
    /// rotating it needs no reload.
    pub bearer_file: Option<PathBuf>,
    /// A user name and a password for HTTP basic authentication. They exclude `bearer`.
    pub basic_auth: Option<BasicAuth>,
    /// Whether the integration is notified when an incident is resolved. The default is `true`.
    pub send_resolved: DefaultOn,
    /// The most requests in a second, minute or hour: `1/s`, `60/m`, `1000/h`. By default requests
    /// are not paced; a 429 is honoured in any case.
    pub rate_limit: Option<String>,
    /// How long one attempt may take, from 1s to 5m. The default is `delivery.timeout`.
    pub timeout: Option<settings::Duration>,
    /// The HTTP proxy for the requests, such as `http://proxy.example.com:3128`, in place of the
    /// environment's `HTTPS_PROXY` and `NO_PROXY`. SOCKS is not supported.
    pub proxy_url: Option<SecretText>,
    /// The certificates that are trusted, and the client's own.
    pub tls: Option<Tls>,
}

/// How the request for a resolve differs from that for a trigger (`resolved` of a webhook).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resolved {
    /// A template of the address. The default is that of the trigger.
    pub url: Option<SecretText>,
    /// The HTTP method. The default is that of the trigger.
    pub method: Option<Method>,
    /// A template of the body. The default is that of the trigger, or none if `method` is `DELETE`
    /// or `GET`.
    pub body: Option<String>,
}

/// The HTTP method of a request. `DELETE` and `GET` have no body by default.
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
