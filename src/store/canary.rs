//! What the canary asks of a store: whose turn it is to send one, how far each has come, and the
//! key that the replicas share.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::{canary::Flight, message::MailId};

/// Flights beyond so many are forgotten.
pub(super) const KEPT: i64 = 1000;

/// Canaries are sent and watched.
#[async_trait]
pub trait Canaries: Send + Sync {
    /// The key that signs them: this one where there is none yet.
    async fn canary_key(&self, fresh: [u8; 32]) -> Result<Vec<u8>, StoreError>;

    /// Begins the next, where none was begun after `before`: of several replicas one does. Its
    /// number.
    async fn begin_canary(
        &self,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<Option<u64>, StoreError>;

    /// A mail server took it; or it did not, and why.
    async fn canary_sent(
        &self,
        number: u64,
        sent: Result<Timestamp, String>,
    ) -> Result<(), StoreError>;

    /// It came back in a mail and was judged at these times. False where another mail brought it
    /// before, it was begun before `not_before`, or nobody knows of it: then it counts for nothing.
    async fn canary_arrived(
        &self,
        number: u64,
        mail: MailId,
        times: [Timestamp; 2],
        not_before: Timestamp,
    ) -> Result<bool, StoreError>;

    /// It was read and decided at these times.
    async fn canary_decided(&self, number: u64, times: [Timestamp; 2]) -> Result<(), StoreError>;

    /// The heartbeat was told of it.
    async fn canary_pinged(&self, number: u64, at: Timestamp) -> Result<(), StoreError>;

    /// The newest flights, the last begun first.
    async fn flights(&self, limit: u32) -> Result<Vec<Flight>, StoreError>;
}
