//! The implementation of [`Upkeep`] for SQLite.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;

use crate::{
    delivery::{
        self,
        naming::{Entry, Named},
    },
    message::MailId,
    store::{
        Concerns, Cut, Depth, Excess, ExpectedMail, Horizon, IncidentRow, Intake as _, Outstanding,
        Pruned, Spare, StoreError, Sweep, Upkeep,
    },
};

use super::{
    Sqlite, concern, expected, failure, lane, look, mail, naming, prune, spare, writer::Outlives,
};

#[async_trait]
impl Upkeep for Sqlite {
    async fn ping(&self) -> Result<(), StoreError> {
        // This writes a page that nothing reads, so that a full or read-only disk shows. It does
        // not wait for a flush.
        let touch = |connection: &Connection| {
            connection
                .pragma_update(None, "user_version", 0)
                .map_err(failure)
        };
        self.writer.write(Outlives::Process, touch).await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.read(look::depth).await
    }

    async fn concerns(&self) -> Result<Concerns, StoreError> {
        let room = self.room();
        self.read(concern::concerns)
            .await
            .map(|concerns| Concerns { room, ..concerns })
    }

    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| lane::release_leases(connection, now).map_err(failure))
            .await
    }

    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError> {
        self.write(move |connection| prune::step(connection, horizon, from, limit).map_err(failure))
            .await
    }

    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError> {
        self.read(move |connection| spare::whole(connection, spare, after))
            .await
    }

    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError> {
        let (shortened, more) = self
            .read(move |connection| spare::shortened(connection, spare, excess))
            .await?;
        if shortened.is_empty() {
            return Ok(Cut {
                more,
                ..Cut::default()
            });
        }

        self.write(move |connection| spare::cut(connection, spare, &shortened, more, now))
            .await
    }

    async fn quiet(
        &self,
        profile: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        let profile = profile.to_owned();
        self.read(move |connection| expected::quiet(connection, &profile, until, limit))
            .await
    }

    async fn expected_mail(&self) -> Result<Vec<ExpectedMail>, StoreError> {
        self.read(expected::expected_mail).await
    }

    async fn expect_mail(&self, mail: ExpectedMail) -> Result<(), StoreError> {
        self.write(move |connection| expected::expect(connection, &mail).map_err(failure))
            .await
    }

    async fn unexpect_mail(&self, profile: &str, key: &str) -> Result<(), StoreError> {
        let (profile, key) = (profile.to_owned(), key.to_owned());
        self.write(move |connection| {
            expected::unexpect(connection, &profile, &key).map_err(failure)
        })
        .await
    }

    async fn name(&self, entries: Vec<Entry>) -> Result<Vec<Named>, StoreError> {
        // Most starts change no name, and then nothing is written.
        let known = self.read(naming::known).await?;
        let names = delivery::naming::name(known.clone(), &entries);
        if names.iter().all(|name| known.contains(name)) {
            return Ok(names);
        }

        self.write(move |connection| naming::name(connection, &entries).map_err(failure))
            .await
    }

    async fn names(&self) -> Result<Vec<Named>, StoreError> {
        self.read(naming::known).await
    }

    async fn outstanding(&self) -> Result<Vec<Outstanding>, StoreError> {
        self.read(naming::outstanding).await
    }

    async fn has_undecided(&self) -> Result<bool, StoreError> {
        self.read(mail::has_undecided).await
    }

    async fn open_by_profile(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(naming::open_by_profile).await
    }

    // One process owns the file, so there are no other replicas to hear from or to share a mailbox
    // with.

    async fn rung(&self) {
        std::future::pending::<()>().await;
    }

    async fn consume(&self, _mailbox: &str, _lease: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn relinquish(&self, _mailbox: &str) -> Result<(), StoreError> {
        Ok(())
    }
}
