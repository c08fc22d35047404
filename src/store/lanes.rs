//! What delivery asks of a store: the third commit, and whose turn it is.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Agenda, Claim, Escalated, Fallback, Settled, Settlement, Standing, StoreError};
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
    /// incident already. Returns those that were told.
    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Escalated>, StoreError>;

    /// Makes pending what a mute held until now; what a silence covers stays held until that ends.
    async fn release_held(&self, now: Timestamp) -> Result<(), StoreError>;

    /// For when the clock was set back: what waits for another attempt is due now, and no lease
    /// outlasts `lease`.
    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError>;
}
