//! The store in one SQLite file: write-ahead log, `synchronous = FULL`, one writer that commits in
//! groups.
//!
//! SQLite is used through rusqlite rather than through an async pool: one thread owns the writing
//! connection, which is what lets changes share a commit, and a statement costs no hop between
//! threads.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

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

mod amend;
mod check;
mod concern;
mod copy;
#[cfg(test)]
mod cost;
mod decide;
mod file;
mod lane;
mod look;
mod mail;
mod mode;
mod ours;
mod prune;
mod row;
mod silence;
mod spare;
mod turn;
mod writer;

pub use check::check;
pub use copy::{backup, restore};
use file::{assert_not_anothers, connect, keep_private, migrate};
pub use file::{own, versions};
use turn::Turn;
use writer::Outlives;

/// What the reading connection keeps in memory, in KiB, which to SQLite is a negative number: it
/// reads little, and mostly what is new.
const READER_CACHE: i32 = -512;
/// How long beginning a long write-ahead log anew waits for those who read it; commits wait with
/// it.
const CHECKPOINT_BUSY: Duration = Duration::from_millis(20);

/// A store in one file, or in none for `explain` and `replay`.
pub struct Sqlite {
    /// None where there is no file another connection could open: then everything goes through the
    /// writer. Closed before the writer, which removes the log.
    reader: Option<Arc<Mutex<Connection>>>,
    writer: writer::Writer,
    path: Option<PathBuf>,
}

