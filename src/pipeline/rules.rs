//! What the configuration says of mail, compiled: how one is read, and what follows from it. Pure.
//!
//! `serve`, `explain` and `replay` all go through here, so what is explained is what happens.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    deliver,
    delivery::{Action, Notification, sha256_hex},
    extract::{Extracted, Extractor, NoAlert},
    incident::{Incident, Observation, Signal, State, Statuses, Transition, normalize_status, transition},
    label::{Labels, Severities, labels_of},
    message::{Authenticity, Message, Outcome, Verdict},
    receiver::Receivers,
    route::{Mute, Reached, Routes},
    settings::Duration,
    store::{Decision, Kind, Memory, NewDelivery, StoredMail, Subject},
    validate::Validator,
};

/// The stages, ready to run.
pub struct Rules {
    pub extractor: Extractor,
    pub validator: Validator,
    pub statuses: Statuses,
    pub severities: Severities,
    pub routes: Routes,
    pub receivers: Arc<Receivers>,
    /// Zero: no limit.
    pub max_age: Duration,
    /// Whether mail of the sender without the element is told to somebody.
    pub notify_missing_payload: bool,
}

/// What the reading stages made of one mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub finding: Finding,
    /// The mail's Date.
    pub date: Option<Timestamp>,
    pub subject_line: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    Incident {
        incident: Box<Incident>,
        /// JSON pointers the schema does not know.
        unknown: Vec<String>,
    },
    /// An alert that cannot be read, under a key made from its payload; with the JSON where it is JSON.
    Unreadable {
        key: String,
        reason: String,
        json: Value,
    },
    Quarantined {
        reason: String,
    },
    Ignored {
        reason: String,
    },
}

impl Reading {
    /// An alert that could not even be looked at; copies of it page once.
    pub fn unreadable(message: &Message, reason: &str) -> Self {
        let key = unparsed_key(&message.raw);
        Self {
            finding: Finding::Unreadable { key, reason: reason.to_owned(), json: Value::Null },
            date: None,
            subject_line: None,
        }
    }

    /// What the store must know to remember the alert by; none where the mail is no alert.
    pub fn subject(&self) -> Option<Subject> {
        match &self.finding {
            Finding::Incident { incident, .. } => Some(Subject {
                kind: Kind::Incident,
                incident_id: incident.incident_id.clone(),
                status: normalize_status(&incident.status),
                time: Some(incident.time),
                app_key: incident.app_key.clone(),
                metric: incident.metric.clone(),
            }),
            Finding::Unreadable { key, .. } => Some(Subject {
                kind: Kind::Unparsed,
                incident_id: key.clone(),
                status: UNPARSED.to_owned(),
                time: None,
                app_key: String::new(),
                metric: String::new(),
            }),
            Finding::Quarantined { .. } | Finding::Ignored { .. } => None,
        }
    }

    /// What in the mail the schema does not know.
    pub fn drift(&self) -> Vec<String> {
        match &self.finding {
            Finding::Incident { unknown, .. } => unknown.clone(),
            _ => Vec::new(),
        }
    }
}

const UNPARSED: &str = "UNPARSED";

/// The key of an alert that has no id of its own.
fn unparsed_key(payload: &[u8]) -> String {
    format!("unparsed-{}", &sha256_hex(payload)[..32])
}

impl Rules {
    /// Extracts and validates.
    pub fn read(&self, message: &Message) -> Reading {
        let extraction = self.extractor.extract(&message.raw);
        let finding = match (extraction.found, message.cut_from) {
            (Extracted::NoAlert(NoAlert::OtherSender(reason)), _) => Finding::Ignored { reason },
            (_, Some(size)) => Finding::Quarantined {
                reason: format!("the mail is over the size limit ({size} bytes): only its header was kept"),
            },
            (Extracted::NoAlert(NoAlert::NoPayload(reason)), None) if self.notify_missing_payload => {
                Finding::Unreadable { key: unparsed_key(&message.raw), reason, json: Value::Null }
            }
            (Extracted::NoAlert(NoAlert::NoPayload(reason)), None) => Finding::Ignored { reason },
            (Extracted::Unreadable { reason, key }, None) => Finding::Unreadable { key, reason, json: Value::Null },
            (Extracted::Json(json), None) => self.validated(json),
        };
        Reading { finding, date: extraction.date, subject_line: extraction.subject }
    }

