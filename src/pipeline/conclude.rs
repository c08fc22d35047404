//! Decides a mail that was read, given what is known. Pure.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    alert::{Alert, page},
    finding::Finding,
    labels::{Said, labels_of},
    reading::Reading,
    reason::{and, checked_again, let_through},
    rules::Rules,
    standing::{Held, Standing},
    treatment::Treatment,
};
use crate::{
    delivery::{Action, NewDelivery, Notification, sha256_hex},
    incident::{Observation, Phase, Signal, State, Transition, Values, transition, unread},
    label::Labels,
    message::{Authenticity, Outcome, Verdict},
    store::{Decision, Heard, Kind, Memory, Silencing, StoredMail, Subject},
};

impl Rules {
    /// Returns what the store must know to remember the alert; `None` if the mail is not an alert.
    pub fn subject(
        &self,
        reading: &Reading,
        finding: &Finding,
        mail: &StoredMail,
        now: Timestamp,
    ) -> Option<Subject> {
        let alert = Alert::of(finding)?;
        let treatment = self.treatment(reading.profile.as_deref());
        let series = alert.incident.map(|incident| incident.series.clone());

        Some(Subject {
            kind: if alert.incident.is_some() {
                Kind::Incident
            } else {
                Kind::Unparsed
            },
            incident_id: alert.id.to_owned(),
            status: applied_as(&alert, reading),
            time: Some(time(&alert, reading, mail, now)),
            profile: Arc::clone(&treatment.profile),
            series: series.unwrap_or_default(),
            ingress: mail.message.ingress.clone(),
            verified: standing(treatment, &alert, mail, now) == Standing::Genuine,
        })
    }

    /// Decides about one thing found in a mail, given what is known.
    pub fn conclude(
        &self,
        reading: &Reading,
        finding: &Finding,
        mail: &StoredMail,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let memory = &*memory.as_it_arrived();
        let treatment = self.treatment(reading.profile.as_deref());
        let decision = self.concluded(reading, finding, mail, memory, now);
        let arrived_at = mail.message.arrived_at.min(now);
        let is_proven = || {
            Alert::of(finding)
                .is_some_and(|alert| standing(treatment, &alert, mail, now) == Standing::Genuine)
        };

        Decision {
            profile: reading.profile.clone(),
            heard_at: treatment
                .hears_on(&decision, memory, is_proven)
                .then_some(arrived_at),
            arrival: reading
                .profile
                .as_ref()
                .and_then(|_| treatment.arrival(mail, arrived_at, now)),
            ..decision
        }
    }

    fn concluded(
        &self,
        reading: &Reading,
        finding: &Finding,
        mail: &StoredMail,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let Some(alert) = Alert::of(finding) else {
            return no_alert(finding, reading);
        };
        let treatment = self.treatment(reading.profile.as_deref());
        let labels = self.labels(reading, finding, mail, (memory, now));

        if memory.told_before.is_none() && memory.owes_what_was_silenced(now) {
            let reason = "a page held by a silence until now is sent first";
            return Decision::nothing(Outcome::Pending, reason, labels);
        }

        let standing = standing(treatment, &alert, mail, now);
        let check_at = standing.check_at();
        if let (Some(outcome), false) = (memory.told_before, standing == Standing::Genuine) {
            return Decision {
                check_at,
                ..Decision::nothing(outcome, &checked_again(mail), labels)
            };
        }

        let doubt = match standing {
            Standing::Genuine => None,
            Standing::Doubtful { doubt, .. } => Some(doubt),
            Standing::Waits { check_at } => return waiting(check_at, mail, labels),
            Standing::Held(held) => return held_back(held, labels),
        };

        let seen = Observation {
            signal: alert.signal(),
            status: alert.status(),
            time: Some(time(&alert, reading, mail, now)),
            by_date: alert.incident.is_some_and(|incident| incident.by_date),
            verified: doubt.is_none(),
            fresh: mail.released.is_some() || self.fresh(reading, now),
            values: treatment.changeable(&labels),
        };

        let page = page(&seen, mail, labels, &alert, doubt);
        let transition = match alert.incident {
            Some(_) => transition(&memory.known, &seen),
            None => unread(&memory.known, &seen),
        };
        let decision = Decision {
            check_at,
            ..self.followed(transition, &seen, page, memory, now)
        };
        let decision = match doubt {
            Some(_) => marked(decision, treatment, memory),
            None => decision,
        };

        explained(decision, &alert, mail, memory)
    }

