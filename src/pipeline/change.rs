//! The pages about a change of an open incident. Pure.

use std::mem;

use jiff::Timestamp;

use super::{
    reason::and,
    rules::Rules,
    tell::{is_bound, silenced},
    treatment::SEVERITY,
};
use crate::{
    delivery::{Action, NewDelivery, Notification, Target},
    incident::State,
    message::{Hold, Outcome},
    store::{Decision, Memory, Silenced, Silencing, Told},
};

impl Rules {
    /// Decides whom to tell of a change.
    ///
    /// - The alert of each notified receiver is updated, if the receiver supports that. The others
    ///   get a new page if the severity rose.
    /// - If the severity rose, or if the change ends what a silence kept from them, receivers that
    ///   the present routes reach and that were not notified yet are told as well.
    /// - The change replaces a page that a mute holds, which stays owed to its receiver wherever
    ///   the routes lead now.
    pub(super) fn tell_of_change(
        &self,
        state: State,
        page: Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        if let Some(silenced) = silenced(&page, memory) {
            return self.change_kept_back(silenced, state, page, memory);
        }

        if memory.told.is_empty() {
            return self.tell(Outcome::Changed, state, page, memory, now);
        }

        let difference = self
            .treatment_of(&page.labels)
            .difference(&page.labels, &state);
        let update = Notification {
            action: Action::Change,
            was: Some(state.told.get(SEVERITY).cloned().unwrap_or_default()),
            reason: page.reason.clone().or_else(|| difference.clone()),
            ..page.clone()
        };

        // An unproven change notifies people, but changes nothing that is proven.
        let bound = is_bound(&page, memory);
        let rose = update.rose();
        if bound && !rose {
            return already_open(page);
        }

        let mut anew = self.tell_by_routes(Outcome::Changed, state, &page, memory, now);
        let others = mem::take(&mut anew.deliveries)
            .into_iter()
            .filter(|delivery| {
                let target = &delivery.target;
                let is_owed = owes_page(memory) || self.is_among(&memory.held, target);
                !self.is_among(&memory.told, target) && (rose || !bound && is_owed)
            });
        let mut deliveries = self.to_those_told(&update, bound, memory, now);
        deliveries.extend(others);

        if bound && deliveries.is_empty() {
            return unheard(difference, page);
        }

        let decision = Decision {
            supersedes: !bound,
            ..changed(difference, anew, deliveries)
        };

        // A page that is held for a proven incident stays as it is.
        if bound {
            return decision;
        }
        self.still_owing(Outcome::Changed, decision, &page, memory, now)
    }

    /// Returns the decision about a change that a silence holds.
    ///
    /// If the silence already holds the page of this opening, the change takes its place and is a
    /// page too.
    fn change_kept_back(
        &self,
        (reason, held): (String, Silenced),
        state: State,
        page: Notification,
        memory: &Memory,
    ) -> Decision {
        let before = memory.known.state.as_ref();
        let state = State {
            untold: before.is_some_and(|state| state.untold),
            ..state
        };
        let held = if owes_page(memory) {
            held
        } else {
            held.into_change()
        };

        self.kept_back((reason, held), state, page, memory)
    }

    /// Adds to the decision a page for every receiver whose earlier page is held and whom nothing
    /// else tells.
    ///
    /// That page is sent at the end of the mute and describes the incident as it is now.
    pub(super) fn still_owing(
        &self,
        outcome: Outcome,
        mut decision: Decision,
        page: &Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        for held in &memory.held {
            let its = self.receivers.now(&held.target);
            let Target { receiver, .. } = its;
            let owed = self.receivers.owed(receiver, page, held.held_until, now);
            let is_told = |delivery: &NewDelivery| self.receivers.now(&delivery.target) == its;
            let (false, Some(owed)) = (
                decision.deliveries.iter().any(is_told),
                owed.into_iter().find(is_told),
            ) else {
                continue;
            };

            let until = held
                .held_until
                .map_or_else(String::new, |at| format!(" until {at}"));
            let stays = format!("still held for {receiver}{until}");
            decision.reason = Some(match decision.reason {
                Some(reason) => and(&reason, Some(&stays)),
                None => stays,
            });
            decision.deliveries.push(NewDelivery {
                target: held.target.clone(),
                alias: held.alias.clone(),
                notification: Notification {
                    stays: true,
                    ..owed.notification
                },
                ..owed
            });
            decision.outcome = outcome;
            decision.state = decision.state.map(|state| State {
                untold: false,
                ..state
            });
        }

        decision
    }

