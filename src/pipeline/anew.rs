//! The pages to receivers whose vendor already has an alert of the incident open. Pure.
//!
//! A vendor that knows repeats takes a second trigger under the alias of an open alert for a
//! repeat: it counts it, leaves the alert as it is, and notifies nobody.

use super::{rules::Rules, tell::is_bound, treatment::SEVERITY};
use crate::{
    delivery::{Action, NewDelivery, Notification},
    incident::{Phase, State},
    message::Outcome,
    store::{Decision, Memory},
};

const PROVEN: &str = "a verified copy of the alert has arrived, which opens it again";

impl Rules {
    /// Gives the decision about a trigger the pages that reach those who were told before.
    ///
    /// - An alert that an unproven mail opened is closed, and the proven trigger opens it anew: it
    ///   loses its mark, and rings. That does not depend on `send_resolved`, because it ends
    ///   nothing for people.
    /// - Otherwise an alert of this opening is updated in its place, as for a change: a mute does
    ///   not matter, because that disturbs nobody.
    pub(super) fn beside_open_alerts(
        &self,
        outcome: Outcome,
        mut decision: Decision,
        page: &Notification,
        memory: &Memory,
    ) -> Decision {
        let before = memory.known.state.as_ref();
        let opening = decision.state.as_ref().map(|state| state.episode);
        let open = before.filter(|before| {
            before.phase == Phase::Firing && opening.is_none_or(|opening| opening == before.episode)
        });

        for told in &memory.told {
            let integration = self.receivers.integrations.get(&told.target);
            let Some(integration) = integration.filter(|receiver| receiver.knows_repeats()) else {
                continue;
            };

            let its = self.receivers.now(&told.target);
            let place = decision
                .deliveries
                .iter()
                .position(|owed| self.receivers.now(&owed.target) == its);
            if let Some(place) = place.filter(|_| told.doubtful && page.doubt.is_none()) {
                let trigger = &decision.deliveries[place];
                // A mute holds the proven page. Until it ends, the alert of an open incident stays.
                let is_due = trigger.held_until.is_none() || open.is_none();
                if is_due && trigger.alias == told.alias {
                    let end = ended(trigger, page);
                    decision.deliveries.insert(place, end);
                    continue;
                }
            }
            if let Some(open) = open.filter(|_| integration.updates() && !is_bound(page, memory)) {
                let update = self.updated(page, open);
                let update = NewDelivery::at_once(&told.target, &told.alias, &update);
                if let Some(place) = place {
                    decision.deliveries.remove(place);
                }
                decision.deliveries.push(update);
                decision = told_too(outcome, decision, &told.target.receiver);
            }
        }

        decision
    }

    /// Returns the page as a change of the open alert. It names the severity that was only if that
    /// rose.
    fn updated(&self, page: &Notification, open: &State) -> Notification {
        let difference = || {
            let treatment = self.treatment_of(&page.labels);
            treatment.difference(&page.labels, open)
        };
        let change = Notification {
            action: Action::Change,
            was: Some(open.told.get(SEVERITY).cloned().unwrap_or_default()),
            reason: page.reason.clone().or_else(difference),
            ..page.clone()
        };
        Notification {
            was: change.was.clone().filter(|_| change.rose()),
            ..change
        }
    }
}

/// Returns the page that closes an unproven alert, so that the trigger opens it anew.
fn ended(trigger: &NewDelivery, page: &Notification) -> NewDelivery {
    let end = Notification {
        action: Action::Resolve,
        reason: Some(PROVEN.to_owned()),
        ..page.clone()
    };
    NewDelivery::at_once(&trigger.target, &trigger.alias, &end)
}

/// Returns the decision with one more receiver that is told at once.
fn told_too(outcome: Outcome, mut decision: Decision, receiver: &str) -> Decision {
    if !decision.receivers.iter().any(|known| known == receiver) {
        decision.receivers.push(receiver.to_owned());
    }
    Decision {
        outcome,
        state: decision.state.map(|state| State {
            untold: false,
            ..state
        }),
        ..decision
    }
}
