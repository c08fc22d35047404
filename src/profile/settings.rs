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

/// How the mail of one sender is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Profile")]
pub struct Settings {
    /// The label `profile`: lower-case letters, digits and dashes.
    pub name: String,
    /// A starter to begin with: mappings merge key by key, lists and texts replace what it has.
    pub r#use: Option<String>,
    pub r#match: Match,
    /// As `alerts.authenticity`, from where what is absent is taken; `domain` is that of the From.
    pub authenticity: Overlay,
    pub json: Option<Json>,
    /// Named groups become `re.NAME`.
    pub regex: Patterns,
    /// Where a mail tells of several incidents.
    pub each: Option<Each>,
    /// Jinja; `key` and `status` are required. `time`, `title`, `severity`, `url` and `summary` are
    /// known; any other becomes a label.
    pub fields: IndexMap<String, String>,
    pub status: Statuses,
    /// As `alerts.severity`: the first rule that matches, else the field, else warning.
    pub severity: Vec<SeverityRule>,
    /// The labels of which a change is told while the incident is open; empty: none.
    pub notify_on_change: Vec<String>,
    /// For senders that never say that it is over: counted from the newest mail, repeats included.
    pub resolve_after: Option<Duration>,
    /// Silence is an incident.
    pub expect: Option<Expect>,
    /// Mails with what must be read in them.
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

/// Which mail it is, by the header alone; all must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileMatch")]
pub struct Match {
    /// The senders; `@example.com` is every address of that domain alone. Empty: any.
    pub from: Vec<String>,
    /// Over `subject`, `to`, `list_id` and `header_NAME` (in lower case, `-` as `_`).
    pub matchers: Vec<String>,
}

/// Where JSON lies in the mail: one of the three.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileJson")]
pub struct Json {
    /// An element of the HTML: `script#incident-data`.
    pub element: Option<String>,
    /// A pattern of an attachment's name: `*.json`.
    pub attachment: Option<String>,
    /// The text itself.
    pub text: bool,
    /// A JSON Schema that it must fit.
    pub schema_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfilePatterns")]
pub struct Patterns {
    pub subject: Option<String>,
    pub text: Option<String>,
}

/// One incident a match of `text`, or an element of the array at `json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileEach")]
pub struct Each {
    pub text: Option<String>,
    /// Headings: the groups of the last one before an item are its `item.section`.
    pub section: Option<String>,
    /// A JSON Pointer (RFC 6901).
    pub json: Option<String>,
}

/// What a status means: anchored expressions, in any case; the first list that matches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileStatuses")]
pub struct Statuses {
    pub trigger: Vec<String>,
    pub resolve: Vec<String>,
    /// Told as an update while the incident is open, else ignored.
    pub update: Vec<String>,
    pub ignore: Vec<String>,
    pub otherwise: Otherwise,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    #[default]
    Trigger,
    Unparsed,
    Ignore,
}

/// The mail that must come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProfileExpect")]
pub struct Expect {
    pub every: Duration,
    #[serde(default = "no_grace")]
    pub grace: Duration,
    /// The key of the incident that its absence is: a text, and `missing` where it is not given.
    /// Any mail of the profile that is proven counts as come, whatever its own key.
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
    /// A file, from the configuration's own folder.
    pub mail: PathBuf,
    #[serde(default)]
    pub outcome: Option<Expected>,
    /// Which of several incidents, from 1.
    #[serde(default = "first")]
    pub item: usize,
    #[serde(default)]
    pub fields: IndexMap<String, String>,
}

fn first() -> usize {
    1
}

/// What becomes of a mail that none came before.
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

/// What differs from `alerts.authenticity`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileAuthenticity")]
pub struct Overlay {
    pub require: Option<Vec<Evidence>>,
    pub domain: Option<String>,
    pub dns: Option<Vec<String>>,
    pub trusted_arc_sealers: Option<Vec<String>>,
    pub freshness: Option<Duration>,
    pub unverified: OverlayUnverified,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProfileUnverified")]
pub struct OverlayUnverified {
    pub trigger: Option<unverified::ForTrigger>,
    pub resolve: Option<unverified::ForResolve>,
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
