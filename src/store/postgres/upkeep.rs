//! The implementation of [`Upkeep`] for PostgreSQL.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    delivery::naming::{Entry, Named},
    message::MailId,
    store::{
        Concerns, Cut, Depth, Excess, ExpectedMail, Horizon, IncidentRow, Outstanding, Pruned,
        Spare, StoreError, Sweep, Upkeep,
    },
};

use super::{Postgres, bell, concern, consumer, expected, lane, look, mail, naming, prune, spare};

#[async_trait]
impl Upkeep for Postgres {
    async fn ping(&self) -> Result<(), StoreError> {
        // With several hosts, the connection is to one that can be written; a write shows if it no
        // longer can. The deleted row is meaningless and usually does not exist. The transaction
        // number alone makes this a commit.
        const WRITE: &str = "
WITH gone AS (DELETE FROM consumers WHERE held_until < now() - interval '30 days')
SELECT pg_current_xact_id()::text";
        self.database.query(WRITE, &[]).await.map(drop)
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        look::depth(&self.database).await
    }

    async fn concerns(&self) -> Result<Concerns, StoreError> {
        concern::concerns(&self.database).await
    }

    async fn name(&self, entries: Vec<Entry>) -> Result<Vec<Named>, StoreError> {
        naming::name(&self.database, &entries).await
    }

    async fn names(&self) -> Result<Vec<Named>, StoreError> {
        naming::known(&self.database).await
    }

    async fn outstanding(&self) -> Result<Vec<Outstanding>, StoreError> {
        naming::outstanding(&self.database).await
    }

    async fn has_undecided(&self) -> Result<bool, StoreError> {
        mail::has_undecided(&self.database).await
    }

    async fn open_by_profile(&self) -> Result<Vec<(String, u64)>, StoreError> {
        naming::open_by_profile(&self.database).await
    }

    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError> {
        lane::release_waits(&self.database, now).await
    }

    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError> {
        prune::step(&self.database, horizon, from, limit).await
    }

    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError> {
        spare::whole(&self.database, spare, after).await
    }

    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError> {
        spare::cut(&self.database, spare, excess, now).await
    }

    async fn quiet(
        &self,
        profile: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        expected::quiet(&self.database, profile, until, limit).await
    }

    async fn expected_mail(&self) -> Result<Vec<ExpectedMail>, StoreError> {
        expected::expected_mail(&self.database).await
    }

    async fn expect_mail(&self, mail: ExpectedMail) -> Result<(), StoreError> {
        expected::expect(&self.database, &mail).await
    }

    async fn unexpect_mail(&self, profile: &str, key: &str) -> Result<(), StoreError> {
        expected::unexpect(&self.database, profile, key).await
    }

    async fn rung(&self) {
        let heard = self.heard.get_or_init(|| {
            let heard = Arc::new(Notify::new());
            tokio::spawn(bell::listen(
                Arc::clone(&self.database),
                self.holder,
                Arc::clone(&heard),
            ));
            heard
        });
        heard.notified().await;
    }

    async fn consume(&self, mailbox: &str, lease: Duration) -> Result<bool, StoreError> {
        consumer::consume(&self.database, self.holder, mailbox, lease).await
    }

    async fn relinquish(&self, mailbox: &str) -> Result<(), StoreError> {
        consumer::relinquish(&self.database, self.holder, mailbox).await
    }
}
