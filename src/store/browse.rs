//! Queries for browsing the store: lists of any length, read one stretch at a time.
//!
//! Every list is ordered by the number of its rows, the newest first. A row's number never changes,
//! so walking a list while mail comes in neither loses nor repeats a row. A stretch examines a
//! bounded number of rows, however few of them match, so that it always takes about as long.

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
    /// Only rows with a lower number are read.
    pub before: i64,
    pub limit: u32,
}

impl Span {
    /// Returns a span that begins at the newest row.
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
    /// Only incidents with a delivery to this receiver, in whatever state.
    pub receiver: Option<String>,
    /// Only incidents whose labels, status or id contain this text, regardless of case.
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

/// The incidents whose courses are read: a chunk of them, in the order of their last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Courses {
    /// The incidents that changed at `since` or later; of those that changed exactly at `since`,
    /// only those with a number above `after`.
    Changed { since: Timestamp, after: i64 },
    /// The open incidents that last changed before `before` and have a number above `after`, in the
    /// order of their numbers.
    Open { before: Timestamp, after: i64 },
}

/// The course of an incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    pub number: i64,
    pub incident_id: String,
    pub labels: Labels,
    pub phase: Phase,
    pub changed_at: Timestamp,
    /// Each status that its mails reported, and the time that they gave for it. Empty for an
    /// incident without an app key.
    pub said: Vec<(Timestamp, String)>,
    /// The arrival of each mail that moved the incident, and whether that mail said that the
    /// incident continues. Empty for an incident with an app key.
    pub heard: Vec<(Timestamp, bool)>,
    /// When the end of its current episode was decided, if anybody was to be told of it. `None` for
    /// an incident with an app key.
    pub ended_at: Option<Timestamp>,
}

/// A summary of the newest mails of one ingress and one profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Lately {
    pub ingress: String,
    pub profile: Option<String>,
    pub unparsed: bool,
    pub mails: u64,
    /// When the last of them arrived.
    pub last: Timestamp,
}

/// When an integration last took a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub receiver: String,
    pub integration: String,
    pub at: Timestamp,
}

/// The numbers of an integration's deliveries that are pending, held or dead.
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

/// The newest change to each kind of row: a different value means that something has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    pub mails: i64,
    pub incidents: i64,
    pub deliveries: i64,
    pub silences: i64,
    pub deeds: i64,
}

/// The store as the pages and the API browse it.
#[async_trait]
pub trait Browse: Send + Sync {
    /// Lists incidents with their numbers.
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

    /// Returns the beginning of each of these mails as it arrived, which contains the header.
    async fn heads(&self, ids: Vec<MailId>) -> Result<Vec<(MailId, Vec<u8>)>, StoreError>;

    async fn browse_deliveries(
        &self,
        filter: DeliveryFilter,
        span: Span,
    ) -> Result<Stretch<DeliveryRow>, StoreError>;

    async fn browse_silences(&self, span: Span) -> Result<Stretch<Silence>, StoreError>;

    async fn silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError>;

    /// Returns who was told in the current episodes of these incidents, which are given by number.
    async fn told(&self, incidents: Vec<i64>) -> Result<Vec<ToldRow>, StoreError>;

    /// Returns the courses of at most `limit` incidents of the kind `incident`.
    async fn courses(&self, of: Courses, limit: u32) -> Result<Vec<Course>, StoreError>;

    /// Summarises at most `most` of the newest mails.
    async fn lately(&self, most: u32) -> Result<Vec<Lately>, StoreError>;

    /// Returns when each integration last took a page, among at most `most` of the newest
    /// deliveries.
    async fn taken(&self, most: u32) -> Result<Vec<Taken>, StoreError>;

    /// Counts the mails with an outcome that have arrived since a time, among at most `most` of the
    /// newest.
    async fn count_mails(
        &self,
        outcome: Outcome,
        since: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError>;

    /// Counts the pending, held and dead deliveries, by receiver and integration.
    async fn backlogs(&self) -> Result<Vec<Backlog>, StoreError>;

    /// Returns the profiles whose expected mail is reported missing and has not come since.
    async fn missing_mail(&self) -> Result<Vec<Arc<str>>, StoreError>;

    /// Returns a value that is cheap to read and tells whether anything has changed.
    async fn pulse(&self) -> Result<Pulse, StoreError>;
}
