//! 5. Notification → request, reply → verdict. No I/O: `deliver` sends.
//!
//! Adding a receiver is one file in `receiver/` and one line in [`Configs`] and its table.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    delivery::{Action, DeliveryId, Notification, Step, Target, Verdict},
    settings::{self, Problem, Secret, SecretError},
};

pub mod opsgenie;
pub mod pagerduty;
pub mod slack;
pub mod stdout;
pub mod template;
pub mod webhook;

/// One integration of a receiver: how to say something to it, and what its answers mean.
pub trait Receiver: Send + Sync {
    /// The credentials a request needs; read anew for every attempt.
    fn secrets(&self) -> Vec<&Secret>;

    /// The request for this step of the delivery. Whatever the content, it is one the vendor accepts:
    /// too long a field is cut and marked.
    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError>;

    /// What the vendor's reply to it means.
    fn judge(&self, step: &Step, action: Action, reply: &Reply) -> Verdict;

    /// Whether it is told that an incident is over.
    fn send_resolved(&self) -> bool {
        true
    }

    /// How long an accepted request may stay unconfirmed before it counts as failed.
    fn confirm_timeout(&self) -> Duration {
        Duration::from_secs(60)
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
            .map(|secret| Ok((name(secret), secret.read()?)))
            .collect::<Result<_, _>>()
            .map(Self::Read)
    }

    /// The text of one of the receiver's [`Receiver::secrets`].
    pub fn reveal<'a>(&'a self, secret: &'a Secret) -> &'a str {
        match (self, secret) {
            (Self::Hidden, _) => "<secret>",
            (Self::Read(_), Secret::Inline(text)) => text.expose_secret(),
            (Self::Read(read), Secret::File(_)) => read.get(&name(secret)).map_or("", |text| text.expose_secret()),
        }
    }

    /// The text without any of the credentials.
    pub fn scrub(&self, text: &str) -> String {
        match self {
            Self::Hidden => text.to_owned(),
            Self::Read(read) => read
                .values()
                .map(|secret| secret.expose_secret())
                .filter(|secret| !secret.is_empty())
                .fold(text.to_owned(), |text, secret| text.replace(secret, "<secret>")),
        }
    }

    /// Whether requests are made for people's eyes only.
    pub fn hidden(&self) -> bool {
        matches!(self, Self::Hidden)
    }
}

fn name(secret: &Secret) -> String {
    match secret {
        Secret::Inline(_) => String::new(),
        Secret::File(path) => path.display().to_string(),
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
    pub stdout_configs: Vec<stdout::Settings>,
    // Names of the contract that come later: refused by name until then.
    pub teams_configs: Vec<serde_json::Value>,
    pub discord_configs: Vec<serde_json::Value>,
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
}

impl Receivers {
    /// Compiles the settings: templates are parsed and tried on a sample, secrets' X and X_file checked.
    pub fn compile(_settings: &[Settings], _templates: &[std::path::PathBuf]) -> Result<Self, Vec<Problem>> {
        todo!()
    }

    /// The integrations of one receiver, in the order they are written.
    pub fn of<'a>(&'a self, receiver: &str) -> impl Iterator<Item = (&'a Target, &'a dyn Receiver)> {
        let name = receiver.to_owned();
        self.integrations
            .iter()
            .filter(move |(target, _)| target.receiver == name)
            .map(|(target, integration)| (target, integration.as_ref()))
    }
}
