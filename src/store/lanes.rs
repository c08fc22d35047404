//! What delivery asks of a store: the third commit, and whose turn it is.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Agenda, Claim, Fallback, Mutes, Settled, Settlement, Standing, StoreError};
use crate::delivery::{DeliveryId, Target};

/// Deliveries, lane by lane: leased, settled. Delivery's view of a store.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// Leases deliveries that are due, the heads of their lanes: of each target at most so many. A
    /// lease ends by itself after `lease`.
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Third commit: the attempt with the next state.
    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError>;

    /// What is to be done next, and when.
    async fn agenda(&self) -> Result<Agenda, StoreError>;

    /// What a target was told last of each incident that is open and can end, in order of the
    /// incidents' numbers, after `after`.
    async fn standing(
        &self,
        target: &Target,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError>;

    /// Triggers whose `fallback_at` has passed undelivered, each once: `fallback` makes the
    /// deliveries to the fallback receiver, written in the same commit unless it was told of the
    /// incident already. Returns whom they were owed to.
    async fn escalate(&self, now: Timestamp, fallback: Fallback)
    -> Result<Vec<Target>, StoreError>;

    /// Makes pending what was held until now; what a silence covers, or a mute still holds, stays
    /// held until that ends. Returns whether there may be more.
    async fn release_held(&self, mutes: Mutes, now: Timestamp) -> Result<bool, StoreError>;

    /// Everything that is held is looked at now, by the mutes in force.
    async fn look_at_held(&self, now: Timestamp) -> Result<(), StoreError>;

    /// For when the clock was set back: what waits for another attempt is due now, and no lease
    /// outlasts `lease`.
    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError>;
}
