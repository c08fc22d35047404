//! What must survive: a dozen domain verbs, no CRUD.
//!
//! Three commits and nothing else is trusted: the mail (`record`), the transition with its
//! deliveries (`decide`), the attempt with the next state (`settle`). The row is the queue.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    delivery::{DeliveryId, DeliveryState, Notification, Step, Target},
    incident::{Known, Phase, State},
    label::Labels,
    message::{Authenticity, Bookmark, Hold, MailId, Message, Outcome, Release},
    silence::{Plan, Silence, SilenceId},
};

pub mod audit;
mod concern;
mod kept;
mod look;
pub mod place;
pub mod postgres;
mod refusal;
mod retention;
mod spare;
pub mod sqlite;

pub use concern::{Alarm, Concerns, DEAD_LETTERS, Room, UNEXPECTED_APP};
pub use look::{DeliveryRow, Depth, Event, IncidentRow, MailRow, Totals};
pub use retention::{Horizon, Pruned, Sweep};
pub use spare::{Cut, Excess, Spare};

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing was stored, and what was stored stays.
    #[error("the store's disk is full: free some space, or shorten `store.mail_retention`")]
    Full,
    /// A change panicked: a fault of this program. It alone was undone.
    #[error("a change to the store panicked")]
    Panicked,
    /// The file, its folder or its disk may only be read.
    #[error("the store cannot be written: it, its folder or its disk is read-only to this user")]
    ReadOnly,
    /// Another program keeps the file locked.
    #[error(
        "the store is locked by another process: only one `alertbridge serve` may use a SQLite file"
    )]
    Locked,
    /// A newer alertbridge made it.
    #[error(
        "the store is newer than this alertbridge (its schema is {found}, this program knows {known}): start the newer version"
    )]
    Newer { found: i32, known: i32 },
    /// Its file or its database cannot be read as a whole any more.
    #[error("the store is damaged ({0}): `alertbridge store check` says where, a backup mends it")]
    Damaged(String),
    /// What was asked for is not there, or not in a state that allows it.
    #[error("{0}")]
    Refused(String),
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What an alert is about: what the store must know to remember it by.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    pub kind: Kind,
    /// The incident's id, or the key made for an alert that has none.
    pub incident_id: String,
    /// Normalised.
    pub status: String,
    pub time: Option<Timestamp>,
    pub app_key: String,
    pub metric: String,
    /// Which ingress brought it.
    pub ingress: String,
    /// Whether what says so is proven. What unverified mail applied stands in the way of no
    /// verified one.
    pub verified: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Incident,
    /// An alert that could not be read: it has no end to wait for.
    Unparsed,
    /// What the bridge tells of itself: of no mail.
    #[serde(rename = "self")]
    Own,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Unparsed => "unparsed",
            Self::Own => "self",
        }
    }
}

impl Subject {
    /// The time its status is remembered as applied under, in microseconds since the epoch; 0 where
    /// it has none.
    fn applied_at(&self) -> i64 {
        self.time.map_or(0, kept::micros)
    }
}

/// What follows from one mail: everything that is written when it is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub labels: Labels,
    /// The incident's new state, where it changes.
    pub state: Option<State>,
    /// Whether the mail's status and time now count as applied.
    pub applied: bool,
    /// Who is to be told.
    pub deliveries: Vec<NewDelivery>,
    /// The receivers told now, in the routes' order, one without integrations included. Not stored:
    /// the deliveries are.
    pub receivers: Vec<String>,
    /// When the mail's authenticity is checked again.
    pub check_at: Option<Timestamp>,
    /// Why a quarantined mail is held, where the bridge tells of it.
    pub hold: Option<Hold>,
    /// Whether an unverified trigger is told: there are so many an hour of each ingress.
    pub marked: bool,
    /// Of a duplicate that came another way than the first: how that one came. Not stored.
    pub late: Option<Heard>,
    /// Those of the deliveries that were leased with the decision. The store fills it in.
    pub claims: Vec<Claim>,
    /// Whether what a mute still holds of the incident is dropped: something newer is told in its
    /// stead.
    pub supersedes: bool,
    /// What becomes of the page that a silence holds of the incident.
    pub silencing: Silencing,
}

