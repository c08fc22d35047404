//! 6. Notification → request, reply → verdict. No I/O: `deliver` sends.
//!
//! Adding a receiver is one file in `receiver/`, one field in [`Settings`] and one line in `compile`'s table.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    delivery::{DeliveryId, Notification, Step, Target, Verdict},
    settings::{self, Problem, Secret, SecretError},
};

mod compile;
pub mod discord;
pub mod opsgenie;
pub mod page;
pub mod pagerduty;
pub mod sample;
mod site;
pub mod slack;
pub mod status;
pub mod stdout;
pub mod teams;
pub mod template;
pub mod text;
pub mod webhook;
pub mod wording;

/// One integration of a receiver: how to say something to it, and what its answers mean.
pub trait Receiver: Send + Sync {
    /// The credentials a request needs; read anew for every attempt.
    fn secrets(&self) -> Vec<&Secret>;

    /// Whether what the secrets hold can work, as far as can be known without asking the vendor. The sentence
    /// holds no secret.
    fn check_keys(&self, _keys: &Keys) -> Result<(), String> {
        Ok(())
    }

    /// The request for this step of the delivery. Whatever the content, it is one the vendor accepts:
    /// too long a field is cut and marked.
    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError>;

    /// What the vendor's reply to it means.
    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict;

    /// What stands for the trigger's receipt where a resolve is only shown: none where it is made without.
    fn example_receipt(&self) -> Option<&'static str> {
        None
    }

    /// Whether it is told that an incident is over.
    fn send_resolved(&self) -> bool {
        true
    }

    /// How long an accepted request may stay unconfirmed before it counts as failed.
    fn confirm_timeout(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Requests a minute it is limited to, where the user wants pacing.
    fn rate_limit(&self) -> Option<RateLimit> {
        None
    }
}

/// What a receiver renders.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The same across retries.
    pub delivery: DeliveryId,
    /// Under which trigger and resolve meet; see [`crate::delivery::alias`].
    pub alias: &'a str,
    pub notification: &'a Notification,
    pub step: &'a Step,
    /// Of a resolve: what the vendor calls what it made of the trigger, where it said.
    pub receipt: Option<&'a str>,
    /// The time of this attempt.
    pub now: Timestamp,
    /// `global.external_url`: where people find the bridge's own pages.
    pub external_url: Option<&'a str>,
}

/// The credentials of one attempt, or their stand-ins.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Read for a real request.
    Read(BTreeMap<String, SecretString>),
    /// For people's eyes: every secret shows as `<secret>`.
    Hidden,
}

impl Keys {
    /// Reads the credentials of a receiver.
    pub fn read(receiver: &dyn Receiver) -> Result<Self, SecretError> {
        receiver
            .secrets()
            .into_iter()
            .enumerate()
            .map(|(index, secret)| Ok((name(secret).unwrap_or_else(|| format!("#{index}")), secret.read()?)))
            .collect::<Result<_, _>>()
            .map(Self::Read)
    }

    /// The text of one of the receiver's [`Receiver::secrets`].
    pub fn reveal<'a>(&'a self, secret: &'a Secret) -> &'a str {
        match (self, secret) {
            (Self::Hidden, _) => "<secret>",
            (Self::Read(_), Secret::Inline(text)) => text.expose_secret(),
            (Self::Read(read), Secret::File(_)) => {
                name(secret).and_then(|name| read.get(&name)).map_or("", ExposeSecret::expose_secret)
            }
        }
    }

    /// The text without any of the credentials, nor the telling parts of one that is an address.
    pub fn scrub(&self, text: &str) -> String {
        match self {
            Self::Hidden => text.to_owned(),
            Self::Read(read) => read
                .values()
                .flat_map(|secret| telling(secret.expose_secret()))
                .fold(text.to_owned(), |text, part| text.replace(part, "<secret>")),
        }
    }

    /// Whether requests are made for people's eyes only.
    pub fn hidden(&self) -> bool {
        matches!(self, Self::Hidden)
    }
}

