//! Decides whether a mail is recent: a genuine one that was kept and sent again later proves
//! nothing.

use jiff::{SignedDuration, Timestamp};

use crate::settings::Duration;

/// How far another clock may be ahead of this one.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// The limit of `alerts.authenticity.freshness`.
pub struct Freshness {
    /// The maximum age. Zero means no limit.
    limit: Duration,
}

impl Freshness {
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }

    pub fn is_unlimited(&self) -> bool {
        self.limit.is_zero()
    }

    /// Returns what is wrong with the time that a part of a mail (`what`) declares, if the mail
    /// arrived at `arrived`.
    pub fn of(&self, what: &str, at: Timestamp, arrived: Timestamp) -> Option<String> {
        let age = arrived.duration_since(at);
        if age < -AHEAD {
            Some(format!(
                "{what} is in the future ({at:.0}; the mail arrived at {arrived:.0})"
            ))
        } else if !self.is_unlimited() && age > self.limit.as_signed() {
            Some(format!(
                "{what} ({at:.0}) is more than {} (freshness) before the mail's arrival \
                 ({arrived:.0}): a replay",
                self.limit
            ))
        } else {
            None
        }
    }

    /// Does the same as [`Freshness::of`] for seconds since 1970, as signatures declare them.
    pub fn of_seconds(&self, what: &str, seconds: u64, arrived: Timestamp) -> Option<String> {
        match i64::try_from(seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
        {
            Some(at) => self.of(what, at, arrived),
            None => Some(format!("{what} is out of bounds ({seconds})")),
        }
    }

    /// Returns what is wrong with the Date of a mail.
    pub fn of_date(&self, date: Option<Timestamp>, arrived: Timestamp) -> Option<String> {
        match date {
            Some(date) => self.of("its Date", date, arrived),
            None if self.is_unlimited() => None,
            None => Some("it has no Date that can be read: it could be a replay".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_fresh_for_a_while_before_arrival_and_an_hour_after() {
        let arrived: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let of = |limit: u64, at: &str| {
            Freshness::new(Duration::from_secs(limit)).of("it", at.parse().unwrap(), arrived)
        };
        assert_eq!(of(86_400, "2026-03-01T12:00:00Z"), None);
        assert!(
            of(86_400, "2026-03-01T11:59:59Z")
                .unwrap()
                .contains("replay")
        );
        assert_eq!(of(86_400, "2026-03-02T13:00:00Z"), None);
        assert!(
            of(86_400, "2026-03-02T13:00:01Z")
                .unwrap()
                .contains("future")
        );
        assert_eq!(of(0, "2020-03-01T12:00:00Z"), None, "0s: no limit");
        assert!(of(0, "2027-03-01T12:00:00Z").is_some());
        let odd = Freshness::new(Duration::from_secs(1)).of_seconds("t=", u64::MAX, arrived);
        assert!(odd.unwrap().contains("out of bounds"));
    }
}
