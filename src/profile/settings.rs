//! The settings of one entry of `profiles:`.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    authenticate::{self, unverified},
    label::SeverityRule,
    message::Evidence,
    settings::Duration,
};

/// How the mail of one sender is read (`profiles[]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Profile")]
pub struct Settings {
    /// The name of the profile, and the value of the label `profile`: lower-case letters, digits
    /// and dashes.
    pub name: String,
    /// The starter on which the profile is based, such as `alertmanager`. What is written here is
    /// laid over it: mappings are merged key by key, lists and texts replace those of the starter.
    /// Its tests are not inherited.
    pub r#use: Option<String>,
    /// Which mail the profile takes.
    pub r#match: Match,
    /// How mail must prove its sender, as in `alerts.authenticity`. A key that is absent is taken
    /// from there, except `domain`, whose default is the domain of the From.
    pub authenticity: Overlay,
    /// The place of the JSON in the mail, which templates know as `json`.
    pub json: Option<Json>,
    /// Regular expressions over the mail, whose named groups templates know as `re.NAME`.
    pub regex: Patterns,
    /// How a mail that reports several incidents is divided. Without it, the whole mail is one.
    pub each: Option<Each>,
    /// The Jinja templates of the fields. `key`, which the trigger and the resolve of an incident
    /// share, and `status` are required. `time`, `title`, `severity`, `url` and `summary` have a
    /// fixed meaning; any other name becomes a label of its own.
    pub fields: IndexMap<String, String>,
    /// The meaning of the values of the field `status`.
    pub status: Statuses,
    /// The rules that derive the label `severity`, as in `alerts.severity`. The first rule whose
    /// matchers all match applies; if none does, the field `severity`, and without that `warning`.
    pub severity: Vec<SeverityRule>,
    /// The labels whose changes are announced while the incident is open. The default is
    /// `[severity]`; if empty, no change is announced.
    pub notify_on_change: Vec<String>,
    /// How long after its newest mail, repeats included, an incident is ended, from 1s to 365d. It
    /// is for senders that never report that an incident is over. By default no incident is ended
    /// by time.
    pub resolve_after: Option<Duration>,
    /// The mail that must come regularly. If it does not, this is an incident of the kind
    /// `missing`. By default no mail is expected.
    pub expect: Option<Expect>,
    /// Mails, each with what must be read in it. `check`, `profiles test`, the start and every
    /// reload run these tests; if one fails, the configuration is refused.
    pub tests: Vec<Test>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            r#use: None,
            r#match: Match::default(),
            authenticity: Overlay::default(),
            json: None,
            regex: Patterns::default(),
            each: None,
            fields: IndexMap::new(),
            status: Statuses::default(),
            severity: Vec::new(),
            notify_on_change: vec!["severity".into()],
            resolve_after: None,
            expect: None,
            tests: Vec::new(),
        }
    }
}

/// Which mail the profile takes, decided by the header alone. All keys must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileMatch")]
pub struct Match {
    /// The addresses of the senders, in any case. `@example.com` stands for every address of that
    /// domain, but not of the domains below it. If empty, any sender matches.
    pub from: Vec<String>,
    /// Matchers, as in a route, over `subject`, `to`, `list_id` and `header_NAME` (in lower case,
    /// with `_` for `-`). All of them must match.
    pub matchers: Vec<String>,
}

/// The place of the JSON in the mail: exactly one of `element`, `attachment` and `text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileJson")]
pub struct Json {
    /// The CSS selector of an element of the HTML, such as `script#incident-data`.
    pub element: Option<String>,
    /// A pattern of the file name of an attachment, such as `*.json`, in any case.
    pub attachment: Option<String>,
    /// Whether the text of the mail is itself the JSON. The default is `false`.
    pub text: bool,
    /// A JSON Schema file that the JSON must fit; otherwise the mail is `unparsed`. By default any
    /// JSON is accepted.
    pub schema_file: Option<PathBuf>,
}

/// Regular expressions over the mail, of which the first match counts. Named groups become
/// `re.NAME`; if an expression does not match, its names are undefined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfilePatterns")]
pub struct Patterns {
    /// A regular expression over the Subject.
    pub subject: Option<String>,
    /// A regular expression over the text of the mail.
    pub text: Option<String>,
}

/// How a mail is divided into incidents: one for each match of `text`, or for each element of the
/// list at `json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileEach")]
pub struct Each {
    /// A regular expression that matches once for each incident. Its named groups become
    /// `item.NAME`.
    pub text: Option<String>,
    /// A regular expression for headings. The named groups of the last heading before an incident
    /// become `item.section.NAME`. It is used with `text`.
    pub section: Option<String>,
    /// A JSON Pointer (RFC 6901) to a list, such as `/alerts`, each element of which is one
    /// incident. Templates know the element as `item`.
    pub json: Option<String>,
}

