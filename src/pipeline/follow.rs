//! Turns a transition into everything that is written and everybody who is notified. Pure.

use jiff::Timestamp;

use super::{reason::and, rules::Rules, tell::silenced, treatment::SEVERITY};
use crate::{
    delivery::{Action, Notification},
    incident::{Phase, State, Transition},
    label::Labels,
    message::Outcome,
    store::{Decision, Memory, Silenced, Silencing},
};

impl Rules {
    /// Returns everything that is written when a mail, or the bridge itself, has changed an
    /// incident.
    pub(super) fn follow(
        &self,
        transition: Transition,
        page: Notification,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let page = as_bad_as_it_was(page, memory);
        match transition {
            Transition::Opened(state) => self.tell(Outcome::Opened, state, page, memory, now),
            // The previous opening was never announced, so to people this is the first.
            Transition::Reopened(state) if !memory.is_told() => {
                self.tell(Outcome::Opened, state, page, memory, now)
            }
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
            Transition::Continued(state) => self.tell(Outcome::Updated, state, page, memory, now),
            Transition::Resolved(state) => self.tell_it_is_over(state, page, memory),
            Transition::Expired(state) => Decision {
                state: Some(state),
                applied: true,
                ..Decision::nothing(
                    Outcome::Expired,
                    &format!(
                        "the mail's Date is more than {} (global.max_age) ago: too old to page \
                         anybody",
                        self.max_age
                    ),
                    page.labels,
                )
            },
            Transition::Duplicate { advance, reason } => Decision {
                silencing: self.as_told_again(&page, memory),
                state: advance,
                applied: true,
                ..Decision::nothing(Outcome::Duplicate, &reason, page.labels)
            },
            Transition::Stale { reason } => Decision::nothing(Outcome::Stale, &reason, page.labels),
            Transition::Ignored { reason } => {
                Decision::nothing(Outcome::Ignored, &reason, page.labels)
            }
        }
    }

    /// Decides what happens to an incident when the last silence that covers it ends.
    pub fn unsilence(&self, memory: &Memory, now: Timestamp) -> Decision {
        let as_it_is =
            |labels| Decision::nothing(Outcome::Duplicate, "no silence holds it", labels);
        let (Some(state), Some(ended)) = (&memory.known.state, &memory.silenced) else {
            return as_it_is(Labels::new());
        };
        let Silenced { until, page, .. } = ended;

        if *until > now {
            return as_it_is(page.labels.clone());
        }

        if let Some((reason, held)) = silenced(page, memory) {
            return Decision {
                silencing: Silencing::Held(Box::new(held)),
                ..Decision::nothing(Outcome::Silenced, &reason, page.labels.clone())
            };
        }

        let (state, page) = (
            State {
                untold: false,
                ..state.clone()
            },
            Notification {
                action: Action::Trigger,
                ..page.clone()
            },
        );

        let decision = match state.phase {
            Phase::Resolved => Decision::nothing(Outcome::Duplicate, "it is over", page.labels),
            Phase::Firing if !memory.is_told() => {
                self.tell(Outcome::Opened, state, page, memory, now)
            }
            Phase::Firing if ended.is_page() => {
                self.tell(Outcome::Updated, state, page, memory, now)
            }
            Phase::Firing
                if self
                    .treatment_of(&page.labels)
                    .is_other(&page.labels, &state) =>
            {
                self.tell_of_change(state, page, memory, now)
            }
            Phase::Firing => Decision::nothing(
                Outcome::Duplicate,
                "it has not changed since it was told",
                page.labels,
            ),
        };

        Decision {
            silencing: Silencing::Over,
            applied: false,
            ..decision
        }
    }
}

/// Gives a resolve the severity of the incident that it ends, whatever is measured now that all is
/// well again.
///
/// A resolve that comes before its trigger has only its own labels.
fn as_bad_as_it_was(mut page: Notification, memory: &Memory) -> Notification {
    if let (Action::Resolve, Some(severity)) = (page.action, memory.labels.get(SEVERITY)) {
        page.labels.insert(SEVERITY.into(), severity.clone());
    }
    page
}
