//! Time limits for a server, and pauses after a failure.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::fault::Fault;

/// The time limits and the pauses.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The time limit for connecting up to the greeting, and again for logging in; see `Patience`
    /// for slow servers.
    pub connect: Duration,
    /// The time limit for a command, besides the time that its mails need; a server that sends
    /// nothing for this long is dead.
    pub command: Duration,
    /// The time limit for the rest of an answer that has begun.
    pub stall: Duration,
    /// The time limit for one IDLE: Exchange drops clients after ten minutes.
    pub idle: Duration,
    /// The pause between two scans if the server has no IDLE.
    pub poll: Duration,
    /// The longest time that one connection is used: some servers show a connection only what was
    /// there when it was made.
    pub session: Duration,
    pub logout: Duration,
    /// The first and the longest pause before connecting again: a minute at most, because a page
    /// waits for it.
    pub retry: (Duration, Duration),
    /// The same after a refused login, because providers lock accounts that try too often.
    pub retry_login: (Duration, Duration),
    /// How often the credential is looked at after a refused login, to try a new one at once.
    pub look: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            connect: secs(60),
            command: secs(60),
            stall: secs(15),
            idle: secs(9 * 60),
            poll: secs(60),
            session: secs(10 * 60),
            logout: secs(2),
            retry: (secs(1), secs(60)),
            retry_login: (secs(30), secs(300)),
            look: secs(3),
        }
    }
}

/// The most by which the time limits for a slow server are multiplied.
const MOST_PATIENCE: u32 = 4;

/// Time limits that double with every time-out, up to some minutes, because a server that is merely
/// slow would otherwise never be read.
pub(super) struct Patience {
    first: Timeouts,
    times: u32,
}

impl Patience {
    pub(super) fn new(first: Timeouts) -> Self {
        Self { first, times: 1 }
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: self.first.connect * self.times,
            command: self.first.command * self.times,
            ..self.first
        }
    }

    /// Doubles the limits if the fault shows that the server is slow. A mail that does not come
    /// counts only if the server is known to be slow.
    pub(super) fn after(&mut self, fault: &Fault) {
        let is_slow = self.times > 1 && matches!(fault, Fault::Silent { command: "FETCH" });
        if fault.is_slowness() || is_slow {
            self.times = (2 * self.times).min(MOST_PATIENCE);
        }
    }

    /// Notes how long a login and a scan took: the server is quick again if the first limits would
    /// have sufficed.
    pub(super) fn took(&mut self, login: Duration, scan: Duration) {
        if login < self.first.connect && scan < self.first.command {
            self.times = 1;
        }
    }
}

/// Pauses that grow with every failure since the last complete scan.
pub(super) struct Pauses {
    ordinary: ExponentialBackoff,
    login: ExponentialBackoff,
    longest: Duration,
}

impl Pauses {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        let growing = |(first, longest)| {
            ExponentialBuilder::new()
                .with_min_delay(first)
                .with_max_delay(longest)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(fastrand::u64(..))
                .build()
        };

        Self {
            ordinary: growing(timeouts.retry),
            login: growing(timeouts.retry_login),
            longest: timeouts.retry.1,
        }
    }

    pub(super) fn after(&mut self, fault: &Fault) -> Duration {
        let pauses = if fault.needs_a_person() {
            &mut self.login
        } else {
            &mut self.ordinary
        };
        pauses.next().unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_server_is_waited_for_longer_and_a_quick_one_not() {
        let secs = Duration::from_secs;
        let mut patience = Patience::new(Timeouts::default());
        let silent = |command| Fault::Silent { command };
        for command in ["FETCH", "IDLE", "DONE"] {
            patience.after(&silent(command));
        }
        patience.after(&Fault::Closed { said: None });
        let waits =
            |patience: &Patience| (patience.timeouts().connect, patience.timeouts().command);
        assert_eq!(waits(&patience), (secs(60), secs(60)));
        let mute = Fault::Mute {
            address: "imap.example.com:993".into(),
            seconds: 60,
        };
        for (fault, expected) in [
            (silent("LOGIN"), 120),
            (silent("FETCH"), 240),
            (mute, 240),
            (silent("SEARCH"), 240),
            (silent("FETCH RFC822.SIZE"), 240),
        ] {
            patience.after(&fault);
            assert_eq!(waits(&patience), (secs(expected), secs(expected)));
        }
        patience.took(secs(70), secs(1));
        patience.took(secs(1), secs(70));
        assert_eq!(waits(&patience), (secs(240), secs(240)));
        patience.took(secs(1), secs(1));
        assert_eq!(waits(&patience), (secs(60), secs(60)));
    }

    #[test]
    fn pauses_grow_to_their_limit_and_are_longer_after_a_refused_login() {
        let timeouts = Timeouts::default();
        let mut pauses = Pauses::new(&timeouts);
        let closed = Fault::Closed { said: None };
        let login = Fault::Login {
            username: "alerts".into(),
            said: "[AUTHENTICATIONFAILED]".into(),
        };
        assert!(pauses.after(&closed) < Duration::from_secs(3));
        assert!(pauses.after(&login) >= timeouts.retry_login.0);
        let late: Vec<_> = (0..50).map(|_| pauses.after(&closed)).skip(10).collect();
        assert!(
            late.iter()
                .all(|pause| *pause >= timeouts.retry.1 && *pause <= 2 * timeouts.retry.1),
            "{late:?}"
        );
    }
}
