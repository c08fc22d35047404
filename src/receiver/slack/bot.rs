//! Slack's Web API with a bot's token: <https://docs.slack.dev/reference/methods/chat.postMessage>,
//! `chat.update`.
//!
//! With `update_message`, an incident is one message: an update and a resolve edit the trigger's
//! message. Since Slack tells nobody of an edit, they are replies in the message's thread as well.
//! An update is also shown in the channel (`reply_broadcast`), because it concerns whoever is on
//! call. If the trigger's message is not known (an incoming webhook posted it) or no longer exists,
//! an update or a resolve is a message of its own.

use serde_json::Value;

use super::{
    Settings,
    message::{Part, Posted},
    refusal::refused,
};
use crate::{
    delivery::{Action, Step, Verdict},
    receiver::{
        Body, Credential, Keys, Parcel, RenderError, Reply, Request,
        address::Address,
        credential::Shape,
        denial,
        escape::Escape,
        page::{self, Page},
        sample,
        site::Site,
        status,
        template::{Template, looks_like_template},
        text::one_line,
    },
};

/// The default of `bot_api_url`.
const SLACK: &str = "https://slack.com/api";

/// The settings by which a bot posts.
pub struct Bot {
    token: Credential,
    base: Address,
    channel: Template,
    /// Whether different alerts may go to different channels.
    many_channels: bool,
    update_message: bool,
}

impl Bot {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let channel = settings
            .channel
            .as_deref()
            .map(str::trim)
            .filter(|channel| !channel.is_empty());

        if channel.is_none() {
            let mend = "add `channel: C0123ABCD`, its id, and invite the bot there";
            site.problem(
                "channel",
                "a bot posts to a channel, but none is given",
                mend,
            );
        }

        let base = settings.bot_api_url.as_deref().unwrap_or(SLACK);
        let base = site.base(
            "bot_api_url",
            base,
            Some(SLACK),
            &["/chat.postMessage", "/chat.update"],
        );
        let channel = channel.and_then(|channel| {
            site.leads_to("channel", channel);
            let template = site.template_at("channel", "channel", channel, Escape::No)?;
            for (which, notification) in sample::notifications() {
                if page::on_sample(&notification, |page| page.line(Some(&template))).is_none() {
                    site.problem(
                        "channel",
                        format!("for {which}, it names no channel"),
                        "give it a default: `or 'alerts'`",
                    );
                    return None;
                }
            }
            Some((template, looks_like_template(channel)))
        });

