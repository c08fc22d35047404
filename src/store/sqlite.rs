//! The store in one SQLite file, with a write-ahead log, `synchronous = FULL`, and one writer that
//! commits in groups.
//!
//! SQLite is used through rusqlite rather than through an async pool: one thread owns the writing
//! connection, which lets changes share a commit, and a statement costs no hop between threads.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::StoreError;

mod amend;
mod browse;
mod canary;
mod check;
mod concern;
mod copy;
#[cfg(test)]
mod cost;
mod course;
mod decide;
mod desk;
mod expected;
mod file;
mod glance;
mod held;
mod identity;
mod intake;
mod lane;
mod lanes;
mod ledger;
mod look;
mod mail;
mod mode;
mod naming;
mod ours;
mod owe;
mod path;
mod prune;
mod quarantine;
mod record;
mod row;
mod settle;
mod silence;
mod spare;
mod turn;
mod upkeep;
mod writer;

pub use check::check;
pub use copy::{backup, restore};
pub(in crate::store) use file::assert_placed;
use file::{assert_not_anothers, connect, keep_private, migrate, plan_once};
pub use file::{own, versions};
use identity::Identity;
pub(in crate::store) use path::{may_write_beside, room_beside};
use turn::Turn;
use writer::Outlives;

/// The page cache of the reading connection, in KiB, which SQLite takes as a negative number. It is
/// small because the connection reads little, and mostly recent rows.
const READER_CACHE: i32 = -512;
/// How long a checkpoint that restarts the log waits for readers. Commits wait with it.
const CHECKPOINT_BUSY: Duration = Duration::from_millis(20);

/// A store in one file, or in memory for `explain` and `replay`.
pub struct Sqlite {
    /// The reading connection. `None` if there is no file that another connection could open; then
    /// the writer does everything. It is closed before the writer, which removes the log.
    reader: Option<Arc<Mutex<Connection>>>,
    writer: writer::Writer,
    path: Option<PathBuf>,
}

impl Sqlite {
    /// Opens the file, creates it if it does not exist, and migrates its schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let _turn = Turn::wait(path);
        copy::assert_not_half_restored(path)?;
        assert_not_anothers(path)?;
        keep_private(path)?;

        let mut connection = connect(path, OpenFlags::default())?;

        // The checkpointer runs the checkpoints in place of the writer.
        connection
            .pragma_update(None, "wal_autocheckpoint", 0)
            .map_err(failure)?;
        migrate(&mut connection)?;

        let identity = Identity::of(path).map_err(|error| {
            StoreError::Failed(format!("cannot look at {}: {error}", path.display()))
        })?;
        let checkpointer = connect(path, OpenFlags::default())?;
        let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reader
            .pragma_update(None, "cache_size", READER_CACHE)
            .map_err(failure)?;

        Ok(Self {
            writer: writer::Writer::start(connection, Some((checkpointer, identity))),
            reader: Some(Arc::new(Mutex::new(reader))),
            path: Some(path.to_owned()),
        })
    }

    /// Opens a store that ends with the process, for trying mails. SQLite spills it to an unnamed
    /// temporary file, so a large one needs little memory.
    pub fn throw_away() -> Result<Self, StoreError> {
        let mut connection = Connection::open("").map_err(failure)?;
        plan_once(&connection).map_err(failure)?;
        connection
            .pragma_update(None, "synchronous", "OFF")
            .map_err(failure)?;

        // A rollback journal in memory is enough: unlike the store, what a rollback would restore
        // is small.
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

    /// Runs a query beside the writer, on a thread that may block.
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

/// Translates an error of SQLite into the operator's terms.
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
