//! Any HTTP endpoint, by Standard Webhooks 1.0.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
//!
//! The body and its `webhook-id` are the same however often it is sent; the signature is of each
//! attempt, since verifiers refuse one older than 300 s.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    credential::Shape,
    denial, http_url, is_sensitive,
    options::Options,
    page::Page,
    signature::{sign, signing_key},
    site::Site,
    status,
    template::{Escape, Template, looks_like_template},
    text::one_line,
    transport::Tls,
    wording,
};
use crate::{
    delivery::{Action, FailureReason, Verdict, sha256_hex},
    settings::{self, DefaultOn, Secret, SecretText},
};

/// The pause after an endpoint said it has too much to do and not how long.
const THROTTLE: Duration = Duration::from_secs(5);

/// The longest title.
const TITLE: usize = 1024;

#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub url: Option<SecretText>,
    pub url_file: Option<PathBuf>,
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

/// `basic_auth:` of a webhook.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    pub username: String,
    pub password: Option<SecretText>,
    pub password_file: Option<PathBuf>,
}

/// A `webhook_configs` entry, compiled.
pub struct Webhook {
    url: Credential,
    /// The signing secrets: the newest first.
    secrets: Vec<Credential>,
    headers: Vec<(String, Template)>,
    authorization: Option<Authorization>,
    options: Options,
}

/// How it proves who it is, but for the signature.
enum Authorization {
    Bearer(Credential),
    Basic {
        username: String,
        password: Credential,
    },
}

/// Headers that are made from the request itself.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

impl Webhook {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let newest = site.secret_if_any(
            "secret",
            Shape::Signing,
            settings.secret.as_deref(),
            settings.secret_file.as_deref(),
        );

        let previous = site.secret_if_any(
            "previous_secret",
            Shape::Signing,
            settings.previous_secret.as_deref(),
            settings.previous_secret_file.as_deref(),
        );

        if previous.is_some() && settings.secret.is_none() && settings.secret_file.is_none() {
            site.problem(
                "previous_secret",
                "there is no secret that follows it",
                "name the new one `secret_file`",
            );
        }

        let headers = headers(settings, site);
        let authorization = Authorization::compile(settings, site);
        let options = Options::compile(
            settings.send_resolved,
            settings.rate_limit.as_ref(),
            settings.timeout,
            settings.proxy_url.as_ref(),
            settings.tls.as_ref(),
            site,
        );

        Some(Self {
            url: site.secret(
                "url",
                Shape::Address,
                settings.url.as_deref(),
                settings.url_file.as_deref(),
            )?,
            secrets: newest.into_iter().chain(previous).collect(),
            headers,
            authorization,
            options,
        })
    }

    /// The signature of each secret, parted by spaces as Standard Webhooks has it, so that a
    /// verifier that knows one of them is content.
    fn signatures(
        &self,
        keys: &Keys,
        id: &str,
        timestamp: i64,
        body: &[u8],
    ) -> Result<String, RenderError> {
        let wrong = || RenderError::Secret {
            name: "secret",
            message: "it is not `whsec_` and its bytes in base64",
        };

        let each = |secret: &Credential| {
            if keys.hidden() {
                return Ok("v1,<secret>".to_owned());
            }
            Ok(sign(
                &signing_key(keys.reveal(secret)).ok_or_else(wrong)?,
                id,
                timestamp,
                body,
            ))
        };

        Ok(self
            .secrets
            .iter()
            .map(each)
            .collect::<Result<Vec<_>, _>>()?
            .join(" "))
    }

    /// The address; for people's eyes only where it leads, since its path may be a credential.
    fn address(&self, keys: &Keys) -> String {
        match &self.url.secret {
            Secret::Inline(text) if keys.hidden() => {
                let text = secrecy::ExposeSecret::expose_secret(text);
                http_url::parse(text).map_or_else(
                    |_| "<secret>".into(),
                    |url| match url.origin().ascii_serialization() {
                        origin if url.path() == "/" && url.query().is_none() => {
                            format!("{origin}/")
                        }
                        origin => format!("{origin}/<secret>"),
                    },
                )
            }
            _ => keys.reveal(&self.url).to_owned(),
        }
    }
}

impl Receiver for Webhook {
    fn secrets(&self) -> Vec<&Credential> {
        let authorization = self.authorization.as_ref().map(Authorization::credential);
        [&self.url]
            .into_iter()
            .chain(&self.secrets)
            .chain(authorization)
            .collect()
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        let body = body(parcel);
        let id = id(parcel);
        let timestamp = parcel.now.as_second();
        let mut headers: Vec<(Cow<'static, str>, String)> = vec![
            ("content-type".into(), "application/json".into()),
            ("webhook-id".into(), id.clone()),
            ("webhook-timestamp".into(), timestamp.to_string()),
        ];

        if !self.secrets.is_empty() {
            // `deliver` sends exactly this serialisation.
            let signatures = self.signatures(keys, &id, timestamp, body.to_string().as_bytes())?;
            headers.push(("webhook-signature".into(), signatures));
        }

        headers.extend(
            self.authorization
                .as_ref()
                .map(|how| ("authorization".into(), how.header(keys))),
        );

        let page = Page::new(parcel);
        for (name, value) in &self.headers {
            let value = one_line(&value.render(&page.context())?);
            let hidden = keys.hidden() && is_sensitive(name);
            headers.push((
                name.clone().into(),
                if hidden { "<secret>".into() } else { value },
            ));
        }

        Ok(Request {
            method: "POST",
            url: self.address(keys),
            headers,
            body: Body::Json(body),
        })
    }

