//! The upkeep of a store: health, size, retention, and turns among replicas.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Concerns, Cut, Depth, Excess, ExpectedMail, Horizon, IncidentRow, Outstanding, Pruned, Spare,
    StoreError, Sweep,
};
use crate::{
    delivery::naming::{Entry, Named},
    message::MailId,
};

/// The store as `serve` and `watch` see it.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Checks that the store can be read and written.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Returns the number of pending deliveries and the like, for the gauges.
    async fn depth(&self) -> Result<Depth, StoreError>;

    /// Returns those of the bridge's own troubles that are stored.
    async fn concerns(&self) -> Result<Concerns, StoreError>;

    /// Prepares the store for the start of a process: ends every wait for another attempt, and
    /// every lease if the store belongs to one process.
    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Deletes what is past its retention among the next `limit` rows. It never deletes an
    /// undecided or quarantined mail, nor anything of an incident that is open or has a pending or
    /// dead delivery.
    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError>;

    /// Returns the bytes of the mails of a kind that are kept whole, after the mail `after`, and
    /// the number of the last of those mails.
    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError>;

    /// Cuts the oldest mails of a kind to their headers, one step at a time, if they have too many
    /// bytes.
    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError>;

    /// Returns the open incidents of a profile whose last mail arrived by `until`, the oldest
    /// first.
    async fn quiet(
        &self,
        profile: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError>;

    /// Returns all mail that is, or was, expected.
    async fn expected_mail(&self) -> Result<Vec<ExpectedMail>, StoreError>;

    /// Records that mail is expected, unless that is already recorded, and whether it is reported
    /// missing.
    async fn expect_mail(&self, expected: ExpectedMail) -> Result<(), StoreError>;

    /// Ends the expectation of mail.
    async fn unexpect_mail(&self, profile: &str, key: &str) -> Result<(), StoreError>;

    /// Names the integrations of a configuration by
    /// [`naming::name`](crate::delivery::naming::name), and returns all names. Only one replica
    /// does so at a time.
    async fn name(&self, entries: Vec<Entry>) -> Result<Vec<Named>, StoreError>;

    /// Returns all names that were given.
    async fn names(&self) -> Result<Vec<Named>, StoreError>;

    /// Returns what is owed to each target, and which open incidents it was told of.
    async fn outstanding(&self) -> Result<Vec<Outstanding>, StoreError>;

    /// Returns whether a mail of any process is undecided and does not wait to be checked again. It
    /// leaves the mail to whoever holds it.
    async fn has_undecided(&self) -> Result<bool, StoreError>;

    /// Counts the open incidents of each profile that has any.
    async fn open_by_profile(&self) -> Result<Vec<(String, u64)>, StoreError>;

    // Among replicas, where several share the store.

    /// Completes when another process announces new deliveries. It only shortens a wait: nothing
    /// may depend on it.
    async fn rung(&self);

    /// Takes or renews, for the duration of `lease`, this process's exclusive right to read a
    /// mailbox, or to do other named work that one replica does for all. Returns false if another
    /// process holds it.
    async fn consume(&self, mailbox: &str, lease: Duration) -> Result<bool, StoreError>;

    /// Gives that right up.
    async fn relinquish(&self, mailbox: &str) -> Result<(), StoreError>;
}
