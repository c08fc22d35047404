//! From a transition to everything that is written and everybody who is told. Pure.

use jiff::Timestamp;

use super::rules::Rules;
use crate::{
    deliver,
    delivery::Notification,
    incident::{State, Transition},
    label::Labels,
    message::Outcome,
    route::{Mute, Reached},
    store::{Decision, Memory, NewDelivery},
};

impl Rules {
    /// Everything that is written when a mail, or the bridge itself, has moved an incident.
    pub(super) fn follow(
        &self,
        transition: Transition,
        page: Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        match transition {
            Transition::Opened(state) => self.tell(Outcome::Opened, state, page, memory, now),
            Transition::Reopened(state) => self.tell(Outcome::Reopened, state, page, memory, now),
            Transition::Updated(state) => {
                let status = state.status.clone();
                let mut decision = self.tell(Outcome::Updated, state, page, memory, now);
                let taken = if decision.outcome == Outcome::Updated { "told as" } else { "taken for" };
                decision.reason = Some(and(
                    &format!("the status {status} is not in alerts.status: {taken} a trigger"),
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

    /// A trigger goes where the routes lead now, unless a silence covers it.
    fn tell(&self, outcome: Outcome, state: State, page: Notification, memory: &Memory, now: Timestamp) -> Decision {
        let silences = memory.silences.iter().filter(|silence| silence.covers(&page.labels));
        let silences: Vec<_> = silences.map(ToString::to_string).collect();
        if !silences.is_empty() {
            return Decision {
                state: Some(State { untold: true, ..state }),
                applied: true,
                ..nothing(Outcome::Silenced, &silences.join("; "), page.labels)
            };
        }
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
        let dropped = receivers.is_empty() && deliveries.is_empty();
        let outcome = if dropped { Outcome::Silenced } else { outcome };
        Decision {
            reason: (!mutes.is_empty()).then(|| mutes.join("; ")),
            state: Some(State { untold: dropped, ..state }),
            applied: true,
            deliveries,
            receivers,
            ..nothing(outcome, "", page.labels)
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
                leased_until: None,
            });
        }
        Decision {
            reason: memory.told.is_empty().then(|| "nobody was told of its trigger".to_owned()),
            state: Some(state),
            applied: true,
            deliveries,
            receivers,
            ..nothing(Outcome::Resolved, "", page.labels)
        }
    }
}

/// A decision that changes nothing and tells nobody.
pub(super) fn nothing(outcome: Outcome, reason: &str, labels: Labels) -> Decision {
    Decision {
        outcome,
        reason: Some(reason.to_owned()),
        labels,
        state: None,
        applied: false,
        deliveries: Vec::new(),
        receivers: Vec::new(),
        check_at: None,
        hold: None,
        marked: false,
        late: None,
        claims: Vec::new(),
    }
}

/// Two reasons in one.
pub(super) fn and(first: &str, second: Option<&str>) -> String {
    second.map_or_else(|| first.to_owned(), |second| format!("{first}; {second}"))
}
