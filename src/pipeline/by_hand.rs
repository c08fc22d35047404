//! Resolves an incident by hand: no mail says that it is over, but a person does.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::rules::Rules;
use crate::{
    delivery::{Action, Notification},
    incident::{ATLASSIAN_SLI, Phase, RESOLVED_BY_HAND, Series},
    label::Labels,
    message::Outcome,
    store::{Decision, IncidentRow, Intake, Item, Kind, Memory, StoreError, Subject},
};

/// Resolves an open incident on a person's word.
///
/// Everybody who was notified of its trigger is notified that it is over, and by whom. An earlier
/// trigger does not reopen it. Expected mail that was missing is expected anew from now on.
pub async fn resolve_by_hand(
    store: &dyn Intake,
    rules: Arc<Rules>,
    incident: &IncidentRow,
    by: &str,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    let profile = incident
        .labels
        .get("profile")
        .filter(|name| !name.is_empty());
    let subject = Subject {
        kind: incident.kind,
        incident_id: incident.incident_id.clone(),
        status: RESOLVED_BY_HAND.to_owned(),
        time: Some(now),
        profile: profile.map_or(ATLASSIAN_SLI, String::as_str).into(),
        // A resolve opens nothing that would be counted.
        series: Series::default(),
        ingress: String::new(),
        verified: true,
    };

    let page = page(incident, by, now);
    let id = incident.incident_id.clone();
    let (kind, mutes) = (incident.kind, rules.mutes());
    let conclude = Box::new(move |memory: &Memory| rules.close(kind, page, memory, now));
    let item = Item::about(subject, conclude, mutes);
    let decision = store.announce(item, now).await?;

    if decision.outcome == Outcome::Resolved {
        Ok(decision)
    } else {
        Err(StoreError::Refused(format!(
            "incident {id} is already over"
        )))
    }
}

impl Rules {
    fn close(&self, kind: Kind, page: Notification, memory: &Memory, now: Timestamp) -> Decision {
        let is_open = memory
            .known
            .state
            .as_ref()
            .is_some_and(|state| state.phase == Phase::Firing);
        if !is_open {
            return Decision::nothing(Outcome::Duplicate, "it is already over", page.labels);
        }

        // Without this, nobody would hear of the silence of a sender again before its next mail.
        let arrival = (kind == Kind::Missing)
            .then(|| self.expected_anew(&page.incident_id, now))
            .flatten();

        let mut decision = self.announce(page, RESOLVED_BY_HAND, memory, now);
        decision.arrival = arrival;
        decision.applied = true;
        if let Some(state) = &mut decision.state {
            state.newest = state.newest.max(Some(by_its_sender(memory, now)));
        }

        decision
    }
}

/// Returns what the time is now for the sender of the incident's mails, which may lag behind their
/// arrival: a trigger that the sender writes from now on is newer than this.
fn by_its_sender(memory: &Memory, now: Timestamp) -> Timestamp {
    let newest = memory.known.state.as_ref().and_then(|state| state.newest);
    let lag = memory.heard_at.zip(newest);
    let lag = lag.map(|(heard_at, newest)| heard_at.duration_since(newest));
    let lag = lag.unwrap_or_default().max(SignedDuration::ZERO);
    now.saturating_sub(lag).unwrap_or(now)
}

fn page(incident: &IncidentRow, by: &str, now: Timestamp) -> Notification {
    let mut labels: Labels = incident.labels.clone();
    labels.insert("state".into(), Phase::Resolved.as_str().to_owned());
    labels.insert("status".into(), RESOLVED_BY_HAND.to_owned());

    Notification {
        action: Action::Resolve,
        incident_id: incident.incident_id.clone(),
        labels,
        incident: Value::Null,
        arrived_at: now,
        time: Some(now),
        reason: Some(format!("resolved by hand by {by}")),
        mail: None,
        doubt: None,
        was: None,
        stays: false,
    }
}
