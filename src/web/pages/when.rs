//! Times as people read them: how long ago, and when.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

/// How far ahead routes look for the end of a mute.
const HORIZON: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A time relative to now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct When {
    /// The time in RFC 3339, for `<time datetime>`.
    at: String,
    /// The distance from now: `12 min ago`, or `in 2 h`.
    ago: String,
    /// The clock time, `03:14 UTC`, with the date if it is another day.
    clock: String,
}

impl When {
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        let since = now.duration_since(at);
        let ago = if since.is_negative() {
            format!("in {}", span(-since))
        } else {
            format!("{} ago", span(since))
        };

        Self {
            at: format!("{at:.0}"),
            ago,
            clock: clock(at, now),
        }
    }
}

/// Formats a duration in at most two units: `40 s`, `12 min`, `3 h 5 min`, `4 d 2 h`.
pub fn span(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let (minute, hour, day) = (60, 3600, 24 * 3600);
    let two = |large: i64, big: &str, small: i64, little: &str| match seconds % large / small {
        0 => format!("{} {big}", seconds / large),
        rest => format!("{} {big} {rest} {little}", seconds / large),
    };

    match seconds {
        _ if seconds < minute => format!("{seconds} s"),
        _ if seconds < hour => format!("{} min", seconds / minute),
        _ if seconds < 2 * day => two(hour, "h", minute, "min"),
        _ => two(day, "d", hour, "h"),
    }
}

/// Says until when a mute holds that began at `since`.
///
/// A mute that never ends is stored with an end a year later, because routes look no further ahead.
pub fn held_until(until: Timestamp, since: Timestamp, now: Timestamp) -> String {
    if is_endless(until, since) {
        ENDLESS.to_owned()
    } else {
        format!("until {}", clock(until, now))
    }
}

/// Decides whether a mute never ends. A day is allowed for, since its mail may have waited a while.
pub fn is_endless(until: Timestamp, since: Timestamp) -> bool {
    until.duration_since(since) >= HORIZON - SignedDuration::from_hours(24)
}

/// What is shown for a mute that never ends.
const ENDLESS: &str = "as long as its route is muted";

/// Formats a stored reason, with its times written as elsewhere on a page.
pub fn with_clocks(text: &str, since: Timestamp, now: Timestamp) -> String {
    let mut words: Vec<Cow<'_, str>> = Vec::new();
    for word in text.split(' ') {
        let is_mark = |c: char| c.is_ascii_punctuation();
        let begun = word.trim_start_matches(is_mark);
        let time = begun.trim_end_matches(is_mark);
        let Ok(at) = time.parse() else {
            words.push(word.into());
            continue;
        };
        let (before, after) = (&word[..word.len() - begun.len()], &begun[time.len()..]);
        // A silence always has an end, however late.
        let is_mute = words.ends_with(&["until".into()]) && !text.starts_with("silenced");
        if is_mute && is_endless(at, since) {
            words.pop();
            words.push(format!("{ENDLESS}{after}").into());
        } else {
            words.push(format!("{before}{}{after}", clock(at, now)).into());
        }
    }
    words.join(" ")
}

/// Formats the time of day, with the date if it is not today.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let [at, now] = [at, now].map(|time| time.to_zoned(TimeZone::UTC));
    let form = match () {
        () if at.date() == now.date() => "%H:%M UTC",
        () if at.year() == now.year() => "%-d %b %H:%M UTC",
        () => "%-d %b %Y %H:%M UTC",
    };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_how_long_ago_it_was_and_when() {
        let now: Timestamp = "2026-03-01T03:31:00Z".parse().unwrap();
        for (at, ago, clock) in [
            ("2026-03-01T03:31:00Z", "0 s ago", "03:31 UTC"),
            ("2026-03-01T03:30:20Z", "40 s ago", "03:30 UTC"),
            ("2026-03-01T03:19:00Z", "12 min ago", "03:19 UTC"),
            ("2026-03-01T00:26:00Z", "3 h 5 min ago", "00:26 UTC"),
            ("2026-02-28T22:31:00Z", "5 h ago", "28 Feb 22:31 UTC"),
            ("2026-02-25T01:30:00Z", "4 d 2 h ago", "25 Feb 01:30 UTC"),
            ("2025-12-31T03:31:00Z", "60 d ago", "31 Dec 2025 03:31 UTC"),
            ("2026-03-01T05:31:00Z", "in 2 h", "05:31 UTC"),
        ] {
            let when = When::new(at.parse().unwrap(), now);
            assert_eq!((&*when.ago, &*when.clock), (ago, clock), "{at}");
        }
    }

    #[test]
    fn what_is_held_and_for_how_long_is_said_in_the_same_form() {
        let now: Timestamp = "2026-03-01T03:31:00Z".parse().unwrap();
        assert_eq!(HORIZON, crate::route::HORIZON);
        let until = |until: &str| held_until(until.parse().unwrap(), now, now);
        assert_eq!(until("2026-03-01T06:00:00Z"), "until 06:00 UTC");
        assert_eq!(
            until("2027-03-02T03:30:00Z"),
            "as long as its route is muted"
        );
        assert_eq!(
            with_clocks(
                "silenced until 2026-03-02T06:00:00Z (ann: 2026-03-01T06:00:00Z)",
                now,
                now
            ),
            "silenced until 2 Mar 06:00 UTC (ann: 06:00 UTC)"
        );
        assert_eq!(
            with_clocks("late (2026-03-01T06:00:00.836481118Z), «so» said", now, now),
            "late (06:00 UTC), «so» said"
        );
        let held = "held for quiet until 2027-03-01T13:34:28.836481118Z by always; dropped for x";
        let later: Timestamp = "2026-12-24T03:31:00Z".parse().unwrap();
        assert_eq!(
            with_clocks(held, now, later),
            "held for quiet as long as its route is muted by always; dropped for x"
        );
        assert_eq!(
            with_clocks(&held.replace("2027-03", "2026-12"), now, later),
            "held for quiet until 1 Dec 13:34 UTC by always; dropped for x"
        );
    }
}
