//! Settings with a range.

use super::{ByteSize, Duration, Problem};

pub const DAY: u64 = 86_400;
pub const YEAR: u64 = 365 * DAY;

/// Returns the problem of a duration that is out of its range, which is given in seconds.
pub fn duration(key: &str, value: Duration, least: u64, most: u64) -> Option<Problem> {
    let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
    (value < least || value > most).then(|| {
        Problem::new(
            key,
            format!("{value} is out of range"),
            format!("give a value from {least} to {most}"),
        )
    })
}

/// Returns the problem of a mail's maximum size that is out of its range.
pub fn mail_size(key: &str, size: ByteSize) -> Option<Problem> {
    let bounds = 64 << 10..=256 << 20;
    (!bounds.contains(&size.bytes())).then(|| {
        Problem::new(
            key,
            format!("{size} is out of range"),
            "give a value from 64KiB to 256MiB",
        )
    })
}
