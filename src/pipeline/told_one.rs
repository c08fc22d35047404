//! Alarms of the bridge for a single receiver, whatever the routes say. Pure.

use jiff::Timestamp;

use super::rules::Rules;
use crate::{
    delivery::{Action, Notification},
    incident::State,
    message::Outcome,
    store::{Decision, Memory, Silencing},
};

impl Rules {
    /// Like [`Rules::announce`], with a trigger that goes to one receiver, by default the root's. A
    /// silence holds it like any other; a resolve goes to those notified.
    pub fn announce_to(
        &self,
        receiver: Option<&str>,
        page: &Notification,
        status: &str,
        memory: &Memory,
        now: Timestamp,
    ) -> Decision {
        let decision = self.announce(page.clone(), status, memory, now);
        let is_told = matches!(
            decision.outcome,
            Outcome::Opened | Outcome::Reopened | Outcome::Silenced
        );
        if page.action != Action::Trigger
            || !is_told
            || matches!(decision.silencing, Silencing::Held(_))
        {
            return decision;
        }

        let receiver = receiver.unwrap_or(&self.routes.root().receiver);
        let state = decision.state.map(|state| State {
            untold: false,
            told: self.treatment_of(&page.labels).values(&page.labels),
            ..state
        });
        Decision {
            outcome: Outcome::Opened,
            reason: None,
            state,
            deliveries: self.receivers.owed(receiver, page, None, now),
            receivers: vec![receiver.to_owned()],
            ..decision
        }
    }
}
