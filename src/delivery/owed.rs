//! A delivery that is yet to be created.

use jiff::Timestamp;

use super::{Notification, Target};

/// A delivery to be created: one integration is to be notified of one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    /// Held by a mute until then.
    pub held_until: Option<Timestamp>,
    /// When it also goes to this receiver's fallback if it is still not delivered.
    pub fallback_at: Option<Timestamp>,
    /// Until when it is leased to this process, which has a free slot: a store may do so if nothing
    /// is ahead of it, which saves a claim.
    pub leased_until: Option<Timestamp>,
}

impl NewDelivery {
    /// One to be sent at once, without a fallback.
    pub fn at_once(target: &Target, alias: &str, notification: &Notification) -> Self {
        Self {
            target: target.clone(),
            alias: alias.to_owned(),
            notification: notification.clone(),
            held_until: None,
            fallback_at: None,
            leased_until: None,
        }
    }
}