        Some(Self {
            token: site.secret(
                "bot_token",
                Shape::BotToken,
                settings.bot_token.as_deref(),
                settings.bot_token_file.as_deref(),
            )?,
            base: base?,
            many_channels: channel.as_ref().is_some_and(|(_, many)| *many),
            channel: channel?.0,
            update_message: settings.update_message.unwrap_or_default(),
        })
    }

    pub(super) fn secrets(&self) -> Vec<&Credential> {
        [&self.token]
            .into_iter()
            .chain(self.base.credential())
            .collect()
    }

    pub(super) fn request(
        &self,
        parcel: &Parcel<'_>,
        message: Value,
        keys: &Keys,
    ) -> Result<Request, RenderError> {
        let mut body = message;
        // The message contains no name to look up and no page to fetch; without this, `chat.update`
        // would look them up.
        body["parse"] = "none".into();
        body["link_names"] = false.into();

        let (method, channel) = match self.part(parcel) {
            Part::Post => ("chat.postMessage", self.channel(parcel)?),
            Part::Edit(Posted { channel, ts }) => {
                body["ts"] = ts.into();
                ("chat.update", channel.to_owned())
            }
            Part::Reply(Posted { channel, ts }) => {
                body["thread_ts"] = ts.into();
                if parcel.notification.action == Action::Trigger {
                    body["reply_broadcast"] = true.into();
                }
                ("chat.postMessage", channel.to_owned())
            }
        };

        if method == "chat.postMessage" {
            body["unfurl_links"] = false.into();
            body["unfurl_media"] = false.into();
        }

        body["channel"] = channel.into();

        Ok(Request {
            method: "POST",
            url: format!("{}/{method}", self.base.reveal(keys)),
            headers: vec![
                (
                    "authorization".into(),
                    format!("Bearer {}", keys.reveal(&self.token)),
                ),
                (
                    "content-type".into(),
                    "application/json; charset=utf-8".into(),
                ),
            ],
            body: Body::Json(body),
        })
    }

    /// Returns the channel of a new message. A resolve goes to the channel of its trigger, even if
    /// its labels yield another channel by then.
    fn channel(&self, parcel: &Parcel<'_>) -> Result<String, RenderError> {
        let told = parcel
            .receipt
            .filter(|_| self.many_channels)
            .and_then(Posted::read);

        if let (Some(posted), Action::Resolve) = (told, parcel.notification.action) {
            return Ok(posted.channel.to_owned());
        }

        let channel = one_line(&self.channel.render(&Page::new(parcel).context())?);
        if channel.is_empty() {
            return Err(RenderError::Template {
                field: "channel",
                message: "it names no channel".to_owned(),
            });
        }

        Ok(channel)
    }

    /// Returns a stand-in for the trigger's message, which a change and a resolve edit, or to whose
    /// channel they go.
    pub(super) fn example_receipt(&self, action: Action) -> Option<&'static str> {
        let needs_it = match action {
            Action::Trigger => false,
            Action::Change => true,
            Action::Resolve => self.update_message || self.many_channels,
        };
        needs_it.then_some("<the trigger's channel>/<the trigger's ts>")
    }

    /// A reply announces the resolve to those who follow the thread. A trigger is followed by a
    /// reply only if it updates what was told, which a trial cannot know.
    pub(super) fn second_step(&self, action: Action) -> Option<Step> {
        (action == Action::Resolve && self.update_message).then_some(Step::Reply)
    }

    fn part<'a>(&self, parcel: &Parcel<'a>) -> Part<'a> {
        let edits = match parcel.notification.action {
            // Without `update_message`, neither edits a message. A trigger has one to edit only if
            // it updates what was told.
            Action::Trigger | Action::Resolve => self.update_message,
            Action::Change => true,
        };

        match (
            parcel.step,
            parcel.receipt.filter(|_| edits).and_then(Posted::read),
        ) {
            (Step::Send, Some(posted)) => Part::Edit(posted),
            (Step::Reply, Some(posted)) => Part::Reply(posted),
            _ => Part::Post,
        }
    }

    /// Judges the reply of the Web API.
    ///
    /// On 2xx, the `ok` at the beginning of the body decides; if the body is cut off, its beginning
    /// is read. A body without `ok` (empty, in another encoding) does not revoke the success,
    /// because Slack knows no key by which it would recognise a second message. A web page comes
    /// from a sign-in or a proxy in between, and nothing was posted.
    pub(super) fn judge(
        &self,
        parcel: &Parcel<'_>,
        reply: &Reply,
        sent: impl FnOnce() -> Option<Request>,
    ) -> Verdict {
        let json = reply.json();
        let action = parcel.notification.action;
        let part = self.part(parcel);

        match (json["ok"].as_bool(), json["error"].as_str()) {
            (Some(false), Some(word)) => return refused(word, part, &json, reply),
            // The error word was cut off.
            (Some(false), None) if (200..300).contains(&reply.status) => {
                return status::unexpected(reply);
            }
            _ => {}
        }
        if json["ok"] != true || !(200..300).contains(&reply.status) {
            match denial::judge_api(reply, sent) {
                Verdict::Delivered { .. } => {}
                verdict => return verdict,
            }
        }

        match part {
            // The edit for a change is silent: the page about the change goes to whoever is on call
            // for it.
            Part::Edit(_) if action != Action::Change => Verdict::Partly {
                next: Step::Reply,
                detail: "the trigger's message is edited; a reply in its thread is next".into(),
            },
            // Later updates and the resolve edit the trigger's message, not this reply.
            Part::Reply(_) if action == Action::Trigger => Verdict::Delivered {
                receipt: parcel.receipt.map(ToOwned::to_owned),
            },
            _ => Verdict::Delivered {
                receipt: Posted::receipt(&json),
            },
        }
    }
}