    fn validated(&self, json: Value) -> Finding {
        match self.validator.check(json) {
            Ok(valid) => Finding::Incident { incident: Box::new(valid.incident), unknown: valid.unknown },
            Err(violation) => Finding::Unreadable {
                key: unparsed_key(violation.json.to_string().as_bytes()),
                reason: violation.reason,
                json: violation.json,
            },
        }
    }

    /// What follows from a mail, given what is known.
    pub fn conclude(&self, reading: &Reading, mail: &StoredMail, memory: &Memory, now: Timestamp) -> Decision {
        let labels = self.labels(reading, mail, memory);
        match &reading.finding {
            Finding::Ignored { reason } => nothing(Outcome::Ignored, reason, Labels::new()),
            Finding::Quarantined { reason } => nothing(Outcome::Quarantined, reason, Labels::new()),
            Finding::Incident { incident, .. } => {
                let seen = Observation {
                    signal: self.statuses.signal(&incident.status),
                    status: normalize_status(&incident.status),
                    time: Some(incident.time),
                    verified: verified(&mail.authenticity),
                    fresh: self.fresh(reading, now),
                };
                let page = page(&seen, mail, labels, &incident.incident_id, incident.json.clone(), None);
                self.follow(transition(&memory.known, &seen), page, memory, now)
            }
            Finding::Unreadable { key, reason, json } => {
                let seen = Observation {
                    signal: Signal::Trigger,
                    status: UNPARSED.to_owned(),
                    time: None,
                    verified: verified(&mail.authenticity),
                    fresh: self.fresh(reading, now),
                };
                let page = page(&seen, mail, labels, key, json.clone(), Some(reason.clone()));
                let mut decision = self.follow(transition(&memory.known, &seen), page, memory, now);
                if decision.outcome == Outcome::Opened {
                    decision.outcome = Outcome::Unparsed;
                    decision.reason = Some(and(reason, decision.reason.as_deref()));
                }
                decision
            }
        }
    }

    /// The labels an alert has; those of mail that is none say where it came from.
    pub fn labels(&self, reading: &Reading, mail: &StoredMail, memory: &Memory) -> Labels {
        let incident = match &reading.finding {
            Finding::Incident { incident, .. } => Some(incident.as_ref()),
            _ => None,
        };
        labels_of(
            incident,
            incident.map_or(Signal::Trigger, |incident| self.statuses.signal(&incident.status)),
            &self.severities,
            &mail.authenticity,
            &mail.message.ingress,
            incident.map(|_| memory.recurrence_28d),
        )
    }

    fn fresh(&self, reading: &Reading, now: Timestamp) -> bool {
        self.max_age.is_zero() || reading.date.is_none_or(|date| now.duration_since(date) <= self.max_age.as_signed())
    }

    fn follow(&self, transition: Transition, page: Notification, memory: &Memory, now: Timestamp) -> Decision {
        match transition {
            Transition::Opened(state) => self.tell(Outcome::Opened, state, page, now),
            Transition::Reopened(state) => self.tell(Outcome::Reopened, state, page, now),
            Transition::Updated(state) => {
                let status = state.status.clone();
                let mut decision = self.tell(Outcome::Updated, state, page, now);
                decision.reason = Some(and(
                    &format!("the status {status} is not in alerts.status: told as a trigger"),
                    decision.reason.as_deref(),
                ));
                decision
            }
            Transition::Resolved(state) => self.tell_it_is_over(state, page, memory),
            Transition::Expired(state) => Decision {
                state: Some(state),
                applied: true,
                ..nothing(
                    Outcome::Expired,
                    &format!(
                        "the mail's Date is more than {} (global.max_age) ago: too old to wake anybody",
                        self.max_age
                    ),
                    page.labels,
                )
            },
            Transition::Duplicate { advance, reason } => {
                Decision { state: advance, applied: true, ..nothing(Outcome::Duplicate, &reason, page.labels) }
            }
            Transition::Stale { reason } => nothing(Outcome::Stale, &reason, page.labels),
        }
    }

