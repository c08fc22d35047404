//! What must survive: a dozen domain verbs, no CRUD.
//!
//! Three commits and nothing else is trusted: the mail (`record`), the transition with its deliveries (`decide`), the
//! attempt with the next state (`settle`). The row is the queue.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    delivery::{Action, DeliveryId, DeliveryState, Notification, Step, Target},
    incident::{Known, Phase, State},
    label::Labels,
    message::{Authenticity, Bookmark, MailId, Message, Outcome},
};

pub mod sqlite;

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing was stored, and what was stored stays.
    #[error("the store's disk is full: free some space, or shorten `store.mail_retention`")]
    Full,
    /// Another program keeps the file locked.
    #[error("the store is locked by another process: only one `alertbridge serve` may use a SQLite file")]
    Locked,
    /// A newer alertbridge made it.
    #[error(
        "the store is newer than this alertbridge (its schema is {found}, this program knows {known}): start the newer version"
    )]
    Newer { found: i32, known: i32 },
    /// What was asked for is not there, or not in a state that allows it.
    #[error("{0}")]
    Refused(String),
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What follows from one mail: everything that is written when it is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub labels: Labels,
    /// The incident the mail is of, and the new state where it changes. `ignored` and `quarantined` mail has none.
    pub incident: Option<Change>,
    /// Who is to be told.
    pub deliveries: Vec<NewDelivery>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub incident_id: String,
    pub state: Option<State>,
    /// The status and time to remember as applied.
    pub applied: Option<(String, Option<Timestamp>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    /// Kept back until then by a mute.
    pub held_until: Option<Timestamp>,
    /// When, still not delivered, it goes to this receiver's integrations as well.
    pub fallback_at: Option<Timestamp>,
}

/// A trigger's recipient, by the record: whom a resolve goes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub target: Target,
    pub alias: String,
    /// The labels of the trigger it was told of.
    pub labels: Labels,
}

/// What the store knows when a mail is decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub known: Known,
    /// Told of the current episode's trigger, or about to be.
    pub told: Vec<Told>,
}

/// A mail waiting for its decision, with the incident it is about once it is known.
pub type Decide = Box<dyn FnOnce(&Memory) -> Decision + Send>;

/// A mail as it was stored, bytes included.
#[derive(Debug, Clone)]
pub struct StoredMail {
    pub id: MailId,
    pub message: Message,
    pub authenticity: Authenticity,
}

/// A delivery leased to this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub id: DeliveryId,
    /// Settling checks that the lease is still held.
    pub lease: i64,
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    pub step: Step,
    /// Failures so far in a row.
    pub failures: u32,
    pub created_at: Timestamp,
}

/// How an attempt ended and what is next.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub at: Timestamp,
    pub next: Next,
    /// For the timeline: what was tried and what came of it. None where nothing was tried (a receiver told us to wait).
    pub attempt: Option<Attempt>,
    /// Deliveries to make in the same commit: the fallback's.
    pub fallback: Vec<NewDelivery>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Delivered {
        receipt: Option<String>,
    },
    /// Stay pending: the step to take and when. `failures` as they stand after this attempt.
    Again {
        step: Step,
        at: Timestamp,
        failures: u32,
    },
    Dead {
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    pub at: Timestamp,
    pub took_ms: u64,
    /// `delivered`, `accepted`, `waiting` or a failure's reason.
    pub result: String,
    /// A sentence without secrets.
    pub detail: String,
}

// What people look at: `incidents`, `deliveries`, `mails`.

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MailRow {
    pub id: MailId,
    pub ingress: String,
    pub arrived_at: Timestamp,
    pub size: u64,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub incident_id: Option<String>,
    pub sha256: String,
    pub authenticity: Authenticity,
    pub labels: Labels,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentRow {
    pub incident_id: String,
    pub phase: Phase,
    pub status: String,
    pub newest: Option<Timestamp>,
    pub episode: i64,
    pub opened_at: Timestamp,
    pub changed_at: Timestamp,
    pub labels: Labels,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeliveryRow {
    pub id: DeliveryId,
    pub incident_id: String,
    pub receiver: String,
    pub integration: String,
    pub action: Action,
    pub alias: String,
    pub state: DeliveryState,
    pub failures: u32,
    pub created_at: Timestamp,
    /// When it is tried next, or its mute ends.
    pub next_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    /// The latest failure, or the receipt.
    pub detail: Option<String>,
    pub mail: Option<MailId>,
}

/// One line of an incident's timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    Mail(MailRow),
    Delivery(DeliveryRow),
    Attempt {
        delivery: DeliveryId,
        receiver: String,
        integration: String,
        action: Action,
        #[serde(flatten)]
        attempt: Attempt,
    },
}

/// How much of what is there, for the gauges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Depth {
    pub deliveries: BTreeMap<&'static str, u64>,
    pub oldest_pending: Option<Timestamp>,
}

#[async_trait]
pub trait Store: Send + Sync {
    /// First commit: the mails as they came, and how far their mailbox was read. All or none.
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError>;
    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError>;

    /// Mails without a decision, in order of arrival, after `after`.
    async fn undecided(&self, after: MailId, limit: usize) -> Result<Vec<StoredMail>, StoreError>;
    /// Second commit: shows `decide` what is known of the incident and writes what it concludes, all in one
    /// transaction. None where the mail has been decided by somebody else.
    async fn decide(
        &self,
        mail: MailId,
        incident_id: Option<String>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError>;

    /// Leases deliveries that are due: the first of each lane, none of the `paused` targets.
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: usize,
        paused: Vec<Target>,
    ) -> Result<Vec<Claim>, StoreError>;
    /// Third commit: the attempt with the next state. False where the lease was lost meanwhile: nothing is written.
    async fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<bool, StoreError>;
    /// When the next delivery falls due or the next lease ends.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Triggers whose `fallback_at` has passed undelivered, each once: marked in the same commit in which `fallback`'s are made.
    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Arc<dyn Fn(&Target, &Notification) -> Vec<NewDelivery> + Send + Sync>,
    ) -> Result<usize, StoreError>;

    async fn incidents(&self, open_only: bool, limit: usize) -> Result<Vec<IncidentRow>, StoreError>;
    async fn timeline(&self, incident_id: &str) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError>;
    async fn deliveries(&self, state: Option<DeliveryState>, limit: usize) -> Result<Vec<DeliveryRow>, StoreError>;
    /// Makes dead deliveries pending again, in order; returns those it did. Refuses what would reopen a resolved incident.
    async fn retry(&self, ids: Option<Vec<DeliveryId>>, now: Timestamp) -> Result<Vec<DeliveryId>, StoreError>;
    async fn discard(&self, id: DeliveryId, now: Timestamp) -> Result<(), StoreError>;
    async fn mails(&self, outcome: Option<Outcome>, limit: usize) -> Result<Vec<MailRow>, StoreError>;
    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError>;
    /// Stored mails by arrival, for `replay --stored`, after `after`.
    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: usize,
    ) -> Result<Vec<StoredMail>, StoreError>;
    async fn depth(&self) -> Result<Depth, StoreError>;
    /// Deletes at most `limit` mails that arrived before `before`; never one undecided, quarantined, of an open incident
    /// or with a delivery owed. Returns how many.
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
    /// What is wrong with the store: nothing, where it can be read and written.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// For [`IncidentRow`]'s JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    #[serde(flatten)]
    pub incident: IncidentRow,
    pub timeline: Vec<Event>,
    pub incident_json: Option<Value>,
}
