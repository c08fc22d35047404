//! The single writer: a thread that puts all changes that are waiting into one commit.
//!
//! Under load many mails share an fsync; a change that comes alone is committed at once. Each
//! change runs in a savepoint of its own, so that one that fails takes nothing with it. A commit
//! that fails (a full disk) fails every change in it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{crash, store::StoreError, vital::Vital};

use super::{CHECKPOINT_BUSY, failure, file::BUSY, identity::Identity};

/// The most changes that share a commit. It bounds how long the first one waits for the last.
const MOST_PER_COMMIT: usize = 256;

type Report = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A change to run. It is called without a connection if no transaction could be begun.
type Run = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Report + Send>;

/// A change that waits for its commit.
struct Job {
    run: Run,
    outlives: Outlives,
}

/// What a change survives once it is reported as done, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outlives {
    /// The end of this process, however sudden. A power failure undoes it unless a later commit was
    /// flushed.
    Process,
    /// A power failure: the log has been flushed to the disk.
    PowerFailure,
}

/// The queue of changes. When it is dropped, every queued change is committed, and the file is
/// closed.
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    _thread: Thread,
}

/// A thread that is joined when this is dropped. That happens after the preceding fields of its
/// owner are dropped, which tells the thread to end.
struct Thread(Option<JoinHandle<()>>);

impl Thread {
    fn spawn(work: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(thread::spawn(|| {
            let _vital = Vital("a thread of the store");
            work();
        })))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A panic in it has already been reported.
            let _ = thread.join();
        }
    }
}

impl Writer {
    /// Starts the thread. `file`, if there is one, is the store's file, together with the
    /// connection that moves the log into it beside the commits.
    pub(super) fn start(connection: Connection, file: Option<(Connection, Identity)>) -> Self {
        let (sender, jobs) = mpsc::channel(1024);
        let (checkpointer, identity) = file.unzip();
        let checkpointer = checkpointer.map(Checkpointer::start);

        // Without a write-ahead log, `synchronous` stays as it is.
        let synchronous = checkpointer.is_some().then_some(Outlives::PowerFailure);
        let commits = Commits {
            checkpointer,
            connection,
            identity,
            synchronous,
            jobs,
        };

        Self {
            jobs: sender,
            _thread: Thread::spawn(move || commits.make()),
        }
    }

    /// Runs a change and returns its result once it is as durable as requested.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        outlives: Outlives,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (report, result) = oneshot::channel();
        let run = move |connection: Result<&Connection, StoreError>| -> Report {
            let outcome = connection.and_then(|connection| in_savepoint(connection, change));
            Box::new(move |committed: Result<(), StoreError>| {
                // The caller may be gone, but the change is kept anyway.
                let _ = report.send(outcome.and_then(|value| committed.map(|()| value)));
            })
        };

        let stopped = || StoreError::Failed("the store has been closed".into());
        self.jobs
            .send(Job {
                run: Box::new(run),
                outlives,
            })
            .await
            .map_err(|_| stopped())?;

        result.await.map_err(|_| stopped())?
    }
}

/// The state of the thread.
struct Commits {
    /// The checkpointer. It is closed before the connection: the last connection to close the file
    /// moves the rest of the log into it and removes the log.
    checkpointer: Option<Checkpointer>,
    connection: Connection,
    identity: Option<Identity>,
    /// The present setting of the connection.
    synchronous: Option<Outlives>,
    jobs: mpsc::Receiver<Job>,
}

impl Commits {
    /// Commits until no caller is left.
    fn make(mut self) {
        let mut jobs = Vec::with_capacity(MOST_PER_COMMIT);
        let mut reports = Vec::with_capacity(MOST_PER_COMMIT);

        while self.jobs.blocking_recv_many(&mut jobs, MOST_PER_COMMIT) > 0 {
            let result = self.commit(&mut jobs, &mut reports);
            for report in reports.drain(..) {
                report(result.clone());
            }
            if let Some(checkpointer) = &self.checkpointer {
                let _ = checkpointer.committed.try_send(());
                if checkpointer.too_long.swap(false, Ordering::Relaxed) {
                    self.restart_log();
                }
            }
        }
    }

