//! Options that several commands take.

use clap::Args;
use jiff::{Timestamp, civil, tz::TimeZone};

use crate::clock::Clock;

/// The position among a command's options: common options come after its own.
pub const LAST: usize = 900;

/// The default length of a list.
pub const MOST_ROWS: u32 = 1000;

/// The output format of data.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long, display_order = LAST)]
    pub json: bool,
}

/// A point in time: `now`, RFC 3339, or a day or local time in UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(Clock::system().now());
    }
    let utc = |time: civil::DateTime| time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<civil::DateTime>().and_then(utc))
        .map_err(|_| "write it like 2026-03-01T03:00:00Z or 2026-03-01".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_utcs() {
        assert_eq!(
            time("2026-03-01"),
            Ok("2026-03-01T00:00:00Z".parse().unwrap())
        );
        assert!(time("yesterday").is_err());
    }
}
