//! Decides whether IDLE is used with a server: one that ends connections during IDLE is polled for
//! a while. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The duration below which an IDLE that ends the connection is to blame for that; providers end an
/// IDLE after some minutes.
const SHORT: Duration = Duration::from_mins(1);
/// The number of such ends in succession that may be due to the network.
const MOST_BROKEN: u32 = 2;
/// How long a server is polled before IDLE is tried again.
const POLLED: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
pub(super) struct Idling {
    /// The number of IDLEs in succession that ended the connection at once.
    broken: u32,
    polled_until: Option<Instant>,
}

impl Idling {
    pub(super) fn is_worth_it(&self, now: Instant) -> bool {
        self.polled_until.is_none_or(|until| now >= until)
    }

    /// Notes that an IDLE is over, and whether it ended the connection (`broke`).
    pub(super) fn ended(&mut self, began: Instant, broke: bool, now: Instant) {
        if !broke || now - began >= SHORT {
            self.broken = 0;
            return;
        }

        self.broken += 1;
        if self.broken > MOST_BROKEN {
            *self = Self {
                broken: 0,
                polled_until: Some(now + POLLED),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_connections_by_idle_is_polled_for_an_hour() {
        let now = Instant::now();
        let secs = Duration::from_secs;
        let mut idling = Idling::default();
        for (lasted, broke) in [(1, true), (1, true), (300, true), (1, true), (1, false)] {
            idling.ended(now, broke, now + secs(lasted));
        }
        for _ in 0..=MOST_BROKEN {
            assert!(idling.is_worth_it(now));
            idling.ended(now, true, now);
        }
        assert!(!idling.is_worth_it(now + secs(3_599)));
        assert!(idling.is_worth_it(now + secs(3_600)));
    }
}
