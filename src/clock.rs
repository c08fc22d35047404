//! Time is a parameter: everything that needs the time asks a [`Clock`], so that a test can control
//! it.

use std::sync::Arc;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

/// A time as sentences have it: in whole milliseconds, and without a fraction where it has none.
pub fn in_words(at: Timestamp) -> Timestamp {
    let whole = TimestampRound::new()
        .smallest(Unit::Millisecond)
        .mode(RoundMode::Trunc);
    at.round(whole).unwrap_or(at)
}

/// A component's source of the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    ///
    /// Builds with debug assertions add to it the seconds that the file named by
    /// `ALERTBRIDGE_CLOCK` holds, so that tests can let the whole program live through an hour, or
    /// through a clock that jumps.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    pub fn system() -> Self {
        #[cfg(debug_assertions)]
        if let Some(file) = std::env::var_os("ALERTBRIDGE_CLOCK") {
            return Self(Arc::new(move || {
                let ahead = std::fs::read_to_string(&file)
                    .ok()
                    .and_then(|text| text.trim().parse().ok())
                    .unwrap_or(0);
                let now = Timestamp::now();
                now.checked_add(jiff::SignedDuration::from_secs(ahead))
                    .unwrap_or(now)
            }));
        }

        Self(Arc::new(Timestamp::now))
    }

    /// A clock of the caller's own.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn no_sentence_counts_nanoseconds() {
        for (at, told) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
            ("2026-03-01T10:00:00.999999999Z", "2026-03-01T10:00:00.999Z"),
            ("2026-03-01T10:00:00.000000001Z", "2026-03-01T10:00:00Z"),
        ] {
            assert_eq!(in_words(at.parse().unwrap()).to_string(), told);
        }
    }
}
