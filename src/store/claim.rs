//! What is owed to receivers: when it is due, and what this process has leased of it.

use jiff::Timestamp;

use crate::delivery::{DeliveryId, NewDelivery, Notification, Step, Target};

/// A delivery leased to this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub id: DeliveryId,
    /// Settling checks that the lease is still held.
    pub lease: i64,
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    pub step: Step,
    /// Of a resolve: what the receiver said it made of the trigger ([`super::Next::Delivered`]),
    /// where it was told of this opening's.
    pub receipt: Option<String>,
    /// Failures so far in a row.
    pub failures: u32,
    /// Since when it could have been sent: its creation, or the end of the mute that held it.
    pub since: Timestamp,
}

impl Claim {
    /// A delivery that was leased as it was made, with the decision that owes it.
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

/// What a target was told last of an incident that is still open.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The store's number for the incident: they come in its order.
    pub incident: i64,
    pub delivery: DeliveryId,
    pub alias: String,
    pub notification: Notification,
    /// What the receiver said it made of it.
    pub receipt: Option<String>,
}

/// What is to be done next, and when.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agenda {
    /// When the next late trigger's fallback is to be told.
    pub fallback_at: Option<Timestamp>,
    /// When the next of what is held is to be looked at.
    pub held_until: Option<Timestamp>,
    /// Every target something is owed to, and when the next of it falls due or its lease ends.
    pub due: Vec<(Target, Timestamp)>,
}