    /// Returns what follows from an observation.
    ///
    /// An observation that the state does not keep, because it proves less than what is known,
    /// changes neither the state nor what a silence holds.
    fn followed(
        &self,
        transition: Transition,
        seen: &Observation,
        page: Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let decision = self.follow(transition, page, memory, now);
        if memory.known.keeps(seen) {
            return decision;
        }

        Decision {
            state: None,
            silencing: Silencing::AsItIs,
            supersedes: false,
            ..decision
        }
    }

    /// Decides about an alarm of the bridge itself.
    pub fn announce(
        &self,
        page: Notification,
        status: &str,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let signal = if page.action == Action::Resolve {
            Signal::Resolve
        } else {
            Signal::Trigger
        };
        self.announce_as(signal, page, status, memory, now)
    }

    /// Decides about an open alarm that has become worse since it was told at `told_at`: it is told
    /// anew, unless another replica has done so.
    pub fn announce_again(
        &self,
        page: Notification,
        status: &str,
        told_at: Timestamp,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        if memory.heard_at != Some(told_at) {
            let reason = "it was told in the meantime";
            return Decision::nothing(Outcome::Duplicate, reason, page.labels);
        }
        self.announce_as(Signal::Update, page, status, memory, now)
    }

    fn announce_as(
        &self,
        signal: Signal,
        page: Notification,
        status: &str,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let seen = Observation {
            signal,
            status: status.to_owned(),
            // Without a time, the present condition counts as newer than everything before it,
            // whatever the clock does.
            time: None,
            by_date: false,
            verified: true,
            fresh: true,
            // An alarm is announced once, whatever changes in it.
            values: Values::new(),
        };

        Decision {
            applied: false,
            ..self.follow(transition(&memory.known, &seen), page, memory, now)
        }
    }

    /// Returns the labels of an alert, or, for mail that is not an alert, those that say where it
    /// came from.
    fn labels(
        &self,
        reading: &Reading,
        finding: &Finding,
        mail: &StoredMail,
        (memory, now): (&Memory, Timestamp),
    ) -> Labels {
        let treatment = self.treatment(reading.profile.as_deref());
        let incident = match finding {
            Finding::Incident { incident, .. } => Some(incident.as_ref()),
            _ => None,
        };

        let authenticity = match mail.released {
            // A person vouches for the mail, so it is routed like genuine mail.
            Some(_) => &Authenticity {
                verdict: Verdict::Pass,
                ..mail.authenticity.clone()
            },
            None => &mail.authenticity,
        };

        // The opening that this mail is about does not count among the earlier ones.
        let signal = incident.map_or(Signal::Trigger, |incident| incident.signal);
        let its_own = memory.known.state.as_ref().is_some_and(|state| {
            state.verified && (state.phase == Phase::Firing || signal == Signal::Resolve)
        }) && memory.counts_its_own(now);
        let earlier = memory.recurrence_28d.saturating_sub(its_own.into());

        let title = called(reading);
        let said = match incident {
            Some(incident) => Said::Incident(&incident.labels),
            None => Said::Unread(&title),
        };

        labels_of(
            reading.profile.as_deref().unwrap_or_default(),
            said,
            signal,
            &treatment.severities,
            authenticity,
            &mail.message.ingress,
            incident.map(|_| earlier),
        )
    }

    fn fresh(&self, reading: &Reading, now: Timestamp) -> bool {
        self.max_age.is_zero()
            || reading
                .date
                .is_none_or(|date| now.duration_since(date) <= self.max_age.as_signed())
    }
}

/// Decides about a mail without an alert.
fn no_alert(finding: &Finding, reading: &Reading) -> Decision {
    let (outcome, reason) = match finding {
        Finding::Ignored { reason } => (Outcome::Ignored, reason.as_str()),
        Finding::Quarantined { reason } => (Outcome::Quarantined, reason.as_str()),
        _ => (Outcome::Ignored, "no alert"),
    };
    Decision::nothing(outcome, reason, called(reading))
}

/// Returns the key under which a mail is remembered as applied, besides its time.
///
/// A Date has whole seconds, and a sender may send the same status twice within one. The status is
/// therefore extended by a hash of the Message-ID, which tells such mails apart and which copies of
/// one mail share.
fn applied_as(alert: &Alert<'_>, reading: &Reading) -> String {
    let status = alert.status();
    let by_date = alert.incident.is_some_and(|incident| incident.by_date);
    match &reading.message_id {
        Some(id) if by_date => format!("{status} {}", &sha256_hex(id.as_bytes())[..16]),
        _ => status,
    }
}

