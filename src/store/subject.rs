//! The subject of an alert: what the store remembers its mails by.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kept;
use crate::incident::{ATLASSIAN_SLI, Phase, Series, UNREAD};

/// What the store must know about an alert to remember it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    pub kind: Kind,
    /// The incident's id, or the key made for an alert that has no id.
    pub incident_id: String,
    /// The status, normalised.
    pub status: String,
    pub time: Option<Timestamp>,
    /// The profile whose limits it counts against.
    pub profile: Arc<str>,
    /// The series under which its openings are counted.
    pub series: Series,
    /// The ingress that it arrived through.
    pub ingress: String,
    /// Whether its sender is proven. What an unverified mail applied never blocks a verified one.
    pub verified: bool,
}

impl Subject {
    /// Makes the subject of one of the bridge's own alarms.
    pub fn own(incident_id: &str, status: &str) -> Self {
        Self {
            kind: Kind::Own,
            incident_id: incident_id.to_owned(),
            status: status.to_owned(),
            time: None,
            profile: ATLASSIAN_SLI.into(),
            series: Series::default(),
            ingress: String::new(),
            verified: true,
        }
    }

    /// Returns the time under which its status is remembered, in microseconds since the epoch; 0 if
    /// it has no time.
    pub(super) fn applied_at(&self) -> i64 {
        self.time.map_or(0, kept::micros)
    }

    /// Returns the first and the last time at which a remembered mail with the same status makes
    /// this one known. That is its own time, except for an alert that could not be read, which is
    /// also known by mails around its time.
    pub(super) fn known_at(&self) -> (i64, i64) {
        let at = self.applied_at();
        match self.kind {
            Kind::Unparsed => {
                let around = i64::try_from(UNREAD.as_micros() - 1).unwrap_or(i64::MAX);
                (at.saturating_sub(around), at.saturating_add(around))
            }
            Kind::Incident | Kind::Missing | Kind::Own => (at, at),
        }
    }
}

/// The origin of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Incident,
    /// An alert that could not be read. It has no end.
    Unparsed,
    /// Expected mail that did not come.
    Missing,
    /// The bridge's own alarms, which come from no mail.
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

    /// Returns whether a person can end an incident of this kind. The bridge ends its own alarms
    /// when their trouble is over.
    pub(super) fn can_be_ended(self) -> bool {
        self != Self::Own
    }

    /// Returns the phase of an incident of this kind as people see it. No mail ends an alert that
    /// could not be read, so that it would be open for ever if it counted as open.
    pub(super) fn looked_at(self, phase: Phase) -> Phase {
        match self {
            Self::Unparsed => Phase::Resolved,
            Self::Incident | Self::Missing | Self::Own => phase,
        }
    }
}
