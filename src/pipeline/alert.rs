//! The alert in a mail, and the page about it. Pure.

use serde_json::Value;

use super::{finding::Finding, reason::let_through};
use crate::{
    delivery::{Action, Doubt, Notification},
    incident::{Incident, Observation, Signal, normalize_status},
    label::Labels,
    store::StoredMail,
};

/// The alert in a mail.
pub(super) struct Alert<'a> {
    /// The incident; `None` if it could not be read.
    pub(super) incident: Option<&'a Incident>,
    /// The incident's id, or the key made for an alert that has none.
    pub(super) id: &'a str,
    pub(super) json: &'a Value,
    /// Why the alert could not be read.
    pub(super) reason: Option<&'a str>,
}

impl<'a> Alert<'a> {
    pub(super) fn of(finding: &'a Finding) -> Option<Self> {
        match finding {
            Finding::Incident { incident, .. } => Some(Self {
                incident: Some(incident),
                id: &incident.incident_id,
                json: &incident.json,
                reason: None,
            }),
            Finding::Unreadable { key, reason, json } => Some(Self {
                incident: None,
                id: key,
                json,
                reason: Some(reason),
            }),
            Finding::Quarantined { .. } | Finding::Ignored { .. } => None,
        }
    }

    pub(super) fn status(&self) -> String {
        self.incident.map_or_else(
            || UNPARSED.to_owned(),
            |incident| normalize_status(&incident.status),
        )
    }

    /// Returns the signal of the alert. An alert that cannot be read is a trigger, since it needs a
    /// person.
    pub(super) fn signal(&self) -> Signal {
        self.incident
            .map_or(Signal::Trigger, |incident| incident.signal)
    }
}

const UNPARSED: &str = "UNPARSED";

pub(super) fn page(
    seen: &Observation,
    mail: &StoredMail,
    labels: Labels,
    alert: &Alert<'_>,
    doubt: Option<Doubt>,
) -> Notification {
    Notification {
        action: if seen.signal == Signal::Resolve {
            Action::Resolve
        } else {
            Action::Trigger
        },
        incident_id: alert.id.to_owned(),
        labels,
        incident: alert.json.clone(),
        arrived_at: mail.message.arrived_at,
        // An alert that could not be read names no time of its own.
        time: alert.incident.and(seen.time),
        reason: alert
            .reason
            .map(ToOwned::to_owned)
            .or_else(|| mail.released.as_ref().map(let_through)),
        mail: (mail.id > 0).then_some(mail.id),
        doubt,
        was: None,
        stays: false,
    }
}