/// What becomes of the page that a silence holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Silencing {
    /// It stays as it is, if there is one.
    #[default]
    AsItIs,
    /// It is told now, or to nobody.
    Over,
    /// This one is held from now on.
    Held(Box<Silenced>),
}

/// A page that a silence holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Silenced {
    /// The last to end of those that cover it.
    pub silence: SilenceId,
    /// When that ends.
    pub until: Timestamp,
    pub page: Notification,
}

/// An incident of which a silence held something, and has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsilenced {
    pub kind: Kind,
    pub incident_id: String,
}

impl Unsilenced {
    /// The incident that a mail is about.
    pub(crate) fn of(subject: &Subject) -> Self {
        Self {
            kind: subject.kind,
            incident_id: subject.incident_id.clone(),
        }
    }

    /// What the store must know to conclude about it.
    pub fn subject(&self) -> Subject {
        Subject {
            kind: self.kind,
            incident_id: self.incident_id.clone(),
            status: String::new(),
            time: None,
            app_key: String::new(),
            metric: String::new(),
            ingress: String::new(),
            verified: true,
        }
    }
}

impl Decision {
    /// Whether anybody is told, now or when a mute ends.
    pub fn tells(&self) -> bool {
        !self.receivers.is_empty() || !self.deliveries.is_empty()
    }

    /// Whether its mail begins an episode, or is the first that proves it.
    fn begins_episode(&self, memory: &Memory) -> bool {
        let (before, proven) = memory
            .known
            .state
            .as_ref()
            .map_or((0, false), |state| (state.episode, state.verified));
        self.state.as_ref().is_some_and(|state| {
            state.phase == Phase::Firing && state.verified && (state.episode > before || !proven)
        }) && self.outcome != Outcome::Duplicate
    }

    /// Why what is held of the incident is told to nobody any more; none where it stays held.
    fn discards_held(&self, state: &State) -> Option<&'static str> {
        match state.phase {
            Phase::Resolved => Some("resolved while held"),
            Phase::Firing => self
                .supersedes
                .then_some("what is newer is told in its stead"),
        }
    }

    /// Whether the mail is left undecided until what a silence held is told: one that waits for its
    /// authenticity is checked again at some time.
    pub(crate) fn waits_for_silenced(&self) -> bool {
        self.outcome == Outcome::Pending && self.check_at.is_none()
    }

    /// How many deliveries are made under the mail's own number: `store check` finds them by it.
    fn owed_under(&self, mail: MailId) -> u64 {
        self.deliveries
            .iter()
            .filter(|delivery| delivery.notification.mail == Some(mail))
            .count() as u64
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    /// Kept back until then by a mute.
    pub held_until: Option<Timestamp>,
    /// When, still not delivered, it goes to this receiver's integrations as well.
    pub fallback_at: Option<Timestamp>,
    /// Until when it is leased to this process, which has room for it: a store may do so where
    /// nothing waits before it, and spares a claim.
    pub leased_until: Option<Timestamp>,
}

impl NewDelivery {
    /// What this process has to send, where it was leased as it was made.
    fn claimed(
        &self,
        id: DeliveryId,
        lease: i64,
        receipt: Option<String>,
        now: Timestamp,
    ) -> Claim {
        Claim {
            id,
            lease,
            target: self.target.clone(),
            alias: self.alias.clone(),
            notification: self.notification.clone(),
            step: Step::Send,
            receipt,
            failures: 0,
            since: now,
        }
    }
}

/// What the store knows when a mail is decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub known: Known,
    /// Who was told of the current episode's trigger, or is about to be: whom a resolve goes to.
    pub told: Vec<Told>,
    /// Whose page of it a mute still holds.
    pub held: Vec<Told>,
    /// Its page that a silence holds.
    pub silenced: Option<Silenced>,
    /// Verified openings of incidents of the same app and metric in the 28 days before.
    pub recurrence_28d: u64,
    /// Where and when the same status and time were first heard.
    pub first_heard: Option<Heard>,
    /// Unverified triggers of the same ingress told in the hour before; 0 to a verified one, which
    /// no limit holds.
    pub marked: u64,
    /// What became of this mail when it was decided before it could be checked, where somebody was
    /// told: once is enough.
    pub told_before: Option<Outcome>,
    /// Those that are active now, the first to end first.
    pub silences: Vec<Silence>,
}

