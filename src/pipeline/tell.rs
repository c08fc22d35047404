//! Decides who is told: of a trigger, everybody whom the routes reach; of a resolve, everybody who
//! was told of the trigger. Pure.

use jiff::Timestamp;

use super::{reason::and, rules::Rules};
use crate::{
    delivery::{NewDelivery, Notification},
    incident::State,
    label::Labels,
    message::Outcome,
    route::{Mute, Reached},
    silence::last_to_cover,
    store::{Decision, Memory, Silenced, Silencing, Told},
};

impl Rules {
    /// Tells a trigger to everybody whom the routes reach now, unless a silence covers it.
    ///
    /// A page that a mute holds from earlier outlives the silence. Its receiver, who is told or
    /// will be, gets this page in its place.
    pub(super) fn tell(
        &self,
        outcome: Outcome,
        state: State,
        page: Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        if let Some(silenced) = silenced(&page, memory) {
            let state = State {
                untold: !is_known(&state, memory),
                ..state
            };
            return self.kept_back(silenced, state, page, memory);
        }

        let decision = self.tell_by_routes(outcome, state, &page, memory, now);
        let decision = self.beside_open_alerts(outcome, decision, &page, memory);
        if memory.held.is_empty() || is_bound(&page, memory) {
            return decision;
        }
        Decision {
            supersedes: true,
            ..self.still_owing(outcome, decision, &page, memory, now)
        }
    }

    /// Returns the decision about a page that a silence holds.
    ///
    /// The page is kept back once: a mail that says the same again is a repeat.
    pub(super) fn kept_back(
        &self,
        (reason, held): (String, Silenced),
        state: State,
        page: Notification,
        memory: &Memory,
    ) -> Decision {
        let values = |page: &Notification| self.treatment_of(&page.labels).values(&page.labels);
        let is_held = memory.silenced.as_ref().is_some_and(|held| {
            held.page.time == page.time
                && held.page.doubt == page.doubt
                && held.page.labels.get("status") == page.labels.get("status")
                && values(&held.page) == values(&page)
        });

        let (outcome, reason) = if is_held && memory.known.applied_before {
            let reason = and("the same alert was already silenced", Some(&reason));
            (Outcome::Duplicate, reason)
        } else {
            (Outcome::Silenced, reason)
        };

        Decision {
            state: Some(state),
            applied: true,
            silencing: Silencing::Held(Box::new(held)),
            ..Decision::nothing(outcome, &reason, page.labels)
        }
    }

    /// Builds the decision that tells the page to everybody whom the routes reach now.
    pub(super) fn tell_by_routes(
        &self,
        outcome: Outcome,
        state: State,
        page: &Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let state = State {
            told: self.treatment_of(&page.labels).values(&page.labels),
            ..state
        };

        let mut deliveries = Vec::new();
        let mut receivers = Vec::new();
        // What keeps a receiver from being told now.
        let mut obstacles = Vec::new();

        for Reached { receiver, mute, .. } in self.reach(&page.labels, memory, now) {
            let held_until = mute.as_ref().and_then(|mute| mute.until);
            let owed = self.receivers.owed(&receiver, page, held_until, now);
            if owed.is_empty() {
                obstacles.push(format!("{receiver} has no integration"));
                continue;
            }

            match &mute {
                None => receivers.push(receiver.clone()),
                Some(mute) => obstacles.push(said_of_mute(&receiver, mute)),
            }
            let is_dropped = mute.is_some() && held_until.is_none();
            if !is_dropped {
                deliveries.extend(owed);
            }
        }

        let dropped = deliveries.is_empty();
        let outcome = if dropped { Outcome::Silenced } else { outcome };

        Decision {
            reason: (!obstacles.is_empty()).then(|| obstacles.join("; ")),
            state: Some(State {
                untold: dropped && !is_known(&state, memory),
                ..state
            }),
            applied: true,
            deliveries,
            receivers,
            silencing: Silencing::Over,
            ..Decision::nothing(outcome, "", page.labels.clone())
        }
    }

    /// Returns the receivers that the routes reach now. A page that a silence or a mute held is
    /// never dropped.
    pub(super) fn reach(&self, labels: &Labels, memory: &Memory, now: Timestamp) -> Vec<Reached> {
        let was_silenced = memory.silenced.is_some();
        let is_held = |receiver: &str| {
            let mut held = memory.held.iter();
            let now = |held: &Told| self.receivers.now(&held.target).receiver == receiver;
            was_silenced || held.any(now)
        };
        self.routes.reach_held(labels, now, is_held)
    }

    /// Tells a resolve to everybody who, by the record, was told of the trigger.
    pub(super) fn tell_it_is_over(
        &self,
        state: State,
        page: Notification,
        memory: &Memory,
    ) -> Decision {
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
            deliveries.push(NewDelivery::at_once(&told.target, &told.alias, &page));
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
            ..Decision::nothing(Outcome::Resolved, "", page.labels)
        }
    }
}

/// Describes what a mute does to the page for a receiver: a mute without an end drops it.
fn said_of_mute(receiver: &str, mute: &Mute) -> String {
    let intervals = mute.intervals.join(", ");
    match mute.until {
        Some(until) => format!("held for {receiver} until {until} by {intervals}"),
        None => format!("dropped for {receiver} by {intervals} (on_mute: drop)"),
    }
}

/// Returns whether somebody was told of this opening of the incident, or is owed the page.
fn is_known(state: &State, memory: &Memory) -> bool {
    let before = memory.known.state.as_ref();
    before.is_some_and(|before| before.episode == state.episode) && memory.is_told()
}

/// Returns whether an unproven page concerns a proven incident, so that it may change nothing of
/// it.
pub(super) fn is_bound(page: &Notification, memory: &Memory) -> bool {
    let before = memory.known.state.as_ref();
    page.doubt.is_some() && before.is_some_and(|state| state.verified)
}

/// Returns why the page is silenced and what is held of it; `None` if no silence covers it.
pub(super) fn silenced(page: &Notification, memory: &Memory) -> Option<(String, Silenced)> {
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

    Some((reasons.join("; "), held))
}
