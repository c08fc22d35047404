//! 6. Notification → request, reply → verdict. No I/O: `deliver` sends.
//!
//! Adding a receiver takes one file in `receiver/`, its `mod` line here, and its line in
//! `receiver/table.rs`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    delivery::{Action, DeliveryId, Notification, Step, Target, Verdict},
    incident::page_of,
    message::{hidden::escaped, sender},
    settings::{
        self, Problem,
        bounds::{self, DAY},
    },
};

pub mod address;
pub mod alertmanager;
pub mod authorization;
mod compile;
mod context;
pub mod credential;
mod denial;
mod destination;
pub mod discord;
pub mod email;
mod escape;
mod given;
mod http_url;
mod keys;
mod named;
pub mod opsgenie;
pub mod options;
mod owed;
pub mod page;
pub mod pagerduty;
mod partial;
pub mod probe;
mod redaction;
mod said;
pub mod sample;
mod signature;
pub mod sink;
mod site;
pub mod slack;
pub mod smarthost;
pub mod status;
pub mod stdout;
mod table;
pub mod teams;
pub mod template;
pub mod text;
pub mod transport;
pub mod webhook;
pub mod wording;

pub use self::{
    credential::Credential,
    keys::{Keys, Texts},
    options::Options,
    table::{KINDS, Settings},
    transport::Transport,
};
use named::Written;

/// One integration of a receiver: how to notify it, and what its replies mean.
pub trait Receiver: Send + Sync {
    /// Its options besides its own settings.
    fn options(&self) -> &Options;

    /// The credentials that a request needs; they are read for every attempt.
    fn secrets(&self) -> Vec<&Credential>;

    /// The request for this step of the delivery. Whatever the content, the vendor accepts it: a
    /// field that is too long is cut and marked.
    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError>;

    /// What the vendor's reply to it means.
    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict;

    /// A stand-in for the trigger's receipt when a page is only shown; `None` if it is made
    /// without.
    fn example_receipt(&self, _action: Action) -> Option<&'static str> {
        None
    }

    /// The step that follows the first if that succeeds.
    fn second_step(&self, _action: Action) -> Option<Step> {
        None
    }

    /// Whether it updates the alert of an open incident; otherwise a change is a new message if the
    /// severity rose.
    fn updates(&self) -> bool {
        false
    }

    /// Whether the end of an incident is told for every receipt of it: an alert that the vendor
    /// knows by its receipt alone is ended by no other.
    fn ends_each(&self, _parcel: &Parcel<'_>) -> bool {
        false
    }

    /// Whether a page that is sent again is known by its key, and tells nobody twice.
    fn knows_repeats(&self) -> bool {
        false
    }

    /// How often an open alert is repeated; `None` if it stays without repetition.
    fn resend_delay(&self) -> Option<Duration> {
        None
    }

    /// The request that repeats all of these, as open or, if they have ended in between, as over;
    /// `None` if there is nothing to send. Each parcel's receipt is that of its own delivery.
    fn resend(&self, _told: &[Parcel<'_>], _still_open: bool, _keys: &Keys) -> Option<Request> {
        None
    }

    /// How long an accepted request may stay unconfirmed before it counts as failed.
    fn confirm_timeout(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Whether it is notified when an incident is resolved.
    fn send_resolved(&self) -> bool {
        self.options().send_resolved
    }

    /// The rate limit, if pacing is wanted.
    fn rate_limit(&self) -> Option<RateLimit> {
        self.options().rate_limit
    }

    /// The mail server for its pages, if they are mail.
    fn smarthost(&self) -> Option<&smarthost::Smarthost> {
        None
    }

    /// How its requests travel, if they do.
    fn transport(&self) -> Option<&Transport> {
        self.options().transport.as_ref()
    }
}

/// The input of a receiver.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The same across retries.
    pub delivery: DeliveryId,
    /// The key under which trigger and resolve meet; see [`crate::delivery::alias`].
    pub alias: &'a str,
    pub notification: &'a Notification,
    pub step: &'a Step,
    /// The vendor's id of the alert that the incident already has there, if it returned one.
    pub receipt: Option<&'a str>,
    /// The time of this attempt.
    pub now: Timestamp,
    /// `global.external_url`: the address of the bridge's own pages.
    pub external_url: Option<&'a str>,
}

impl Parcel<'_> {
    /// The address of the incident's page, or of the bridge's first page for a test, which has no
    /// page of its own.
    pub fn incident_url(&self) -> Option<String> {
        let mut url = self.external_url?.trim_end_matches('/').to_owned();
        let is_test = wording::label(self.notification, "kind") == "test";
        if !is_test {
            url += &page_of(&self.notification.incident_id);
        }
        Some(url)
    }
}

