//! The ranges of an interval, with Alertmanager's checks. The errors are sentences that say what is
//! wrong.

use super::Times;
use crate::settings::Problem;

/// The two ends of a range.
pub(super) type Range = (i16, i16);
pub(super) type Parse = fn(&str) -> Result<Range, String>;

const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Parses each item of the list at `key`. Adds the problems that it finds.
pub(super) fn all<'a, T: ?Sized + 'a>(
    key: &str,
    items: impl Iterator<Item = &'a T>,
    parse: impl Fn(&'a T) -> Result<Range, String>,
    problems: &mut Vec<Problem>,
) -> Vec<Range> {
    let mend = match key.rsplit('.').next() {
        Some("times") => {
            "write it like `start_time: 09:00`, `end_time: 17:00`; a night is two: from 22:00 to \
             24:00 and from 00:00 to 06:00"
        }
        Some("weekdays") => "write it like `monday:friday` or `sunday`; a week starts on Sunday",
        Some("days_of_month") => {
            "write it like `1:5`, `15` or `-3:-1`, which is the last three days"
        }
        Some("months") => "write it like `january:march`, `12` or `may`",
        _ => "write it like `2026:2027` or `2026`",
    };

    let mut ranges = Vec::new();

    for (index, item) in items.enumerate() {
        match parse(item) {
            Ok(range) => ranges.push(range),
            Err(what) => problems.push(Problem::new(format!("{key}[{index}]"), what, mend)),
        }
    }

    ranges
}

pub(super) fn weekdays(text: &str) -> Result<Range, String> {
    let range = ends(text, |name| position(&WEEKDAYS, name, 0), "weekday")?;
    ordered(text, range)
}

pub(super) fn months(text: &str) -> Result<Range, String> {
    let month = |text: &str| position(&MONTHS, text, 1).or_else(|| text.parse().ok());
    let range = ends(
        text,
        |text| month(text).filter(|month| (1..=12).contains(month)),
        "month",
    )?;
    ordered(text, range)
}

pub(super) fn years(text: &str) -> Result<Range, String> {
    let range = ends(text, |text| text.parse().ok(), "year")?;
    ordered(text, range)
}

/// Parses a range of days of the month. Negative days count from the end of the month.
pub(super) fn days_of_month(text: &str) -> Result<Range, String> {
    let day = |text: &str| {
        text.parse()
            .ok()
            .filter(|day: &i16| *day != 0 && (-31..=31).contains(day))
    };

    let (first, last) = ends(text, day, "day of the month")?;

    if first < 0 && last > 0 {
        return Err(format!(
            "`{text}` counts its start from the end of the month and its end from the beginning"
        ));
    }

    // Compare in the shortest month, so that a range that can never apply is refused, and one that
    // applies in some months is not.
    let in_february = |day: i16| if day < 0 { 28 + day } else { day };

    ordered(text, (in_february(first), in_february(last))).map(|_| (first, last))
}

/// Parses a range of minutes of the day.
pub(super) fn times(times: &Times) -> Result<Range, String> {
    let (start, end) = (minute(&times.start_time)?, minute(&times.end_time)?);
    if start < end {
        Ok((start, end))
    } else {
        Err(format!(
            "the start `{}` is not before the end `{}`",
            times.start_time, times.end_time
        ))
    }
}

fn minute(text: &str) -> Result<i16, String> {
    let wrong = || format!("`{text}` is not a time of day from 00:00 to 24:00");
    let two = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<i16>().ok()).flatten()
    };

    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;

    match (two(hour), two(minute)) {
        (Some(24), Some(0)) => Ok(24 * 60),
        (Some(hour @ 0..=23), Some(minute @ 0..=59)) => Ok(hour * 60 + minute),
        _ => Err(wrong()),
    }
}

fn position(names: &[&str], name: &str, first: i16) -> Option<i16> {
    (first..)
        .zip(names)
        .find(|(_, known)| known.eq_ignore_ascii_case(name))
        .map(|(number, _)| number)
}

/// Parses `a:b`, or `a` for both ends.
fn ends(text: &str, parse: impl Fn(&str) -> Option<i16>, what: &str) -> Result<Range, String> {
    let end = |part: &str| parse(part).ok_or_else(|| format!("`{part}` is not a valid {what}"));
    match text.split_once(':') {
        Some((first, last)) => Ok((end(first)?, end(last)?)),
        None => end(text).map(|day| (day, day)),
    }
}

fn ordered(text: &str, range: Range) -> Result<Range, String> {
    if range.0 <= range.1 {
        Ok(range)
    } else {
        Err(format!("`{text}` ends before it starts"))
    }
}
