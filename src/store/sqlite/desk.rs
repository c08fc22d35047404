//! The implementation of [`Desk`] for SQLite.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    delivery::{DeliveryId, DeliveryState},
    message::{MailId, Outcome, Release},
    silence::{Plan, Silence, SilenceId},
    store::{DeliveryRow, Desk, Event, IncidentRow, MailRow, StoreError, StoredMail},
};

use super::{Sqlite, amend, failure, look, mail, quarantine, silence};

#[async_trait]
impl Desk for Sqlite {
    async fn incidents(&self, open_only: bool, limit: u32) -> Result<Vec<IncidentRow>, StoreError> {
        self.read(move |connection| look::incidents(connection, open_only, limit))
            .await
    }

    async fn timeline(
        &self,
        incident_id: &str,
    ) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError> {
        let incident_id = incident_id.to_owned();
        self.read(move |connection| look::timeline(connection, &incident_id))
            .await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.read(move |connection| look::deliveries(connection, state, limit))
            .await
    }

    async fn retry(
        &self,
        ids: Option<Vec<DeliveryId>>,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        self.write(move |connection| amend::retry(connection, ids.as_deref(), now))
            .await
    }

    async fn discard(&self, id: DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| amend::discard(connection, id, now))
            .await
    }

    async fn mails(
        &self,
        outcome: Option<Outcome>,
        limit: u32,
    ) -> Result<Vec<MailRow>, StoreError> {
        self.read(move |connection| look::mails(connection, outcome, limit))
            .await
    }

    async fn items(&self, mail: MailId) -> Result<Vec<MailRow>, StoreError> {
        self.read(move |connection| look::items(connection, mail))
            .await
    }

    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError> {
        self.read(move |connection| look::mail(connection, id))
            .await
    }

    async fn release_mail(&self, id: MailId, release: Release) -> Result<(), StoreError> {
        self.write(move |connection| quarantine::release(connection, id, &release))
            .await
    }

    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| quarantine::quarantined(connection, after, limit))
            .await
    }

    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError> {
        self.write(move |connection| {
            quarantine::discard_all(connection, &ids, now).map_err(failure)
        })
        .await
    }

    async fn discard_mail(&self, id: MailId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| quarantine::discard(connection, id, now))
            .await
    }

    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: u32,
    ) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::stored(connection, since, until, after, limit))
            .await
    }

    async fn add_silence(&self, plan: Plan, now: Timestamp) -> Result<Silence, StoreError> {
        self.write(move |connection| silence::add(connection, &plan, now).map_err(failure))
            .await
    }

    async fn silences(
        &self,
        expired: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError> {
        self.read(move |connection| silence::list(connection, expired, now, limit))
            .await
    }

    async fn expire_silences(&self, ids: Vec<SilenceId>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| silence::expire(connection, &ids, now))
            .await
    }
}
