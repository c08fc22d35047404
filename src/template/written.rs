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

/// Abbreviations that mean one time zone, with their minutes east of UTC: those of RFC 2822 (4.3),
/// and those that no two countries use. Others (IST, BST, CST of China) are what the zone that the
/// profile gives means by them.
const ABBREVIATIONS: [(&str, i32); 28] = [
    ("UTC", 0),
    ("UT", 0),
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
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
];

/// The longest text that is looked at, in bytes: no sender takes as much for a time, and each word
/// of it is tried as its zone.
const LONGEST: usize = 200;

/// Parses a time. The error is a sentence.
pub fn parse(text: &str, format: Option<&str>, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    if text.len() > LONGEST {
        return Err(format!("`{text:.80}…` is too long for a time"));
    }
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
    let format = without_abbreviation(&spelt_out(format)).0;
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

    let (rest, named) = zone_behind(text, zone);
    let civil: DateTime = rest.parse().ok()?;
    named.as_ref().unwrap_or(zone).to_timestamp(civil).ok()
}

/// Seconds, or milliseconds if seconds would lead out of this age.
fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole
        .bytes()
        .chain(fraction.bytes())
        .all(|byte| byte.is_ascii_digit())
    {
        return None;
    }

    let seconds: i64 = whole.parse().ok()?;
    let billionths: i128 = format!("{fraction:0<9.9}").parse().ok()?;
    let nanoseconds = i128::from(seconds) * 1_000_000_000 + billionths;
    let since = if seconds >= 100_000_000_000 {
        nanoseconds / 1_000
    } else {
        nanoseconds
    };
    // A year is not a time.
    (since >= 100_000_000 * 1_000_000_000)
        .then(|| Timestamp::from_nanosecond(since).ok())
        .flatten()
}

fn by_format(text: &str, format: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let wrong = |why: String| format!("`{text:.80}` is not a time in the format `{format}`: {why}");
    let (format_left, named) = without_abbreviation(&spelt_out(format));
    if !named {
        let time = broken_down(text, &format_left).map_err(|error| wrong(error.to_string()))?;
        return timestamp(&time, zone).map_err(wrong);
    }

    // The abbreviation is the last word without which the rest is in the format.
    let words = text.split(|c: char| !c.is_ascii_alphabetic());
    let (word, time) = words
        .filter(|word| !word.is_empty())
        .rev()
        .find_map(|word| {
            let time = broken_down(&without(text, word)?, &format_left).ok()?;
            Some((word, time))
        })
        .ok_or_else(|| wrong("it names no time zone there, or is written otherwise".to_owned()))?;
    let meant = meant_by(word, zone).ok_or_else(|| {
        wrong(format!(
            "the time zone `{word}` is known only where one is given"
        ))
    })?;
    timestamp(&time, &meant).map_err(wrong)
}

/// A text in a format. An offset may have a colon, whatever the format says.
fn broken_down(text: &str, format: &str) -> Result<BrokenDownTime, jiff::Error> {
    let mut time = BrokenDownTime::parse(format, text).or_else(|error| {
        BrokenDownTime::parse(format.replace("%z", "%:z"), text).map_err(|_| error)
    })?;
    // A sender that is wrong about the day of the week knows the date all the same.
    if time.to_date().is_err() {
        time.set_weekday(None);
    }
    Ok(time)
}

/// The time, in a zone where it names none by offset or place.
fn timestamp(time: &BrokenDownTime, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(timestamp) = time.to_timestamp() {
        return Ok(timestamp);
    }

    let date = time.to_date().map_err(|error| error.to_string())?;
    let clock = time.to_time().unwrap_or_default();
    let place = time.iana_time_zone().map(TimeZone::get);
    let place = place.transpose().map_err(|error| error.to_string())?;
    place
        .as_ref()
        .unwrap_or(zone)
        .to_timestamp(date.to_datetime(clock))
        .map_err(|_| "it is out of range".to_owned())
}

/// The format without what stands for several others, which the parser does not know.
fn spelt_out(format: &str) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out += &rest[..at];
        let directive = rest[at..].chars().take(2).map(char::len_utf8).sum();
        let (directive, after) = rest[at..].split_at(directive);
        out += match directive {
            "%c" => "%a %b %e %H:%M:%S %Y",
            "%x" => "%m/%d/%y",
            "%X" => "%H:%M:%S",
            "%r" => "%I:%M:%S %p",
            other => other,
        };
        rest = after;
    }
    out + rest
}