/// What a status means. The lists hold regular expressions, each of which must match the whole
/// status, in any case. The first list that matches counts, in this order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileStatuses")]
pub struct Statuses {
    /// The statuses that open an incident.
    pub trigger: Vec<String>,
    /// The statuses that end an incident.
    pub resolve: Vec<String>,
    /// The statuses that are announced as an update while the incident is open, and otherwise
    /// ignored.
    pub update: Vec<String>,
    /// The statuses that are ignored.
    pub ignore: Vec<String>,
    /// What a status in none of the lists means. The default is `trigger`.
    pub otherwise: Otherwise,
}

/// What a status in none of the lists means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// The mail opens an incident.
    #[default]
    Trigger,
    /// The mail pages as an alert that cannot be read (`unparsed`).
    Unparsed,
    /// The mail is ignored.
    Ignore,
}

/// The mail that must come regularly. If it does not, this is an incident, which is over when the
/// next mail comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProfileExpect")]
pub struct Expect {
    /// How often mail must come, from 1s to 365d.
    pub every: Duration,
    /// How much later than `every` mail may come before it is missing, from 0s to 365d. The default
    /// is 0s.
    #[serde(default = "no_grace")]
    pub grace: Duration,
    /// The key of the incident that reports missing mail, as plain text without a template. The
    /// default is `missing`. Any proven mail of the profile counts, whatever its own key.
    #[serde(default)]
    pub key: Option<String>,
}

fn no_grace() -> Duration {
    Duration::from_secs(0)
}

/// A mail, and what must be read in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProfileTest")]
pub struct Test {
    /// The file of the mail. A relative path starts at the folder of the file that names it.
    pub mail: PathBuf,
    /// The outcome that the mail must have, as if no mail had come before. By default any but
    /// `unparsed`.
    #[serde(default)]
    pub outcome: Option<Expected>,
    /// Which of several incidents in the mail is tested, counted from 1. The default is 1.
    #[serde(default = "first")]
    pub item: usize,
    /// The values that the fields must have. Times are compared as times. Fields that are not named
    /// are not tested.
    #[serde(default)]
    pub fields: IndexMap<String, String>,
}

fn first() -> usize {
    1
}

/// The outcome of a mail, as if no mail had come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    Opened,
    Resolved,
    Updated,
    Unparsed,
    Ignored,
}

impl Expected {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Resolved => "resolved",
            Self::Updated => "updated",
            Self::Unparsed => "unparsed",
            Self::Ignored => "ignored",
        }
    }
}

/// How mail must prove its sender, as far as it differs from `alerts.authenticity`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileAuthenticity")]
pub struct Overlay {
    /// The kinds of evidence that count; any one of them suffices. The default is that of
    /// `alerts.authenticity`. If empty, nothing is checked.
    pub require: Option<Vec<Evidence>>,
    /// The domain that must vouch for the mail: this one, a sub-domain, or a parent domain that can
    /// be registered. The default is the domain of the mail's From.
    pub domain: Option<String>,
    /// The name servers, as `IP` or `IP:PORT`. The default is that of `alerts.authenticity`.
    pub dns: Option<Vec<String>>,
    /// The forwarders whose seals are trusted, each exactly as in `d=` of its ARC-Seal. The default
    /// is that of `alerts.authenticity`.
    pub trusted_arc_sealers: Option<Vec<String>>,
    /// How old a mail may be when it arrives, by its Date and by the time of its signature, from 0s
    /// to 3650d; 0s means no limit. The default is that of `alerts.authenticity`.
    pub freshness: Option<Duration>,
    /// The limits on unproven mail.
    pub unverified: OverlayUnverified,
}

/// The limits on unproven mail, as far as they differ from
/// `alerts.authenticity.unverified`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileUnverified")]
pub struct OverlayUnverified {
    /// The treatment of an unproven trigger, or of an unproven alert that cannot be read. The
    /// default is that of `alerts.authenticity.unverified`.
    pub trigger: Option<unverified::ForTrigger>,
    /// The treatment of an unproven resolve. The default is that of
    /// `alerts.authenticity.unverified`.
    pub resolve: Option<unverified::ForResolve>,
    /// How many unproven triggers of each ingress may page in any hour, including those that could
    /// not be checked yet. The default is that of `alerts.authenticity.unverified`.
    pub max_per_hour: Option<u32>,
}

impl Overlay {
    /// Returns the complete settings: these over `alerts.authenticity`.
    pub fn over(
        &self,
        alerts: &authenticate::Settings,
        from_domain: &str,
    ) -> authenticate::Settings {
        let base = alerts.clone();
        authenticate::Settings {
            require: self.require.clone().unwrap_or(base.require),
            domain: self
                .domain
                .clone()
                .unwrap_or_else(|| from_domain.to_owned()),
            dns: self.dns.clone().unwrap_or(base.dns),
            trusted_arc_sealers: self
                .trusted_arc_sealers
                .clone()
                .unwrap_or(base.trusted_arc_sealers),
            freshness: self.freshness.or(base.freshness),
            unverified: unverified::Settings {
                trigger: self.unverified.trigger.unwrap_or(base.unverified.trigger),
                resolve: self.unverified.resolve.unwrap_or(base.unverified.resolve),
                max_per_hour: self
                    .unverified
                    .max_per_hour
                    .unwrap_or(base.unverified.max_per_hour),
            },
        }
    }
}
