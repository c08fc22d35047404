//! A delivery that is still to be created.

use jiff::Timestamp;

use super::{Notification, Target};

/// A delivery to be created, which notifies one integration of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    /// The end of the mute that holds the delivery.
    pub held_until: Option<Timestamp>,
    /// The time at which the page also goes to this receiver's fallback, if it is still not
    /// delivered.
    pub fallback_at: Option<Timestamp>,
    /// The end of a lease for this process, which has a free slot. A store may grant the lease if
    /// nothing is ahead of the delivery in its lane, which saves a claim.
    pub leased_until: Option<Timestamp>,
}

impl NewDelivery {
    /// Creates a delivery that is sent at once, without a fallback.
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
