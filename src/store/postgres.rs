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
//!   ([`Intake::ahead`](crate::store::Intake::ahead));
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

/// How long another replica leaves a mail to the replica that recorded it.
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
    /// Mails about one incident are decided in the order in which they are handed in: each waits
    /// for its turn, which the hash of the incident's id selects.
    turns: [Mutex<()>; TURNS],
    /// Locked after one of the `turns`.
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

    /// The same with another hold time for mail that another replica has recorded.
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
    /// Sorted.
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

/// The version of the schema in a database, 0 if there is none, and the version that this program
/// knows. It does not migrate.
pub async fn versions(address: &Address) -> Result<(i32, i32), StoreError> {
    let database = Database::new(address)?;
    let found = schema::apart(&database, async |client| schema::found(client).await).await?;
    Ok((found, schema::known()))
}

fn turn(incident_id: &str) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(incident_id);
    usize::try_from(hash % TURNS as u64).unwrap_or(0)
}