    /// A trigger goes where the routes lead now.
    fn tell(&self, outcome: Outcome, state: State, page: Notification, now: Timestamp) -> Decision {
        let mut deliveries = Vec::new();
        let mut receivers = Vec::new();
        let mut mutes = Vec::new();
        for Reached { receiver, mute, .. } in self.routes.reach(&page.labels, Some(now)) {
            let held_until = match &mute {
                None => {
                    receivers.push(receiver.clone());
                    None
                }
                Some(Mute { intervals, until: Some(until) }) => {
                    mutes.push(format!("held for {receiver} until {until} by {}", intervals.join(", ")));
                    Some(*until)
                }
                Some(Mute { intervals, until: None }) => {
                    mutes.push(format!("dropped for {receiver} by {} (on_mute: drop)", intervals.join(", ")));
                    continue;
                }
            };
            deliveries.extend(deliver::owed(&self.receivers, &receiver, &page, held_until, now));
        }
        let silenced = receivers.is_empty() && deliveries.is_empty();
        Decision {
            outcome: if silenced { Outcome::Silenced } else { outcome },
            reason: (!mutes.is_empty()).then(|| mutes.join("; ")),
            labels: page.labels,
            state: Some(State { untold: silenced, ..state }),
            applied: true,
            deliveries,
            receivers,
        }
    }

    /// A resolve goes to whoever was told of the trigger, by the record.
    fn tell_it_is_over(&self, state: State, page: Notification, memory: &Memory) -> Decision {
        let mut receivers: Vec<String> = Vec::new();
        let mut deliveries = Vec::new();
        for told in &memory.told {
            if self.receivers.integrations.get(&told.target).is_some_and(|integration| !integration.send_resolved()) {
                continue;
            }
            if !receivers.contains(&told.target.receiver) {
                receivers.push(told.target.receiver.clone());
            }
            deliveries.push(NewDelivery {
                target: told.target.clone(),
                alias: told.alias.clone(),
                notification: page.clone(),
                held_until: None,
                fallback_at: None,
            });
        }
        Decision {
            outcome: Outcome::Resolved,
            reason: memory.told.is_empty().then(|| "nobody was told of its trigger".to_owned()),
            labels: page.labels,
            state: Some(state),
            applied: true,
            deliveries,
            receivers,
        }
    }
}

fn page(
    seen: &Observation,
    mail: &StoredMail,
    labels: Labels,
    incident_id: &str,
    json: Value,
    reason: Option<String>,
) -> Notification {
    Notification {
        action: if seen.signal == Signal::Resolve { Action::Resolve } else { Action::Trigger },
        incident_id: incident_id.to_owned(),
        labels,
        incident: json,
        arrived_at: mail.message.arrived_at,
        time: seen.time,
        reason,
        mail: (mail.id > 0).then_some(mail.id),
    }
}

/// Whether mail may act on verified state; a check that is switched off trusts all.
fn verified(authenticity: &Authenticity) -> bool {
    matches!(authenticity.verdict, Verdict::Pass | Verdict::Off)
}

fn nothing(outcome: Outcome, reason: &str, labels: Labels) -> Decision {
    Decision {
        outcome,
        reason: Some(reason.to_owned()),
        labels,
        state: None,
        applied: false,
        deliveries: Vec::new(),
        receivers: Vec::new(),
    }
}

fn and(first: &str, second: Option<&str>) -> String {
    second.map_or_else(|| first.to_owned(), |second| format!("{first}; {second}"))
}
