//! A point in time as people and programs write it.

use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::{
        rfc2822,
        strtime::{self, BrokenDownTime},
    },
    tz::{Offset, TimeZone},
};

/// Unambiguous abbreviations, with their hours and minutes east of UTC. Those that several
/// countries use (IST, CST of China, BST of Bangladesh) are left out unless they are known from
/// alert mails.
const ABBREVIATIONS: [(&str, i32); 24] = [
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("UCT", 0),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("MEZ", 60),
    ("MESZ", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("JST", 540),
    ("KST", 540),
    ("AEST", 600),
    ("AEDT", 660),
    ("NZST", 720),
    ("NZDT", 780),
    ("EST", -300),
    ("EDT", -240),
    ("MST", -420),
    ("PST", -480),
    ("PDT", -420),
];

/// Parses a time. The error is a sentence.
pub fn parse(text: &str, format: Option<&str>, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    match format {
        None => plainly(text, zone).ok_or_else(|| {
            format!(
                "`{text:.80}` is not a valid time (RFC 3339, RFC 2822 or seconds since the \
                     epoch)"
            )
        }),
        Some(format) => by_format(text, format, zone),
    }
}

/// Checks whether a format can be used at all.
pub fn check(format: &str) -> Result<(), String> {
    let format = without_abbreviation(format).0;
    let wrong = |error: jiff::Error| format!("`{format}` is not a valid time format: {error}");
    let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let written = strtime::format(&format, &sample).map_err(wrong)?;
    strtime::parse(&format, &written).map(drop).map_err(wrong)
}

/// RFC 3339, RFC 2822, seconds since the epoch; and a date and time without a zone.
fn plainly(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if let Ok(time) = rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(text)
    {
        return Some(time);
    }
    if let Some(time) = epoch(text) {
        return Some(time);
    }

    let (rest, named) = zone_behind(text);
    let civil: DateTime = rest.parse().ok()?;
    named.as_ref().unwrap_or(zone).to_timestamp(civil).ok()
}

/// Seconds, or milliseconds if seconds would lead out of this age.
fn epoch(text: &str) -> Option<Timestamp> {
    let number: f64 = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        .then(|| text.parse().ok())??;
    let seconds = if number >= 1e11 { number / 1e3 } else { number };
    // A year is not a time.
    (seconds >= 1e8)
        .then(|| jiff::SignedDuration::try_from_secs_f64(seconds).ok())?
        .and_then(|since| Timestamp::from_duration(since).ok())
}

fn by_format(text: &str, format: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let wrong = |why: String| format!("`{text:.80}` is not a time in the format `{format}`: {why}");
    let (format_left, named) = without_abbreviation(format);

    let (text_left, abbreviated) = if named {
        abbreviation_taken(text)
            .ok_or_else(|| wrong("it names no time zone that is known".to_owned()))?
    } else {
        (text.to_owned(), None)
    };

    let mut time = BrokenDownTime::parse(&format_left, &text_left)
        .map_err(|error| wrong(error.to_string()))?;
    // A sender that is wrong about the day of the week knows the date all the same.
    if time.to_date().is_err() {
        time.set_weekday(None);
    }
    if let Ok(timestamp) = time.to_timestamp() {
        return Ok(timestamp);
    }

    let date = time.to_date().map_err(|error| wrong(error.to_string()))?;
    let clock = time.to_time().unwrap_or_default();
    let place = time.iana_time_zone().map(TimeZone::get);
    let place = place
        .transpose()
        .map_err(|error| wrong(error.to_string()))?;
    let said = abbreviated.map(TimeZone::fixed).or(place);
    said.as_ref()
        .unwrap_or(zone)
        .to_timestamp(date.to_datetime(clock))
        .map_err(|_| wrong("it is out of range".to_owned()))
}

/// The format without `%Z`, which the parser does not know, and whether it has one.
fn without_abbreviation(format: &str) -> (String, bool) {
    match format.split_once("%Z") {
        Some((before, after)) if !before.ends_with('%') => {
            (format!("{}{after}", before.trim_end()), true)
        }
        _ => (format.to_owned(), false),
    }
}

/// The text without the abbreviation of a time zone, and its meaning.
fn abbreviation_taken(text: &str) -> Option<(String, Option<Offset>)> {
    let words = text.split(|c: char| !c.is_ascii_alphabetic());
    let (word, offset) = words
        .filter_map(|word| Some((word, offset_of(word)?)))
        .next_back()?;

    let at = text.rfind(word)?;
    let before = text[..at].trim_end_matches([' ', '(']);
    let after = text[at + word.len()..].trim_start_matches(')');
    Some((format!("{before}{after}"), Some(offset)))
}

/// The text before the zone that its last word is: `CET`, `+0100`, `Europe/Berlin`.
fn zone_behind(text: &str) -> (&str, Option<TimeZone>) {
    text.rsplit_once(' ')
        .and_then(|(rest, word)| {
            let word = word.trim_matches(['(', ')']);
            let offset = offset_of(word).or_else(|| numbered(word));
            let place = || TimeZone::get(word).ok().filter(|_| word.contains('/'));
            Some((rest, Some(offset.map(TimeZone::fixed).or_else(place)?)))
        })
        .unwrap_or((text, None))
}

/// An offset in hours and minutes.
fn numbered(word: &str) -> Option<Offset> {
    ["%z", "%:z"]
        .iter()
        .find_map(|format| BrokenDownTime::parse(format, word).ok()?.offset())
}

fn offset_of(word: &str) -> Option<Offset> {
    ABBREVIATIONS
        .iter()
        .find(|(name, _)| *name == word)
        .and_then(|(_, minutes)| Offset::from_seconds(minutes * 60).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Option<&str>) -> Result<String, String> {
        parse(text, format, &TimeZone::UTC).map(|time| time.to_string())
    }

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let at = "2026-11-28T04:10:00Z";
        for (text, format) in [
            ("2026-11-28T04:10:00Z", None),
            ("2026-11-28T05:10:00+01:00", None),
            ("2026-11-28 04:10:00", None),
            ("2026-11-28 04:10:00 UTC", None),
            ("2026-11-28 05:10:00 CET", None),
            ("2026-11-28 05:10:00 (CET)", None),
            ("2026-11-28 04:10:00 +0000", None),
            ("2026-11-28 05:10:00 +01:00", None),
            ("2026-11-28 05:10:00 Europe/Berlin", None),
            ("2026-11-28 05:10 Europe/Berlin", Some("%Y-%m-%d %H:%M %Q")),
            ("Sat, 28 Nov 2026 04:10:00 +0000", None),
            ("Sat, 28 Nov 2026 05:10:00 +0100", None),
            ("1795839000", None),
            ("1795839000000", None),
            (
                "Saturday 28 November, 2026 04:10:00 UTC",
                Some("%A %d %B, %Y %H:%M:%S UTC"),
            ),
            (
                "Monday 28 November, 2026 04:10:00 UTC",
                Some("%A %d %B, %Y %H:%M:%S UTC"),
            ),
            ("Mon, 28 Nov 2026 04:10:00 +0000", None),
            ("28.11.2026 04:10", Some("%d.%m.%Y %H:%M")),
            (
                "Sat Nov 28 05:10:00 CET 2026",
                Some("%a %b %d %H:%M:%S %Z %Y"),
            ),
            ("2026-11-28 06:10:00 CEST", Some("%Y-%m-%d %H:%M:%S %Z")),
            ("2026-11-28 05:10:00 +0100", Some("%Y-%m-%d %H:%M:%S %z")),
            ("04:10:00 on 2026.11.28", Some("%H:%M:%S on %Y.%m.%d")),
        ] {
            assert_eq!(read(text, format).as_deref(), Ok(at), "{text} {format:?}");
        }
        assert_eq!(
            read("28 Nov 2026", Some("%d %b %Y")).as_deref(),
            Ok("2026-11-28T00:00:00Z")
        );
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(
            parse("28.11.2026 05:10", Some("%d.%m.%Y %H:%M"), &berlin)
                .unwrap()
                .to_string(),
            at
        );
    }

    #[test]
    fn what_is_no_time_is_told() {
        for (text, format) in [
            ("", None),
            ("yesterday", None),
            ("2026", None),
            (
                "Sat Nov 28 05:10:00 IST 2026",
                Some("%a %b %d %H:%M:%S %Z %Y"),
            ),
            ("28.11.2026", Some("%Y-%m-%d")),
        ] {
            assert!(
                read(text, format).unwrap_err().contains("is not a"),
                "{text}"
            );
        }
        assert!(check("%d %").is_err() && check("%é").is_err());
        assert!(check("%A %d %B, %Y %H:%M:%S %Z").is_ok());
    }
}
