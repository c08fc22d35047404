//! Time limits for a server, and pauses after a failure.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::fault::Fault;

/// The time limits and the pauses.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For connecting up to the greeting, and again for logging in.
    pub connect: Duration,
    /// For a command, besides the time that its mails need; a server that sends nothing for this
    /// long is dead.
    pub command: Duration,
    /// For the rest of an answer that has begun.
    pub stall: Duration,
    /// For one IDLE: Exchange drops clients after ten minutes.
    pub idle: Duration,
    /// Between two scans if the server has no IDLE.
    pub poll: Duration,
    pub logout: Duration,
    /// The first and the longest pause before connecting again: a minute at most, because a page
    /// waits for it.
    pub retry: (Duration, Duration),
    /// The same after a refused login: providers lock accounts that try too often.
    pub retry_login: (Duration, Duration),
}

impl Default for Timeouts {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            connect: secs(20),
            command: secs(60),
            stall: secs(15),
            idle: secs(9 * 60),
            poll: secs(60),
            logout: secs(2),
            retry: (secs(1), secs(60)),
            retry_login: (secs(30), secs(300)),
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