    /// Commits the waiting changes in order. A single flush serves them all.
    fn commit(&mut self, jobs: &mut Vec<Job>, reports: &mut Vec<Report>) -> Result<(), StoreError> {
        let outlives = jobs
            .iter()
            .map(|job| job.outlives)
            .max()
            .unwrap_or(Outlives::Process);

        let mut begun = self.begin(outlives);

        for job in jobs.drain(..) {
            reports.push((job.run)(
                begun
                    .as_ref()
                    .map(|()| &self.connection)
                    .map_err(Clone::clone),
            ));
            // Some errors (a full disk, an I/O error) end the whole transaction, not only the
            // savepoint.
            if begun.is_ok() && self.connection.is_autocommit() {
                begun = Err(StoreError::Failed(
                    "the disk is full or failing: every change that waited with this one was \
                     refused"
                        .into(),
                ));
            }
        }

        begun?;
        crash::point("commit");
        run(&self.connection, "COMMIT").inspect_err(|_| {
            let _ = run(&self.connection, "ROLLBACK");
        })?;
        crash::point("committed");

        Ok(())
    }

    /// Makes the next commit write the log from its beginning, unless somebody reads the log. Only
    /// the committing thread can do so, because between commits in quick succession nobody else
    /// finds a gap.
    fn restart_log(&self) {
        let wait = |patience| self.connection.busy_timeout(patience);
        let restarted = wait(CHECKPOINT_BUSY)
            .map(|()| logged(&self.connection, "RESTART"))
            .and_then(|_| wait(BUSY));
        if let Err(error) = restarted {
            tracing::warn!(%error, "the write-ahead log keeps growing");
        }
    }

    /// Begins a transaction with the durability that it needs. With a write-ahead log, `FULL` means
    /// a flush at each commit, and `NORMAL` one at checkpoints only.
    fn begin(&mut self, outlives: Outlives) -> Result<(), StoreError> {
        self.identity
            .as_ref()
            .map_or(Ok(()), Identity::assert_same)?;

        if self.synchronous.is_some_and(|now| now != outlives) {
            let level = if outlives == Outlives::PowerFailure {
                "FULL"
            } else {
                "NORMAL"
            };
            self.connection
                .pragma_update(None, "synchronous", level)
                .map_err(failure)?;
            self.synchronous = Some(outlives);
        }

        run(&self.connection, "BEGIN IMMEDIATE")
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    run(connection, "SAVEPOINT change")?;
    // A panic in one change must not end the thread that all others need.
    let result = catch_unwind(AssertUnwindSafe(|| change(connection)))
        .unwrap_or_else(|_| Err(StoreError::Panicked));
    if result.is_err() && !connection.is_autocommit() {
        run(connection, "ROLLBACK TO change")?;
    }

    if !connection.is_autocommit() {
        run(connection, "RELEASE change")?;
    }

    result
}

fn run(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute([]))
        .map(|_| ())
        .map_err(failure)
}

/// The number of pages in the write-ahead log from which a checkpoint is worthwhile, which is
/// SQLite's default. If a checkpoint ran at every commit, its flushes would queue with those of the
/// commits.
const WORTH_MOVING: i64 = 1_000;

/// The number of pages in the write-ahead log above which it is restarted even if that delays a
/// commit by some milliseconds: 64 MiB.
const LONGEST_LOG: i64 = 16_384;

/// The pause between two checks of the log.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread that moves the write-ahead log into the database file beside the commits. Done within
/// the commits, that would dominate the tail latency.
struct Checkpointer {
    /// Signals a commit. The channel holds one signal, which means the same as many.
    committed: SyncSender<()>,
    too_long: Arc<AtomicBool>,
    /// Ends the thread's pause when it is dropped.
    _open: Sender<()>,
    _thread: Thread,
}