    fn judge(&self, _: &Parcel<'_>, reply: &Reply) -> Verdict {
        match (reply.status, denial::judge(reply)) {
            (410, _) => Verdict::Permanent {
                reason: FailureReason::Rejected,
                detail: format!("{}: the endpoint wants no more", status::detail(reply)),
            },
            (
                429 | 502 | 504,
                Verdict::Retry {
                    reason,
                    detail,
                    after,
                },
            ) => Verdict::Retry {
                reason,
                detail,
                after: after.or(Some(THROTTLE)),
            },
            (_, verdict) => verdict,
        }
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

impl Authorization {
    /// One of the two, or neither.
    fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let bearer = site.secret_if_any(
            "bearer",
            Shape::Key,
            settings.bearer.as_deref(),
            settings.bearer_file.as_deref(),
        );

        let Some(BasicAuth {
            username,
            password,
            password_file,
        }) = &settings.basic_auth
        else {
            return bearer.map(Self::Bearer);
        };

        if bearer.is_some() {
            site.problem(
                "basic_auth",
                "a bearer token and basic authentication exclude each other",
                "keep one of them",
            );
        }

        if username.contains(':') || looks_like_template(username) {
            let mend = "write the user's name itself";
            site.problem(
                "basic_auth.username",
                "it holds a colon or a template, and a user's name does not",
                mend,
            );
        }

        let mut inner = site.below("basic_auth");
        let password = inner.secret(
            "password",
            Shape::Password,
            password.as_deref(),
            password_file.as_deref(),
        )?;

        Some(Self::Basic {
            username: username.clone(),
            password: Credential {
                name: "basic_auth.password",
                ..password
            },
        })
    }

    fn credential(&self) -> &Credential {
        match self {
            Self::Bearer(credential)
            | Self::Basic {
                password: credential,
                ..
            } => credential,
        }
    }

    fn header(&self, keys: &Keys) -> String {
        match self {
            Self::Bearer(token) => format!("Bearer {}", keys.reveal(token)),
            Self::Basic { .. } if keys.hidden() => "Basic <secret>".to_owned(),
            Self::Basic { username, password } => {
                format!(
                    "Basic {}",
                    BASE64_STANDARD.encode(format!("{username}:{}", keys.reveal(password)))
                )
            }
        }
    }
}

/// The headers that the configuration adds.
fn headers(settings: &Settings, site: &mut Site<'_>) -> Vec<(String, Template)> {
    let mut headers: Vec<(String, Template)> = Vec::new();
    let authorized = settings.bearer.is_some()
        || settings.bearer_file.is_some()
        || settings.basic_auth.is_some();

    for (name, source) in &settings.headers {
        let place = format!("headers.{name}");
        let lower = name.to_ascii_lowercase();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            site.problem(
                &place,
                "it is no header's name",
                "write it like X-Scope-OrgID",
            );
        } else if OWN_HEADERS.contains(&lower.as_str()) {
            site.problem(
                &place,
                "the request's own headers are not replaced",
                "drop it",
            );
        } else if authorized && lower == "authorization" {
            site.problem(
                &place,
                "`bearer` and `basic_auth` make this header",
                "keep one of them",
            );
        } else if headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            site.problem(&place, "the header is given twice", "keep one of them");
        } else if let Some(template) = site.template_at(&place, "headers", source, Escape::No) {
            headers.push((name.clone(), template));
        }
    }

    headers
}

/// The event. Nothing in it depends on the attempt.
fn body(parcel: &Parcel<'_>) -> Value {
    let notification = parcel.notification;
    let mut body = json!({
        "type": match notification.action {
            Action::Trigger => "alert.triggered",
            Action::Change => "alert.changed",
            Action::Resolve => "alert.resolved",
        },
        "timestamp": notification.arrived_at.to_string(),
        "data": {
            "action": notification.action.as_str(),
            "alias": parcel.alias,
            "incident_id": notification.incident_id,
            "title": wording::title(notification, TITLE),
            "reason": notification.reason,
            "labels": notification.labels,
            "incident": notification.incident,
            "time": notification.time.map(|time| time.to_string()),
            "arrived_at": notification.arrived_at.to_string(),
            "mail": notification.mail,
            "external_url": parcel.external_url,
        },
    });

    if let Some(was) = &notification.was {
        body["data"]["was"] = json!({ "severity": was });
    }

    body
}

/// The message's id: the same across retries, another for another delivery, and no full stop in it,
/// which the signature uses to part.
fn id(parcel: &Parcel<'_>) -> String {
    let unique = format!(
        "{}\n{}\n{}",
        parcel.alias,
        parcel.notification.action.as_str(),
        parcel.delivery
    );
    format!("msg_{}", &sha256_hex(unique.as_bytes())[..32])
}
