//! Slack, by an incoming webhook
//! (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>) or a bot.
//!
//! To Slack, whatever an alert says is text and never markup: `<!channel>` in the name of an app
//! notifies nobody.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    credential::Shape,
    escape::{Escape, escape_slack},
    options::{Options, compile_options},
    page::Page,
    site::Site,
    template::Template,
    text::{self, below, cut_markup},
    transport::Tls,
    wording::{self, OPEN},
};
use crate::{
    delivery::{Action, Step, Verdict},
    settings::{self, DefaultOn, SecretText},
};

mod bot;
mod hook;
mod message;
mod refusal;

use bot::Bot;

// Block Kit's limits.
const HEADER: usize = 150;
const SECTION: usize = 3000;
const CONTEXT: usize = 2000;

/// Messages in Slack, posted by an incoming webhook or by a bot (`slack_configs[]`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address of the incoming webhook, which is the credential.
    pub api_url: Option<SecretText>,
    /// A file that contains the address, in place of `api_url`. It is read at each attempt, so that
    /// rotating it needs no reload.
    pub api_url_file: Option<PathBuf>,
    /// A template of the title of the message. The default is the built-in title.
    pub title: Option<String>,
    /// A template of the text of the message, in Slack's mrkdwn. Values that are filled in are
    /// escaped. The default is the built-in text.
    pub text: Option<String>,
    /// The token of a bot (`xoxb-…`, scope `chat:write`), in place of the incoming webhook.
    pub bot_token: Option<SecretText>,
    /// A file that contains the token of the bot, in place of `bot_token`. It is read at each
    /// attempt, so that rotating it needs no reload.
    pub bot_token_file: Option<PathBuf>,
    /// The channel in which the bot posts: its id, its name, or a template that yields one. It is
    /// required for a bot, which must have been invited to the channel.
    pub channel: Option<String>,
    /// The base address of the Web API, which the bot uses. The default is `https://slack.com/api`.
    pub bot_api_url: Option<String>,
    /// Whether the bot edits the trigger's message when its incident is updated or resolved, and
    /// says so in the thread of that message (an update is shown in the channel as well). The
    /// default is `false`: each is a message of its own.
    pub update_message: Option<bool>,
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

/// A `slack_configs` entry, compiled.
pub struct Slack {
    way: Way,
    title: Option<Template>,
    text: Option<Template>,
    options: Options,
}

/// The way in which messages are posted.
enum Way {
    /// By the address of an incoming webhook.
    Hook(Credential),
    Bot(Box<Bot>),
}

impl Slack {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let title = site.template("title", settings.title.as_ref(), Escape::Slack);
        let text = site.template("text", settings.text.as_ref(), Escape::Slack);
        let options = compile_options!(settings, site);

        Some(Self {
            way: Way::compile(settings, site)?,
            title,
            text,
            options,
        })
    }

    fn message(&self, parcel: &Parcel<'_>) -> Value {
        let page = Page::new(parcel);
        let notification = parcel.notification;
        let title = page.headline(self.title.as_ref());
        let title = title.unwrap_or_else(|| escape_slack(&wording::title(notification, HEADER)));
        let text = page.text(self.text.as_ref());
        let text = text.unwrap_or_else(|| escape_slack(&wording::below(notification)));
        let text = below(&title, HEADER, text, "\n");
        let mut blocks = vec![
            json!({ "type": "header", "text":
                { "type": "plain_text", "text": cut_markup(&title, HEADER) } }),
            json!({ "type": "section", "text":
                { "type": "mrkdwn", "text": cut_markup(&text, SECTION), "verbatim": true } }),
        ];

        if let Some(notes) = page.notes() {
            let notes = cut_markup(&escape_slack(&notes), CONTEXT);
            blocks.push(
                json!({ "type": "context", "elements": [{ "type": "plain_text", "text": notes }] }),
            );
        }

        if let Some(url) = parcel.incident_url() {
            let link = format!("<{}|{OPEN}>", escape_slack(&url));
            if text::units(&link) <= CONTEXT {
                blocks.push(
                    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": link }] }),
                );
            }
        }

        json!({ "text": cut_markup(&title, SECTION), "blocks": blocks })
    }
}

impl Way {
    /// Compiles the way that the settings name: an incoming webhook or a bot.
    fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let bots = [
            ("bot_token", settings.bot_token.is_some()),
            ("bot_token_file", settings.bot_token_file.is_some()),
            ("channel", settings.channel.is_some()),
            ("bot_api_url", settings.bot_api_url.is_some()),
            ("update_message", settings.update_message == Some(true)),
        ];

        let by_hook = settings.api_url.is_some() || settings.api_url_file.is_some();
        let by_bot = settings.bot_token.is_some() || settings.bot_token_file.is_some();

        if by_bot && !by_hook {
            return Bot::compile(settings, site).map(|bot| Self::Bot(Box::new(bot)));
        }

        for (name, _) in bots.into_iter().filter(|(_, given)| *given) {
            let (what, mend) = if by_bot {
                (
                    "an incoming webhook and a bot exclude each other",
                    "keep `api_url_file`, or the bot's keys",
                )
            } else {
                (
                    "only a bot has this key: an incoming webhook has one channel and cannot edit \
                     messages",
                    "give `bot_token_file` in place of `api_url_file`, or drop it",
                )
            };
            site.problem(name, what, mend);
        }

        site.secret(
            "api_url",
            Shape::Address,
            settings.api_url.as_deref(),
            settings.api_url_file.as_deref(),
        )
        .map(Self::Hook)
    }
}

impl Receiver for Slack {
    fn secrets(&self) -> Vec<&Credential> {
        match &self.way {
            Way::Hook(url) => vec![url],
            Way::Bot(bot) => bot.secrets(),
        }
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        let message = self.message(parcel);
        Ok(match &self.way {
            Way::Bot(bot) => bot.request(parcel, message, keys)?,
            Way::Hook(url) => Request {
                method: "POST",
                url: keys.reveal(url).to_owned(),
                headers: vec![("content-type".into(), "application/json".into())],
                body: Body::Json(message),
            },
        })
    }

    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        match &self.way {
            Way::Bot(bot) => bot.judge(parcel, reply, || self.request(parcel, &Keys::Hidden).ok()),
            Way::Hook(_) => hook::judge(reply, || self.request(parcel, &Keys::Hidden).ok()),
        }
    }

    fn updates(&self) -> bool {
        matches!(self.way, Way::Bot(_))
    }

    fn example_receipt(&self, action: Action) -> Option<&'static str> {
        match &self.way {
            Way::Bot(bot) => bot.example_receipt(action),
            Way::Hook(_) => None,
        }
    }

    fn second_step(&self, action: Action) -> Option<Step> {
        match &self.way {
            Way::Bot(bot) => bot.second_step(action),
            Way::Hook(_) => None,
        }
    }

    fn options(&self) -> &Options {
        &self.options
    }
}
