//! A delivery that is yet to be made.

use jiff::Timestamp;

use super::{Notification, Target};

/// A delivery to be made: one integration is to be told of one notification.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    /// Kept back until then by a mute.
    pub held_until: Option<Timestamp>,
    /// When, still not delivered, it goes to this receiver's integrations as well.
    pub fallback_at: Option<Timestamp>,
    /// Until when it is leased to this process, which has room for it: a store may do so where
    /// nothing waits before it, and spares a claim.
    pub leased_until: Option<Timestamp>,
}

impl NewDelivery {
    /// One to be sent at once, whatever comes of it.
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
