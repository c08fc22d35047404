//! The store's part in canaries: whose turn it is to send one, how far each has come, and the key
//! that the replicas share.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::StoreError;
use crate::{canary::Flight, message::MailId};

/// The most by which the clocks of replicas may differ. If the last canary was begun later than
/// that from now, the clock was set back.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Returns the latest time at which a replica whose clock is ahead can have begun a canary.
pub(super) fn latest_begin(now: Timestamp) -> Timestamp {
    now.saturating_add(SKEW).unwrap_or(now)
}

/// The store as the code that sends and watches canaries sees it.
#[async_trait]
pub trait Canaries: Send + Sync {
    /// Returns the key that signs canaries. If there is none yet, `fresh` becomes the key.
    async fn canary_key(&self, fresh: [u8; 32]) -> Result<Vec<u8>, StoreError>;

    /// Begins the next canary and returns its number, unless one was begun after `before`: of
    /// several replicas, one succeeds. A canary of the far future does not count, because the clock
    /// was set back since.
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

    /// Records when the canary was read and when it was decided.
    async fn canary_decided(&self, number: u64, times: [Timestamp; 2]) -> Result<(), StoreError>;

    /// Records that the heartbeat was pinged for the canary.
    async fn canary_pinged(&self, number: u64, at: Timestamp) -> Result<(), StoreError>;

    /// Returns the newest flights, the last one begun first.
    async fn flights(&self, limit: u32) -> Result<Vec<Flight>, StoreError>;
}
