//! The implementation of [`Lanes`] for SQLite.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    crash,
    delivery::{DeliveryId, Target},
    store::{
        Agenda, Claim, Escalated, Fallback, Lanes, Mutes, Settled, Settlement, Standing, StoreError,
    },
};

use super::{Sqlite, failure, held, lane, settle, writer::Outlives};

#[async_trait]
impl Lanes for Sqlite {
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError> {
        // A claim need not survive a power failure, because no process that could hold its lease
        // does.
        self.writer
            .write(Outlives::Process, move |connection| {
                lane::claim(connection, now, lease, &wanted).map_err(failure)
            })
            .await
    }

    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        self.write(move |connection| {
            settle::settle(connection, id, lease, &settlement).map_err(failure)
        })
        .await
    }

    async fn agenda(&self) -> Result<Agenda, StoreError> {
        self.read(lane::agenda).await
    }

    async fn standing(
        &self,
        target: &Target,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError> {
        let target = target.clone();
        self.read(move |connection| lane::standing(connection, &target, after, limit))
            .await
    }

    async fn receipts(&self, id: DeliveryId) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| lane::receipts(connection, id))
            .await
    }

    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Escalated>, StoreError> {
        self.write(move |connection| {
            let escalated = settle::escalate(connection, now, &fallback).map_err(failure)?;
            if !escalated.is_empty() {
                crash::point("escalating");
            }
            Ok(escalated)
        })
        .await
    }

    async fn release_held(&self, mutes: Mutes, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |connection| held::release(connection, None, &mutes, now).map_err(failure))
            .await
    }

    async fn look_at_held(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| held::look_at_all(connection, now).map_err(failure))
            .await
    }

    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError> {
        self.write(move |connection| lane::bring_forward(connection, now, lease).map_err(failure))
            .await
    }
}