/// The format without `%Z`, which the parser does not know, and whether it has one.
fn without_abbreviation(format: &str) -> (String, bool) {
    match format.split_once("%Z") {
        Some((before, after)) if !before.ends_with('%') => {
            let before = before.trim_end_matches([' ', '(']);
            let after = after.trim_start_matches(')');
            (format!("{before}{after}"), true)
        }
        _ => (format.to_owned(), false),
    }
}

/// The text without a word, and without the brackets around it.
fn without(text: &str, word: &str) -> Option<String> {
    let at = text.rfind(word)?;
    let before = text[..at].trim_end_matches([' ', '(']);
    let after = text[at + word.len()..].trim_start_matches(')');
    Some(format!("{before}{after}"))
}

/// The text before the zone that its last word is: `CET`, `+0100`, `Europe/Berlin`.
fn zone_behind<'a>(text: &'a str, given: &TimeZone) -> (&'a str, Option<TimeZone>) {
    text.rsplit_once(' ')
        .and_then(|(rest, word)| {
            let word = word.trim_matches(['(', ')']);
            let is_abbreviation = word.bytes().all(|byte| byte.is_ascii_alphabetic());
            let zone = match numbered(word) {
                Some(offset) => Some(TimeZone::fixed(offset)),
                None if is_abbreviation => meant_by(word, given),
                None => TimeZone::get(word).ok().filter(|_| word.contains('/')),
            };
            Some((rest, Some(zone?)))
        })
        .unwrap_or((text, None))
}

/// What an abbreviation means: what it is in the zone that is given, else what it is everywhere,
/// else that zone, unless it is none but UTC.
fn meant_by(word: &str, given: &TimeZone) -> Option<TimeZone> {
    // Half of the day is no zone: taken for one, it would make a morning of the afternoon.
    let halves = ["AM", "PM", "A", "P"];
    if halves.iter().any(|half| half.eq_ignore_ascii_case(word)) {
        return None;
    }

    within(given, word)
        .or_else(|| offset_of(word))
        .map(TimeZone::fixed)
        .or_else(|| Some(given.clone()).filter(|zone| *zone != TimeZone::UTC))
}

