//! What the store keeps about people: their actions, the answers to their requests, and their
//! sessions.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Span, StoreError, Stretch};

/// How long an answer is kept in case its request is repeated.
pub(super) const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How long an answer may be pending. One that has been pending for longer belongs to a process
/// that crashed.
pub(super) const ANSWER_OVERDUE: SignedDuration = SignedDuration::from_mins(2);
/// How long the record of actions is kept.
pub(super) const DEEDS_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// An action that a person, or a program on somebody's behalf, is about to take.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    pub at: Timestamp,
    /// Who takes the action.
    pub by: String,
    /// The way in which it was requested: `command`, `api` or `page`.
    pub via: String,
    /// The action: `deliveries.retry`, `silences.add` and so on.
    pub action: String,
    /// The object of the action: an id, a name, a filter.
    pub subject: String,
}

/// An action as the ledger has recorded it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeedRow {
    pub id: i64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who took the action.
    pub by: String,
    /// The way in which it was requested: `command`, `api` or `page`.
    pub via: String,
    /// The action: `deliveries.retry`, `silences.add` and so on.
    pub action: String,
    /// The object of the action: an id, a name, a filter.
    pub subject: String,
    /// The result: `done`, or why the action was refused. Absent if the action was begun and its
    /// result is unknown.
    pub outcome: Option<String>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// What is known about the answer to a request that carries a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// Nobody has answered it yet, and the caller does so.
    NotYet,
    /// Another caller is about to answer it.
    UnderWay,
    /// The key was used with another request.
    Another,
    Given(Answer),
}

/// A person who is signed in.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The SHA-256 of the browser's token, so that reading the store does not suffice to sign in.
    pub id: String,
    pub name: String,
    pub role: String,
    /// The method of the sign-in: `users_file` or `oidc`.
    pub how: String,
    /// A value that changes with the password, or with who may sign in through the provider. A
    /// change ends the session.
    pub stamp: String,
    pub begun_at: Timestamp,
    pub ends_at: Timestamp,
}

/// The record of people's actions: the store as the API and the pages see it.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Records an action before it is taken: no action is taken without a record.
    async fn begin_deed(&self, deed: Deed) -> Result<i64, StoreError>;

    /// Records the result of the action.
    async fn end_deed(&self, id: i64, outcome: String) -> Result<(), StoreError>;

    async fn browse_deeds(&self, span: Span) -> Result<Stretch<DeedRow>, StoreError>;

    /// Returns the answer already given to the request with this key. If there is none, the key is
    /// reserved for the caller.
    async fn answered(
        &self,
        key: String,
        request: String,
        now: Timestamp,
    ) -> Result<Answered, StoreError>;

    /// Stores an answer; `None` frees the key.
    async fn keep_answer(&self, key: String, answer: Option<Answer>) -> Result<(), StoreError>;

    async fn begin_session(&self, session: Session) -> Result<(), StoreError>;

    /// Returns a session that has not ended.
    async fn session(&self, id: String, now: Timestamp) -> Result<Option<Session>, StoreError>;

    async fn end_session(&self, id: String) -> Result<(), StoreError>;
}
