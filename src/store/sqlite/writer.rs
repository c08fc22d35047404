//! The one writer: a thread that puts every change that is waiting into one commit.
//!
//! Under load many mails share an fsync; alone, a change is committed at once. Each change runs in a savepoint of its
//! own, so that one that fails takes nothing with it; a commit that fails (a full disk) fails every change in it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{crash, store::StoreError};

use super::failure;

/// At most this many changes share a commit: bounds how long the first waits for the last.
const MOST_PER_COMMIT: usize = 256;

type Report = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Given no connection where no transaction could be begun.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Report + Send>;

/// Where changes are handed in.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl Writer {
    /// Starts the thread; it ends when the last handle is dropped and everything handed in is committed.
    /// `checkpointer`, where there is one, moves the log into the database file beside the commits.
    pub(super) fn start(connection: Connection, checkpointer: Option<Connection>) -> Self {
        let (sender, jobs) = mpsc::channel(1024);
        let committed = checkpointer.map(|connection| {
            let (committed, signal) = sync_channel(1);
            thread::spawn(move || checkpoint(&connection, &signal));
            committed
        });
        thread::spawn(move || write(&connection, jobs, committed.as_ref()));
        Self(sender)
    }

    /// Runs a change and returns what it returned once it is on the disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (report, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = connection.and_then(|connection| in_savepoint(connection, change));
            Box::new(move |committed| {
                // The one who asked may have gone: the change stands all the same.
                let _ = report.send(outcome.and_then(|value| committed.map(|()| value)));
            })
        });
        let stopped = || StoreError::Failed("the store has been closed".into());
        self.0.send(job).await.map_err(|_| stopped())?;
        result.await.map_err(|_| stopped())?
    }
}

fn write(connection: &Connection, mut jobs: mpsc::Receiver<Job>, committed: Option<&SyncSender<()>>) {
    let mut reports: Vec<Report> = Vec::with_capacity(MOST_PER_COMMIT);
    while let Some(first) = jobs.blocking_recv() {
        let result = commit(connection, first, &mut jobs, &mut reports);
        for report in reports.drain(..) {
            report(result.clone());
        }
        if let Some(committed) = committed {
            // A signal already waiting says it all.
            let _ = committed.try_send(());
        }
    }
}

fn commit(
    connection: &Connection,
    first: Job,
    jobs: &mut mpsc::Receiver<Job>,
    reports: &mut Vec<Report>,
) -> Result<(), StoreError> {
    if let Err(error) = run(connection, "BEGIN IMMEDIATE") {
        reports.push(first(Err(error.clone())));
        return Err(error);
    }
    let mut next = Some(first);
    while let Some(job) = next.take() {
        reports.push(job(Ok(connection)));
        // Some errors (a full disk, an I/O error) end the whole transaction, not the savepoint alone.
        if connection.is_autocommit() {
            return Err(StoreError::Failed(
                "the disk is full or failing: all that waited with this change was refused".into(),
            ));
        }
        if reports.len() < MOST_PER_COMMIT {
            next = jobs.try_recv().ok();
        }
    }
    crash::point("commit");
    run(connection, "COMMIT").inspect_err(|_| {
        let _ = run(connection, "ROLLBACK");
    })
}

fn in_savepoint<T>(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    run(connection, "SAVEPOINT change")?;
    // A panic in one change must not end the thread all others need.
    let result = catch_unwind(AssertUnwindSafe(|| change(connection))).unwrap_or_else(|_| Err(StoreError::Panicked));
    if result.is_err() && !connection.is_autocommit() {
        run(connection, "ROLLBACK TO change")?;
    }
    if !connection.is_autocommit() {
        run(connection, "RELEASE change")?;
    }
    result
}

fn run(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection.prepare_cached(statement).and_then(|mut statement| statement.execute([])).map(|_| ()).map_err(failure)
}

/// Pages of write-ahead log above which it is emptied even if that makes a commit wait: 64 MiB.
const LONGEST_LOG: i64 = 16_384;

/// Moves the write-ahead log into the database file, away from the commits: done inline it is the tail of the latency.
fn checkpoint(connection: &Connection, committed: &Receiver<()>) {
    while committed.recv().is_ok() {
        let pages = connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1))
            .inspect_err(|error| tracing::warn!(%error, "checkpoint failed; the log grows until one succeeds"))
            .unwrap_or(0);
        if pages > LONGEST_LOG {
            // Busy is fine: the next round tries again.
            let _ = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