/// Returns the time of an alert.
///
/// An alert that could not be read has the time of its mail's Date, which copies of the mail share.
/// A sender's clock that is ahead does not make it later than its arrival.
fn time(alert: &Alert<'_>, reading: &Reading, mail: &StoredMail, now: Timestamp) -> Timestamp {
    let arrived_at = mail.message.arrived_at.min(now);
    match alert.incident {
        Some(incident) => incident.time,
        None => reading.date.unwrap_or(arrived_at).min(arrived_at),
    }
}

fn standing(
    treatment: &Treatment,
    alert: &Alert<'_>,
    mail: &StoredMail,
    now: Timestamp,
) -> Standing {
    let app = alert.incident.and_then(|incident| incident.app.as_deref());
    treatment.policy.standing(mail, alert.signal(), app, now)
}

/// Returns the title of a mail without a readable alert: its subject line.
fn called(reading: &Reading) -> Labels {
    let subject = reading.subject_line.as_deref().unwrap_or_default();
    let subject = subject.trim();
    let title = (!subject.is_empty()).then(|| ("title".into(), subject.to_owned()));
    title.into_iter().collect()
}

/// Decides that a resolve that could not be checked waits until it can be.
fn waiting(check_at: Timestamp, mail: &StoredMail, labels: Labels) -> Decision {
    let why = mail.authenticity.detail.as_deref().unwrap_or("DNS trouble");
    let reason = format!("a resolve that could not be checked waits until it can be: {why}");
    Decision {
        check_at: Some(check_at),
        ..Decision::nothing(Outcome::Pending, &reason, labels)
    }
}

fn held_back(held: Held, labels: Labels) -> Decision {
    Decision {
        check_at: held.check_at,
        hold: held.hold,
        ..Decision::nothing(Outcome::Quarantined, &held.reason, labels)
    }
}

/// Marks a decision about unproven mail, or holds the mail if the hourly limit of such
/// notifications is reached.
fn marked(decision: Decision, treatment: &Treatment, memory: &Memory) -> Decision {
    let is_held_by_silence = matches!(decision.silencing, Silencing::Held(_));
    if !decision.tells() && !is_held_by_silence {
        return decision;
    }

    let policy = &treatment.policy;
    match policy.over_the_limit(memory.marked, decision.check_at) {
        Some(held) => held_back(held, decision.labels),
        None => Decision {
            marked: true,
            ..decision
        },
    }
}

/// Adds to the decision everything that a person should know about how it came about.
fn explained(
    mut decision: Decision,
    alert: &Alert<'_>,
    mail: &StoredMail,
    memory: &Memory,
) -> Decision {
    match (decision.outcome, alert.incident) {
        (Outcome::Duplicate, Some(_)) => {
            let elsewhere = |first: &&Heard| first.ingress != mail.message.ingress;
            decision.late = memory.first_heard.as_ref().filter(elsewhere).cloned();
        }
        // The next alert of this kind is compared with what was told, so a repeat does not extend
        // the interval.
        (Outcome::Duplicate, None) => decision.applied = false,
        _ => {}
    }

    if let (None, Outcome::Opened | Outcome::Reopened | Outcome::Silenced, Some(reason)) =
        (alert.incident, decision.outcome, alert.reason)
    {
        if decision.outcome != Outcome::Silenced {
            decision.outcome = Outcome::Unparsed;
        }
        decision.reason = Some(and(reason, decision.reason.as_deref()));
    }

    if let Some(release) = &mail.released {
        decision.reason = Some(and(&let_through(release), decision.reason.as_deref()));
    }

    match memory.told_before {
        Some(outcome) => told_already(outcome, decision, mail),
        None => decision,
    }
}

/// Reduces the decision about a mail that was announced before it could be checked.
///
/// Nobody is notified twice: only the resulting state is new.
fn told_already(outcome: Outcome, decision: Decision, mail: &StoredMail) -> Decision {
    Decision {
        outcome,
        reason: Some(checked_again(mail)),
        state: decision.state.map(|state| State {
            untold: false,
            ..state
        }),
        deliveries: updates(decision.deliveries),
        receivers: Vec::new(),
        supersedes: false,
        silencing: Silencing::AsItIs,
        ..decision
    }
}

/// Keeps only the updates in place, which have waited for the proof; new pages were sent before.
fn updates(deliveries: Vec<NewDelivery>) -> Vec<NewDelivery> {
    deliveries
        .into_iter()
        .filter(|delivery| delivery.notification.action == Action::Change)
        .collect()
}
