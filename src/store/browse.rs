//! What a browser of the store asks: lists of any length, read a stretch at a time.
//!
//! Every list goes by the number of its rows, the newest first. A row's number never changes, so a
//! list that is walked while mail comes in loses nothing and repeats nothing. A stretch looks
//! through a bounded number of rows, however few of them fit, so that it always takes about as
//! long.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{DeliveryRow, IncidentRow, MailRow, StoreError};
use crate::{
    delivery::{Action, DeliveryId, DeliveryState},
    incident::Phase,
    label::Labels,
    message::Outcome,
    silence::{Silence, SilenceId},
};

/// The rows that one stretch looks through at most.
pub const SCANNED: u32 = 4_000;

/// Where a stretch begins, and how long it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Only rows with a lower number.
    pub before: i64,
    pub limit: u32,
}

impl Span {
    /// From the newest row on.
    pub fn first(limit: u32) -> Self {
        Self {
            before: i64::MAX,
            limit,
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch<T> {
    pub items: Vec<T>,
    /// Where the list goes on; none at its end. A stretch may hold less than was asked for, or
    /// nothing, and go on all the same.
    pub next: Option<i64>,
}

/// Which incidents are looked for. What is none does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IncidentFilter {
    pub phase: Option<Phase>,
    pub severity: Option<String>,
    pub profile: Option<String>,
    /// Only those that this receiver was told of, or is owed a page of.
    pub receiver: Option<String>,
    /// Only those whose labels or status hold this text, in any case.
    pub text: Option<String>,
}

/// Which mails are looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MailFilter {
    pub outcome: Option<Outcome>,
    pub profile: Option<String>,
    pub ingress: Option<String>,
    /// Only those whose labels, reason or incident hold this text, in any case.
    pub text: Option<String>,
}

/// Which deliveries are looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub receiver: Option<String>,
}

/// The newest delivery of each kind that an integration was owed of an incident's current episode.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldRow {
    pub incident: i64,
    pub delivery: DeliveryId,
    pub receiver: String,
    pub integration: String,
    pub action: Action,
    pub state: DeliveryState,
    pub failures: u32,
    pub detail: Option<String>,
}

/// A status that an incident was said to have, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct SaidRow {
    pub incident: i64,
    /// The incident's labels, with the first row of each.
    pub labels: Option<Labels>,
    pub status: String,
    pub time: Timestamp,
}

/// What a receiver has of deliveries that are not delivered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backlog {
    pub receiver: String,
    pub integration: String,
    pub pending: u64,
    pub held: u64,
    pub dead: u64,
    /// When the oldest that is pending was owed.
    pub oldest_pending: Option<Timestamp>,
    /// The failure of the newest that has one.
    pub failure: Option<String>,
}

/// The newest of each kind of row: another value says that something has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    pub mails: i64,
    pub incidents: i64,
    pub deliveries: i64,
    pub silences: i64,
    pub deeds: i64,
}

/// A store is browsed: the view of it that the pages and the API have.
#[async_trait]
pub trait Browse: Send + Sync {
    /// Incidents with their numbers.
    async fn browse_incidents(
        &self,
        filter: IncidentFilter,
        span: Span,
    ) -> Result<Stretch<(i64, IncidentRow)>, StoreError>;

    async fn browse_mails(
        &self,
        filter: MailFilter,
        span: Span,
    ) -> Result<Stretch<MailRow>, StoreError>;

    async fn browse_deliveries(
        &self,
        filter: DeliveryFilter,
        span: Span,
    ) -> Result<Stretch<DeliveryRow>, StoreError>;

    async fn browse_silences(&self, span: Span) -> Result<Stretch<Silence>, StoreError>;

    async fn silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError>;

    /// Who was told of these incidents' current episodes, by the incidents' numbers.
    async fn told(&self, incidents: Vec<i64>) -> Result<Vec<ToldRow>, StoreError>;

    /// What was said, incident by incident, of those of an app that are open, or have changed
    /// since.
    async fn said(&self, since: Timestamp) -> Result<Vec<SaidRow>, StoreError>;

    /// What is owed and given up, by receiver and integration.
    async fn backlogs(&self) -> Result<Vec<Backlog>, StoreError>;

    /// A cheap look at whether anything has changed.
    async fn pulse(&self) -> Result<Pulse, StoreError>;
}
