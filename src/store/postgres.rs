//! The store in a PostgreSQL database, shared by any number of replicas.
//!
//! tokio-postgres rather than sqlx: sqlx's SQLite and rusqlite, which the other store needs, link
//! one library twice and exclude each other; and statements that do not wait for each other's
//! answers share one flight, so that a decision is two ways to the server and a settlement one.
//! deadpool keeps the connections. PostgreSQL makes commits that come together share a flush by
//! itself; many connections do here what one writing thread does for SQLite, and mails that wait
//! together are recorded by one statement ([`recorder`]).
//!
//! What keeps replicas apart:
//! - deliveries are leased, `FOR UPDATE SKIP LOCKED`, in one statement ([`lane`]), or with their
//!   decision by the replica that makes it ([`owe`]);
//! - an incident's decisions and the changes of its lanes take turns, by an advisory lock on its id
//!   ([`decide`]);
//! - unverified triggers are counted in turns, by one advisory lock for all of them ([`decide`]);
//! - what is due to be looked at again any of them looks at, and the first to write has
//!   ([`mail::due`]);
//! - what the bridge tells of itself is an incident, whose turn each waits for: the first tells it;
//! - a mail is held for a while by the replica that took it, then by whoever sees that it is still
//!   undecided ([`mail`]); the hold only spares work, deciding it locks its row: a mail about the
//!   same incident that another replica has not decided yet is decided by whoever has a later one
//!   ([`Store::ahead`]);
//! - a mailbox is read by the replica that holds a lease on it, by the database's clock. An
//!   advisory lock of a session would live on after a connection was cut until the server noticed,
//!   and end with a failover nobody noticed yet; the end of a lease both sides know beforehand.
//!
//! The clocks of the replicas must agree to within a few seconds: leases of deliveries end by them.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::{
    crash,
    delivery::{DeliveryId, DeliveryState, Target},
    message::{Authenticity, Bookmark, MailId, Message, Outcome, Release},
    silence::{Plan, Silence, SilenceId},
    store::{
        Agenda, Claim, Concerns, Cut, Decide, Decision, DeliveryRow, Depth, Event, Excess,
        Fallback, Horizon, IncidentRow, MailRow, Pruned, Room, Settled, Settlement, Spare, Store,
        StoreError, StoredMail, Subject, Sweep, Unsilenced, kept::pack,
    },
};

mod address;
mod amend;
mod bell;
mod check;
mod concern;
mod connection;
mod decide;
mod held;
mod lane;
mod look;
mod mail;
mod owe;
mod prune;
mod recorder;
mod row;
mod schema;
mod settle;
mod silence;
mod spare;
mod tls;

pub use address::{Address, Misaddressed};
use bell::Bell;
pub use check::check;
use connection::Database;
use recorder::Recorder;

/// How long a mail is left to the replica that took it before another decides it.
const HOLD: Duration = Duration::from_secs(4);
/// Incidents whose mails may be decided at the same time; more than there are connections.
const TURNS: usize = 64;

/// A replica's view of the database.
pub struct Postgres {
    database: Arc<Database>,
    /// This replica, as long as it runs.
    holder: i64,
    hold: Duration,
    /// Mails about one incident are decided in the order they are handed in: each waits for its
    /// turn, by the id's hash.
    turns: [Mutex<()>; TURNS],
    /// Taken after one of those.
    unverified: Mutex<()>,
    recorder: OnceLock<Recorder>,
    bell: Bell,
    heard: OnceLock<Arc<Notify>>,
}

impl Postgres {
    /// Connects, and brings the schema up to date; where several start at once, one does and the
    /// others wait.
    pub async fn open(address: &Address) -> Result<Self, StoreError> {
        let database = Arc::new(Database::new(address)?);
        schema::migrate(&database).await?;
        Ok(Self {
            database,
            holder: fastrand::i64(1..),
            hold: HOLD,
            turns: [const { Mutex::const_new(()) }; TURNS],
            unverified: Mutex::default(),
            recorder: OnceLock::new(),
            bell: Bell::default(),
            heard: OnceLock::new(),
        })
    }

    /// The same, with another patience for mail that somebody else has taken.
    #[must_use]
    pub fn with_hold(self, hold: Duration) -> Self {
        Self { hold, ..self }
    }

    /// Tells the other replicas that something is owed, where this one has not leased it all.
    fn ring_for(&self, decision: Option<&Decision>) {
        if decision.is_some_and(|decision| decision.deliveries.len() > decision.claims.len()) {
            self.bell.ring(&self.database, self.holder);
        }
    }

    /// Whoever asks first is first in the queue.
    ///
    /// Unverified mail takes turns as a whole, whatever it is about, and here already: of a flood
    /// of it one connection waits for the other replicas, and the rest is there for mail that is
    /// genuine.
    async fn turn(
        &self,
        subject: Option<&Subject>,
    ) -> (Option<MutexGuard<'_, ()>>, Option<MutexGuard<'_, ()>>) {
        let Some(subject) = subject else {
            return (None, None);
        };
        let turn = self.turns[turn(&subject.incident_id)].lock().await;
        (
            Some(turn),
            if subject.verified {
                None
            } else {
                Some(self.unverified.lock().await)
            },
        )
    }
}

