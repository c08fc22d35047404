//! The standing of a connection: how long its client has made no progress, and whether its place
//! has been given away.
//!
//! A client makes progress when it has sent something complete, which gets a reply, or a
//! substantial piece of a mail. Dripping bytes are not progress.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::budget::FREE;

/// The number of bytes of a mail that count as progress.
const PIECE: u64 = 4 << 10;
/// The least time that a client has for its next step, and (below) for a whole mail, however
/// crowded it is.
const LEAST_STEP: Duration = Duration::from_secs(1);
const LEAST_MAIL: Duration = Duration::from_secs(5);
/// The time that is added to a client's patience while there are free places, so that a wait that
/// the protocol's own time limit ends, with a reply, is left to that limit.
const LEEWAY: Duration = Duration::from_secs(5);

/// How long a client may take while there are free places.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The time for its next step: a command, a head, a piece of a mail.
    pub step: Duration,
    /// The time for a whole mail.
    pub mail: Duration,
}

/// The share of the capacity in use, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stress {
    pub(super) places: f64,
    pub(super) memory: f64,
}

/// The state of a connection; its stream writes it, and the accept loop reads it.
pub(super) struct Standing {
    opened: Instant,
    /// The time of its last progress, in milliseconds since `opened`, like all times here.
    progressed: AtomicU64,
    /// Bytes received since then.
    read: AtomicU64,
    /// Whether a mail is in progress, since when, and how much of it has arrived.
    in_mail: AtomicBool,
    mail_began: AtomicU64,
    mail_size: AtomicU64,
    /// Whether the client is waiting for the server.
    working: AtomicBool,
    pub(super) lost: CancellationToken,
}

impl Standing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            progressed: AtomicU64::new(0),
            read: AtomicU64::new(0),
            in_mail: AtomicBool::new(false),
            mail_began: AtomicU64::new(0),
            mail_size: AtomicU64::new(0),
            working: AtomicBool::new(false),
            lost: CancellationToken::new(),
        }
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.opened).as_millis()).unwrap_or(u64::MAX)
    }

    fn progresses(&self, now: Instant) {
        self.read.store(0, Relaxed);
        self.progressed.store(self.age(now), Relaxed);
    }

    pub(super) fn has_read(&self, bytes: usize, now: Instant) {
        let bytes = bytes as u64;
        self.mail_size.fetch_add(bytes, Relaxed);
        if self.read.fetch_add(bytes, Relaxed) + bytes >= PIECE && self.in_mail.load(Relaxed) {
            self.progresses(now);
        }
    }

    pub(super) fn has_written(&self, now: Instant) {
        self.progresses(now);
    }

    /// Notes that a mail, or the next part of one, begins.
    pub(super) fn mail_begins(&self, now: Instant) {
        if !self.in_mail.swap(true, Relaxed) {
            self.mail_size.store(0, Relaxed);
            self.mail_began.store(self.age(now), Relaxed);
            self.progresses(now);
        }
    }

    /// Notes that no mail is in progress any more.
    pub(super) fn mail_ends(&self) {
        self.in_mail.store(false, Relaxed);
    }

    /// Marks the client as waiting for the server until the returned guard is dropped.
    pub(super) fn working(self: &Arc<Self>) -> Working {
        self.working.store(true, Relaxed);
        Working(Arc::clone(self))
    }

    /// Returns how long the client has made no progress; `None` while the next step is the
    /// server's.
    pub(super) fn waiting(&self, now: Instant) -> Option<Duration> {
        let waiting = self.age(now).saturating_sub(self.progressed.load(Relaxed));
        (!self.is_working()).then(|| Duration::from_millis(waiting))
    }

    pub(super) fn is_working(&self) -> bool {
        self.working.load(Relaxed)
    }

    /// Returns whether the client is slower than the capacity allows.
    pub(super) fn is_overdue(&self, now: Instant, patience: Patience, stress: Stress) -> bool {
        let Some(waiting) = self.waiting(now) else {
            return false;
        };
        let in_mail = self.in_mail.load(Relaxed);
        let holds_memory = in_mail && self.mail_size.load(Relaxed) > FREE as u64;
        let stress = if holds_memory {
            stress.places.max(stress.memory)
        } else {
            stress.places
        };

        let mail =
            Duration::from_millis(self.age(now).saturating_sub(self.mail_began.load(Relaxed)));

        waiting > shortened(patience.step, LEAST_STEP, stress)
            || in_mail && mail > shortened(patience.mail, LEAST_MAIL, stress)
    }
}

/// Returns the full time while no more than half of the capacity is in use, and from there on less
/// and less, down to `least`.
fn shortened(time: Duration, least: Duration, stress: f64) -> Duration {
    if stress <= 0.5 {
        return time + LEEWAY;
    }
    time.mul_f64((2.0 * (1.0 - stress)).clamp(0.0, 1.0))
        .max(least.min(time))
}

/// Guard that keeps a client's place safe while the server works for it.
pub struct Working(Arc<Standing>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.store(false, Relaxed);
        self.0.progresses(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        step: Duration::from_secs(30),
        mail: Duration::from_mins(1),
    };
    const CALM: Stress = Stress {
        places: 0.5,
        memory: 0.5,
    };

    #[test]
    fn patience_is_whole_in_peace_and_short_in_a_crowd() {
        let standing = Standing::new(Instant::now());
        for (places, seconds) in [
            (0.0, 35),
            (0.5, 35),
            (0.75, 15),
            (0.9, 6),
            (1.0, 1),
            (1.2, 1),
        ] {
            let stress = Stress {
                places,
                memory: 1.0,
            };
            let overdue = |millis| {
                let at =
                    standing.opened + Duration::from_secs(seconds) + Duration::from_millis(millis);
                standing.is_overdue(at, PATIENCE, stress)
            };
            assert!(!overdue(0) && overdue(20), "{places}");
        }
    }

    #[test]
    fn dripping_is_no_progress_and_a_large_mail_answers_for_its_memory() {
        let standing = Standing::new(Instant::now());
        standing.in_mail.store(true, Relaxed);
        let later = standing.opened + Duration::from_secs(20);
        standing.has_read(100, later);
        let full = Stress {
            places: 0.0,
            memory: 1.0,
        };
        assert_eq!(standing.waiting(later), Some(Duration::from_secs(20)));
        assert!(
            !standing.is_overdue(later, PATIENCE, full),
            "a small mail takes nothing of the memory"
        );
        standing.has_read(FREE, later);
        assert_eq!(standing.waiting(later), Some(Duration::ZERO));
        assert!(
            standing.is_overdue(later, PATIENCE, full),
            "it has taken 20 s, where there is room for none"
        );
        assert!(!standing.is_overdue(later, PATIENCE, CALM));
    }

    #[test]
    fn who_is_worked_for_is_not_waited_for() {
        let standing = Arc::new(Standing::new(Instant::now()));
        standing.working.store(true, Relaxed);
        let working = Working(Arc::clone(&standing));
        assert_eq!(
            standing.waiting(standing.opened + Duration::from_hours(1)),
            None
        );
        drop(working);
        assert!(standing.waiting(Instant::now()).is_some());
    }
}
