//! What a browser of the store asks: lists of any length, read a stretch at a time.
//!
//! Every list goes by the number of its rows, the newest first. A row's number never changes, so a
//! list that is walked while mail comes in loses nothing and repeats nothing. A stretch looks
//! through a bounded number of rows, however few of them fit, so that it always takes about as
//! long.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{DeliveryRow, IncidentRow, MailRow, StoreError};
use crate::{
    delivery::{Action, DeliveryId, DeliveryState},
    incident::Phase,
    label::Labels,
    message::{MailId, Outcome},
    silence::{Silence, SilenceId},
};

/// The most rows that one stretch examines.
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
    /// Where the list continues; `None` at its end. A stretch may hold fewer rows than requested,
    /// or none, and still continue.
    pub next: Option<i64>,
}

/// A filter for incidents. `None` matches everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IncidentFilter {
    pub phase: Option<Phase>,
    pub severity: Option<String>,
    pub profile: Option<String>,
    /// Only incidents that this receiver was notified of, or has a pending page for.
    pub receiver: Option<String>,
    /// Only incidents whose labels or status contain this text, regardless of case.
    pub text: Option<String>,
}

/// A filter for mails.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MailFilter {
    pub outcome: Option<Outcome>,
    pub profile: Option<String>,
    pub ingress: Option<String>,
    /// Only mails whose labels, reason or incident, or those of an alert in it, contain this text,
    /// regardless of case.
    pub text: Option<String>,
    /// Only mails whose labels are not of this kind.
    pub without_kind: Option<&'static str>,
}

/// A filter for deliveries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub receiver: Option<String>,
}

/// The newest delivery of each kind to an integration in the current episode of an incident.
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

/// Which incidents' courses are read: a chunk of them, in the order of their change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Courses {
    /// Of those that changed then or later; of those that changed just then, only with a higher
    /// number than `after`.
    Changed { since: Timestamp, after: i64 },
    /// Of those that are open, changed before, and have a higher number, in the order of numbers.
    Open { before: Timestamp, after: i64 },
}

/// How an incident went.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    pub number: i64,
    pub incident_id: String,
    pub labels: Labels,
    pub phase: Phase,
    pub changed_at: Timestamp,
    /// Each status that its mails said, and the time that they gave for it; of an app's alone.
    pub said: Vec<(Timestamp, String)>,
    /// When each mail came that moved it, and whether that said that it is on; of all others.
    pub heard: Vec<(Timestamp, bool)>,
    /// When its end was decided, as far as anybody was to be told of it; of all others.
    pub ended_at: Option<Timestamp>,
}

/// What the newest mails of one way in and one profile were.
#[derive(Debug, Clone, PartialEq)]
pub struct Lately {
    pub ingress: String,
    pub profile: Option<String>,
    pub unparsed: bool,
    pub mails: u64,
    /// When the last of them came.
    pub last: Timestamp,
}

/// When an integration last took a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub receiver: String,
    pub integration: String,
    pub at: Timestamp,
}

/// The deliveries of an integration that are not delivered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backlog {
    pub receiver: String,
    pub integration: String,
    pub pending: u64,
    pub held: u64,
    pub dead: u64,
    /// When the oldest pending delivery was created.
    pub oldest_pending: Option<Timestamp>,
    /// The latest failure.
    pub failure: Option<String>,
}

/// The newest row of each kind: a different value means that something has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    pub mails: i64,
    pub incidents: i64,
    pub deliveries: i64,
    pub silences: i64,
    pub deeds: i64,
}

/// A view of a store for browsing, which the pages and the API have.
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

    /// The beginning of mails as they came, in which their header stands.
    async fn heads(&self, ids: Vec<MailId>) -> Result<Vec<(MailId, Vec<u8>)>, StoreError>;

    async fn browse_deliveries(
        &self,
        filter: DeliveryFilter,
        span: Span,
    ) -> Result<Stretch<DeliveryRow>, StoreError>;

    async fn browse_silences(&self, span: Span) -> Result<Stretch<Silence>, StoreError>;

    async fn silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError>;

    /// Who was notified in the current episodes of these incidents, by the numbers of the
    /// incidents.
    async fn told(&self, incidents: Vec<i64>) -> Result<Vec<ToldRow>, StoreError>;

    /// How incidents that mails tell of went, at most `limit` of them.
    async fn courses(&self, of: Courses, limit: u32) -> Result<Vec<Course>, StoreError>;

    /// What the newest mails were, as many as `most`.
    async fn lately(&self, most: u32) -> Result<Vec<Lately>, StoreError>;

    /// When each integration last took a page, by as many of the newest deliveries as `most`.
    async fn taken(&self, most: u32) -> Result<Vec<Taken>, StoreError>;

    /// How many mails with an outcome have arrived since, among as many of the newest as `most`.
    async fn count_mails(
        &self,
        outcome: Outcome,
        since: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError>;

    /// What is pending and given up, by receiver and integration.
    async fn backlogs(&self) -> Result<Vec<Backlog>, StoreError>;

    /// The profiles whose expected mail is reported missing, and has not come since.
    async fn missing_mail(&self) -> Result<Vec<Arc<str>>, StoreError>;

    /// A cheap check for whether anything has changed.
    async fn pulse(&self) -> Result<Pulse, StoreError>;
}
