//! The store as upkeep sees it: its state, its retention, and the holder of the mailbox.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{EVER, Trouble, View, lock};
use crate::{
    delivery::naming::{Entry, Named},
    message::MailId,
    store::{
        Concerns, Cut, Depth, Excess, ExpectedMail, Horizon, IncidentRow, Lanes as _, Outstanding,
        Pruned, Room, Spare, StoreError, Sweep, Upkeep,
    },
};

#[async_trait]
impl Upkeep for View {
    async fn ping(&self) -> Result<(), StoreError> {
        self.asks(self.shared.sqlite.ping()).await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.asks(self.shared.sqlite.depth()).await
    }

    async fn concerns(&self) -> Result<Concerns, StoreError> {
        let full = self.world.is(Trouble::Full);
        let room = Room {
            free: if full { 0 } else { 1 << 40 },
            total: 1 << 41,
        };
        let concerns = self.asks(self.shared.concerns()).await?;
        Ok(Concerns {
            room: Some(room),
            ..concerns
        })
    }

    /// Ends the waits of deliveries but no lease, as a start among replicas does.
    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError> {
        let ever = EVER.unsigned_abs();
        self.changes("start", self.shared.sqlite.bring_forward(now, ever))
            .await
    }

    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError> {
        self.changes("prune", self.shared.sqlite.prune(horizon, from, limit))
            .await
    }

    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError> {
        self.asks(self.shared.sqlite.whole(spare, after)).await
    }

    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError> {
        self.changes("cut", self.shared.sqlite.cut(spare, excess, now))
            .await
    }

    async fn quiet(
        &self,
        profile: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        self.asks(self.shared.sqlite.quiet(profile, until, limit))
            .await
    }

    async fn expected_mail(&self) -> Result<Vec<ExpectedMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        self.seeks("expected", sqlite.expected_mail(), sqlite.expected_mail())
            .await
    }

    async fn expect_mail(&self, expected: ExpectedMail) -> Result<(), StoreError> {
        self.changes("expect", self.shared.sqlite.expect_mail(expected))
            .await
    }

    async fn unexpect_mail(&self, profile: &str, key: &str) -> Result<(), StoreError> {
        self.changes("unexpect", self.shared.sqlite.unexpect_mail(profile, key))
            .await
    }

    async fn rung(&self) {
        self.shared.bells[self.life.replica].notified().await;
    }

    async fn consume(&self, mailbox: &str, lease: Duration) -> Result<bool, StoreError> {
        self.asks(async {
            let mut consumers = lock(&self.shared.consumers);
            let (own, now) = (self.life.number, Instant::now());
            let free = consumers
                .get(mailbox)
                .is_none_or(|(holder, until)| *holder == own || *until < now);
            if free {
                consumers.insert(mailbox.to_owned(), (own, now + lease));
            }
            Ok(free)
        })
        .await
    }

    async fn name(&self, entries: Vec<Entry>) -> Result<Vec<Named>, StoreError> {
        self.changes("name", self.shared.sqlite.name(entries)).await
    }

    async fn names(&self) -> Result<Vec<Named>, StoreError> {
        self.asks(self.shared.sqlite.names()).await
    }

    async fn outstanding(&self) -> Result<Vec<Outstanding>, StoreError> {
        self.asks(self.shared.sqlite.outstanding()).await
    }

    async fn has_undecided(&self) -> Result<bool, StoreError> {
        self.asks(self.shared.sqlite.has_undecided()).await
    }

    async fn open_by_profile(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.asks(self.shared.sqlite.open_by_profile()).await
    }

    async fn relinquish(&self, mailbox: &str) -> Result<(), StoreError> {
        self.asks(async {
            let mut consumers = lock(&self.shared.consumers);
            if consumers
                .get(mailbox)
                .is_some_and(|(holder, _)| *holder == self.life.number)
            {
                consumers.remove(mailbox);
            }
            Ok(())
        })
        .await
    }
}
