//! The implementation of [`Desk`] for PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    delivery::{DeliveryId, DeliveryState},
    message::{MailId, Outcome, Release},
    silence::{Plan, Silence, SilenceId},
    store::{DeliveryRow, Desk, Event, IncidentRow, MailRow, StoreError, StoredMail},
};

use super::{Postgres, amend, look, mail, quarantine, silence};

#[async_trait]
impl Desk for Postgres {
    async fn incidents(&self, open_only: bool, limit: u32) -> Result<Vec<IncidentRow>, StoreError> {
        look::incidents(&self.database, open_only, limit).await
    }

    async fn timeline(
        &self,
        incident_id: &str,
    ) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError> {
        look::timeline(&self.database, incident_id).await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        look::deliveries(&self.database, state, limit).await
    }

    async fn retry(
        &self,
        ids: Option<Vec<DeliveryId>>,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        amend::retry(&self.database, self.holder, ids, now).await
    }

    async fn discard(&self, id: DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        amend::discard(&self.database, self.holder, id, now).await
    }

    async fn mails(
        &self,
        outcome: Option<Outcome>,
        limit: u32,
    ) -> Result<Vec<MailRow>, StoreError> {
        look::mails(&self.database, outcome, limit).await
    }

    async fn items(&self, mail: MailId) -> Result<Vec<MailRow>, StoreError> {
        look::items(&self.database, mail).await
    }

    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError> {
        look::mail(&self.database, id).await
    }

    async fn release_mail(&self, id: MailId, release: Release) -> Result<(), StoreError> {
        quarantine::release(&self.database, id, &release).await
    }

    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        quarantine::quarantined(&self.database, after, limit).await
    }

    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError> {
        quarantine::discard_all(&self.database, &ids, now).await
    }

    async fn discard_mail(&self, id: MailId, now: Timestamp) -> Result<(), StoreError> {
        quarantine::discard(&self.database, id, now).await
    }

    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: u32,
    ) -> Result<Vec<StoredMail>, StoreError> {
        mail::stored(&self.database, since, until, after, limit).await
    }

    async fn add_silence(&self, plan: Plan, now: Timestamp) -> Result<Silence, StoreError> {
        silence::add(&self.database, &plan, now).await
    }

    async fn silences(
        &self,
        expired: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError> {
        silence::list(&self.database, expired, now, limit).await
    }

    async fn expire_silences(&self, ids: Vec<SilenceId>, now: Timestamp) -> Result<(), StoreError> {
        silence::expire(&self.database, &ids, now).await
    }
}
