//! Deliveries as the `deliver` stage sees them: when they are due, and which of them this process
//! has leased.

use jiff::Timestamp;

use crate::delivery::{DeliveryId, NewDelivery, Notification, Step, Target};

/// A delivery leased to this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub id: DeliveryId,
    /// The lease's number. Settling checks that the lease is still held.
    pub lease: i64,
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    pub step: Step,
    /// The receipt of the target's last page of the same episode ([`super::Next::Delivered`]), if
    /// there is one.
    pub receipt: Option<String>,
    /// The number of consecutive failures.
    pub failures: u32,
    /// The time from which it could have been sent: its creation, or the end of the mute that held
    /// it.
    pub since: Timestamp,
}

impl Claim {
    /// Makes the claim for a delivery that was leased as it was created, together with the decision
    /// that owes it.
    pub(super) fn with_decision(
        delivery: &NewDelivery,
        id: DeliveryId,
        lease: i64,
        receipt: Option<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            lease,
            target: delivery.target.clone(),
            alias: delivery.alias.clone(),
            notification: delivery.notification.clone(),
            step: Step::Send,
            receipt,
            failures: 0,
            since: now,
        }
    }
}

/// The last page that a target received for an incident that is still open.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The store's number for the incident, by which the list is ordered.
    pub incident: i64,
    pub delivery: DeliveryId,
    pub alias: String,
    pub notification: Notification,
    /// The receipt of the receiver.
    pub receipt: Option<String>,
}

/// What is to be done next, and when.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agenda {
    /// When the next fallback of a late trigger is due.
    pub fallback_at: Option<Timestamp>,
    /// When the next held delivery is due for a check.
    pub held_until: Option<Timestamp>,
    /// Every target with pending deliveries, and when the next of them is due or its lease ends.
    pub due: Vec<(Target, Timestamp)>,
}
