//! Microsoft Teams, by a Workflow that begins "When a Teams webhook request is received": an
//! Adaptive Card 1.4.
//! Microsoft documents it in “Create Incoming Webhooks”,
//! <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors>.
//!
//! The flow replies 202 before it posts, and nobody hears of a message that Teams then refuses. The
//! card is therefore small enough whatever an alert says. All its text is in text runs, which
//! interpret no Markdown: an app called `[here](https://…)` is no link.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    credential::Shape,
    denial,
    escape::Escape,
    options::{Options, compile_options},
    page::Page,
    site::Site,
    status,
    template::Template,
    text::{below, cut},
    transport::Tls,
    wording::{self, OPEN, Severity},
};
use crate::{
    delivery::{Action, Notification, Verdict},
    settings::{self, DefaultOn, SecretText},
};

/// The limit of a message, in bytes; a message has fewer. Teams accepts 28 KB, and the flow
/// enlarges a message by a fifth.
const MESSAGE: usize = 20_000;
/// The longest title: a limit of this bridge, so that the headline stays on a single line.
const TITLE: usize = 256;
/// The largest number of bytes that a unit takes in JSON: three in UTF-8, or two of an escape.
const UNIT: usize = 3;

/// Messages in Microsoft Teams, posted to a Workflow (`teams_configs[]`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address that the flow shows, which is the credential. The flow must begin with "When a
    /// Teams webhook request is received".
    pub webhook_url: Option<SecretText>,
    /// A file that contains the address, in place of `webhook_url`. It is read at each attempt, so
    /// that rotating it needs no reload.
    pub webhook_url_file: Option<PathBuf>,
    /// A template of the title, in plain text. The default is the built-in title.
    pub title: Option<String>,
    /// A template of the text, in plain text. The default is the built-in text.
    pub text: Option<String>,
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

/// A `teams_configs` entry, compiled.
pub struct Teams {
    url: Credential,
    title: Option<Template>,
    text: Option<Template>,
    options: Options,
}

impl Teams {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let title = site.template("title", settings.title.as_ref(), Escape::No);
        let text = site.template("text", settings.text.as_ref(), Escape::No);
        let options = compile_options!(settings, site);

        Some(Self {
            url: site.secret(
                "webhook_url",
                Shape::Address,
                settings.webhook_url.as_deref(),
                settings.webhook_url_file.as_deref(),
            )?,
            title,
            text,
            options,
        })
    }

    fn message(&self, parcel: &Parcel<'_>) -> Value {
        let page = Page::new(parcel);
        let notification = parcel.notification;
        let headline = page
            .headline(self.title.as_ref())
            .unwrap_or_else(|| wording::title(notification, TITLE));
        let text = page
            .text(self.text.as_ref())
            .unwrap_or_else(|| wording::below(notification));
        let text = below(&headline, TITLE, text, "\n");
        let title = cut(&headline, TITLE);
        let mut body = vec![json!({ "type": "RichTextBlock", "inlines": [{
            "type": "TextRun",
            "text": title,
            "size": "Medium",
            "weight": "Bolder",
            "color": color(notification),
        }] })];

        body.extend(page.notes().map(|notes| line(&notes)));

        let link = parcel.incident_url().map(|url| link(&url));
        let taken = link.as_ref().map_or(0, |link| link.to_string().len() + 1);
        let room = MESSAGE.saturating_sub(message(&title, &body).to_string().len() + 1 + taken);
        body.extend(lines(&text, room));
        body.extend(link);

        message(&title, &body)
    }
}

fn message(title: &str, body: &[Value]) -> Value {
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": title,
        "msteams": { "width": "Full" },
        "body": body,
    });

    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    });

    json!({ "type": "message", "attachments": [attachment] })
}

/// Returns as many of the lines as fit into `room` bytes of JSON. The last of them is cut if
/// necessary.
fn lines(text: &str, mut room: usize) -> Vec<Value> {
    let mut lines = Vec::new();
    let bare = line("").to_string().len() + 1;

    for said in text.lines().filter(|said| !said.trim().is_empty()) {
        let whole = line(said);
        let size = whole.to_string().len() + 1;
        if size > room {
            let cut = cut(said, room.saturating_sub(bare) / UNIT);
            lines.extend((!cut.is_empty()).then(|| line(&cut)));
            break;
        }
        room -= size;
        lines.push(whole);
    }

    lines
}

fn line(text: &str) -> Value {
    json!({
        "type": "RichTextBlock",
        "spacing": "Small",
        "inlines": [{ "type": "TextRun", "text": text }],
    })
}

fn link(url: &str) -> Value {
    let mut link = line(OPEN);
    link["inlines"][0]["selectAction"] = json!({ "type": "Action.OpenUrl", "url": url });
    link
}

/// Returns the colour of the headline, in the terms of Adaptive Cards.
fn color(notification: &Notification) -> &'static str {
    match (notification.action, Severity::of(notification)) {
        (Action::Resolve, _) => "Good",
        (_, Severity::Critical | Severity::Error) => "Attention",
        (_, Severity::Warning) => "Warning",
        (_, Severity::Info) => "Accent",
    }
}

impl Receiver for Teams {
    fn secrets(&self) -> Vec<&Credential> {
        vec![&self.url]
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        Ok(Request {
            method: "POST",
            url: keys.reveal(&self.url).to_owned(),
            headers: vec![(
                "content-type".into(),
                "application/json; charset=utf-8".into(),
            )],
            body: Body::Json(self.message(parcel)),
        })
    }

    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        let verdict = denial::judge_chat(reply, || self.request(parcel, &Keys::Hidden).ok());
        told(verdict, reply.status, &reply.json())
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

/// Returns the verdict with the flow's own explanation:
/// `{"error": {"code": "WorkflowTriggerIsNotEnabled", "message": …}}`.
fn told(verdict: Verdict, status: u16, json: &Value) -> Verdict {
    let error = &json["error"];
    let Some(code) = error["code"].as_str() else {
        return verdict;
    };
    let detail = status::quoted(
        status,
        &format!("{code}: {}", error["message"].as_str().unwrap_or_default()),
    );

    match verdict {
        Verdict::Permanent { reason, .. } => Verdict::Permanent { reason, detail },
        Verdict::Retry { reason, after, .. } => Verdict::Retry {
            reason,
            detail,
            after,
        },
        verdict => verdict,
    }
}
