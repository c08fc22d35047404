//! A model of a night: what somebody who knows the promise, but not the program, expects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Page;
use crate::delivery::Action;

/// The minutes after midnight in which `night` and `off` sleep, in each of two configurations.
pub(super) const SLEEP: [[(i64, i64); 3]; 2] = [
    [(20, 40), (70, 90), (120, 160)],
    [(10, 25), (55, 75), (90, 130)],
];

pub(super) struct Silence {
    pub matcher: &'static str,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// An incident as its mails describe it, and what each receiver was told since it opened.
#[derive(Default, Clone)]
struct Incident {
    open: bool,
    severity: &'static str,
    told: BTreeMap<String, String>,
    /// Whether mail came while `off` slept, so that it is not meant for that receiver.
    dropped: bool,
    /// The receivers that were to be told at some moment.
    owed: BTreeSet<&'static str>,
}

#[derive(Default)]
pub(super) struct Model {
    incidents: BTreeMap<&'static str, Incident>,
    pub silences: Vec<Silence>,
    /// The index of the configuration in force.
    pub configuration: usize,
    seen: BTreeSet<String>,
}

impl Incident {
    fn on_call(&self) -> Vec<&'static str> {
        let mut on_call = vec!["chat", "night"];
        if self.severity == "critical" {
            on_call.push("pager");
        }
        if !self.dropped {
            on_call.push("off");
        }
        on_call
    }
}

impl Model {
    fn is_asleep(&self, receiver: &str, now: Timestamp) -> bool {
        let minute = now.as_second() / 60 % (24 * 60);
        ["night", "off"].contains(&receiver)
            && SLEEP[self.configuration]
                .iter()
                .any(|(from, until)| (*from..*until).contains(&minute))
    }

    /// Records a new mail, which is newer than all before it.
    pub(super) fn mail(
        &mut self,
        id: &'static str,
        severity: Option<&'static str>,
        now: Timestamp,
    ) {
        let is_silenced = severity.is_some_and(|severity| self.is_silenced(id, severity, now));
        let dropped = self.is_asleep("off", now) && !is_silenced;
        let incident = self.incidents.entry(id).or_default();
        match severity {
            Some(severity) if incident.open => incident.severity = severity,
            Some(severity) => {
                *incident = Incident {
                    open: true,
                    severity,
                    dropped,
                    ..Incident::default()
                }
            }
            None => incident.open = false,
        }
    }

    fn covering<'a>(
        &'a self,
        incident: &'a str,
        severity: &'a str,
    ) -> impl Iterator<Item = &'a Silence> {
        let covers = move |silence: &&Silence| match silence.matcher {
            "incident_id=a" => incident == "a",
            "severity=critical" => severity == "critical",
            _ => true,
        };
        self.silences.iter().filter(covers)
    }

    fn is_silenced(&self, incident: &str, severity: &str, now: Timestamp) -> bool {
        self.covering(incident, severity)
            .any(|silence| silence.from <= now && now < silence.until)
    }

    /// Records the receivers that nothing keeps from being told by now: they must be told, whatever
    /// comes next.
    pub(super) fn owe(&mut self, now: Timestamp) {
        let free: Vec<_> = self
            .incidents
            .iter()
            .filter(|(id, incident)| incident.open && !self.is_silenced(id, incident.severity, now))
            .map(|(id, incident)| (*id, incident.on_call()))
            .collect();
        for (id, mut receivers) in free {
            receivers.retain(|receiver| !self.is_asleep(receiver, now));
            self.incidents.get_mut(id).unwrap().owed.extend(receivers);
        }
    }

    /// Records what was told, and objects if it should not have been.
    pub(super) fn heard(&mut self, pages: &[Page], now: Timestamp) -> Result<(), String> {
        for page in pages {
            let Page {
                receiver,
                action,
                incident: id,
                severity,
                mail,
            } = page;
            if !self.seen.insert(format!("{receiver} {action:?} {mail}")) {
                return Err(format!("the same page twice: {page:?}"));
            }
            let resolves = *action == Action::Resolve;
            // Changing an alert that somebody already has is not a page.
            let changes = receiver == "pager" && *action == Action::Change;
            if !resolves && self.is_silenced(id, severity, now) {
                return Err(format!("told while silenced: {page:?}"));
            }
            if !resolves && !changes && self.is_asleep(receiver, now) {
                return Err(format!("told while muted: {page:?}"));
            }
            let incident = self.incidents.get_mut(id.as_str()).unwrap();
            // All is well again, and the end is as severe as the incident that it ends.
            if resolves && severity != incident.severity {
                let was = incident.severity;
                return Err(format!("it was {was} while it was open: {page:?}"));
            }
            let told = &mut incident.told;
            let before = match action {
                Action::Trigger | Action::Change => told.insert(receiver.clone(), severity.clone()),
                Action::Resolve => told.remove(receiver),
            };
            match (action, before) {
                (Action::Trigger, Some(_)) => return Err(format!("opened twice: {page:?}")),
                (Action::Change | Action::Resolve, None) => {
                    return Err(format!("to somebody who knows nothing of it: {page:?}"));
                }
                (Action::Change, Some(before)) if before == *severity && receiver == "pager" => {
                    return Err(format!("no change: {page:?}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks the state when everything that could be done by now is done. `told` is what was heard
    /// at this moment.
    pub(super) fn at_rest(&mut self, told: &[Page], now: Timestamp) -> Result<(), String> {
        for (id, incident) in &mut self.incidents {
            for owed in std::mem::take(&mut incident.owed) {
                let to_them = |page: &Page| page.incident == **id && page.receiver == owed;
                if !told.iter().any(to_them) && !incident.told.contains_key(owed) {
                    return Err(format!("{owed} was on call, and heard nothing of {id}"));
                }
            }
        }
        for (id, incident) in &self.incidents {
            if !incident.open {
                if let Some(receiver) = incident.told.keys().next() {
                    return Err(format!("{receiver} was not told that {id} is over"));
                }
                continue;
            }
            if self.is_silenced(id, incident.severity, now) {
                continue;
            }
            for receiver in incident.on_call() {
                let heard = incident.told.get(receiver).map(String::as_str);
                let knows = match heard {
                    // A change that comes while `off` sleeps is dropped.
                    Some(_) if receiver == "off" => true,
                    Some("critical") => receiver != "pager" || incident.severity == "critical",
                    Some(_) => incident.severity != "critical",
                    None => false,
                };
                if !knows && !self.is_asleep(receiver, now) {
                    let is = incident.severity;
                    return Err(format!("{id} is {is}, and {receiver} heard {heard:?}"));
                }
            }
        }
        Ok(())
    }
}
