//! The implementation of [`Lanes`] for PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    delivery::{DeliveryId, Target},
    store::{
        Agenda, Claim, Escalated, Fallback, Lanes, Mutes, Settled, Settlement, Standing, StoreError,
    },
};

use super::{Postgres, held, lane, settle};

#[async_trait]
impl Lanes for Postgres {
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError> {
        lane::claim(&self.database, now, lease, wanted).await
    }

    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        settle::settle(&self.database, id, lease, &settlement).await
    }

    async fn agenda(&self) -> Result<Agenda, StoreError> {
        lane::agenda(&self.database).await
    }

    async fn standing(
        &self,
        target: &Target,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError> {
        lane::standing(&self.database, target, after, limit).await
    }

    async fn receipts(&self, id: DeliveryId) -> Result<Vec<String>, StoreError> {
        lane::receipts(&self.database, id).await
    }

    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Escalated>, StoreError> {
        settle::escalate(&self.database, now, &fallback).await
    }

    async fn release_held(&self, mutes: Mutes, now: Timestamp) -> Result<bool, StoreError> {
        held::release(&self.database, &mutes, now).await
    }

    async fn look_at_held(&self, now: Timestamp) -> Result<(), StoreError> {
        held::look_at_all(&self.database, now).await
    }

    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError> {
        lane::bring_forward(&self.database, now, lease).await
    }
}
