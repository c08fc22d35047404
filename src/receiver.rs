//! 6. Notification → request, reply → verdict. No I/O: `deliver` sends.
//!
//! Adding a receiver is one file in `receiver/` and one line in `receiver/table.rs`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    delivery::{Action, DeliveryId, Notification, Step, Target, Verdict},
    settings::{
        self, Problem, Secret, SecretError,
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
pub mod discord;
pub mod email;
mod given;
mod http_url;
pub mod opsgenie;
pub mod options;
mod owed;
pub mod page;
pub mod pagerduty;
pub mod probe;
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

pub use self::{credential::Credential, options::Options, table::Settings, transport::Transport};

/// One integration of a receiver: how to say something to it, and what its answers mean.
pub trait Receiver: Send + Sync {
    /// What it is told beside its own settings.
    fn options(&self) -> &Options;

    /// The credentials a request needs; read anew for every attempt.
    fn secrets(&self) -> Vec<&Credential>;

    /// The request for this step of the delivery. Whatever the content, it is one the vendor
    /// accepts: too long a field is cut and marked.
    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError>;

    /// What the vendor's reply to it means.
    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict;

    /// What stands for the trigger's receipt where a page is only shown: none where it is made
    /// without.
    fn example_receipt(&self, _action: Action) -> Option<&'static str> {
        None
    }

    /// The step that follows the first where all goes well.
    fn second_step(&self, _action: Action) -> Option<Step> {
        None
    }

    /// Whether it changes what it has of an open incident; else a change is told anew, where the
    /// severity rose.
    fn updates(&self) -> bool {
        false
    }

    /// How often what is told and not over is told again; none where it stays told.
    fn resend_delay(&self) -> Option<Duration> {
        None
    }

    /// The request that tells again of all these, as open or, where they ended meanwhile, as over;
    /// none where there is nothing to say. Each parcel's receipt is its own delivery's.
    fn resend(&self, _told: &[Parcel<'_>], _still_open: bool, _keys: &Keys) -> Option<Request> {
        None
    }

    /// How long an accepted request may stay unconfirmed before it counts as failed.
    fn confirm_timeout(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Whether it is told that an incident is over.
    fn send_resolved(&self) -> bool {
        self.options().send_resolved
    }

    /// Requests a minute it is limited to, where the user wants pacing.
    fn rate_limit(&self) -> Option<RateLimit> {
        self.options().rate_limit
    }

    /// The mail server its pages are handed to, where they are mail.
    fn smarthost(&self) -> Option<&smarthost::Smarthost> {
        None
    }

    /// How its requests travel, where they do.
    fn transport(&self) -> Option<&Transport> {
        self.options().transport.as_ref()
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
    Read(Texts),
    /// For people's eyes: every secret shows as `<secret>`.
    Hidden,
}

/// What the credentials hold.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// Those in files.
    by_file: BTreeMap<PathBuf, SecretString>,
    /// What may not show: see [`credential::telling`].
    telling: Vec<SecretString>,
}

impl Keys {
    /// Reads the credentials of a receiver.
    pub fn read(receiver: &dyn Receiver) -> Result<Self, SecretError> {
        let mut texts = Texts::default();
        let proxy = receiver
            .transport()
            .and_then(|transport| transport.proxy.as_ref());

        for Credential { secret, .. } in receiver.secrets().into_iter().chain(proxy) {
            let text = secret.read()?;
            texts.hide(text.expose_secret());
            if let Secret::File(path) = secret {
                texts.by_file.insert(path.clone(), text);
            }
        }

        Ok(Self::Read(texts))
    }

    /// The same, with what else may not show: the proxy's address, and a request's own headers.
    #[must_use]
    pub fn hiding<'a>(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        if let Self::Read(texts) = &mut self {
            secrets.into_iter().for_each(|secret| texts.hide(secret));
        }
        self
    }

    /// The text of one of the receiver's [`Receiver::secrets`].
    pub fn reveal<'a>(&'a self, credential: &'a Credential) -> &'a str {
        match (self, &credential.secret) {
            (Self::Hidden, _) => "<secret>",
            (Self::Read(_), Secret::Inline(text)) => text.expose_secret(),
            (Self::Read(texts), Secret::File(path)) => texts
                .by_file
                .get(path)
                .map_or("", ExposeSecret::expose_secret),
        }
    }

    /// The text without any of the credentials, nor the telling parts of one that is an address.
    pub fn scrub(&self, text: &str) -> String {
        match self {
            Self::Hidden => text.to_owned(),
            Self::Read(texts) => texts.telling.iter().fold(text.to_owned(), |text, part| {
                text.replace(part.expose_secret(), "<secret>")
            }),
        }
    }

    /// Whether requests are made for people's eyes only.
    pub fn hidden(&self) -> bool {
        matches!(self, Self::Hidden)
    }
}

