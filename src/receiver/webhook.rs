//! Any HTTP endpoint, by Standard Webhooks 1.0.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
//!
//! The body and its `webhook-id` are the same however often it is sent; the signature is of each attempt, since
//! verifiers refuse one older than 300 s.

use std::{path::PathBuf, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Body, Keys, Parcel, RateLimit, Receiver, RenderError, Reply, Request,
    site::{Site, address, check_address},
    status, wording,
};
use crate::{
    delivery::{Action, FailureReason, Verdict, sha256_hex},
    settings::{Secret, SecretText},
};

/// The pause after an endpoint said it has too much to do and not how long.
const THROTTLE: Duration = Duration::from_secs(5);

/// The longest title.
const TITLE: usize = 1024;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub url: Option<SecretText>,
    pub url_file: Option<PathBuf>,
    /// `whsec_` + base64; without it requests are not signed.
    pub secret: Option<SecretText>,
    pub secret_file: Option<PathBuf>,
    /// Whether it is told that an incident is over.
    pub send_resolved: bool,
    /// Pacing, `60/m` or `1/s`; none unless wanted: a 429 is honoured anyway.
    pub rate_limit: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: None, url_file: None, secret: None, secret_file: None, send_resolved: true, rate_limit: None }
    }
}

/// A `webhook_configs` entry, compiled.
pub struct Webhook {
    url: Secret,
    /// The signing secret.
    secret: Option<Secret>,
    send_resolved: bool,
    rate_limit: Option<RateLimit>,
}

impl Webhook {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        if let Some(secret) = settings.secret.as_deref().filter(|secret| !secret.trim().is_empty())
            && signing_key(secret).is_none()
        {
            site.problem("secret", "it is no signing secret", "write `whsec_` and its bytes in base64");
        }
        let secret = site.secret_if_any("secret", settings.secret.as_deref(), settings.secret_file.as_deref());
        let rate_limit = site.rate_limit(settings.rate_limit.as_ref());
        Some(Self {
            url: site.secret_address("url", settings.url.as_deref(), settings.url_file.as_deref())?,
            secret,
            send_resolved: settings.send_resolved,
            rate_limit,
        })
    }

    /// The address; for people's eyes only where it leads, since its path may be a credential.
    fn address(&self, keys: &Keys) -> String {
        match &self.url {
            Secret::Inline(text) if keys.hidden() => {
                let text = secrecy::ExposeSecret::expose_secret(text);
                address(text).map_or_else(
                    |_| "<secret>".into(),
                    |url| match url.origin().ascii_serialization() {
                        origin if url.path() == "/" && url.query().is_none() => format!("{origin}/"),
                        origin => format!("{origin}/<secret>"),
                    },
                )
            }
            url => keys.reveal(url).to_owned(),
        }
    }
}

impl Receiver for Webhook {
    fn secrets(&self) -> Vec<&Secret> {
        [&self.url].into_iter().chain(&self.secret).collect()
    }

    fn check_keys(&self, keys: &Keys) -> Result<(), String> {
        check_address(keys, &self.url, "url_file")
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        let body = body(parcel);
        let id = id(parcel);
        let timestamp = parcel.now.as_second();
        let mut headers = vec![
            ("content-type", "application/json".into()),
            ("webhook-id", id.clone()),
            ("webhook-timestamp", timestamp.to_string()),
        ];
        if let Some(secret) = &self.secret {
            let signature = if keys.hidden() {
                "v1,<secret>".into()
            } else {
                let key = signing_key(keys.reveal(secret)).ok_or(RenderError::Secret {
                    name: "secret",
                    message: "it is not `whsec_` and its bytes in base64",
                })?;
                // `deliver` sends exactly this serialisation.
                sign(&key, &id, timestamp, body.to_string().as_bytes())
            };
            headers.push(("webhook-signature", signature));
        }
        Ok(Request { method: "POST", url: self.address(keys), headers, body: Body::Json(body) })
    }

    fn judge(&self, _: &Parcel<'_>, reply: &Reply) -> Verdict {
        match (reply.status, status::verdict(reply)) {
            (410, _) => Verdict::Permanent {
                reason: FailureReason::Rejected,
                detail: format!("{}: the endpoint wants no more", status::detail(reply)),
            },
            (429 | 502 | 504, Verdict::Retry { reason, detail, after }) => {
                Verdict::Retry { reason, detail, after: after.or(Some(THROTTLE)) }
            }
            (_, verdict) => verdict,
        }
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }

    fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit
    }
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

/// The message's id: the same across retries, another for another delivery, and no full stop in it, which the
/// signature uses to part.
fn id(parcel: &Parcel<'_>) -> String {
    let unique = format!("{}\n{}\n{}", parcel.alias, parcel.notification.action.as_str(), parcel.delivery);
    format!("msg_{}", &sha256_hex(unique.as_bytes())[..32])
}

/// The bytes of `whsec_` + base64.
fn signing_key(secret: &str) -> Option<Vec<u8>> {
    let secret = secret.trim();
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?;
    (!key.is_empty()).then_some(key)
}

/// `v1,` + base64(HMAC-SHA256(key, `id.timestamp.body`)).
fn sign(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::{sign, signing_key};

    #[test]
    fn the_vector_of_standard_webhooks_is_signed_as_published() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn what_is_no_signing_secret_is_refused() {
        for wrong in ["", "whsec_", "whsec_***", "a password"] {
            assert_eq!(signing_key(wrong), None, "{wrong}");
        }
    }
}
