//! Slack incoming webhooks. <https://api.slack.com/messaging/webhooks>
//!
//! Whatever an alert says is text to Slack and never markup: `<!channel>` in an app's name wakes nobody.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Body, Keys, Parcel, RateLimit, Receiver, RenderError, Reply, Request,
    page::Page,
    site::{Site, check_address},
    status,
    template::{Escape, Template, escape_slack},
    text::{cut_markup, units},
    wording,
};
use crate::{
    delivery::{Action, FailureReason, Step, Verdict},
    settings::{Secret, SecretText},
};

// Block Kit's limits.
const HEADER: usize = 150;
const SECTION: usize = 3000;
const CONTEXT: usize = 2000;

/// Slack's words for what no repetition mends, whatever the status beside them.
const REFUSED: [&str; 16] = [
    "invalid_payload",
    "invalid_blocks",
    "invalid_blocks_format",
    "no_text",
    "too_many_attachments",
    "action_prohibited",
    "posting_to_general_channel_denied",
    "invalid_token",
    "no_service",
    "no_service_id",
    "no_active_hooks",
    "no_team",
    "team_disabled",
    "user_not_found",
    "channel_not_found",
    "channel_is_archived",
];
/// Those that speak of the credential.
const UNAUTHORIZED: [&str; 6] = [
    "action_prohibited",
    "posting_to_general_channel_denied",
    "invalid_token",
    "no_service",
    "no_active_hooks",
    "no_team",
];

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The incoming webhook's address, which is the credential.
    pub api_url: Option<SecretText>,
    pub api_url_file: Option<PathBuf>,
    pub title: Option<String>,
    pub text: Option<String>,
    // Bot mode comes later: refused by name until then.
    pub bot_token: Option<SecretText>,
    pub bot_token_file: Option<PathBuf>,
    pub channel: Option<String>,
    pub bot_api_url: Option<String>,
    pub update_message: Option<bool>,
    /// Whether it is told that an incident is over.
    pub send_resolved: bool,
    /// Pacing, `60/m` or `1/s`; none unless wanted: a 429 is honoured anyway.
    pub rate_limit: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: None,
            api_url_file: None,
            title: None,
            text: None,
            bot_token: None,
            bot_token_file: None,
            channel: None,
            bot_api_url: None,
            update_message: None,
            send_resolved: true,
            rate_limit: None,
        }
    }
}

/// A `slack_configs` entry, compiled.
pub struct Slack {
    url: Secret,
    title: Option<Template>,
    text: Option<Template>,
    send_resolved: bool,
    rate_limit: Option<RateLimit>,
}

impl Slack {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        for (name, given) in [
            ("bot_token", settings.bot_token.is_some()),
            ("bot_token_file", settings.bot_token_file.is_some()),
            ("channel", settings.channel.is_some()),
            ("bot_api_url", settings.bot_api_url.is_some()),
            ("update_message", settings.update_message == Some(true)),
        ] {
            if given {
                let mend = "remove it and use an incoming webhook: `api_url_file`";
                site.problem(name, format!("`{name}` comes with a later version"), mend);
            }
        }
        let title = site.template("title", settings.title.as_ref(), Escape::Slack);
        let text = site.template("text", settings.text.as_ref(), Escape::Slack);
        let rate_limit = site.rate_limit(settings.rate_limit.as_ref());
        Some(Self {
            url: site.secret_address("api_url", settings.api_url.as_deref(), settings.api_url_file.as_deref())?,
            title,
            text,
            send_resolved: settings.send_resolved,
            rate_limit,
        })
    }

    fn message(&self, parcel: &Parcel<'_>) -> Value {
        let page = Page::new(parcel);
        let notification = parcel.notification;
        let title = page.headline(self.title.as_ref());
        let title = title.unwrap_or_else(|| escape_slack(&wording::title(notification, HEADER)));
        let text = page.text(self.text.as_ref());
        let mut text = text.unwrap_or_else(|| escape_slack(&wording::body(notification)));
        if units(&title) > HEADER && !text.starts_with(&title) {
            text = format!("{title}\n{text}");
        }
        let mut blocks = vec![
            json!({ "type": "header", "text": { "type": "plain_text", "text": cut_markup(&title, HEADER) } }),
            json!({ "type": "section", "text":
                { "type": "mrkdwn", "text": cut_markup(&text, SECTION), "verbatim": true } }),
        ];
        if let Some(notes) = page.notes() {
            let notes = cut_markup(&escape_slack(&notes), CONTEXT);
            blocks.push(json!({ "type": "context", "elements": [{ "type": "plain_text", "text": notes }] }));
        }
        json!({ "text": cut_markup(&title, SECTION), "blocks": blocks })
    }
}

impl Receiver for Slack {
    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.url]
    }

    fn check_keys(&self, keys: &Keys) -> Result<(), String> {
        check_address(keys, &self.url, "api_url_file")
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        Ok(Request {
            method: "POST",
            url: keys.reveal(&self.url).to_owned(),
            headers: vec![("content-type", "application/json".into())],
            body: Body::Json(self.message(parcel)),
        })
    }

    fn judge(&self, _: &Step, _: Action, reply: &Reply) -> Verdict {
        let said = String::from_utf8_lossy(&reply.body);
        let said = said.trim();
        let detail = status::detail(reply);
        // The word in the body knows more than the status.
        if REFUSED.contains(&said) {
            let unauthorized = UNAUTHORIZED.contains(&said);
            let reason = if unauthorized { FailureReason::Unauthorized } else { FailureReason::Rejected };
            return Verdict::Permanent { reason, detail };
        }
        match said {
            "rollup_error" => {
                Verdict::Retry { reason: FailureReason::ServerError, detail, after: status::retry_after(reply) }
            }
            "rate_limited" | "ratelimited" => {
                Verdict::Retry { reason: FailureReason::RateLimited, detail, after: status::retry_after(reply) }
            }
            "ok" if reply.status == 200 => Verdict::Delivered { receipt: None },
            _ if (200..300).contains(&reply.status) => status::unexpected(reply),
            _ => status::verdict(reply),
        }
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }

    fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit
    }
}
