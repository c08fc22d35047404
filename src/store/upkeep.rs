//! What keeping a store in order asks of it: health, size, retention, and turns among replicas.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Concerns, Cut, Depth, Excess, ExpectedMail, Horizon, IncidentRow, Pruned, Spare, StoreError,
    Sweep,
};
use crate::message::MailId;

/// A store is looked after: the view of it that `serve` and `watch` have.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// What is wrong with the store: nothing, where it can be read and written.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How much is owed, for the gauges.
    async fn depth(&self) -> Result<Depth, StoreError>;

    /// What the bridge may have to tell of itself.
    async fn concerns(&self) -> Result<Concerns, StoreError>;

    /// When a process starts: ends every wait for another attempt; and every lease, where the store
    /// is one process's own.
    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Deletes what is past its retention among the next `limit` rows; never a mail undecided or
    /// quarantined, nor anything of an incident that is open or has a delivery owed or dead.
    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError>;

    /// The bytes of the mails of a kind that are kept whole, after one, and the last of them.
    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError>;

    /// Keeps of the oldest mails of a kind, of which there is too much, only the header; in steps.
    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError>;

    /// Open incidents of a profile that were last heard of by `until`, the first first.
    async fn quiet(
        &self,
        profile: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError>;

    /// All mail that is expected, or was.
    async fn expected_mail(&self) -> Result<Vec<ExpectedMail>, StoreError>;

    /// Remembers that mail is expected, unless it is, and whether it is told to be missing.
    async fn expect_mail(&self, expected: ExpectedMail) -> Result<(), StoreError>;

    /// Mail is expected no longer.
    async fn unexpect_mail(&self, profile: &str, key: &str) -> Result<(), StoreError>;

    // Among replicas, where several share the store.

    /// Completes when another process says that something is owed. Nobody may count on it: it saves
    /// waiting.
    async fn rung(&self);

    /// Takes or renews, for so long, this process's sole right to read a mailbox, or to do what
    /// else is called by a name and one replica is enough for; false where another has it.
    async fn consume(&self, mailbox: &str, lease: Duration) -> Result<bool, StoreError>;

    /// Gives that right back.
    async fn relinquish(&self, mailbox: &str) -> Result<(), StoreError>;
}
