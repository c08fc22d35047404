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
    /// Decides about an alarm like [`Rules::announce`], but its trigger goes to one receiver, by
    /// default that of the root route.
    ///
    /// A silence holds it like any other. A resolve goes to those who were notified.
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