impl Memory {
    /// Whether the silence has ended that holds a page of it, which nobody was told yet.
    pub(crate) fn owes_what_was_silenced(&self, now: Timestamp) -> bool {
        let held = self.silenced.as_ref();
        held.is_some_and(|silenced| silenced.until <= now)
    }
}

/// Which ingress brought something, and when that was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub ingress: String,
    pub at: Timestamp,
}

/// The window of Atlassian's objectives, over which openings are counted.
pub(crate) const RECURRENCE: SignedDuration = SignedDuration::from_hours(28 * 24);
/// The window of `max_per_hour`.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// No check of a mail's authenticity is put off further.
const FARTHEST_CHECK: SignedDuration = SignedDuration::from_hours(1);

/// The hour since the epoch: openings are counted by the hour, so that their sum costs the same
/// however many there are.
pub(crate) fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}

/// One integration that was told of a trigger, by the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub target: Target,
    /// Under which trigger and resolve meet.
    pub alias: String,
}

/// What is concluded from what is known.
pub type Decide = Box<dyn FnOnce(&Memory) -> Decision + Send>;

/// A mail as it was stored, bytes included.
#[derive(Debug, Clone)]
pub struct StoredMail {
    pub id: MailId,
    pub message: Message,
    pub authenticity: Authenticity,
    /// How often its authenticity was checked again.
    pub checks: u32,
    /// Who let it act, where it was in the quarantine.
    pub released: Option<Release>,
}

/// Makes the deliveries to a target's fallback receiver.
pub type Fallback = Arc<dyn Fn(&Target, &Notification) -> Vec<NewDelivery> + Send + Sync>;

/// A delivery leased to this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub id: DeliveryId,
    /// Settling checks that the lease is still held.
    pub lease: i64,
    pub target: Target,
    pub alias: String,
    pub notification: Notification,
    pub step: Step,
    /// Of a resolve: what the receiver said it made of the trigger, [`Next::Delivered`], where it
    /// was told of this opening's.
    pub receipt: Option<String>,
    /// Failures so far in a row.
    pub failures: u32,
    /// Since when it could have been sent: its creation, or the end of the mute that held it.
    pub since: Timestamp,
}

/// What is to be done next, and when.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agenda {
    /// When the next late trigger's fallback is to be told.
    pub fallback_at: Option<Timestamp>,
    /// When the next of what is held is to be looked at.
    pub held_until: Option<Timestamp>,
    /// Every target something is owed to, and when the next of it falls due or its lease ends.
    pub due: Vec<(Target, Timestamp)>,
}

/// How an attempt ended and what is next.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub at: Timestamp,
    pub next: Next,
    /// For the timeline: what was tried and what came of it. None where nothing was tried (a
    /// receiver told us to wait).
    pub attempt: Option<Attempt>,
    /// Deliveries to the fallback, made in the same commit unless they were made before.
    pub fallback: Vec<NewDelivery>,
}

/// What a settlement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The lease was lost meanwhile: nothing is written.
    Lost,
    /// It is written, and nothing else may have become due by it.
    Last,
    /// It is written, and so may something else.
    Onward,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Delivered {
        receipt: Option<String>,
    },
    /// Stay pending: the step to take and when. `failures` as they stand after this attempt.
    Again {
        step: Step,
        at: Timestamp,
        failures: u32,
    },
    Dead {
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    pub at: Timestamp,
    pub took_ms: u64,
    /// `delivered`, `accepted`, `waiting`, `partly` or a failure's reason.
    pub result: String,
    /// A sentence without secrets.
    pub detail: String,
}

/// Mails read back at a time have so many bytes, the last of them not counted.
pub(crate) const READ_BACK: u64 = 8 << 20;

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
    /// Those that a person let out of the quarantine and nobody has looked at since, in order.
    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError>;
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
