//! From a transition to everything that is written and everybody who is told. Pure.

use jiff::Timestamp;

use super::rules::Rules;
use crate::{
    deliver,
    delivery::{Action, Notification, Target},
    incident::{Phase, State, Transition, Values},
    label::Labels,
    message::Outcome,
    route::{Mute, Reached},
    silence::last_to_cover,
    store::{Decision, Memory, NewDelivery, Silenced, Silencing},
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
            Transition::Changed(state) => self.tell_of_change(state, page, memory, now),
            Transition::Updated(state) => {
                let status = state.status.clone();
                let mut decision = self.tell(Outcome::Updated, state, page, memory, now);
                let taken = if decision.outcome == Outcome::Updated {
                    "told as"
                } else {
                    "taken for"
                };
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
            Transition::Duplicate { advance, reason } => Decision {
                silencing: self.as_told_again(&page, memory),
                state: advance,
                applied: true,
                ..nothing(Outcome::Duplicate, &reason, page.labels)
            },
            Transition::Stale { reason } => nothing(Outcome::Stale, &reason, page.labels),
        }
    }

    /// A trigger goes where the routes lead now, unless a silence covers it.
    fn tell(
        &self,
        outcome: Outcome,
        state: State,
        page: Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        if let Some((reason, held)) = silenced(&page, memory) {
            return Decision {
                state: Some(State {
                    untold: true,
                    ..state
                }),
                applied: true,
                silencing: held,
                supersedes: true,
                ..nothing(Outcome::Silenced, &reason, page.labels)
            };
        }
        let state = State {
            told: self.values(&page.labels),
            ..state
        };
        let mut deliveries = Vec::new();
        let mut receivers = Vec::new();
        let mut mutes = Vec::new();
        for Reached { receiver, mute, .. } in self.routes.reach(&page.labels, Some(now)) {
            let held_until = match &mute {
                None => {
                    receivers.push(receiver.clone());
                    None
                }
                Some(Mute {
                    intervals,
                    until: Some(until),
                }) => {
                    mutes.push(format!(
                        "held for {receiver} until {until} by {}",
                        intervals.join(", ")
                    ));
                    Some(*until)
                }
                Some(Mute {
                    intervals,
                    until: None,
                }) => {
                    mutes.push(format!(
                        "dropped for {receiver} by {} (on_mute: drop)",
                        intervals.join(", ")
                    ));
                    continue;
                }
            };
            deliveries.extend(deliver::owed(
                &self.receivers,
                &receiver,
                &page,
                held_until,
                now,
            ));
        }
        let dropped = receivers.is_empty() && deliveries.is_empty();
        let outcome = if dropped { Outcome::Silenced } else { outcome };
        Decision {
            reason: (!mutes.is_empty()).then(|| mutes.join("; ")),
            state: Some(State {
                untold: dropped,
                ..state
            }),
            applied: true,
            deliveries,
            receivers,
            silencing: Silencing::Over,
            ..nothing(outcome, "", page.labels)
        }
    }

    /// A change updates at whoever was told, where they can, and is told anew to the others where
    /// the severity rose. A rise is also told by the routes of now to whoever was not told yet.
    /// What a mute holds gives way to it.
    fn tell_of_change(
        &self,
        state: State,
        page: Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let before = memory.known.state.as_ref();
        if let Some((reason, held)) = silenced(&page, memory) {
            return Decision {
                state: Some(State {
                    untold: before.is_some_and(|state| state.untold),
                    ..state
                }),
                applied: true,
                silencing: held,
                ..nothing(Outcome::Silenced, &reason, page.labels)
            };
        }
        let was = state.told.get(SEVERITY).cloned().unwrap_or_default();
        if memory.told.is_empty() {
            let decision = self.tell(Outcome::Changed, state, page, memory, now);
            return Decision {
                supersedes: true,
                ..decision
            };
        }
        let is = page.labels.get(SEVERITY).cloned().unwrap_or_default();
        let change = format!("the severity was {was} and is {is}");
        let update = Notification {
            action: Action::Change,
            was: Some(was.clone()),
            reason: page
                .reason
                .clone()
                .or_else(|| (was != is).then(|| change.clone())),
            ..page.clone()
        };
        let rose = update.rose();
        // What is not proven says something to people, and changes nothing that is.
        let bound = page.doubt.is_some() && before.is_some_and(|state| state.verified);
        if bound && !rose {
            let reason = "it is not proven, and the incident is firing already";
            return Decision {
                applied: true,
                ..nothing(Outcome::Duplicate, reason, page.labels)
            };
        }

        let reached = self.routes.reach(&page.labels, Some(now));
        let mute = |receiver: &str| {
            let found = reached.iter().find(|reached| reached.receiver == receiver);
            found.and_then(|reached| reached.mute.as_ref())
        };
        let mut receivers: Vec<String> = Vec::new();
        let mut deliveries = Vec::new();
        for told in &memory.told {
            let Some(integration) = self.receivers.integrations.get(&told.target) else {
                continue;
            };
            let updates = integration.updates();
            // To change what somebody has disturbs nobody; to be told anew does.
            let mute = mute(&told.target.receiver).filter(|_| !updates);
            let is_dropped = mute.is_some_and(|mute| mute.until.is_none());
            if is_dropped || if updates { bound } else { !rose } {
                continue;
            }
            let held_until = mute.and_then(|mute| mute.until);
            if held_until.is_none() && !receivers.contains(&told.target.receiver) {
                receivers.push(told.target.receiver.clone());
            }
            deliveries.push(NewDelivery {
                target: told.target.clone(),
                alias: told.alias.clone(),
                notification: update.clone(),
                held_until,
                fallback_at: None,
                leased_until: None,
            });
        }
        let anew = self.tell(Outcome::Changed, state, page, memory, now);
        let not_yet = |target: &Target| !memory.told.iter().any(|told| told.target == *target);
        let held = |target: &Target| memory.held.iter().any(|held| held.target == *target);
        let others = anew.deliveries.into_iter().filter(|delivery| {
            not_yet(&delivery.target) && (rose || !bound && held(&delivery.target))
        });
        for delivery in others {
            let receiver = &delivery.target.receiver;
            if delivery.held_until.is_none() && !receivers.contains(receiver) {
                receivers.push(receiver.clone());
            }
            deliveries.push(delivery);
        }
        Decision {
            reason: Some(and(&change, anew.reason.as_deref())),
            state: anew.state.map(|state| State {
                untold: false,
                ..state
            }),
            deliveries,
            receivers,
            supersedes: !bound,
            applied: true,
            silencing: Silencing::Over,
            ..nothing(Outcome::Changed, "", anew.labels)
        }
    }

    /// What is told when the last silence that covers an incident ends.
    pub fn unsilence(&self, memory: &Memory, now: Timestamp) -> Decision {
        let as_it_is = |labels| nothing(Outcome::Duplicate, "no silence holds it", labels);
        let (Some(state), Some(Silenced { until, page, .. })) =
            (&memory.known.state, &memory.silenced)
        else {
            return as_it_is(Labels::new());
        };
        if *until > now {
            return as_it_is(page.labels.clone());
        }
        if let Some((reason, held)) = silenced(page, memory) {
            return Decision {
                silencing: held,
                ..nothing(Outcome::Silenced, &reason, page.labels.clone())
            };
        }
        let (state, page) = (
            State {
                untold: false,
                ..state.clone()
            },
            page.clone(),
        );
        let told = !memory.told.is_empty() || !memory.held.is_empty();
        let decision = match state.phase {
            Phase::Resolved => nothing(Outcome::Duplicate, "it is over", page.labels),
            Phase::Firing if !told => self.tell(Outcome::Opened, state, page, memory, now),
            Phase::Firing if self.is_other(&page.labels, &state) => {
                self.tell_of_change(state, page, memory, now)
            }
            Phase::Firing => nothing(Outcome::Duplicate, "it is as it was told", page.labels),
        };
        Decision {
            silencing: Silencing::Over,
            applied: false,
            ..decision
        }
    }

    /// The labels that a change of is told, and the severity, which says whether it rose.
    pub(super) fn values(&self, labels: &Labels) -> Values {
        let names = self
            .notify_on_change
            .iter()
            .map(String::as_str)
            .chain([SEVERITY]);
        names
            .filter_map(|name| Some((name.to_owned(), labels.get(name)?.clone())))
            .collect()
    }

    /// The same without what no change is told of.
    pub(super) fn changeable(&self, labels: &Labels) -> Values {
        let names = self.notify_on_change.iter();
        names
            .filter_map(|name| Some((name.clone(), labels.get(name.as_str())?.clone())))
            .collect()
    }

    fn is_other(&self, labels: &Labels, state: &State) -> bool {
        self.changeable(labels)
            .iter()
            .any(|(name, value)| state.told.get(name).is_some_and(|told| told != value))
    }

    /// An incident that is again as it was told has no change to tell when its silence ends.
    fn as_told_again(&self, page: &Notification, memory: &Memory) -> Silencing {
        let told = !memory.told.is_empty() || !memory.held.is_empty();
        let newest = memory
            .known
            .state
            .as_ref()
            .filter(|state| state.verified <= page.doubt.is_none());
        match newest {
            Some(state)
                if told
                    && page.action == Action::Trigger
                    && page.time >= state.newest
                    && !self.is_other(&page.labels, state) =>
            {
                Silencing::Over
            }
            _ => Silencing::AsItIs,
        }
    }

    /// A resolve goes to whoever was told of the trigger, by the record.
    fn tell_it_is_over(&self, state: State, page: Notification, memory: &Memory) -> Decision {
        let mut receivers: Vec<String> = Vec::new();
        let mut deliveries = Vec::new();
        for told in &memory.told {
            if self
                .receivers
                .integrations
                .get(&told.target)
                .is_some_and(|integration| !integration.send_resolved())
            {
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
            silencing: Silencing::Over,
            reason: memory
                .told
                .is_empty()
                .then(|| "nobody was told of its trigger".to_owned()),
            state: Some(state),
            applied: true,
            deliveries,
            receivers,
            ..nothing(Outcome::Resolved, "", page.labels)
        }
    }
}

const SEVERITY: &str = "severity";

/// By what a page is silenced, and what is held of it; none where no silence covers it.
fn silenced(page: &Notification, memory: &Memory) -> Option<(String, Silencing)> {
    let last = last_to_cover(&memory.silences, &page.labels)?;
    let covering = memory
        .silences
        .iter()
        .filter(|silence| silence.covers(&page.labels));
    let reasons: Vec<_> = covering.map(ToString::to_string).collect();
    let held = Silenced {
        silence: last.id,
        until: last.ends_at,
        page: page.clone(),
    };
    Some((reasons.join("; "), Silencing::Held(Box::new(held))))
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
        supersedes: false,
        silencing: Silencing::AsItIs,
    }
}

/// Two reasons in one.
pub(super) fn and(first: &str, second: Option<&str>) -> String {
    second.map_or_else(|| first.to_owned(), |second| format!("{first}; {second}"))
}
