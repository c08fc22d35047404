//! What the store keeps of people: what they did, what they were answered, and who is signed in.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Span, StoreError, Stretch};

/// How long an answer is kept for whoever asks the same again.
pub(super) const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Who was to give an answer, and has not for so long, has crashed.
pub(super) const ANSWER_OVERDUE: SignedDuration = SignedDuration::from_mins(2);
/// How long it is known who did what.
pub(super) const DEEDS_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Something that a person, or a program on behalf of one, is about to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    pub at: Timestamp,
    /// Who does it.
    pub by: String,
    /// How: `command`, `api` or `page`.
    pub via: String,
    /// What: `deliveries.retry`, `silences.add` and so on.
    pub action: String,
    /// To what: an id, a name, a filter.
    pub subject: String,
}

/// A deed as the ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeedRow {
    pub id: i64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub by: String,
    pub via: String,
    pub action: String,
    pub subject: String,
    /// What came of it: `done`, or why it was refused. None: it was begun, and nobody knows.
    pub outcome: Option<String>,
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// What is known of an answer to a request that bears a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// Nobody has answered it: whoever hears this does.
    NotYet,
    /// Somebody is about to.
    UnderWay,
    /// The key was given with another request.
    Another,
    Given(Answer),
}

/// A person who is signed in.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The SHA-256 of what the browser holds: who reads the store cannot sign in by it.
    pub id: String,
    pub name: String,
    pub role: String,
    /// What the sign-in was by: `users_file` or `oidc`.
    pub how: String,
    /// Changes with the password, and ends the session.
    pub stamp: String,
    pub begun_at: Timestamp,
    pub ends_at: Timestamp,
}

/// The books on people: the view of a store that the API and the pages have.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Records that something is about to be done: nothing is done that is not in the ledger.
    async fn begin_deed(&self, deed: Deed) -> Result<i64, StoreError>;

    /// Records what came of it.
    async fn end_deed(&self, id: i64, outcome: String) -> Result<(), StoreError>;

    async fn browse_deeds(&self, span: Span) -> Result<Stretch<DeedRow>, StoreError>;

    /// What was answered to the request with this key; where nobody has answered, the key is taken
    /// for whoever asked.
    async fn answered(
        &self,
        key: String,
        request: String,
        now: Timestamp,
    ) -> Result<Answered, StoreError>;

    /// Keeps an answer; none: the key is free again.
    async fn keep_answer(&self, key: String, answer: Option<Answer>) -> Result<(), StoreError>;

    async fn begin_session(&self, session: Session) -> Result<(), StoreError>;

    /// A session that has not ended by now.
    async fn session(&self, id: String, now: Timestamp) -> Result<Option<Session>, StoreError>;

    async fn end_session(&self, id: String) -> Result<(), StoreError>;
}
