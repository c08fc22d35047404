//! The store in a PostgreSQL database, shared by any number of replicas.
//!
//! It uses tokio-postgres rather than sqlx. sqlx's SQLite and rusqlite, which the other store
//! needs, link the same library twice and exclude each other. And statements that do not wait for
//! each other's results are pipelined, so that a decision takes two round trips to the server and a
//! settlement one. deadpool pools the connections. PostgreSQL itself lets concurrent commits share
//! a flush, so many connections do here what a single writing thread does for SQLite. Mails that
//! wait together are recorded by one statement ([`recorder`]).
//!
//! Replicas are kept apart as follows:
//! - Deliveries are leased with `FOR UPDATE SKIP LOCKED`, in one statement ([`lane`]), or together
//!   with their decision by the replica that makes it ([`owe`]).
//! - The decisions about an incident and the changes to its lanes take turns, by an advisory lock
//!   on its id ([`decide`]).
//! - Unverified triggers are counted in turns, by one advisory lock for all of them ([`decide`]).
//! - Mail that is due to be checked again may be read by any replica, and the first one to write
//!   decides it ([`mail::due`]).
//! - The bridge's own alarms are incidents, so each replica waits for the incident's turn, and the
//!   first one announces the alarm.
//! - A mail is held for a while by the replica that took it, then by any replica that sees that it
//!   is still undecided ([`mail`]). The hold only saves work, because deciding a mail locks its
//!   row. A mail about the same incident that another replica has not decided yet is decided by the
//!   replica that has a later one ([`Intake::ahead`](crate::store::Intake::ahead)).
//! - A mailbox is read by the replica that holds a lease on it, by the database's clock. A
//!   session's advisory lock would outlive a cut connection until the server noticed, and would end
//!   with a failover that nobody had noticed yet; the end of a lease is known to both sides in
//!   advance.
//!
//! The clocks of the replicas must agree to within a few seconds, because leases of deliveries end
//! by them.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::store::{Decision, Item, StoreError, Subject};

mod address;
mod amend;
mod bell;
mod browse;
mod canary;
mod check;
mod concern;
mod connection;
mod consumer;
mod course;
mod decide;
mod desk;
mod expected;
mod fullness;
mod glance;
mod held;
mod intake;
mod lane;
mod lanes;
mod ledger;
mod look;
mod mail;
mod naming;
mod owe;
mod prune;
mod quarantine;
mod record;
mod recorder;
mod row;
mod schema;
mod settle;
mod silence;
mod spare;
mod tls;
mod upkeep;

pub use address::{Address, Misaddressed};
use bell::Bell;
pub use check::check;
use connection::Database;
use fullness::Fullness;
use recorder::Recorder;

/// How long other replicas leave a mail to the replica that recorded it.
const HOLD: Duration = Duration::from_secs(4);
/// The number of incidents whose mails may be decided at the same time: more than there are
/// connections.
const TURNS: usize = 64;

/// A replica's view of the database.
pub struct Postgres {
    database: Arc<Database>,
    /// The id of this replica for as long as it runs.
    holder: i64,
    hold: Duration,
    /// The locks by which mails about one incident are decided in the order in which they are
    /// handed in. Each mail waits for the lock that the hash of the incident's id selects.
    turns: [Mutex<()>; TURNS],
    /// The turn that all unverified mail shares. It is locked after those in `turns`.
    unverified: Mutex<()>,
    recorder: OnceLock<Recorder>,
    bell: Bell,
    fullness: Fullness,
    heard: OnceLock<Arc<Notify>>,
}

impl Postgres {
    /// Connects, and migrates the schema. If several replicas start at once, one migrates and the
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
            fullness: Fullness::default(),
            heard: OnceLock::new(),
        })
    }

    /// Returns the same store with another hold time for mail that another replica has recorded.
    #[must_use]
    pub fn with_hold(self, hold: Duration) -> Self {
        Self { hold, ..self }
    }

    /// Announces new deliveries to the other replicas, unless this one has leased them all.
    fn ring_for<'a>(&self, mut decisions: impl Iterator<Item = &'a Decision>) {
        if decisions.any(|decision| decision.deliveries.len() > decision.claims.len()) {
            self.bell.ring(&self.database, self.holder);
        }
    }

    /// Waits for the turns, first come, first served.
    ///
    /// Unverified mail shares a single turn, whatever it is about, and takes it here, before it
    /// takes a connection: during a flood of it, a single connection waits for the other replicas,
    /// and the others are free for genuine mail.
    ///
    /// Turns of several incidents are taken in one fixed order, so that nobody waits in a circle.
    async fn take(&self, turns: Turns) -> Vec<MutexGuard<'_, ()>> {
        let mut taken = Vec::with_capacity(turns.places.len() + 1);
        for place in turns.places {
            taken.push(self.turns[place].lock().await);
        }
        if turns.unverified {
            taken.push(self.unverified.lock().await);
        }

        taken
    }
}

/// The turns that a decision waits for.
struct Turns {
    /// The indexes of the turns, sorted.
    places: Vec<usize>,
    unverified: bool,
}

impl Turns {
    fn of<'a>(subjects: impl Iterator<Item = &'a Subject> + Clone) -> Self {
        let mut places: Vec<usize> = subjects
            .clone()
            .map(|subject| turn(&subject.incident_id))
            .collect();
        places.sort_unstable();
        places.dedup();

        let mut subjects = subjects;
        Self {
            places,
            unverified: !subjects.all(|subject| subject.verified),
        }
    }

    fn of_all(items: &[Item]) -> Self {
        Self::of(items.iter().filter_map(|item| item.subject.as_ref()))
    }
}

/// Returns the version of the schema in a database, which is 0 if there is none, and the version
/// that this program knows. It does not migrate.
pub async fn versions(address: &Address) -> Result<(i32, i32), StoreError> {
    let database = Database::new(address)?;
    let found = schema::apart(&database, async |client| schema::found(client).await).await?;
    Ok((found, schema::known()))
}

fn turn(incident_id: &str) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(incident_id);
    usize::try_from(hash % TURNS as u64).unwrap_or(0)
}
