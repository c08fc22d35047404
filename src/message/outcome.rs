//! What became of a mail, in one word.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The outcome of a mail. Every mail has one, with a reason.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Outcome {
    /// Not decided yet.
    Pending,
    /// A new incident. Notifies.
    Opened,
    /// An incident that was over has returned. Notifies.
    Reopened,
    /// An incident is over. Notifies whoever was notified of it.
    Resolved,
    /// An unknown status: drift. Notifies.
    Updated,
    /// The incident is open and has changed, for example its severity. Notifies.
    Changed,
    /// An alert that could not be read. Notifies.
    Unparsed,
    /// Already known.
    Duplicate,
    /// Older than what is known.
    Stale,
    /// A trigger older than `global.max_age`.
    Expired,
    /// A trigger that notifies nobody: a silence covers it, or all its routes drop it in a mute.
    Silenced,
    /// Held for a person.
    Quarantined,
    /// Not an alert.
    Ignored,
}

impl Outcome {
    /// The word used in JSON, metrics and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Resolved => "resolved",
            Self::Updated => "updated",
            Self::Changed => "changed",
            Self::Unparsed => "unparsed",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Silenced => "silenced",
            Self::Quarantined => "quarantined",
            Self::Ignored => "ignored",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
