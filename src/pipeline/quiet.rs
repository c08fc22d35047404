//! Decides what follows when no more mail comes: an open incident is assumed to be over, and
//! expected mail is missing. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    rules::Rules,
    standing::Standing,
    treatment::{Expect, Treatment},
};
use crate::{
    delivery::{Action, Notification},
    incident::{ATLASSIAN_SLI, Phase, Series, Signal, State},
    label::Labels,
    message::Outcome,
    store::{Arrival, Decision, IncidentRow, Kind, Memory, StoredMail, Subject},
};

/// The status of an incident whose sender fell silent.
const QUIET: &str = "QUIET";

impl Treatment {
    /// Returns the time at or before which an open incident was last heard of if it counts as over
    /// now; `None` if the profile's incidents do not end by themselves.
    pub fn quiet_since(&self, now: Timestamp) -> Option<Timestamp> {
        let after = self.resolve_after?;
        now.checked_sub(after.as_signed()).ok()
    }

    /// Returns whether a mail confirms that its incident goes on, which postpones its end.
    ///
    /// A mail that is older than what is known, or less proven, does not.
    pub(super) fn hears_on(
        &self,
        decision: &Decision,
        memory: &Memory,
        is_proven: impl Fn() -> bool,
    ) -> bool {
        let is_firing = |state: &State| state.phase == Phase::Firing;
        let repeats = decision.applied
            && decision.outcome == Outcome::Duplicate
            && memory
                .known
                .state
                .as_ref()
                .is_some_and(|state| is_firing(state) && (!state.verified || is_proven()));

        self.resolve_after.is_some() && (repeats || decision.state.as_ref().is_some_and(is_firing))
    }

    /// Returns the arrival of the mail that the profile expects.
    ///
    /// As with a resolve, nothing unproven ends an incident.
    pub(super) fn arrival(
        &self,
        mail: &StoredMail,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<Arrival> {
        let expect = self.expect.as_ref()?;
        let standing = self.policy.standing(mail, Signal::Resolve, None, now);
        (standing == Standing::Genuine).then(|| Arrival {
            profile: self.profile.clone(),
            key: expect.key.clone(),
            at,
        })
    }
}

impl Rules {
    /// Returns the profiles whose incidents end by themselves.
    pub fn ending(&self) -> impl Iterator<Item = &Treatment> {
        self.all_treatments()
            .filter(|treatment| treatment.resolve_after.is_some())
    }

    /// Returns the profiles that expect mail.
    pub fn expecting(&self) -> impl Iterator<Item = (&Treatment, &Expect)> {
        self.all_treatments()
            .filter_map(|treatment| Some((treatment, treatment.expect.as_ref()?)))
    }

    /// Returns the arrival that makes the mail of a `missing` incident count as expected from `now`
    /// on; `None` if it is no longer expected.
    pub(super) fn expected_anew(&self, missing: &str, now: Timestamp) -> Option<Arrival> {
        self.expecting()
            .find(|(treatment, expect)| incident_id(&treatment.profile, &expect.key) == missing)
            .map(|(treatment, expect)| Arrival {
                profile: treatment.profile.clone(),
                key: expect.key.clone(),
                at: now,
            })
    }

    fn all_treatments(&self) -> impl Iterator<Item = &Treatment> {
        let (first, others) = &self.treatments;
        std::iter::once(first).chain(others)
    }

    /// Decides about an open incident that received no more mail. `incident` is the incident as it
    /// was found.
    pub fn end_quiet(
        &self,
        profile: &str,
        incident: &IncidentRow,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let labels = resolved(&incident.labels);
        let heard_on =
            |labels| Decision::nothing(Outcome::Duplicate, "more mail has come for it", labels);
        let (Some(after), Some(state), Some(heard_at)) = (
            self.treatment(Some(profile)).resolve_after,
            &memory.known.state,
            memory.heard_at,
        ) else {
            return heard_on(labels);
        };
        if state.phase == Phase::Resolved || now.duration_since(heard_at) < after.as_signed() {
            return heard_on(labels);
        }

        let page = Notification {
            action: Action::Resolve,
            incident_id: incident.incident_id.clone(),
            labels,
            incident: Value::Null,
            arrived_at: now,
            time: None,
            reason: Some(format!(
                "no more mail came for it for {after} (resolve_after)"
            )),
            mail: None,
            doubt: None,
            was: None,
            stays: false,
        };
        let state = State {
            phase: Phase::Resolved,
            status: QUIET.to_owned(),
            ..state.clone()
        };

        Decision {
            applied: false,
            ..self.tell_it_is_over(state, page, memory)
        }
    }

    /// Returns the page that says that mail is missing, or arrives again, and its subject for the
    /// store.
    pub fn missing(
        &self,
        profile: &str,
        key: &str,
        is_missing: bool,
        reason: String,
        now: Timestamp,
    ) -> (Subject, Notification) {
        let incident_id = incident_id(profile, key);
        let (action, phase, status) = if is_missing {
            (Action::Trigger, Phase::Firing, "MISSING")
        } else {
            (Action::Resolve, Phase::Resolved, "ARRIVED")
        };
        let labels = [
            ("kind", Kind::Missing.as_str()),
            ("incident_id", &incident_id),
            ("profile", profile),
            ("status", status),
            ("state", phase.as_str()),
            ("title", &format!("no mail of {profile}")),
        ];
        let mut labels: Labels = labels
            .into_iter()
            .map(|(name, value)| (name.into(), value.to_owned()))
            .collect();
        let severity = self
            .treatment(Some(profile))
            .severities
            .of(&labels)
            .to_owned();
        labels.insert("severity".into(), severity);

        let subject = Subject {
            kind: Kind::Missing,
            incident_id: incident_id.clone(),
            status: status.to_owned(),
            time: None,
            profile: profile.into(),
            series: Series::default(),
            ingress: String::new(),
            verified: true,
        };
        let page = Notification {
            action,
            incident_id,
            labels,
            incident: Value::Null,
            arrived_at: now,
            time: None,
            reason: Some(reason),
            mail: None,
            doubt: None,
            was: None,
            stays: false,
        };

        (subject, page)
    }
}

/// Returns the id of an incident of a profile.
pub(super) fn incident_id(profile: &str, key: &str) -> String {
    if profile == ATLASSIAN_SLI {
        key.to_owned()
    } else {
        format!("{profile}:{key}")
    }
}

fn resolved(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.insert("state".into(), Phase::Resolved.as_str().to_owned());
    labels
}