    fn is_among(&self, known: &[Told], target: &Target) -> bool {
        let mut now = known.iter().map(|known| self.receivers.now(&known.target));
        now.any(|known| known == target)
    }

    /// Returns the deliveries of the change to the receivers that were notified. A change that is
    /// `bound` updates none of their alerts.
    fn to_those_told(
        &self,
        update: &Notification,
        bound: bool,
        memory: &Memory,
        now: Timestamp,
    ) -> Vec<NewDelivery> {
        let reached = self.reach(&update.labels, memory, now);
        let mute = |receiver: &str| {
            let found = reached.iter().find(|reached| reached.receiver == receiver);
            found.and_then(|reached| reached.mute.as_ref())
        };

        let rose = update.rose();
        let mut deliveries = Vec::new();

        for told in &memory.told {
            let Some(integration) = self.receivers.integrations.get(&told.target) else {
                continue;
            };
            let updates = integration.updates();
            // Updating an existing alert disturbs nobody; a new page does.
            let mute = mute(&self.receivers.now(&told.target).receiver).filter(|_| !updates);
            let is_dropped = mute.is_some_and(|mute| mute.until.is_none());
            let says_nothing_new = if updates { bound } else { !rose };
            if is_dropped || says_nothing_new {
                continue;
            }

            let held_until = mute.and_then(|mute| mute.until);
            deliveries.push(NewDelivery {
                held_until,
                ..NewDelivery::at_once(&told.target, &told.alias, update)
            });
        }

        deliveries
    }

    /// Returns what happens to a held change when the incident is again as it was announced.
    ///
    /// There is then no change to announce when the silence ends. A page that the silence holds is
    /// owed all the same.
    pub(super) fn as_told_again(&self, page: &Notification, memory: &Memory) -> Silencing {
        let newest = memory
            .known
            .state
            .as_ref()
            .filter(|state| state.verified <= page.doubt.is_none());

        match newest {
            Some(state)
                if memory.is_told()
                    && !owes_page(memory)
                    && page.action == Action::Trigger
                    && page.time >= state.newest
                    && !self
                        .treatment_of(&page.labels)
                        .is_other(&page.labels, state) =>
            {
                Silencing::Over
            }
            _ => Silencing::AsItIs,
        }
    }
}

/// Returns whether a silence holds the page of this opening, and not only a change.
fn owes_page(memory: &Memory) -> bool {
    memory.silenced.as_ref().is_some_and(Silenced::is_page)
}

/// Returns the decision about an unproven change that is no rise.
fn already_open(page: Notification) -> Decision {
    let reason = "it is not proven, and the incident is already open";
    Decision {
        applied: true,
        ..Decision::nothing(Outcome::Duplicate, reason, page.labels)
    }
}

/// Returns the decision about an unproven change that would reach nobody: every receiver that was
/// told would update its alert, and the alert is proven. A person decides whether it does.
fn unheard(difference: Option<String>, page: Notification) -> Decision {
    let why = "it is not proven and would reach nobody, because only proven mail can change the \
               open alerts of the receivers that were told: `alertbridge mails release ID` sends \
               it";
    let reason = difference.map_or_else(|| why.to_owned(), |what| and(&what, Some(why)));
    Decision {
        hold: Some(Hold::Flood),
        ..Decision::nothing(Outcome::Quarantined, &reason, page.labels)
    }
}

/// Builds the decision that tells a change from the one that would tell the incident `anew`.
fn changed(difference: Option<String>, anew: Decision, deliveries: Vec<NewDelivery>) -> Decision {
    Decision {
        reason: match difference {
            Some(difference) => Some(and(&difference, anew.reason.as_deref())),
            None => anew.reason,
        },
        state: anew.state.map(|state| State {
            untold: false,
            ..state
        }),
        receivers: told_at_once(&deliveries),
        deliveries,
        applied: true,
        silencing: Silencing::Over,
        ..Decision::nothing(Outcome::Changed, "", anew.labels)
    }
}

/// Returns the receivers of those deliveries that no mute holds.
fn told_at_once(deliveries: &[NewDelivery]) -> Vec<String> {
    let mut receivers: Vec<String> = Vec::new();
    for delivery in deliveries {
        let receiver = &delivery.target.receiver;
        if delivery.held_until.is_none() && !receivers.contains(receiver) {
            receivers.push(receiver.clone());
        }
    }
    receivers
}
