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
    /// Returns the options that it has besides its own settings.
    fn options(&self) -> &Options;

    /// Returns the credentials that a request needs. They are read for every attempt.
    fn secrets(&self) -> Vec<&Credential>;

    /// Returns the request for this step of the delivery. The vendor accepts it whatever its
    /// content: a field that is too long is cut and marked.
    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError>;

    /// Returns what the vendor's reply to the request means.
    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict;

    /// Returns a stand-in for the trigger's receipt when a page is only shown; `None` if the page
    /// is made without a receipt.
    fn example_receipt(&self, _action: Action) -> Option<&'static str> {
        None
    }

    /// Returns the step that follows the first one if that succeeds.
    fn second_step(&self, _action: Action) -> Option<Step> {
        None
    }

    /// Whether it updates the alert of an open incident. If not, a change is sent as a new message,
    /// and only if the severity rose.
    fn updates(&self) -> bool {
        false
    }

    /// Whether a resolve is sent for every receipt of the incident, because the vendor knows an
    /// alert by its receipt alone and no other receipt ends it.
    fn ends_each(&self, _parcel: &Parcel<'_>) -> bool {
        false
    }

    /// Whether the vendor recognises a repeated page by its key, so that the repeat notifies nobody
    /// twice.
    fn knows_repeats(&self) -> bool {
        false
    }

    /// Returns how often an open alert is repeated; `None` if it stays open without repetition.
    fn resend_delay(&self) -> Option<Duration> {
        None
    }

    /// Returns the request that repeats all of these alerts, as open or, if they have ended in the
    /// meantime, as resolved; `None` if there is nothing to send. The receipt of each parcel is
    /// that of its own delivery.
    fn resend(&self, _told: &[Parcel<'_>], _still_open: bool, _keys: &Keys) -> Option<Request> {
        None
    }

    /// Returns how long an accepted request may stay unconfirmed before it counts as failed.
    fn confirm_timeout(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Whether it is notified when an incident is resolved.
    fn send_resolved(&self) -> bool {
        self.options().send_resolved
    }

    /// Returns the rate limit, if pacing is wanted.
    fn rate_limit(&self) -> Option<RateLimit> {
        self.options().rate_limit
    }

    /// Returns the mail server for its pages, if they are mail.
    fn smarthost(&self) -> Option<&smarthost::Smarthost> {
        None
    }

    /// Returns how its requests travel; `None` if they do not leave the program.
    fn transport(&self) -> Option<&Transport> {
        self.options().transport.as_ref()
    }
}

/// The input of a receiver.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The id of the delivery, which is the same across retries.
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
    /// Returns the address of the incident's page. A test has no page of its own and gets the
    /// address of the bridge's first page instead.
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
    let contains = |word: &str| {
        let mut parts = header.as_bytes().windows(word.len());
        parts.any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    [
        "auth",
        "token",
        "key",
        "secret",
        "cookie",
        "pass",
        "credential",
    ]
    .into_iter()
    .any(contains)
}

/// A request that `deliver` sends.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// An HTTP method, `SMTP` for mail, or `PRINT` for standard output.
    pub method: &'static str,
    /// The complete address, which may be a secret itself.
    pub url: String,
    pub headers: Vec<(Cow<'static, str>, String)>,
    pub body: Body,
}

impl Request {
    /// Adds another header, unless the request has one of that name.
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
    /// Returns the text that is sent, and that a signature is made of.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Json(json) => Cow::Owned(escaped(json.to_string())),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Mail(mail) => Cow::Borrowed(&mail.text),
        }
    }
}

/// The content for a mail server. The headers of the mail are those of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// The recipients of this mail.
    pub recipients: Vec<String>,
    /// The plain text, whose lines end with line feeds.
    pub text: String,
}

/// A receiver's reply to a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, or its first 1 MiB.
    pub body: Vec<u8>,
    /// Whether the body broke off or did not end in time, so that the rest of it is unknown.
    pub broke_off: bool,
}

impl Reply {
    /// Parses the JSON of the body as far as it can be read; null if the body has none.
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
    /// The content of the secret's file is not valid. The message does not repeat it.
    #[error("the secret `{name}` cannot be used: {message}")]
    Secret {
        name: &'static str,
        message: &'static str,
    },
    /// The content of the alert does not allow a request, so no retry helps.
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
    /// Returns the problems of the settings, besides those that compilation finds. `key` is the
    /// path of the settings.
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
    /// The integrations by name. One that stood in another receiver is also listed under its former
    /// name.
    pub integrations: BTreeMap<Target, Arc<dyn Receiver>>,
    pub fallbacks: BTreeMap<String, Fallback>,
    /// The name of every receiver, in the order of the configuration, including receivers without
    /// an integration, which notify nobody.
    pub names: Vec<String>,
    /// Settings that are allowed but unwise, such as plain http to a host other than loopback.
    pub warnings: Vec<Problem>,
    /// The entry of each integration in the configuration.
    entries: BTreeMap<Target, Written>,
    /// The current name of an integration, by its former name.
    former: BTreeMap<Target, Target>,
    /// The places of all templates in the configuration.
    pub(crate) templates: BTreeSet<String>,
    /// The settings of each receiver, by name, to detect what a reload changed.
    pub(crate) written: BTreeMap<String, Settings>,
    /// The sender addresses of the receivers' mail.
    senders: Vec<String>,
    /// The values from the environment that each integration's texts contain.
    given: given::Given,
}

impl Receivers {
    /// Returns the place of an integration in the configuration.
    pub fn place(&self, target: &Target) -> String {
        self.entries
            .get(target)
            .map_or_else(|| target.receiver.clone(), |entry| entry.key.clone())
    }

    /// Whether a mail certainly is a page that these receivers sent. A page that comes back reports
    /// no alert.
    pub fn sent(&self, header: &[u8]) -> bool {
        email::is_page(header)
            && matches!(
                sender::read(header, &self.senders),
                sender::Sender::Configured
            )
    }

    /// Returns the integrations of one receiver: by kind in the order of [`Settings`], and within a
    /// kind in the order of the configuration.
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
