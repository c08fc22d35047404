//! What the canary asks of a store: whose turn it is to send one, how far each has come, and the
//! key that the replicas share.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::{canary::Flight, message::MailId};

/// Older flights than this many are forgotten.
pub(super) const KEPT: i64 = 1000;

/// The view of a store that sending and watching canaries needs.
#[async_trait]
pub trait Canaries: Send + Sync {
    /// The key that signs canaries: `fresh`, if there is none yet.
    async fn canary_key(&self, fresh: [u8; 32]) -> Result<Vec<u8>, StoreError>;

    /// Begins the next canary and returns its number, unless one was begun after `before`: of
    /// several replicas, one succeeds.
    async fn begin_canary(
        &self,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<Option<u64>, StoreError>;

    /// Records that a mail server accepted the canary, or why it did not.
    async fn canary_sent(
        &self,
        number: u64,
        sent: Result<Timestamp, String>,
    ) -> Result<(), StoreError>;

    /// Records that the canary came back in a mail and was authenticated at these times. Returns
    /// false, and records nothing, if another mail brought it before, if it was begun before
    /// `not_before`, or if it is unknown.
    async fn canary_arrived(
        &self,
        number: u64,
        mail: MailId,
        times: [Timestamp; 2],
        not_before: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Records when it was read and decided.
    async fn canary_decided(&self, number: u64, times: [Timestamp; 2]) -> Result<(), StoreError>;

    /// Records that the heartbeat was pinged for it.
    async fn canary_pinged(&self, number: u64, at: Timestamp) -> Result<(), StoreError>;

    /// The newest flights, the last one begun first.
    async fn flights(&self, limit: u32) -> Result<Vec<Flight>, StoreError>;
}