/// What of a secret may not be shown: the whole, and of an address its path and every long segment of it, since a reply
/// or a proxy may repeat the part alone.
fn telling(secret: &str) -> Vec<&str> {
    const LONG: usize = 12;
    let path = secret.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..])).unwrap_or_default();
    let segments = path.split(['/', '?', '&', '=']);
    [secret, path].into_iter().filter(|part| part.len() > 1).chain(segments.filter(|part| part.len() >= LONG)).collect()
}

/// Under which the content of a secret's file is kept.
fn name(secret: &Secret) -> Option<String> {
    match secret {
        Secret::Inline(_) => None,
        Secret::File(path) => Some(path.display().to_string()),
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `GET`, `POST`, or `PRINT` for standard output.
    pub method: &'static str,
    /// The whole address; may be a secret itself.
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Empty,
    Json(Value),
    Text(String),
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// At most 64 KiB of it.
    pub body: Vec<u8>,
}

/// `rate_limit: 60/m` of an integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: std::num::NonZeroU32,
    pub per: Duration,
}

/// A notification could not be made into a request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenderError {
    #[error("the template of `{field}` failed: {message}")]
    Template { field: &'static str, message: String },
    /// What the secret's file holds is none; the message does not repeat it.
    #[error("the secret `{name}` cannot be used: {message}")]
    Secret { name: &'static str, message: &'static str },
}

/// `receivers[]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    /// Who is told instead, where this receiver cannot be reached.
    pub fallback: Option<Fallback>,
    pub opsgenie_configs: Vec<opsgenie::Settings>,
    pub jsm_configs: Vec<opsgenie::Settings>,
    pub pagerduty_configs: Vec<pagerduty::Settings>,
    pub slack_configs: Vec<slack::Settings>,
    pub webhook_configs: Vec<webhook::Settings>,
    pub teams_configs: Vec<teams::Settings>,
    pub discord_configs: Vec<discord::Settings>,
    pub stdout_configs: Vec<stdout::Settings>,
}

/// `fallback:` of a receiver.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub receiver: String,
    /// How long a trigger may wait for this receiver before the fallback is told as well; at once on a permanent failure.
    #[serde(default = "Fallback::default_after")]
    pub after: settings::Duration,
}

impl Fallback {
    fn default_after() -> settings::Duration {
        settings::Duration::from_secs(300)
    }
}

/// The integrations of every configured receiver, by name and place.
#[derive(Default)]
pub struct Receivers {
    pub integrations: BTreeMap<Target, Box<dyn Receiver>>,
    pub fallbacks: BTreeMap<String, Fallback>,
    /// Every receiver's name in the order they are written, those without an integration too: they tell nobody.
    pub names: Vec<String>,
    /// What is allowed and yet unwise: plain http off loopback.
    pub warnings: Vec<Problem>,
    /// Where each integration stands in the configuration: `receivers[0].slack_configs[0]`.
    pub(crate) places: BTreeMap<Target, String>,
    /// What each receiver was compiled from, by name: tells what a reload changed.
    pub(crate) written: BTreeMap<String, Settings>,
}

impl Receivers {
    /// The integrations of one receiver: by kind as [`Settings`] lists them, within a kind as written.
    pub fn of<'a>(&'a self, receiver: &str) -> impl Iterator<Item = (&'a Target, &'a dyn Receiver)> + use<'a> {
        let mut found: Vec<_> = self
            .integrations
            .iter()
            .filter(|(target, _)| target.receiver == receiver)
            .map(|(target, integration)| (target, integration.as_ref()))
            .collect();
        found.sort_by_key(|(target, _)| place(target));
        found.into_iter()
    }
}

const KINDS: [&str; 8] = ["opsgenie", "jsm", "pagerduty", "slack", "webhook", "teams", "discord", "stdout"];

/// Where an integration stands among those of its receiver: its kind's place, and its own among them.
fn place(target: &Target) -> (usize, usize) {
    let kind = KINDS.iter().position(|kind| *kind == target.kind()).unwrap_or(KINDS.len());
    let index = target.integration.rsplit('/').next().and_then(|index| index.parse().ok()).unwrap_or(usize::MAX);
    (kind, index)
}
