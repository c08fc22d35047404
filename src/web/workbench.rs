//! What the pages and the API need from the part that sees the whole configuration: the rules in
//! force, trials that store and send nothing, and the actions that only it can perform.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::{incident::Statuses, label::Labels, objective};

/// Access to the rules in force.
#[async_trait]
pub trait Workbench: Send + Sync {
    /// Lists every configured ingress: its name and its kind.
    fn ingresses(&self) -> Vec<(String, &'static str)>;

    /// Lists every integration of every receiver, with the state of its circuit.
    fn integrations(&self) -> Vec<Integration>;

    /// Lists every profile in force, in the order in which they are tried.
    fn profiles(&self) -> Vec<String>;

    /// Lists the labels that an alert may have.
    fn label_names(&self) -> Vec<String>;

    /// Returns the route tree, as `routes show --json` prints it.
    fn routes(&self) -> Value;

    /// Returns the receivers that a set of labels reaches.
    fn reach(&self, labels: &Labels, at: Option<Timestamp>) -> Reach;

    /// Walks a mail through every stage. Returns an object for each incident in it, as
    /// `explain --json` prints it.
    async fn explain(&self, mail: Bytes, options: Options) -> Result<Vec<Value>, Problem>;

    /// Drafts a profile from an opening mail and its closing one, and tries it on them.
    async fn draft(&self, opening: Bytes, closing: Option<Bytes>) -> Result<Draft, Problem>;

    /// Compares the pages of the stored mails from `since` to `until` under another configuration:
    /// which it would add, drop, move or change. Returns an object for each mail that differs, as
    /// `replay --diff --json` prints it.
    async fn diff(
        &self,
        configuration: String,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Diff, Problem>;

    /// Sends a `[TEST]` trigger and its resolve, and returns the result of each delivery.
    async fn test(&self, receiver: &str) -> Result<Vec<Tested>, Problem>;

    /// Returns how objectives are measured.
    fn objectives(&self) -> Objectives;

    /// Resolves an incident on the word of `by`.
    async fn resolve(&self, incident_id: &str, by: &str) -> Result<(), Problem>;
}

/// The settings by which objectives are measured.
#[derive(Debug, Clone)]
pub struct Objectives {
    pub settings: Vec<objective::Settings>,
    pub statuses: Statuses,
}

/// A first profile, and how it reads the mails that it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// A `profiles:` document, as `profiles draft` prints it.
    pub document: String,
    /// How the draft reads each mail, the opening one first; null if it cannot read the mail.
    pub read: Vec<Option<Read>>,
    /// The points that a person must settle; empty if the draft reads its mails as it should.
    pub doubts: Vec<String>,
}

/// An alert as a draft reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Read {
    pub key: String,
    pub status: String,
    pub meaning: Meaning,
    pub title: Option<String>,
    pub severity: Option<String>,
}

/// What an alert's status does to its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    Trigger,
    Resolve,
    Update,
}

/// The options for trying a mail.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// The time of arrival; if not given, the mail's own Date.
    pub at: Option<Timestamp>,
    /// The ingress through which the mail is taken to have come.
    pub ingress: Option<String>,
    /// Whether the mail is taken to be genuine.
    pub trust: bool,
    /// The only profile to read the mail by.
    pub profile: Option<String>,
}

impl Options {
    /// Returns the time at which a mail is taken to have arrived: the one given, else its Date,
    /// else `now`.
    pub fn arrival(&self, mail: &[u8], now: Timestamp) -> Timestamp {
        let date = || {
            let header = MessageParser::new()
                .with_date_headers()
                .parse_headers(mail)?;
            Timestamp::from_second(header.date()?.to_timestamp()).ok()
        };
        self.at.or_else(date).unwrap_or(now)
    }
}

/// One integration of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    pub receiver: String,
    pub integration: String,
    /// When the integration is probed next, if its circuit is open.
    pub probe_at: Option<Timestamp>,
    /// Whether this is a former name of an integration that is now in another receiver. What was
    /// owed under this name is still owed under it.
    pub is_former: bool,
}

/// The receivers that a set of labels reaches, as `routes test --json` prints them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// The receivers that are told, in order.
    pub receivers: Vec<String>,
    /// The route that leads to each of them, as its path in the tree.
    pub routes: Vec<String>,
    /// The receivers that are not told now because of a time interval.
    pub muted: Vec<Muted>,
}

/// A receiver that a mute keeps from being told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Muted {
    pub receiver: String,
    pub route: String,
    pub intervals: Vec<String>,
    /// The time at which it is told; null if the page is dropped.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// The differences between two configurations over the same mails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    /// The number of mails that were taken through both configurations.
    pub mails: u64,
    /// The mails that differ, as `replay --diff --json` prints them.
    #[schema(value_type = Vec<Object>)]
    pub differences: Vec<Value>,
    /// Whether there were more mails than one answer covers.
    pub truncated: bool,
}

/// The result of one test page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tested {
    pub receiver: String,
    pub integration: String,
    pub action: crate::delivery::Action,
    pub state: crate::delivery::DeliveryState,
    pub detail: Option<String>,
}
