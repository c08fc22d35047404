//! What must survive: a dozen domain verbs, no CRUD.
//!
//! Three commits and nothing else is trusted: the mail (`record`), the transition with its
//! deliveries (`decide`), the attempt with the next state (`settle`). The row is the queue.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    delivery::{DeliveryId, DeliveryState, Target},
    message::{Authenticity, Bookmark, MailId, Message, Outcome, Release},
    silence::{Plan, Silence, SilenceId},
};

pub mod audit;
mod claim;
mod concern;
mod decision;
mod error;
mod kept;
mod look;
mod mail;
mod memory;
pub mod place;
pub mod postgres;
mod refusal;
mod retention;
mod settlement;
mod silenced;
mod spare;
pub mod sqlite;
mod subject;

pub use claim::{Agenda, Claim};
pub use concern::{Alarm, Concerns, DEAD_LETTERS, Room, UNEXPECTED_APP};
pub use decision::{Decide, Decision, NewDelivery};
pub use error::StoreError;
pub use look::{DeliveryRow, Depth, Event, IncidentRow, MailRow, Totals};
use mail::FARTHEST_CHECK;
pub(crate) use mail::READ_BACK;
pub use mail::StoredMail;
use memory::HOUR;
pub use memory::{Heard, Memory, Told};
pub(crate) use memory::{RECURRENCE, hour};
pub use retention::{Horizon, Pruned, Sweep};
pub use settlement::{Attempt, Fallback, Next, Settled, Settlement};
pub use silenced::{Silenced, Silencing, Unsilenced};
pub use spare::{Cut, Excess, Spare};
pub use subject::{Kind, Subject};

#[async_trait]
pub trait Store: Send + Sync {
    /// First commit: the mails as they came, and how far their mailbox was read. All or none.
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError>;
    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError>;

    /// Mails without a decision, in order of arrival, after `after`; not those that wait to be
    /// checked again. None after those that have [`READ_BACK`] bytes together.
    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError>;
    /// Undecided mails that other processes took, recorded before `mail`: their numbers, in order.
    /// A mail that was acknowledged before `mail` was sent is among them.
    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError>;
    /// Those of these mails that are undecided still, in order, whoever took them; limited as
    /// `undecided` is.
    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError>;
    /// Second commit: shows `decide` what is known of the incident and writes what it concludes,
    /// all in one transaction. None where the mail has been decided by somebody else, or waits to
    /// be looked at again.
    async fn decide(
        &self,
        mail: MailId,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError>;

    /// Mails to be looked at again, with the outcome they have: those let out of the quarantine
    /// first, then those whose authenticity is to be checked again by now.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError>;
    /// As `decide`, for a mail that was due: with what is known of its authenticity now. Where
    /// somebody was told of the mail before, its outcome stays, and what was told belongs to the
    /// opening it leads to. None where the mail is not due any more.
    async fn reconsider(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError>;
    /// As `decide`, for what the bridge tells of itself: without a mail.
    async fn announce(
        &self,
        subject: Subject,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Decision, StoreError>;
    /// Incidents of which a silence holds a page and has ended by now; `announce` concludes about
    /// them.
    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError>;
    /// Makes pending what a mute held until now; what a silence covers stays held until that ends.
    async fn release_held(&self, now: Timestamp) -> Result<(), StoreError>;
    /// What the bridge may have to tell of itself.
    async fn concerns(&self) -> Result<Concerns, StoreError>;

    /// Leases deliveries that are due, the heads of their lanes: of each target at most so many. A
    /// lease ends by itself after `lease`.
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError>;
    /// When a process starts: ends every wait for another attempt; and every lease, where the store
    /// is one process's own.
    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError>;
    /// For when the clock was set back: what waits for another attempt is due now, and no lease
    /// outlasts `lease`.
    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError>;
    /// What is to be done next, and when.
    async fn agenda(&self) -> Result<Agenda, StoreError>;
    /// Third commit: the attempt with the next state.
    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError>;
    /// Triggers whose `fallback_at` has passed undelivered, each once: `fallback` makes the
    /// deliveries to the fallback receiver, written in the same commit unless it was told of the
    /// incident already. Returns whom they were owed to.
    async fn escalate(&self, now: Timestamp, fallback: Fallback)
    -> Result<Vec<Target>, StoreError>;

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
    /// Makes dead deliveries pending again, in order; returns those it did. Refuses a trigger that
    /// would reopen a resolved incident, and a resolve that would close one that has opened again.
    async fn retry(
        &self,
        ids: Option<Vec<DeliveryId>>,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError>;
    async fn discard(&self, id: DeliveryId, now: Timestamp) -> Result<(), StoreError>;
    async fn mails(&self, outcome: Option<Outcome>, limit: u32)
    -> Result<Vec<MailRow>, StoreError>;
    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError>;
    /// Lets a mail that is quarantined, or waits for its authenticity, act as if it were genuine:
    /// it is due at once. Refuses one of which only the header was kept.
    async fn release_mail(&self, id: MailId, release: Release) -> Result<(), StoreError>;
    /// Mails in the quarantine in order of arrival, after one; none after those that have
    /// [`READ_BACK`] bytes together.
    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError>;
    /// Takes mails out of the quarantine for good; returns how many of them still were there.
    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError>;
    /// Takes a mail out of the quarantine for good.
    async fn discard_mail(&self, id: MailId, now: Timestamp) -> Result<(), StoreError>;
    /// Stored mails by arrival, for `replay --stored`, after `after`; at most the first of them
    /// that have [`READ_BACK`] bytes together.
    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: u32,
    ) -> Result<Vec<StoredMail>, StoreError>;
    /// Whatever is decided from now on, by any process, goes by it.
    async fn add_silence(&self, plan: Plan, now: Timestamp) -> Result<Silence, StoreError>;
    /// Those that are `expired`, the last to end first; else those that are not, the first to end
    /// first.
    async fn silences(
        &self,
        expired: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError>;
    /// Ends silences now: all of them, or none where one of them has ended or is not there. What
    /// they hold is looked at.
    async fn expire_silences(&self, ids: Vec<SilenceId>, now: Timestamp) -> Result<(), StoreError>;
    async fn depth(&self) -> Result<Depth, StoreError>;
    /// Deletes what is past its retention among the next `limit` rows; never a mail undecided or
    /// quarantined, nor anything of an incident that is open or has a delivery owed or dead.
    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError>;
    /// The bytes of the mails of a kind that are kept whole, after one, and the last of them.
    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError>;
    /// Keeps of the oldest mails of a kind, of which there is too much, only the header; in steps.
    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError>;
    /// The space that is left for the store; none where nobody here can tell.
    fn room(&self) -> Option<Room>;
    /// What is wrong with the store: nothing, where it can be read and written.
    async fn ping(&self) -> Result<(), StoreError>;

    // Among replicas, where several share the store.

    /// Completes when another process says that something is owed. Nobody may count on it: it saves
    /// waiting.
    async fn rung(&self);
    /// Takes or renews, for so long, this process's sole right to read a mailbox; false where
    /// another has it.
    async fn consume(&self, mailbox: &str, lease: Duration) -> Result<bool, StoreError>;
    /// Gives that right back.
    async fn relinquish(&self, mailbox: &str) -> Result<(), StoreError>;
}
