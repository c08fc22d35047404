//! The time as a parameter: everything that needs the time asks a [`Clock`], so that a test can
//! control it.

use std::sync::Arc;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit, civil, tz::TimeZone};

/// Returns a time as sentences show it: in whole milliseconds, and without a fraction if it has
/// none.
pub fn in_words(at: Timestamp) -> Timestamp {
    let whole = TimestampRound::new()
        .smallest(Unit::Millisecond)
        .mode(RoundMode::Trunc);
    at.round(whole).unwrap_or(at)
}

/// Parses a time as people write it: `now`, RFC 3339, or a day or local time in UTC.
pub fn read(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    let utc = |time: civil::DateTime| time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<civil::DateTime>().and_then(utc))
        .map_err(|_| "write it like 2026-03-01T03:00:00Z or 2026-03-01".into())
}

/// The source of the time for a component.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns the machine's clock.
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

    /// Returns a clock of the caller's own.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the present time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

#[cfg(test)]
mod tests {
    use super::{in_words, read};

    #[test]
    fn a_day_is_utcs() {
        let now = "2026-11-29T01:02:03Z".parse().unwrap();
        for (text, at) in [
            ("now", "2026-11-29T01:02:03Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2026-03-01 04:30", "2026-03-01T04:30:00Z"),
            ("2026-03-01T04:30:00+01:00", "2026-03-01T03:30:00Z"),
        ] {
            assert_eq!(read(text, now), Ok(at.parse().unwrap()), "{text}");
        }
        assert!(read("yesterday", now).is_err());
    }

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
