//! The store as delivery sees it: pages are claimed, and settled.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{View, lock};
use crate::{
    delivery::{DeliveryId, Target},
    store::{
        Agenda, Claim, Escalated, Fallback, Lanes, Mutes, Next, Settled, Settlement, Standing,
        StoreError,
    },
};

#[async_trait]
impl Lanes for View {
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError> {
        self.changes("claim", async {
            let claims = self.shared.sqlite.claim(now, lease, wanted).await?;
            self.shared.claimed(&claims);
            Ok(claims)
        })
        .await
    }

    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        let what = match &settlement.next {
            Next::Delivered { .. } => "delivered",
            Next::Again { .. } => "again",
            Next::Dead { .. } => "dead",
        };
        let about = lock(&self.shared.about).get(&id).cloned();
        let settled = self
            .changes(
                &format!("settle {id} {what}"),
                self.shared.sqlite.settle(id, lease, settlement),
            )
            .await;
        if let Some(about) = about {
            match settled {
                Ok(Settled::Last | Settled::Onward) => self.life.lands(&about, None),
                Ok(Settled::Lost) => self.life.lands(&about, Some("the lease was lost")),
                Err(_) => self.life.is_in_doubt(&about),
            }
        }
        if matches!(settled, Ok(Settled::Onward)) {
            self.ring();
        }
        settled
    }

    async fn agenda(&self) -> Result<Agenda, StoreError> {
        self.asks(async {
            if self.shared.is_nothing("agenda") {
                return Ok(Agenda::default());
            }
            let agenda = self.shared.sqlite.agenda().await?;
            self.shared.found("agenda", agenda == Agenda::default());
            Ok(agenda)
        })
        .await
    }

    async fn standing(
        &self,
        target: &Target,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError> {
        self.asks(self.shared.sqlite.standing(target, after, limit))
            .await
    }

    async fn receipts(&self, id: DeliveryId) -> Result<Vec<String>, StoreError> {
        self.asks(self.shared.sqlite.receipts(id)).await
    }

    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Escalated>, StoreError> {
        self.changes("escalate", self.shared.sqlite.escalate(now, fallback))
            .await
    }

    async fn release_held(&self, mutes: Mutes, now: Timestamp) -> Result<bool, StoreError> {
        self.changes("release", self.shared.sqlite.release_held(mutes, now))
            .await
    }

    async fn look_at_held(&self, now: Timestamp) -> Result<(), StoreError> {
        self.changes("look at held", self.shared.sqlite.look_at_held(now))
            .await
    }

    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError> {
        self.changes(
            "bring forward",
            self.shared.sqlite.bring_forward(now, lease),
        )
        .await
    }
}