/// The version of the schema a database has, 0 where it has none, and the one this program knows;
/// migrates nothing.
pub async fn versions(address: &Address) -> Result<(i32, i32), StoreError> {
    let database = Database::new(address)?;
    let found = schema::apart(&database, async |client| schema::found(client).await).await?;
    Ok((found, schema::known()))
}

fn turn(incident_id: &str) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(incident_id);
    usize::try_from(hash % TURNS as u64).unwrap_or(0)
}

#[async_trait]
impl Store for Postgres {
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError> {
        let packed = mails.into_iter().map(pack).collect::<Result<Vec<_>, _>>()?;
        let Some(bookmark) = bookmark else {
            let recorder = self
                .recorder
                .get_or_init(|| Recorder::start(&self.database, self.holder, self.hold));
            return recorder.record(packed).await;
        };
        crash::point("commit");
        mail::record(
            &self.database,
            self.holder,
            self.hold,
            &packed,
            Some(&bookmark),
        )
        .await
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError> {
        mail::bookmark(&self.database, mailbox).await
    }

    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        mail::undecided(&self.database, self.holder, self.hold, after, limit).await
    }

    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError> {
        mail::ahead(&self.database, self.holder, mail).await
    }

    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError> {
        mail::undecided_among(&self.database, &mails).await
    }

    async fn decide(
        &self,
        mail: MailId,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        let _turn = self.turn(subject.as_ref()).await;
        let decision = decide::decide(&self.database, mail, subject.as_ref(), now, decide).await?;
        self.ring_for(decision.as_ref());
        Ok(decision)
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        mail::due(&self.database, now, limit).await
    }

    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        mail::let_out(&self.database, limit).await
    }

    async fn reconsider(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        let _turn = self.turn(subject.as_ref()).await;
        let decision = decide::reconsider(
            &self.database,
            mail,
            &authenticity,
            subject.as_ref(),
            now,
            decide,
        )
        .await?;
        self.ring_for(decision.as_ref());
        Ok(decision)
    }

    async fn announce(
        &self,
        subject: Subject,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Decision, StoreError> {
        let _turn = self.turn(Some(&subject)).await;
        let decision = decide::announce(&self.database, &subject, now, decide).await?;
        self.ring_for(Some(&decision));
        Ok(decision)
    }

    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError> {
        silence::unsilenced(&self.database, now, limit).await
    }

    async fn release_held(&self, now: Timestamp) -> Result<(), StoreError> {
        held::release(&self.database, now).await
    }

    async fn concerns(&self) -> Result<Concerns, StoreError> {
        concern::concerns(&self.database).await
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError> {
        lane::claim(&self.database, now, lease, wanted).await
    }

    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError> {
        lane::release_waits(&self.database, now).await
    }

    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError> {
        lane::bring_forward(&self.database, now, lease).await
    }

    async fn agenda(&self) -> Result<Agenda, StoreError> {
        lane::agenda(&self.database).await
    }

    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        settle::settle(&self.database, id, lease, &settlement).await
    }

    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Target>, StoreError> {
        settle::escalate(&self.database, now, &fallback).await
    }

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

    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError> {
        look::mail(&self.database, id).await
    }

    async fn release_mail(&self, id: MailId, release: Release) -> Result<(), StoreError> {
        mail::release(&self.database, id, &release).await
    }

    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        mail::quarantined(&self.database, after, limit).await
    }

    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError> {
        mail::discard_all(&self.database, &ids, now).await
    }

    async fn discard_mail(&self, id: MailId, now: Timestamp) -> Result<(), StoreError> {
        mail::discard(&self.database, id, now).await
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

    async fn depth(&self) -> Result<Depth, StoreError> {
        look::depth(&self.database).await
    }

    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError> {
        prune::step(&self.database, horizon, from, limit).await
    }

    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError> {
        spare::whole(&self.database, spare, after).await
    }

    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError> {
        spare::cut(&self.database, spare, excess, now).await
    }

    /// The room a database has is its server's to watch.
    fn room(&self) -> Option<Room> {
        None
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Of several hosts the one that can be written is connected to; where it cannot any more, a
        // write says so. What is deleted is of no use, and mostly not there: the transaction's
        // number alone makes a commit of it.
        const WRITE: &str = "
WITH gone AS (DELETE FROM consumers WHERE held_until < now() - interval '30 days')
SELECT pg_current_xact_id()::text";
        self.database.query(WRITE, &[]).await.map(drop)
    }

    async fn rung(&self) {
        let heard = self.heard.get_or_init(|| {
            let heard = Arc::new(Notify::new());
            tokio::spawn(bell::listen(
                Arc::clone(&self.database),
                self.holder,
                Arc::clone(&heard),
            ));
            heard
        });
        heard.notified().await;
    }

    async fn consume(&self, mailbox: &str, lease: Duration) -> Result<bool, StoreError> {
        mail::consume(&self.database, self.holder, mailbox, lease).await
    }

    async fn relinquish(&self, mailbox: &str) -> Result<(), StoreError> {
        mail::relinquish(&self.database, self.holder, mailbox).await
    }
}
