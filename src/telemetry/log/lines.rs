//! The queue of log lines on their way to standard error, which may be slow, stuck, full or gone.
//!
//! Only a thread of its own ever waits for standard error, and lines that cannot be written are
//! counted. tracing-appender does not count what it could not write, and at the end it prints to
//! standard output, where pages go.

use std::{
    io::{self, Write},
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use metrics::counter;

/// The maximum number of bytes that wait: about 10,000 lines.
const MOST_WAITING: usize = 4 << 20;

/// How long lines gather before they are written, because waking the thread for each line costs
/// more than writing it.
const GATHERING: Duration = Duration::from_millis(1);

/// How long the end of the program waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// The queue of lines. Writing to it neither waits nor fails.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    jobs: Sender<Job>,
    backlog: Arc<Backlog>,
}

#[derive(Debug)]
enum Job {
    Write(Vec<u8>),
    /// Signals that everything before it has been written.
    Written(SyncSender<()>),
}

#[derive(Debug, Default)]
struct Backlog {
    bytes: AtomicUsize,
    /// The number of lines lost since the log last reported such a loss.
    lost: AtomicU64,
}

impl Backlog {
    fn lose(&self) {
        self.lost.fetch_add(1, Relaxed);
        counter!("alertbridge_log_lines_lost_total").increment(1);
    }
}

impl Lines {
    /// Starts the thread that writes the lines.
    pub(super) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, jobs) = channel();
        let backlog = Arc::<Backlog>::default();
        let lines = Self {
            jobs: sender,
            backlog: Arc::clone(&backlog),
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(out, &jobs, &backlog))?;
        Ok(lines)
    }

    /// Waits until everything logged so far is written, for at most a second.
    pub(super) fn flush(&self) {
        let (written, last) = sync_channel(1);
        if self.jobs.send(Job::Written(written)).is_ok() {
            // If nobody reads the log by now, do not wait any longer.
            let _ = last.recv_timeout(PATIENCE);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let waiting = self.backlog.bytes.fetch_add(line.len(), Relaxed);
        if waiting > MOST_WAITING || self.jobs.send(Job::Write(line.to_vec())).is_err() {
            self.backlog.bytes.fetch_sub(line.len(), Relaxed);
            self.backlog.lose();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the lines as they arrive. When writing works again, logs how many were lost.
fn write_all(mut out: impl Write, jobs: &Receiver<Job>, backlog: &Backlog) {
    let mut torn = false;
    let gathered = iter::from_fn(|| {
        let first = jobs.recv().ok()?;
        thread::sleep(GATHERING);
        Some(iter::once(first).chain(jobs.try_iter()))
    });
    for job in gathered.flatten() {
        let line = match job {
            Job::Write(line) => line,
            Job::Written(written) => {
                // The caller may have stopped waiting.
                let _ = written.send(());
                continue;
            }
        };

        // Terminate a partially written line so that the next one starts cleanly.
        let written = if torn { out.write_all(b"\n") } else { Ok(()) };
        let written = written.and_then(|()| write_line(&mut out, &line, &mut torn));
        backlog.bytes.fetch_sub(line.len(), Relaxed);

        if written.is_err() {
            backlog.lose();
            continue;
        }
        let lost = backlog.lost.swap(0, Relaxed);
        if lost > 0 {
            tracing::warn!(
                lines = lost,
                "log lines were lost: standard error could not be written"
            );
        }
    }
}

/// Writes a line like `write_all`, and sets `torn` if only the beginning could be written.
fn write_line(out: &mut impl Write, line: &[u8], torn: &mut bool) -> io::Result<()> {
    let mut rest = line;
    while !rest.is_empty() {
        let written = match out.write(rest) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            written => written,
        };
        *torn = written.is_err() && rest.len() < line.len();
        rest = &rest[written?..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A disk with limited room.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let (written, room) = &mut *self.0.lock().unwrap();
            let fits = line.len().min(*room);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= fits;
            written.extend_from_slice(&line[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_torn_spoils_no_other() {
        let disk = Disk::default();
        let mut lines = Lines::to(disk.clone()).unwrap();
        for (line, room) in [("one\n", 4), ("two\n", 2), ("three\n", 0), ("four\n", 100)] {
            disk.0.lock().unwrap().1 = room;
            lines.write_all(line.as_bytes()).unwrap();
            lines.flush();
        }
        let written = String::from_utf8(disk.0.lock().unwrap().0.clone()).unwrap();
        assert_eq!(written, "one\ntw\nfour\n");
        assert_eq!(lines.backlog.bytes.load(Relaxed), 0);
    }

    #[test]
    fn what_waits_for_a_stuck_log_is_bounded() {
        let (disk, line) = (Disk::default(), vec![b'x'; 1 << 20]);
        let stuck = disk.0.lock().unwrap();
        let mut lines = Lines::to(disk.clone()).unwrap();
        for _ in 0..10 {
            lines.write_all(&line).unwrap();
        }
        assert_eq!(lines.backlog.lost.load(Relaxed), 5);
        drop(stuck);
        lines.flush();
        assert_eq!(lines.backlog.bytes.load(Relaxed), 0);
    }
}
