//! Parsing of a point in time as people and programs write it.

use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::{
        rfc2822,
        strtime::{self, BrokenDownTime},
    },
    tz::{Offset, TimeZone},
};

/// Abbreviations that mean a single time zone, with their minutes east of UTC: those of RFC 2822
/// (4.3), and those that no two countries share. Any other abbreviation (IST, BST, China's CST) has
/// the meaning that it has in the zone that the profile gives.
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

/// The longest text that is parsed, in bytes. No sender needs as much for a time, and each word of
/// it is tried as its zone.
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

/// Parses RFC 3339, RFC 2822 or seconds since the epoch, or a date and time without a zone.
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

/// Parses seconds since the epoch, or milliseconds if as seconds the number would lie beyond this
/// age (from 100,000,000,000 on).
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
    // A small number, such as a year, is not a time.
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

    // The abbreviation is the last word whose removal leaves a text in the format.
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

/// Parses a text in a format. An offset may have a colon, whatever the format says.
fn broken_down(text: &str, format: &str) -> Result<BrokenDownTime, jiff::Error> {
    let mut time = BrokenDownTime::parse(format, text).or_else(|error| {
        BrokenDownTime::parse(format.replace("%z", "%:z"), text).map_err(|_| error)
    })?;
    // If the sender got the day of the week wrong, the date is right all the same.
    if time.to_date().is_err() {
        time.set_weekday(None);
    }
    Ok(time)
}

/// Returns the time, in `zone` if the text names no zone by offset or place.
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

/// Returns the format with the directives spelt out that stand for several others, because the
/// parser does not know them.
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

/// Returns the format without `%Z`, which the parser does not know, and whether it had one.
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

/// Returns the text without a word and without the brackets around it.
fn without(text: &str, word: &str) -> Option<String> {
    let at = text.rfind(word)?;
    let before = text[..at].trim_end_matches([' ', '(']);
    let after = text[at + word.len()..].trim_start_matches(')');
    Some(format!("{before}{after}"))
}

/// Splits off a zone that is the last word of the text: `CET`, `+0100`, `Europe/Berlin`.
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

/// Returns the meaning of an abbreviation: in the given zone, else everywhere. An unknown
/// abbreviation means the given zone itself, unless that is just UTC.
fn meant_by(word: &str, given: &TimeZone) -> Option<TimeZone> {
    // Half of the day is no zone: if `PM` were taken for one, the afternoon would become a morning.
    let halves = ["AM", "PM", "A", "P"];
    if halves.iter().any(|half| half.eq_ignore_ascii_case(word)) {
        return None;
    }

    within(given, word)
        .or_else(|| offset_of(word))
        .map(TimeZone::fixed)
        .or_else(|| Some(given.clone()).filter(|zone| *zone != TimeZone::UTC))
}

/// Returns the offset that the zone calls by this abbreviation, in winter or in summer. 2026 stands
/// for every year.
fn within(zone: &TimeZone, word: &str) -> Option<Offset> {
    let halves = [1_767_225_600, 1_782_864_000];
    halves.into_iter().find_map(|second| {
        let info = zone.to_offset_info(Timestamp::from_second(second).ok()?);
        info.abbreviation()
            .eq_ignore_ascii_case(word)
            .then(|| info.offset())
    })
}

/// Parses an offset in hours and minutes.
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
mod tests;