impl Sqlite {
    /// Opens the file, makes it where it does not exist, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let _turn = Turn::wait(path);
        copy::assert_not_half_restored(path)?;
        assert_not_anothers(path)?;
        keep_private(path)?;
        let mut connection = connect(path, OpenFlags::default())?;
        // Else statements with a parameter that a partial index could be meant by are planned anew
        // at every use.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(failure)?;
        // The writer leaves the checkpoints to the checkpointer.
        connection
            .pragma_update(None, "wal_autocheckpoint", 0)
            .map_err(failure)?;
        migrate(&mut connection)?;
        let checkpointer = connect(path, OpenFlags::default())?;
        let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reader
            .pragma_update(None, "cache_size", READER_CACHE)
            .map_err(failure)?;
        Ok(Self {
            writer: writer::Writer::start(connection, Some(checkpointer)),
            reader: Some(Arc::new(Mutex::new(reader))),
            path: Some(path.to_owned()),
        })
    }

    /// A store that is gone with the process, for trying mails out. SQLite spills it to a nameless
    /// temporary file, so it may grow large in little memory.
    pub fn throw_away() -> Result<Self, StoreError> {
        let mut connection = Connection::open("").map_err(failure)?;
        connection
            .pragma_update(None, "synchronous", "OFF")
            .map_err(failure)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(failure)?;
        // What a rollback would restore is small, unlike the store.
        connection
            .pragma_update(None, "journal_mode", "MEMORY")
            .map_err(failure)?;
        migrate(&mut connection)?;
        Ok(Self {
            writer: writer::Writer::start(connection, None),
            reader: None,
            path: None,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(Outlives::PowerFailure, change).await
    }

    /// Runs a question beside the writer, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(reader) = self.reader.clone() else {
            return self
                .write(|connection| question(connection).map_err(failure))
                .await;
        };
        tokio::task::spawn_blocking(move || {
            question(&reader.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .map_err(|_| StoreError::Failed("a question to the store panicked".into()))?
        .map_err(failure)
    }
}

/// What an error of SQLite means to the operator.
#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn failure(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError> {
        let packed = mails.into_iter().map(pack).collect::<Result<Vec<_>, _>>()?;
        self.write(move |connection| {
            let ids = mail::record(connection, &packed, bookmark.as_ref()).map_err(failure)?;
            crash::point("recording");
            Ok(ids)
        })
        .await
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError> {
        let mailbox = mailbox.to_owned();
        self.read(move |connection| mail::bookmark(connection, &mailbox))
            .await
    }

    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::undecided(connection, after, limit))
            .await
    }

    async fn decide(
        &self,
        mail: MailId,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        self.write(move |connection| {
            decide::decide(connection, mail, subject.as_ref(), now, decide).map_err(failure)
        })
        .await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::due(connection, now, limit))
            .await
    }

    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::let_out(connection, limit))
            .await
    }

    async fn reconsider(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        self.write(move |connection| {
            decide::reconsider(
                connection,
                mail,
                &authenticity,
                subject.as_ref(),
                now,
                decide,
            )
            .map_err(failure)
        })
        .await
    }

    async fn announce(
        &self,
        subject: Subject,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Decision, StoreError> {
        self.write(move |connection| {
            decide::announce(connection, &subject, now, decide).map_err(failure)
        })
        .await
    }

    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError> {
        self.read(move |connection| silence::unsilenced(connection, now, limit))
            .await
    }

    async fn release_held(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| lane::release_held(connection, None, now).map_err(failure))
            .await
    }

    async fn concerns(&self) -> Result<Concerns, StoreError> {
        let room = self.room();
        self.read(concern::concerns)
            .await
            .map(|concerns| Concerns { room, ..concerns })
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError> {
        // A power failure ends leases anyway: there is nobody left who could hold one.
        self.writer
            .write(Outlives::Process, move |connection| {
                lane::claim(connection, now, lease, &wanted).map_err(failure)
            })
            .await
    }

    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| lane::release_leases(connection, now).map_err(failure))
            .await
    }

    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError> {
        self.write(move |connection| lane::bring_forward(connection, now, lease).map_err(failure))
            .await
    }

    async fn agenda(&self) -> Result<Agenda, StoreError> {
        self.read(lane::agenda).await
    }

    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        self.write(move |connection| {
            lane::settle(connection, id, lease, &settlement).map_err(failure)
        })
        .await
    }

    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Target>, StoreError> {
        self.write(move |connection| {
            let escalated = lane::escalate(connection, now, &fallback).map_err(failure)?;
            if !escalated.is_empty() {
                crash::point("escalating");
            }
            Ok(escalated)
        })
        .await
    }

    async fn incidents(&self, open_only: bool, limit: u32) -> Result<Vec<IncidentRow>, StoreError> {
        self.read(move |connection| look::incidents(connection, open_only, limit))
            .await
    }

    async fn timeline(
        &self,
        incident_id: &str,
    ) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError> {
        let incident_id = incident_id.to_owned();
        self.read(move |connection| look::timeline(connection, &incident_id))
            .await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.read(move |connection| look::deliveries(connection, state, limit))
            .await
    }

    async fn retry(
        &self,
        ids: Option<Vec<DeliveryId>>,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        self.write(move |connection| amend::retry(connection, ids.as_deref(), now))
            .await
    }

    async fn discard(&self, id: DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| amend::discard(connection, id, now))
            .await
    }

    async fn mails(
        &self,
        outcome: Option<Outcome>,
        limit: u32,
    ) -> Result<Vec<MailRow>, StoreError> {
        self.read(move |connection| look::mails(connection, outcome, limit))
            .await
    }

    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError> {
        self.read(move |connection| look::mail(connection, id))
            .await
    }

    async fn release_mail(&self, id: MailId, release: Release) -> Result<(), StoreError> {
        self.write(move |connection| mail::release(connection, id, &release))
            .await
    }

    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::quarantined(connection, after, limit))
            .await
    }

    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError> {
        self.write(move |connection| mail::discard_all(connection, &ids, now).map_err(failure))
            .await
    }

    async fn discard_mail(&self, id: MailId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| mail::discard(connection, id, now))
            .await
    }

    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: u32,
    ) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::stored(connection, since, until, after, limit))
            .await
    }

    async fn add_silence(&self, plan: Plan, now: Timestamp) -> Result<Silence, StoreError> {
        self.write(move |connection| silence::add(connection, &plan, now).map_err(failure))
            .await
    }

    async fn silences(
        &self,
        expired: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError> {
        self.read(move |connection| silence::list(connection, expired, now, limit))
            .await
    }

    async fn expire_silences(&self, ids: Vec<SilenceId>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| silence::expire(connection, &ids, now))
            .await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.read(look::depth).await
    }

    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError> {
        self.write(move |connection| prune::step(connection, horizon, from, limit).map_err(failure))
            .await
    }

    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError> {
        self.read(move |connection| spare::whole(connection, spare, after))
            .await
    }

    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError> {
        let (shortened, more) = self
            .read(move |connection| spare::shortened(connection, spare, excess))
            .await?;
        if shortened.is_empty() {
            return Ok(Cut {
                more,
                ..Cut::default()
            });
        }
        self.write(move |connection| spare::cut(connection, spare, &shortened, more, now))
            .await
    }

    fn room(&self) -> Option<Room> {
        self.path.as_deref().and_then(concern::room)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // A page is written, of what nothing reads: a full or read-only disk shows. No flush is
        // waited for.
        let touch = |connection: &Connection| {
            connection
                .pragma_update(None, "user_version", 0)
                .map_err(failure)
        };
        self.writer.write(Outlives::Process, touch).await
    }

    // One process owns the file: there is nobody to hear, nor to share mail or a mailbox with.

    async fn ahead(&self, _mail: MailId) -> Result<Vec<MailId>, StoreError> {
        Ok(Vec::new())
    }

    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::undecided_among(connection, &mails))
            .await
    }

    async fn rung(&self) {
        std::future::pending::<()>().await;
    }

    async fn consume(&self, _mailbox: &str, _lease: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn relinquish(&self, _mailbox: &str) -> Result<(), StoreError> {
        Ok(())
    }
}
