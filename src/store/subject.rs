//! What an alert is about: what its mails are remembered by.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kept;
use crate::incident::Series;

/// What an alert is about: what the store must know to remember it by.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    pub kind: Kind,
    /// The incident's id, or the key made for an alert that has none.
    pub incident_id: String,
    /// Normalised.
    pub status: String,
    pub time: Option<Timestamp>,
    /// The profile whose limits it counts against.
    pub profile: Arc<str>,
    /// What its openings are counted under.
    pub series: Series,
    /// Which ingress brought it.
    pub ingress: String,
    /// Whether what says so is proven. What unverified mail applied stands in the way of no
    /// verified one.
    pub verified: bool,
}

impl Subject {
    /// The time its status is remembered as applied under, in microseconds since the epoch; 0 where
    /// it has none.
    pub(super) fn applied_at(&self) -> i64 {
        self.time.map_or(0, kept::micros)
    }
}

/// Whose incident it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Incident,
    /// An alert that could not be read: it has no end to wait for.
    Unparsed,
    /// Mail that its profile expects, and that did not come.
    Missing,
    /// What the bridge tells of itself: of no mail.
    #[serde(rename = "self")]
    Own,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Unparsed => "unparsed",
            Self::Missing => "missing",
            Self::Own => "self",
        }
    }
}
