//! Whether a page that was held until now is told now, by the routes in force.

use std::sync::Arc;

use super::rules::Rules;
use crate::{delivery::Target, route::HORIZON, store::Mutes};

impl Rules {
    /// A page that is held stays so while a mute is on, whatever the mute was that held it first:
    /// another may have begun under a silence, or come with another configuration. One whose
    /// receiver no route leads to any more keeps its time. One whose integration the configuration
    /// does not have is due at once: as a dead letter somebody hears of it.
    pub fn mutes(self: &Arc<Self>) -> Mutes {
        let rules = Arc::clone(self);
        Mutes::new(move |held, now| {
            if !rules.receivers.integrations.contains_key(&held.target) {
                return None;
            }

            let labels = &held.page.labels;
            let Target { receiver, .. } = rules.receivers.now(&held.target);
            let told_from = rules.routes.told_from(receiver, labels, now);
            let at_last = held.page.arrived_at.checked_add(HORIZON).ok();

            Some(told_from.unwrap_or(held.until).min(at_last?))
        })
    }
}