/// The offset that a zone calls so, in winter or in summer. 2026 stands for every year.
fn within(zone: &TimeZone, word: &str) -> Option<Offset> {
    let halves = [1_767_225_600, 1_782_864_000];
    halves.into_iter().find_map(|second| {
        let info = zone.to_offset_info(Timestamp::from_second(second).ok()?);
        info.abbreviation()
            .eq_ignore_ascii_case(word)
            .then(|| info.offset())
    })
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
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
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
            ("2026-11-28 09:40 +05:30", Some("%Y-%m-%d %H:%M %z")),
            ("2026-11-28T05:10:00+01:00", Some("%Y-%m-%dT%H:%M:%S%z")),
            ("2026-11-28 04:10 utc", Some("%Y-%m-%d %H:%M %Z")),
            ("2026-11-28 04:10:00 utc", None),
            ("Sat Nov 28 04:10:00 2026", Some("%c")),
            ("2026-11-28 04:10:00", Some("%F %X")),
            ("11/28/26 04:10:00 AM", Some("%x %r")),
            ("04:10 (GMT) Sat 28 Nov 2026", Some("%H:%M %Z %a %d %b %Y")),
        ] {
            assert_eq!(read(text, format).as_deref(), Ok(at), "{text} {format:?}");
        }
        assert_eq!(
            read("28 Nov 2026", Some("%d %b %Y")).as_deref(),
            Ok("2026-11-28T00:00:00Z")
        );
        assert!(read("2026-11-28 04:10 %", Some("%Y-%m-%d %H:%M %%")).is_ok());
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(
            parse("28.11.2026 05:10", Some("%d.%m.%Y %H:%M"), &berlin)
                .unwrap()
                .to_string(),
            at
        );
    }

    #[test]
    fn an_abbreviation_is_what_the_given_zone_means_by_it() {
        for (word, zone, expected) in [
            // RFC 2822's, whatever zone is given.
            ("EST", "UTC", "10:10"),
            ("EDT", "UTC", "09:10"),
            ("CST", "UTC", "11:10"),
            ("CDT", "UTC", "10:10"),
            ("MST", "UTC", "12:10"),
            ("MDT", "UTC", "11:10"),
            ("PST", "UTC", "13:10"),
            ("PDT", "UTC", "12:10"),
            ("UT", "UTC", "05:10"),
            ("gmt", "Europe/Berlin", "05:10"),
            ("CST", "America/Chicago", "11:10"),
            ("CST", "Europe/Berlin", "11:10"),
            ("CET", "America/Chicago", "04:10"),
            // What several countries use.
            ("CST", "Asia/Shanghai", "21:10"),
            ("BST", "Europe/London", "04:10"),
            ("IST", "Asia/Kolkata", "23:40"),
            ("IST", "Asia/Jerusalem", "03:10"),
            ("ist", "Europe/Dublin", "04:10"),
            // What nobody else knows.
            ("HNEC", "Europe/Paris", "04:10"),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            for (text, format) in [
                (format!("2026-11-28 05:10:00 {word}"), None),
                (
                    format!("2026-11-28 05:10:00 {word}"),
                    Some("%Y-%m-%d %H:%M:%S %Z"),
                ),
                (
                    format!("Sat Nov 28 05:10:00 {word} 2026"),
                    Some("%a %b %d %H:%M:%S %Z %Y"),
                ),
                (
                    format!("05:10 AM ({word}) on 28.11.2026"),
                    Some("%I:%M %p (%Z) on %d.%m.%Y"),
                ),
            ] {
                let read = parse(&text, format, &zone).map(|time| time.to_string());
                let read = read.unwrap_or_else(|why| panic!("{why}"));
                assert_eq!(
                    read.get(11..16),
                    Some(expected),
                    "{text} {format:?} {zone:?}"
                );
            }
        }
        for word in ["IST", "BST", "HNEC"] {
            let text = format!("2026-11-28 05:10:00 {word}");
            assert!(read(&text, None).is_err());
            let why = read(&text, Some("%Y-%m-%d %H:%M:%S %Z")).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn a_half_of_the_day_is_no_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for half in ["AM", "PM", "pm", "p", "(PM)"] {
            let text = format!("2026-11-28 05:10:00 {half}");
            for format in [None, Some("%Y-%m-%d %H:%M:%S %Z")] {
                assert!(parse(&text, format, &berlin).is_err(), "{text} {format:?}");
            }
        }
        let told = Some("%Y-%m-%d %I:%M:%S %p %Z");
        let time = parse("2026-11-28 05:10:00 PM CET", told, &berlin).unwrap();
        assert_eq!(time.to_string(), "2026-11-28T16:10:00Z");
    }

    #[test]
    fn a_text_that_is_too_long_for_a_time_is_not_looked_through() {
        let text = "CET ".repeat(100_000) + "2026-11-28 05:10:00";
        for format in [None, Some("%Y-%m-%d %H:%M:%S %Z"), Some("%Y")] {
            let why = read(&text, format).unwrap_err();
            assert!(why.contains("too long"), "{why}");
            assert!(why.len() < LONGEST, "{why}");
        }
    }

    #[test]
    fn seconds_since_the_epoch_are_exact() {
        for (text, expected) in [
            ("1795687200", "2026-11-26T10:00:00Z"),
            ("1795687200.", "2026-11-26T10:00:00Z"),
            ("1795687200.123", "2026-11-26T10:00:00.123Z"),
            ("1795687200.1", "2026-11-26T10:00:00.1Z"),
            ("1795687200.000000001", "2026-11-26T10:00:00.000000001Z"),
            ("1795687200.1234567899", "2026-11-26T10:00:00.123456789Z"),
            ("1795687200123", "2026-11-26T10:00:00.123Z"),
            ("1795687200123.456", "2026-11-26T10:00:00.123456Z"),
        ] {
            assert_eq!(read(text, None).as_deref(), Ok(expected), "{text}");
        }
        for millisecond in 0..1_000 {
            let text = format!("1795687200.{millisecond:03}");
            let time = parse(&text, None, &TimeZone::UTC).unwrap();
            assert_eq!(time.as_millisecond() % 1_000, millisecond, "{text}");
            assert_eq!(time.subsec_nanosecond() % 1_000_000, 0, "{text}");
        }
        for text in [
            "1795687200.12.3",
            "179568720０",
            "1795687200.1e3",
            ".5",
            "-1795687200",
        ] {
            assert!(read(text, None).is_err(), "{text}");
        }
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