impl Checkpointer {
    fn start(connection: Connection) -> Self {
        let (committed, signals) = sync_channel(1);
        let (open, closed) = channel();
        let too_long = Arc::new(AtomicBool::new(false));
        let found = Arc::clone(&too_long);
        let thread = Thread::spawn(move || checkpoint(&connection, &signals, &found, &closed));

        Self {
            committed,
            too_long,
            _open: open,
            _thread: thread,
        }
    }
}

fn checkpoint(
    connection: &Connection,
    signals: &Receiver<()>,
    too_long: &AtomicBool,
    closed: &Receiver<()>,
) {
    while signals.recv().is_ok() {
        let (pages, moved) = logged(connection, "NOOP");
        if pages - moved >= WORTH_MOVING && logged(connection, "PASSIVE").0 > LONGEST_LOG {
            // This moves what was committed in between, so that little is left for the committing
            // thread.
            logged(connection, "PASSIVE");
            too_long.store(true, Ordering::Relaxed);
        }
        if closed.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Runs a checkpoint, and returns the pages of the log and how many of them have been moved.
fn logged(connection: &Connection, mode: &str) -> (i64, i64) {
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        })
        .inspect_err(|error| {
            tracing::warn!(%error, mode, "checkpoint failed; the log grows until one succeeds");
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a row, and returns the `synchronous` level that it was written under and the number
    /// of rows.
    fn insert(connection: &Connection) -> Result<(i64, i64), StoreError> {
        let ask = |question| {
            connection
                .query_row(question, [], |row| row.get(0))
                .map_err(failure)
        };
        connection
            .execute("INSERT INTO t VALUES (1)", [])
            .map_err(failure)?;
        Ok((ask("PRAGMA synchronous")?, ask("SELECT count(*) FROM t")?))
    }

    #[tokio::test]
    async fn what_must_outlive_a_power_failure_never_shares_a_commit_that_is_not_flushed() {
        const NORMAL: i64 = 1;
        const FULL: i64 = 2;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let open = || Connection::open(&path).unwrap();
        let connection = open();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a)",
            )
            .unwrap();
        let file = (open(), Identity::of(&path).unwrap());
        let writer = Writer::start(connection, Some(file));
        for _ in 0..50 {
            let handed_in = [
                Outlives::Process,
                Outlives::PowerFailure,
                Outlives::Process,
                Outlives::PowerFailure,
            ];
            let done = futures_util::future::join_all(
                handed_in.map(|outlives| writer.write(outlives, insert)),
            )
            .await;
            let done: Vec<_> = done.into_iter().map(Result::unwrap).collect();
            assert!(
                done.is_sorted_by_key(|(_, rows)| *rows),
                "in the order handed in: {done:?}"
            );
            assert_eq!([done[1].0, done[3].0], [FULL, FULL]);
            let alone = writer.write(Outlives::Process, insert).await.unwrap();
            assert_eq!(alone.0, NORMAL);
        }
    }

    #[test]
    fn a_long_log_is_begun_anew_between_two_commits_unless_somebody_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("t.db")).unwrap();
        let (connection, reader) = (open(), open());
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a)")
            .unwrap();
        connection
            .pragma_update(None, "wal_autocheckpoint", 0)
            .unwrap();
        let (_, jobs) = mpsc::channel(1);
        let commits = Commits {
            checkpointer: None,
            connection,
            identity: None,
            synchronous: None,
            jobs,
        };
        let write = |pages: i64| {
            let bytes = pages * 4096;
            commits
                .connection
                .execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes])
                .unwrap();
            logged(&commits.connection, "NOOP").0
        };
        assert!(write(100) > 100);
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        assert!(write(1) > 100);
        commits.restart_log();
        assert!(write(1) > 100, "somebody reads it");
        reader.execute_batch("COMMIT").unwrap();
        assert!(write(1) > 100);
        commits.restart_log();
        assert!(write(1) < 10);
    }
}
