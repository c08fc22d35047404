//! Discord webhooks. <https://discord.com/developers/docs/resources/webhook#execute-webhook>
//!
//! To Discord, whatever an alert says is text and never Markdown, and it mentions nobody:
//! `@everyone` in the name of an app notifies nobody.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    credential::Shape,
    denial,
    escape::{Escape, escape_markdown},
    http_url,
    options::{Options, compile_options},
    page::Page,
    site::Site,
    status,
    template::Template,
    text::{self, below, cut},
    transport::Tls,
    wording::{self, Severity},
};
use crate::{
    delivery::{Action, FailureReason, Notification, Verdict},
    settings::{self, DefaultOn, SecretText},
};

// The limits of an embed, which together are below the 6000 of a message. A footer contains the
// notes, which are shorter.
const TITLE: usize = 256;
const DESCRIPTION: usize = 4096;

/// Messages in Discord, posted by a webhook (`discord_configs[]`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address of the webhook, which is the credential. With `?thread_id=…` it posts to a
    /// thread.
    pub webhook_url: Option<SecretText>,
    /// A file that contains the address, in place of `webhook_url`. It is read at each attempt, so
    /// that rotating it needs no reload.
    pub webhook_url_file: Option<PathBuf>,
    /// A template of the title, in Markdown. Values that are filled in are escaped. The default is
    /// the built-in title.
    pub title: Option<String>,
    /// A template of the message, in Markdown. Values that are filled in are escaped. The default
    /// is the built-in text.
    pub message: Option<String>,
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

/// A `discord_configs` entry, compiled.
pub struct Discord {
    url: Credential,
    title: Option<Template>,
    message: Option<Template>,
    options: Options,
}

impl Discord {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let title = site.template("title", settings.title.as_ref(), Escape::Markdown);
        let message = site.template("message", settings.message.as_ref(), Escape::Markdown);
        let options = compile_options!(settings, site);

        Some(Self {
            url: site.secret(
                "webhook_url",
                Shape::Address,
                settings.webhook_url.as_deref(),
                settings.webhook_url_file.as_deref(),
            )?,
            title,
            message,
            options,
        })
    }

    fn message(&self, parcel: &Parcel<'_>) -> Value {
        let page = Page::new(parcel);
        let notification = parcel.notification;
        let title = page.headline(self.title.as_ref());
        let title = title.unwrap_or_else(|| escape_markdown(&wording::title(notification, TITLE)));
        let text = page.text(self.message.as_ref());
        let text = text.unwrap_or_else(|| escape_markdown(&wording::below(notification)));
        let text = below(&title, TITLE, text, "\n");
        // The link is text, because Discord may refuse an embed's own `url`, and the page with it,
        // if its host has no dot.
        let link = parcel.incident_url().map(|url| format!("\n{url}"));
        let link = link.unwrap_or_default();
        let room = DESCRIPTION.saturating_sub(text::units(&link));

        // If a cut leaves a backslash before the "…", it escapes the "…" and is not shown.
        let mut embed = json!({
            "title": cut(&title, TITLE),
            "description": cut(&text, room) + &link,
            "color": color(notification),
            "timestamp": notification.time.unwrap_or(notification.arrived_at).to_string(),
        });

        if let Some(notes) = page.notes() {
            embed["footer"] = json!({ "text": notes });
        }

        json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
    }
}

/// Returns the colour of the embed's edge, as 0xRRGGBB.
fn color(notification: &Notification) -> u32 {
    match (notification.action, Severity::of(notification)) {
        (Action::Resolve, _) => 0x2E_B8_86,
        (_, Severity::Critical | Severity::Error) => 0xD4_0E_0D,
        (_, Severity::Warning) => 0xE8_91_2D,
        (_, Severity::Info) => 0x43_9F_E0,
    }
}

impl Receiver for Discord {
    fn secrets(&self) -> Vec<&Credential> {
        vec![&self.url]
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        Ok(Request {
            method: "POST",
            url: waiting(keys.reveal(&self.url)),
            headers: vec![("content-type".into(), "application/json".into())],
            body: Body::Json(self.message(parcel)),
        })
    }

    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        let json = reply.json();
        match (reply.status, json["id"].as_str()) {
            (200..=299, Some(id)) => Verdict::Delivered {
                receipt: Some(cut(id, 64)),
            },
            // The body is the JSON of an error, whose status a proxy has altered.
            (200..=299, None) if json["code"].is_number() && json["message"].is_string() => {
                status::unexpected(reply)
            }
            (200..=299, None) => {
                denial::judge_chat(reply, || self.request(parcel, &Keys::Hidden).ok())
            }
            (429, _) => Verdict::Retry {
                reason: FailureReason::RateLimited,
                detail: status::detail(reply),
                after: pause(&json, reply),
            },
            (400, _) if json["errors"].is_object() => {
                let said = format!(
                    "{}: {}",
                    json["message"].as_str().unwrap_or_default(),
                    json["errors"]
                );
                Verdict::Permanent {
                    reason: FailureReason::Rejected,
                    detail: status::quoted(400, &said),
                }
            }
            _ => status::verdict(reply),
        }
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

/// Returns the pause that a 429 asks for, to the millisecond, whereas `Retry-After` has whole
/// seconds.
///
/// Discord's header of the limit is in seconds, whatever the version of the API; an early version
/// gives the number in the JSON in milliseconds. A global limit is not that of a webhook, and
/// stands in the JSON alone.
fn pause(json: &Value, reply: &Reply) -> Option<Duration> {
    let of_limit = reply
        .headers
        .get("x-ratelimit-reset-after")
        .filter(|_| json["global"] != true)
        .and_then(|text| status::seconds(text));
    of_limit
        .or_else(|| json["retry_after"].as_f64().and_then(status::pause))
        .or_else(|| status::retry_after(reply))
}

/// Returns the address that replies once the message exists: without `wait`, it is no error if a
/// message is not saved.
fn waiting(url: &str) -> String {
    let Ok(mut address) = http_url::parse(url) else {
        return format!("{url}?wait=true");
    };
    address.query_pairs_mut().append_pair("wait", "true");
    address.into()
}
