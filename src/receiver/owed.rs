//! The deliveries that a receiver owes for a notification. Pure.

use jiff::Timestamp;

use super::Receivers;
use crate::delivery::{Action, NewDelivery, Notification, alias};

impl Receivers {
    /// Returns one delivery for each of the receiver's integrations.
    pub fn owed(
        &self,
        receiver: &str,
        page: &Notification,
        held_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<NewDelivery> {
        let fallback_at = self
            .fallbacks
            .get(receiver)
            .filter(|_| page.action == Action::Trigger)
            .and_then(|fallback| {
                held_until
                    .unwrap_or(now)
                    .checked_add(fallback.after.as_signed())
                    .ok()
            });

        self.of(receiver)
            .map(|(target, _)| NewDelivery {
                target: target.clone(),
                alias: alias(page.kind(), &page.incident_id, receiver),
                notification: page.clone(),
                held_until,
                fallback_at,
                leased_until: None,
            })
            .collect()
    }
}
