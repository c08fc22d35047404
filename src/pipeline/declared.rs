//! Other senders' mail, read by `profiles:`. Pure.

use std::sync::Arc;

use jiff::Timestamp;

use super::{finding::Finding, quiet::incident_id};
use crate::{
    incident::{Incident, Series, Signal},
    profile::{Alert, Found, Meaning, Profile},
};

/// Returns what a profile finds in a mail. `sent_at` is the time of an alert that has none of its
/// own.
pub(super) fn findings(profile: &Arc<Profile>, raw: &[u8], sent_at: Timestamp) -> Vec<Finding> {
    profile
        .read(raw)
        .into_iter()
        .map(|found| finding(profile, found, sent_at))
        .collect()
}

/// Converts one thing that a profile found into a finding.
pub(super) fn finding(profile: &Arc<Profile>, found: Found, sent_at: Timestamp) -> Finding {
    match found {
        Found::Alert(alert) => Finding::Incident {
            incident: Box::new(incident(profile, *alert, sent_at)),
            unknown: Vec::new(),
        },
        Found::Unparsed { reason, key, json } => Finding::Unreadable { key, reason, json },
        Found::Ignored { reason } => Finding::Ignored { reason },
    }
}

fn incident(profile: &Arc<Profile>, alert: Alert, sent_at: Timestamp) -> Incident {
    let incident_id = incident_id(&profile.name, &alert.key);
    let mut labels = alert.labels;
    labels.insert("incident_id".into(), incident_id.clone());

    Incident {
        incident_id,
        status: alert.status,
        signal: match alert.meaning {
            Meaning::Trigger => Signal::Trigger,
            Meaning::Resolve => Signal::Resolve,
            Meaning::Update => Signal::Update,
        },
        by_date: alert.time.is_none(),
        time: alert.time.unwrap_or(sent_at),
        labels,
        series: Series {
            of: format!("profile:{}", profile.name),
            what: alert.key,
        },
        app: None,
        json: alert.json,
    }
}
