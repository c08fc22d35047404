//! Decides whether a page that was held until now is told now, and to whom, by the routes in force.
//! Pure.

use std::sync::Arc;

use jiff::Timestamp;

use super::rules::Rules;
use crate::{
    delivery::{Action, NewDelivery, Target},
    route::HORIZON,
    store::{Held, Mutes},
};

impl Rules {
    /// Returns the mutes and the routes in force now, for pages that are held.
    pub fn mutes(self: &Arc<Self>) -> Mutes {
        let (rules, routes) = (Arc::clone(self), Arc::clone(self));
        Mutes::new(move |held, now| rules.held_until(held, now))
            .leading(move |held, now| routes.in_its_place(held, now))
    }

    /// Returns the time until which a page stays held; `None` if it is due at once.
    ///
    /// A page stays held while any mute is on, whichever mute held it first: another may have begun
    /// under a silence, or come with another configuration. A page whose receiver no route reaches
    /// any more keeps its time. A page whose integration is no longer configured is due at once,
    /// because as a dead letter somebody hears of it.
    fn held_until(&self, held: &Held, now: Timestamp) -> Option<Timestamp> {
        if !self.receivers.integrations.contains_key(&held.target) {
            return None;
        }

        let labels = &held.page.labels;
        let Target { receiver, .. } = self.receivers.now(&held.target);
        let told_from = self.routes.told_from(receiver, labels, now);
        let at_last = held.page.arrived_at.checked_add(HORIZON).ok();

        Some(told_from.unwrap_or(held.until).min(at_last?))
    }

    /// Returns the deliveries that replace a held page that is new to its receiver, if the routes
    /// lead elsewhere now.
    ///
    /// Their mutes hold it further, but no `on_mute` drops what was held.
    fn in_its_place(&self, held: &Held, now: Timestamp) -> Vec<NewDelivery> {
        let page = &held.page;
        let Target { receiver, .. } = self.receivers.now(&held.target);
        let reached = self.routes.reach_held(&page.labels, now, |_| true);
        let leads_there = reached.iter().any(|reached| reached.receiver == *receiver);
        if page.stays || page.action != Action::Trigger || leads_there {
            return Vec::new();
        }

        let owed = reached.into_iter().flat_map(|reached| {
            let until = reached.mute.and_then(|mute| mute.until);
            self.receivers.owed(&reached.receiver, page, until, now)
        });
        owed.collect()
    }
}
