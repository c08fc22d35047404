//! The outcome of a mail, in one word.

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
    /// All outcomes, from the one that most deserves a person's attention to the least.
    pub const NOTABLE: [Self; 13] = [
        Self::Pending,
        Self::Quarantined,
        Self::Unparsed,
        Self::Opened,
        Self::Reopened,
        Self::Changed,
        Self::Updated,
        Self::Resolved,
        Self::Silenced,
        Self::Expired,
        Self::Stale,
        Self::Duplicate,
        Self::Ignored,
    ];

    /// Returns whether people are notified of an incident that is on.
    pub fn notifies(self) -> bool {
        match self {
            Self::Opened | Self::Reopened | Self::Updated | Self::Changed | Self::Unparsed => true,
            Self::Pending
            | Self::Resolved
            | Self::Duplicate
            | Self::Stale
            | Self::Expired
            | Self::Silenced
            | Self::Quarantined
            | Self::Ignored => false,
        }
    }

    /// Returns the word used in JSON, metrics and the store.
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

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_outcome_has_its_place_among_the_notable() {
        let mut listed = Outcome::NOTABLE;
        listed.sort_unstable();
        assert_eq!(listed, Outcome::value_variants());
    }
}
