//! What the configuration says of mail, compiled: how one is read, and what follows from it. Pure.
//!
//! `serve`, `explain` and `replay` all go through here, so what is explained is what happens.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    follow::{and, nothing},
    standing::{Policy, Standing},
};
use crate::{
    delivery::{Action, Doubt, Notification, sha256_hex},
    extract::{Extracted, Extractor, NoAlert},
    incident::{
        Incident, Observation, Signal, State, Statuses, Values, normalize_status, transition,
    },
    label::{Labels, Severities, labels_of},
    message::{Authenticity, Message, Outcome, Release, Verdict},
    receiver::Receivers,
    route::Routes,
    settings::Duration,
    store::{Decision, Kind, Memory, NewDelivery, Silencing, StoredMail, Subject},
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
    /// The labels that a change of is told.
    pub notify_on_change: Vec<String>,
    /// Zero: no limit.
    pub max_age: Duration,
    /// What mail that is not proven may do.
    pub policy: Policy,
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
    /// An alert that cannot be read, under a key made from its payload; with the JSON where it is
    /// JSON.
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
            finding: Finding::Unreadable {
                key,
                reason: reason.to_owned(),
                json: Value::Null,
            },
            date: None,
            subject_line: None,
        }
    }

    /// The incident it is about, where the order of its mails matters.
    pub(super) fn incident_id(&self) -> Option<&str> {
        match &self.finding {
            Finding::Incident { incident, .. } => Some(&incident.incident_id),
            _ => None,
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
        if let Some(finding) = message
            .withheld
            .as_deref()
            .and_then(|reason| self.withheld(message, reason))
        {
            return Reading {
                finding,
                date: extraction.date,
                subject_line: extraction.subject,
            };
        }
        let finding = match (extraction.found, message.cut_from) {
            (Extracted::NoAlert(NoAlert::OtherSender(reason)), _) => Finding::Ignored { reason },
            (_, Some(size)) => Finding::Quarantined {
                reason: format!(
                    "the mail is over the size limit ({size} bytes): only its header was kept"
                ),
            },
            (Extracted::NoAlert(NoAlert::NoPayload(reason)), None)
                if self.notify_missing_payload =>
            {
                Finding::Unreadable {
                    key: unparsed_key(&message.raw),
                    reason,
                    json: Value::Null,
                }
            }
            (Extracted::NoAlert(NoAlert::NoPayload(reason)), None) => Finding::Ignored { reason },
            (Extracted::Unreadable { reason, key }, None) => Finding::Unreadable {
                key,
                reason,
                json: Value::Null,
            },
            (Extracted::Json(json), None) => self.validated(json),
        };
        Reading {
            finding,
            date: extraction.date,
            subject_line: extraction.subject,
        }
    }

    /// Whether a mail is proven to be no alert: a readable header names another sender.
    pub fn is_another_senders(&self, raw: &[u8]) -> bool {
        matches!(
            self.extractor.extract(raw).found,
            Extracted::NoAlert(NoAlert::OtherSender(_))
        )
    }

    /// A mail that its server did not give may be an alert, unless its header names another sender.
    /// The reason names the mail, so that each is told.
    fn withheld(&self, message: &Message, reason: &str) -> Option<Finding> {
        let is_known = !message.raw.is_empty() && self.extractor.is_anothers(&message.raw);
        let key = || {
            unparsed_key(&[message.ingress.as_bytes(), reason.as_bytes(), &message.raw].concat())
        };
        (!is_known).then(|| Finding::Unreadable {
            key: key(),
            reason: reason.to_owned(),
            json: Value::Null,
        })
    }

    fn validated(&self, json: Value) -> Finding {
        match self.validator.check(json) {
            Ok(valid) => Finding::Incident {
                incident: Box::new(valid.incident),
                unknown: valid.unknown,
            },
            Err(violation) => Finding::Unreadable {
                key: unparsed_key(violation.json.to_string().as_bytes()),
                reason: violation.reason,
                json: violation.json,
            },
        }
    }

    /// What the store must know to remember the alert by; none where the mail is no alert.
    pub fn subject(&self, reading: &Reading, mail: &StoredMail, now: Timestamp) -> Option<Subject> {
        let alert = Alert::of(reading)?;
        Some(Subject {
            kind: if alert.incident.is_some() {
                Kind::Incident
            } else {
                Kind::Unparsed
            },
            incident_id: alert.id.to_owned(),
            status: alert.status(),
            time: alert.incident.map(|incident| incident.time),
            app_key: alert
                .incident
                .map_or_else(String::new, |incident| incident.app_key.clone()),
            metric: alert
                .incident
                .map_or_else(String::new, |incident| incident.metric.clone()),
            ingress: mail.message.ingress.clone(),
            verified: self.standing(&alert, mail, now) == Standing::Genuine,
        })
    }

    /// What follows from a mail, given what is known.
    pub fn conclude(
        &self,
        reading: &Reading,
        mail: &StoredMail,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let alert = match (&reading.finding, Alert::of(reading)) {
            (Finding::Ignored { reason }, _) => {
                return nothing(Outcome::Ignored, reason, Labels::new());
            }
            (Finding::Quarantined { reason }, _) => {
                return nothing(Outcome::Quarantined, reason, Labels::new());
            }
            (_, None) => return nothing(Outcome::Ignored, "no alert", Labels::new()),
            (_, Some(alert)) => alert,
        };
        let labels = self.labels(reading, mail, memory);
        if memory.told_before.is_none() && memory.owes_what_was_silenced(now) {
            let reason = "what a silence held until now is told first";
            return nothing(Outcome::Pending, reason, labels);
        }
        let standing = self.standing(&alert, mail, now);
        if let (Some(outcome), false) = (memory.told_before, standing == Standing::Genuine) {
            let check_at = match standing {
                Standing::Doubtful { check_at, .. } | Standing::Held { check_at, .. } => check_at,
                _ => None,
            };
            return Decision {
                check_at,
                ..nothing(outcome, &checked_again(mail), labels)
            };
        }
        let (doubt, check_at) = match standing {
            Standing::Genuine => (None, None),
            Standing::Doubtful { doubt, check_at } => (Some(doubt), check_at),
            Standing::Waits { check_at } => {
                let why = mail.authenticity.detail.as_deref().unwrap_or("DNS trouble");
                let reason =
                    format!("a resolve that could not be checked waits until it can be: {why}");
                return Decision {
                    check_at: Some(check_at),
                    ..nothing(Outcome::Pending, &reason, labels)
                };
            }
            held @ Standing::Held { .. } => return held_back(held, labels),
        };
        let seen = Observation {
            signal: self.signal(&alert),
            status: alert.status(),
            time: alert.incident.map(|incident| incident.time),
            verified: doubt.is_none(),
            fresh: mail.released.is_some() || self.fresh(reading, now),
            values: self.changeable(&labels),
        };
        let page = page(&seen, mail, labels, &alert, doubt);
        let mut decision = self.follow(transition(&memory.known, &seen), page, memory, now);
        if !memory.known.keeps(&seen) {
            decision.state = None;
            decision.silencing = Silencing::AsItIs;
            decision.supersedes = false;
        }
        decision.check_at = check_at;
        if decision.outcome == Outcome::Duplicate {
            decision.late = memory
                .first_heard
                .clone()
                .filter(|first| first.ingress != mail.message.ingress);
        }
        let held = matches!(decision.silencing, Silencing::Held(_));
        if doubt.is_some() && (decision.tells() || held) {
            if let Some(held) = self.policy.over_the_limit(memory.marked, check_at) {
                return held_back(held, decision.labels);
            }
            decision.marked = true;
        }
        if let (None, Outcome::Opened | Outcome::Silenced, Some(reason)) =
            (alert.incident, decision.outcome, alert.reason)
        {
            if decision.outcome == Outcome::Opened {
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

    /// What follows from something the bridge tells of itself.
    pub fn announce(
        &self,
        page: Notification,
        status: &str,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let seen = Observation {
            signal: if page.action == Action::Resolve {
                Signal::Resolve
            } else {
                Signal::Trigger
            },
            status: status.to_owned(),
            // What is so now is newer than all before, whatever becomes of the clock.
            time: None,
            verified: true,
            fresh: true,
            // It is told once, whatever more there is to say of it.
            values: Values::new(),
        };
        Decision {
            applied: false,
            ..self.follow(transition(&memory.known, &seen), page, memory, now)
        }
    }

    fn standing(&self, alert: &Alert<'_>, mail: &StoredMail, now: Timestamp) -> Standing {
        let app = alert.incident.map(|incident| incident.app_key.as_str());
        self.policy.standing(mail, self.signal(alert), app, now)
    }

    fn signal(&self, alert: &Alert<'_>) -> Signal {
        alert.incident.map_or(Signal::Trigger, |incident| {
            self.statuses.signal(&incident.status)
        })
    }

    /// The labels an alert has; those of mail that is none say where it came from.
    pub fn labels(&self, reading: &Reading, mail: &StoredMail, memory: &Memory) -> Labels {
        let incident = match &reading.finding {
            Finding::Incident { incident, .. } => Some(incident.as_ref()),
            _ => None,
        };
        let authenticity = match mail.released {
            // Somebody vouches for it: it is routed as genuine mail is.
            Some(_) => &Authenticity {
                verdict: Verdict::Pass,
                ..mail.authenticity.clone()
            },
            None => &mail.authenticity,
        };
        labels_of(
            incident,
            incident.map_or(Signal::Trigger, |incident| {
                self.statuses.signal(&incident.status)
            }),
            &self.severities,
            authenticity,
            &mail.message.ingress,
            incident.map(|_| memory.recurrence_28d),
        )
    }

    fn fresh(&self, reading: &Reading, now: Timestamp) -> bool {
        self.max_age.is_zero()
            || reading
                .date
                .is_none_or(|date| now.duration_since(date) <= self.max_age.as_signed())
    }
}

/// The alert a mail holds.
struct Alert<'a> {
    /// None where it could not be read.
    incident: Option<&'a Incident>,
    /// The incident's id, or the key made for an alert that has none.
    id: &'a str,
    json: &'a Value,
    /// Why it could not be read.
    reason: Option<&'a str>,
}

impl<'a> Alert<'a> {
    fn of(reading: &'a Reading) -> Option<Self> {
        match &reading.finding {
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

    fn status(&self) -> String {
        self.incident.map_or_else(
            || UNPARSED.to_owned(),
            |incident| normalize_status(&incident.status),
        )
    }
}

fn page(
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
        time: seen.time,
        reason: alert
            .reason
            .map(ToOwned::to_owned)
            .or_else(|| mail.released.as_ref().map(let_through)),
        mail: (mail.id > 0).then_some(mail.id),
        doubt,
        was: None,
    }
}

fn held_back(held: Standing, labels: Labels) -> Decision {
    let Standing::Held {
        hold,
        reason,
        check_at,
    } = held
    else {
        return nothing(Outcome::Quarantined, "", labels);
    };
    Decision {
        check_at,
        hold,
        ..nothing(Outcome::Quarantined, &reason, labels)
    }
}

/// Nobody is told twice: of a mail that was told before it could be checked, only the state it
/// leads to is new.
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

/// What is told anew was told before; what updates in place has waited for the proof.
fn updates(deliveries: Vec<NewDelivery>) -> Vec<NewDelivery> {
    deliveries
        .into_iter()
        .filter(|delivery| delivery.notification.action == Action::Change)
        .collect()
}

fn checked_again(mail: &StoredMail) -> String {
    let verdict = match mail.authenticity.verdict {
        Verdict::Pass | Verdict::Off => "genuine",
        Verdict::Fail | Verdict::None => "not proven to be genuine",
        Verdict::TempError => "still not to be checked",
    };
    let detail = mail
        .authenticity
        .detail
        .as_deref()
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default();
    format!("told before it could be checked; checked again: {verdict}{detail}")
}

fn let_through(release: &Release) -> String {
    format!(
        "let out of the quarantine by {} at {:.0}",
        release.by, release.at
    )
}