impl Texts {
    fn hide(&mut self, secret: &str) {
        self.telling.extend(
            credential::telling(secret)
                .into_iter()
                .map(SecretString::from),
        );
        // A part of another is looked for after it.
        self.telling
            .sort_by_key(|part| std::cmp::Reverse(part.expose_secret().len()));
    }
}

/// Whether a header of this name is likely to hold a credential.
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

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// One of HTTP's, `SMTP` for mail, or `PRINT` for standard output.
    pub method: &'static str,
    /// The whole address; may be a secret itself.
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

/// What is handed to a mail server; its headers are the request's.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Whom this one is for.
    pub recipients: Vec<String>,
    /// Plain text, its lines parted by line feeds.
    pub text: String,
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
    Template {
        field: &'static str,
        message: String,
    },
    /// What the secret's file holds is none; the message does not repeat it.
    #[error("the secret `{name}` cannot be used: {message}")]
    Secret {
        name: &'static str,
        message: &'static str,
    },
    /// What the alert says cannot be asked for: no repetition helps.
    #[error("the request cannot be made: {0}")]
    Impossible(String),
}

/// `fallback:` of a receiver.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub receiver: String,
    /// How long a trigger may wait for this receiver before the fallback is told as well; at once
    /// on a permanent failure.
    #[serde(default = "Fallback::default_after")]
    pub after: settings::Duration,
}

impl Settings {
    /// What is wrong with them, beside what compiling finds; `key` is their path.
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

/// The integrations of every configured receiver, by name and place.
#[derive(Default)]
pub struct Receivers {
    pub integrations: BTreeMap<Target, Box<dyn Receiver>>,
    pub fallbacks: BTreeMap<String, Fallback>,
    /// Every receiver's name in the order they are written, those without an integration too: they
    /// tell nobody.
    pub names: Vec<String>,
    /// What is allowed and yet unwise: plain http off loopback.
    pub warnings: Vec<Problem>,
    /// Where each integration stands in the configuration: `receivers[0].slack_configs[0]`.
    pub(crate) places: BTreeMap<Target, String>,
    /// The places of all that is read as a template.
    pub(crate) templates: BTreeSet<String>,
    /// What each receiver was compiled from, by name: tells what a reload changed.
    pub(crate) written: BTreeMap<String, Settings>,
    /// What the environment gave to each integration.
    given: given::Given,
}

impl Receivers {
    /// Where an integration stands in the configuration.
    pub fn place(&self, target: &Target) -> String {
        self.places
            .get(target)
            .map_or_else(|| target.receiver.clone(), Clone::clone)
    }

    /// The integrations of one receiver: by kind as [`Settings`] lists them, within a kind as
    /// written.
    pub fn of<'a>(
        &'a self,
        receiver: &str,
    ) -> impl Iterator<Item = (&'a Target, &'a dyn Receiver)> + use<'a> {
        let mut found: Vec<_> = self
            .integrations
            .iter()
            .filter(|(target, _)| target.receiver == receiver)
            .map(|(target, integration)| (target, integration.as_ref()))
            .collect();
        found.sort_by_key(|(target, _)| table::place(target));
        found.into_iter()
    }
}
