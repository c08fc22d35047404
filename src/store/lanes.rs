//! The store as delivery sees it: the third commit, and the deliveries whose turn it is.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Agenda, Claim, Escalated, Fallback, Mutes, Settled, Settlement, Standing, StoreError};
use crate::delivery::{DeliveryId, Target};

/// Delivery's view of a store: deliveries are leased lane by lane, then settled.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// Leases deliveries that are due and at the head of their lanes, up to a limit for each
    /// target. A lease ends after `lease` without further action.
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Makes the third commit: the attempt with the next state.
    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError>;

    /// Returns what is to be done next, and when.
    async fn agenda(&self) -> Result<Agenda, StoreError>;

    /// Returns the last page delivered to a target for each incident that is open and can end,
    /// ordered by the number of the incident, after `after`.
    async fn standing(
        &self,
        target: &Target,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError>;

    /// Returns the receipts of the pages that a delivery's target received before it in the same
    /// episode, each once, the newest first.
    async fn receipts(&self, id: DeliveryId) -> Result<Vec<String>, StoreError>;

    /// Escalates undelivered triggers whose `fallback_at` has passed, each once. `fallback` makes
    /// the deliveries to the fallback receiver, which are written in the same commit unless that
    /// receiver was already told of the incident. Returns the triggers that escalated.
    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Escalated>, StoreError>;

    /// Makes deliveries pending whose hold ends now. A delivery that a silence covers or a mute
    /// still holds stays held until that ends. Returns whether there may be more.
    async fn release_held(&self, mutes: Mutes, now: Timestamp) -> Result<bool, StoreError>;

    /// Makes every held delivery due for `release_held`, because other mutes may be in force.
    async fn look_at_held(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Corrects the stored times after the clock was set back: retries are due now, and no lease
    /// outlasts `lease`.
    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError>;
}
