//! A length of time.

use std::{fmt, str::FromStr};

use super::as_text;

/// A length of time, written as Alertmanager does: `30s`, `5m`, `1h30m`, `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    pub const fn as_std(self) -> std::time::Duration {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Returns the sum of both durations.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the same duration as a span that can be added to a [`jiff::Timestamp`].
    pub fn as_signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::try_from(self.0).unwrap_or(jiff::SignedDuration::MAX)
    }
}

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a valid duration: write it like 30s, 5m, 1h30m or \
                                90d"
            )
        };
        if text == "0" {
            return Ok(Self::from_secs(0));
        }

        let mut rest = text;
        let mut millis = 0_u64;

        if rest.is_empty() {
            return Err(wrong());
        }

        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .filter(|at| *at > 0)
                .ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            let unit = UNITS
                .iter()
                .find(|(name, _)| *name == &rest[..letters])
                .ok_or_else(wrong)?
                .1;
            millis = number
                .checked_mul(unit)
                .and_then(|part| millis.checked_add(part))
                .ok_or_else(wrong)?;
            rest = &rest[letters..];
        }

        Ok(Self(std::time::Duration::from_millis(millis)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }

        // Years and weeks are parsed, but printed as days: `1y3w` would have to be calculated.
        for (name, unit) in &UNITS[2..] {
            if millis >= *unit {
                write!(f, "{}{name}", millis / unit)?;
                millis %= unit;
            }
        }

        Ok(())
    }
}

as_text!(
    Duration,
    "Duration",
    "A length of time: 30s, 5m, 1h30m, 90d.",
    "^(0|([0-9]+(y|w|d|h|m|s|ms))+)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_alertmanager_writes_them() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30),
            ("5m", 300),
            ("1h30m", 5400),
            ("90d", 7_776_000),
        ] {
            assert_eq!(text.parse(), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!("1w".parse::<Duration>(), "7d".parse());
        assert_eq!("1y".parse::<Duration>(), "365d".parse());
        assert_eq!(
            "1500ms".parse::<Duration>().unwrap().as_std(),
            std::time::Duration::from_millis(1500)
        );
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_way_to_write_one() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "1.5h",
            "5M",
            "99999999999999999999d",
            "9999999999999y",
        ] {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(
                error.ends_with("is not a valid duration: write it like 30s, 5m, 1h30m or 90d"),
                "{error}"
            );
        }
    }

    #[test]
    fn durations_survive_being_written_and_read() {
        for text in ["0s", "1ms", "30s", "1m30s", "1h1ms", "90d", "365d1s"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
    }
}
