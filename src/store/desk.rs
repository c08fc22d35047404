//! The store as people use it: lists, and changes by hand.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{DeliveryRow, Event, IncidentRow, MailRow, StoreError, StoredMail};
use crate::{
    delivery::{DeliveryId, DeliveryState},
    message::{MailId, Outcome, Release},
    silence::{Plan, Silence, SilenceId},
};

/// The store as the commands and pages see it.
#[async_trait]
pub trait Desk: Send + Sync {
    async fn incidents(&self, open_only: bool, limit: u32) -> Result<Vec<IncidentRow>, StoreError>;

    async fn timeline(
        &self,
        incident_id: &str,
    ) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError>;

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError>;

    /// Makes dead deliveries pending again, in order, and returns those that it changed. It refuses
    /// a trigger that would reopen a resolved incident, and a resolve that would close an incident
    /// that has opened again.
    async fn retry(
        &self,
        ids: Option<Vec<DeliveryId>>,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError>;

    async fn discard(&self, id: DeliveryId, now: Timestamp) -> Result<(), StoreError>;

    async fn mails(&self, outcome: Option<Outcome>, limit: u32)
    -> Result<Vec<MailRow>, StoreError>;

    /// Returns the alerts of a mail that holds several, each as a mail of its own; for any other
    /// mail, an empty list.
    async fn items(&self, mail: MailId) -> Result<Vec<MailRow>, StoreError>;

    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError>;

    /// Lets a mail that is quarantined, or waits for its authenticity, act as if it were genuine:
    /// it is due now. It refuses a mail that was cut to its header.
    async fn release_mail(&self, id: MailId, release: Release) -> Result<(), StoreError>;

    /// Returns mails in the quarantine that arrived after `after`, in order of arrival. It stops
    /// after [`READ_BACK`](super::READ_BACK) bytes.
    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// Discards mails from the quarantine, and returns how many of them were still there.
    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError>;

    /// Discards a mail from the quarantine.
    async fn discard_mail(&self, id: MailId, now: Timestamp) -> Result<(), StoreError>;

    /// Returns stored mails after `after` in order of arrival, for `replay --stored`. It stops
    /// after [`READ_BACK`](super::READ_BACK) bytes.
    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: u32,
    ) -> Result<Vec<StoredMail>, StoreError>;

    /// Adds a silence. Every decision from now on, by any process, respects it.
    async fn add_silence(&self, plan: Plan, now: Timestamp) -> Result<Silence, StoreError>;

    /// Returns either the `expired` silences, the last to end first, or the others, the first to
    /// end first.
    async fn silences(
        &self,
        expired: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError>;

    /// Ends silences now: all of them, or none if one has already ended or does not exist. The
    /// pages that they hold become due for a check.
    async fn expire_silences(&self, ids: Vec<SilenceId>, now: Timestamp) -> Result<(), StoreError>;
}