/// Whether a header of this name is likely to contain a credential.
pub fn is_sensitive(header: &str) -> bool {
    let name = header.to_ascii_lowercase();
    [
        "auth",
        "token",
        "key",
        "secret",
        "cookie",
        "pass",
        "credential",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// A request to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// An HTTP method, `SMTP` for mail, or `PRINT` for standard output.
    pub method: &'static str,
    /// The complete address; it may be a secret itself.
    pub url: String,
    pub headers: Vec<(Cow<'static, str>, String)>,
    pub body: Body,
}

impl Request {
    /// With another header, unless it has one of that name.
    pub fn carry(&mut self, header: Option<(&'static str, String)>) {
        self.headers.extend(
            header
                .filter(|(name, _)| {
                    let has =
                        |(own, _): &(Cow<'static, str>, String)| own.eq_ignore_ascii_case(name);
                    !self.headers.iter().any(has)
                })
                .map(|(name, value)| (name.into(), value)),
        );
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Empty,
    Json(Value),
    Text(String),
    Mail(Mail),
}

impl Body {
    /// The text that is sent, and that a signature is made of.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Json(json) => Cow::Owned(escaped(json.to_string())),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Mail(mail) => Cow::Borrowed(&mail.text),
        }
    }
}

/// The content for a mail server; its headers are the request's.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// The recipients of this mail.
    pub recipients: Vec<String>,
    /// Plain text with line feeds.
    pub text: String,
}

/// A reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// At most 1 MiB of it.
    pub body: Vec<u8>,
}

impl Reply {
    /// Its JSON, as far as it can be read; null where it has none.
    pub fn json(&self) -> Value {
        partial::read(&String::from_utf8_lossy(&self.body)).unwrap_or_default()
    }
}

/// `rate_limit: 60/m` of an integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: std::num::NonZeroU32,
    pub per: Duration,
}

/// Why a notification could not be made into a request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenderError {
    #[error("the template of `{field}` failed: {message}")]
    Template {
        field: &'static str,
        message: String,
    },
    /// The content of the secret's file is not valid; the message does not repeat it.
    #[error("the secret `{name}` cannot be used: {message}")]
    Secret {
        name: &'static str,
        message: &'static str,
    },
    /// The content of the alert does not allow a request: no repetition helps.
    #[error("the request cannot be made: {0}")]
    Impossible(String),
}

/// The receiver that is notified as well if another cannot be reached (`fallback` of a receiver).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The name of the receiver that is notified as well.
    pub receiver: String,
    /// How long a trigger may wait for the receiver before the fallback is notified as well, from
    /// 0s to 7d. On a permanent failure it is notified at once. The default is 5m.
    #[serde(default = "Fallback::default_after")]
    pub after: settings::Duration,
}

impl Settings {
    /// The problems of the settings, besides what compilation finds; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let after = self.fallback.as_ref().and_then(|fallback| {
            bounds::duration(&format!("{key}.fallback.after"), fallback.after, 0, 7 * DAY)
        });
        after.into_iter().collect()
    }
}

impl Fallback {
    fn default_after() -> settings::Duration {
        settings::Duration::from_secs(300)
    }
}

/// The integrations of every configured receiver, by their names.
#[derive(Default)]
pub struct Receivers {
    /// One that stood in another receiver is here under its former name too.
    pub integrations: BTreeMap<Target, Arc<dyn Receiver>>,
    pub fallbacks: BTreeMap<String, Fallback>,
    /// The name of every receiver, in the order in which they are written, including those without
    /// an integration, which notify nobody.
    pub names: Vec<String>,
    /// Settings that are allowed but unwise: plain http off loopback.
    pub warnings: Vec<Problem>,
    /// The entry of each integration in the configuration.
    entries: BTreeMap<Target, Written>,
    /// What an integration is called now, by its former name.
    former: BTreeMap<Target, Target>,
    /// The places of all templates.
    pub(crate) templates: BTreeSet<String>,
    /// The settings of each receiver, by name, to detect what a reload changed.
    pub(crate) written: BTreeMap<String, Settings>,
    /// The addresses that their mail comes from.
    senders: Vec<String>,
    /// The values from the environment in each integration's texts.
    given: given::Given,
}

impl Receivers {
    /// The place of an integration in the configuration.
    pub fn place(&self, target: &Target) -> String {
        self.entries
            .get(target)
            .map_or_else(|| target.receiver.clone(), |entry| entry.key.clone())
    }

    /// Whether a mail certainly is a page that these receivers sent: what comes back of them tells
    /// of nothing.
    pub fn sent(&self, header: &[u8]) -> bool {
        email::is_page(header)
            && matches!(
                sender::read(header, &self.senders),
                sender::Sender::Configured
            )
    }

    /// The integrations of one receiver: by kind in the order of [`Settings`], and within a kind as
    /// written.
    pub fn of<'a>(
        &'a self,
        receiver: &str,
    ) -> impl Iterator<Item = (&'a Target, &'a dyn Receiver)> + use<'a> {
        let mut found: Vec<_> = self
            .integrations
            .iter()
            .filter(|(target, _)| target.receiver == receiver && !self.former.contains_key(target))
            .map(|(target, integration)| (target, integration.as_ref()))
            .collect();
        found.sort_by_key(|(target, _)| self.entries.get(target).map(|entry| entry.number));
        found.into_iter()
    }
}
