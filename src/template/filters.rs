//! The filters of templates besides Jinja's own.

use std::{borrow::Cow, fmt::Display};

use jiff::{SignedDuration, SignedDurationRound, Timestamp, Unit, fmt::strtime, tz::TimeZone};
use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Rest, from_args},
};
use minijinja_contrib::{filters, pycompat};
use moka::sync::Cache;
use regex::{Regex, RegexBuilder};

use super::written;
use crate::{delivery::sha256_hex, settings::expression::reason};

/// The filters of this program, as messages to authors of templates list them.
pub const OURS: &str = "`time`, `hash`, `regex_replace`, `datetime`, `duration` and `truncate`";

/// The methods that a map has, as in Python. They are no keys of the map.
pub const OF_MAPS: [&str; 4] = ["get", "items", "keys", "values"];

/// Adds the filters. `urlencode` and `tojson` are minijinja's own.
pub fn add(environment: &mut Environment<'_>) {
    environment.add_filter("truncate", truncate);
    environment.add_filter("datetime", datetime);
    environment.add_filter("duration", duration);
    environment.add_filter("time", time);
    environment.add_filter("hash", hash);
    environment.add_filter("striptags", filters::striptags);
    environment.add_filter("filesizeformat", filters::filesizeformat);
    // Values in Jinja have the methods of Python: `subject.split('/')[0]`.
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);

    let known = Cache::new(MAX_EXPRESSIONS);
    environment.add_filter(
        "regex_replace",
        move |text: &Value, expression: &str, with: &str| {
            Ok::<_, Error>(
                compiled(&known, expression)?
                    .replace_all(&text_of(text)?, &*parted(with))
                    .into_owned(),
            )
        },
    );
}

/// Truncates a text like Jinja's filter: unlike the crate's, it takes its arguments with or without
/// their names.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands it over")]
fn truncate(
    state: &mut State,
    value: &Value,
    Rest(given): Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    const NAMES: [&str; 4] = ["length", "killwords", "end", "leeway"];
    if given.len() > NAMES.len() {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }

    let mut all: Vec<(&str, Value)> = NAMES.into_iter().zip(given.iter().cloned()).collect();
    for name in named.args() {
        all.push((name, named.get(name)?));
    }

    filters::truncate(state, value, all.into_iter().collect())
}

/// The largest number of compiled expressions of `regex_replace` in the cache.
const MAX_EXPRESSIONS: u64 = 64;

/// The largest size of such an expression when compiled, in bytes.
const EXPRESSION_SIZE: usize = 1 << 20;

/// Compiles an expression, or takes it from the cache. An invalid expression is a mistake of the
/// template's author.
fn compiled(known: &Cache<String, Regex>, expression: &str) -> Result<Regex, Error> {
    if let Some(regex) = known.get(expression) {
        return Ok(regex);
    }

    // In a template, Jinja turns `\b` into a backspace, which no mail contains.
    let regex = RegexBuilder::new(&expression.replace('\u{8}', r"\b"))
        .size_limit(EXPRESSION_SIZE)
        .build()
        .map_err(|error| {
            mistaken(format!(
                "`{expression}` is not a valid regular expression: {}",
                reason(&error)
            ))
        })?;
    known.insert(expression.to_owned(), regex.clone());
    Ok(regex)
}

/// Puts the number of each group into braces, so that `$1` ends with its digits whatever follows:
/// the crate would read `$1st` as a group of that name.
fn parted(with: &str) -> Cow<'_, str> {
    if !with.contains('$') {
        return Cow::Borrowed(with);
    }

    let mut out = String::with_capacity(with.len() + 8);
    let mut rest = with;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        out.push('$');
        rest = behind;
        if let Some(behind) = rest.strip_prefix('$') {
            out.push('$');
            rest = behind;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let (group, behind) = rest.split_at(digits);
            out.push_str(&format!("{{{group}}}"));
            rest = behind;
        }
    }
    out.push_str(rest);

    Cow::Owned(out)
}

/// `text | hash`: returns the SHA-256 of the text, in hex.
fn hash(text: &Value) -> Result<String, Error> {
    Ok(sha256_hex(text_of(text)?.as_bytes()))
}

/// `text | time('%d.%m.%Y %H:%M', 'Europe/Berlin')`: returns a time as RFC 3339 in UTC.
///
/// Without a format, it reads RFC 3339, RFC 2822 and seconds since the epoch. A time that names no
/// zone is in the given one, by default in UTC.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands keywords over by value"
)]
fn time(value: &Value, Rest(given): Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let (format, zone): (Option<&str>, Option<&str>) = from_args(&given)?;
    let format = format.or(named.get("format")?);
    let zone = zone.or(named.get("zone")?);
    named.assert_all_used()?;

    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => {
            TimeZone::get(name).map_err(|_| mistaken(format!("there is no time zone `{name}`")))?
        }
    };
    if let Some(format) = format {
        written::check(format).map_err(mistaken)?;
    }

    let text = text_of(value)?;
    written::parse(&text, format, &zone)
        .map(|time| time.to_string())
        .map_err(wrong)
}

/// Returns a value as text if it is defined.
fn text_of(value: &Value) -> Result<Cow<'_, str>, Error> {
    if value.is_undefined() || value.is_none() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(value
        .as_str()
        .map_or_else(|| value.to_string().into(), Cow::Borrowed))
}

/// `time | datetime('%d.%m. %H:%M', 'Europe/Berlin')`: returns a time in a notation for people, in
/// a zone.
///
/// It takes RFC 3339 and seconds since the epoch. The format is strftime's, and the zone is an IANA
/// name, by default UTC. A missing time stays empty.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands keywords over by value"
)]
fn datetime(value: &Value, Rest(given): Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let (format, zone): (Option<&str>, Option<&str>) = from_args(&given)?;
    let format = format.or(named.get("format")?).unwrap_or("%F %T %Z");
    let zone = zone.or(named.get("zone")?);
    named.assert_all_used()?;
    if is_absent(value) {
        return Ok(String::new());
    }

    let at = match (value.as_str(), seconds(value)) {
        (Some(text), None) => text
            .parse()
            .map_err(|_| wrong(format!("`{text}` is not a time"))),
        (_, Some(seconds)) => SignedDuration::try_from_secs_f64(seconds)
            .and_then(Timestamp::from_duration)
            .map_err(|_| wrong(format!("`{value}` is not a time"))),
        (None, None) => Err(wrong(format!("`{value}` is not a time"))),
    }?;

    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => {
            TimeZone::get(name).map_err(|_| wrong(format!("there is no time zone `{name}`")))?
        }
    };

    strtime::format(format, &at.to_zoned(zone))
        .map_err(|error| wrong(format!("`{format}` is not a format: {error}")))
}

/// `window_seconds | duration`: returns seconds in a notation for people, `1h 30m`, in the two
/// largest units. A missing value stays empty.
fn duration(value: &Value) -> Result<String, Error> {
    if is_absent(value) {
        return Ok(String::new());
    }

    let seconds =
        seconds(value).ok_or_else(|| wrong(format!("`{value}` is not a number of seconds")))?;
    let whole = SignedDuration::try_from_secs_f64(seconds)
        .and_then(|duration| duration.round(SignedDurationRound::new().smallest(Unit::Second)))
        .map_err(|_| wrong(format!("`{value}` is not a number of seconds")))?;

    let total = whole.as_secs().unsigned_abs();
    let units = [
        ("d", total / 86_400),
        ("h", total / 3600 % 24),
        ("m", total / 60 % 60),
        ("s", total % 60),
    ];

    let largest = units
        .iter()
        .position(|(_, number)| *number > 0)
        .unwrap_or(units.len() - 1);

    let said: Vec<String> = units[largest..]
        .iter()
        .take(2)
        .filter(|(unit, number)| *number > 0 || (*unit, total) == ("s", 0))
        .map(|(unit, number)| format!("{number}{unit}"))
        .collect();

    let sign = if whole.is_negative() { "-" } else { "" };

    Ok(format!("{sign}{}", said.join(" ")))
}

/// Whether a value is missing. An empty label stands for a value that the mail does not contain.
fn is_absent(value: &Value) -> bool {
    value.is_undefined() || value.is_none() || value.as_str() == Some("")
}

/// Returns a number, or the number that a text consists of.
fn seconds(value: &Value) -> Option<f64> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// Returns the error of a template that is wrong whatever it is rendered with.
fn mistaken(what: String) -> Error {
    Error::new(ErrorKind::SyntaxError, what)
}

fn wrong(what: impl Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.to_string())
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn render(template: &str) -> Result<String, String> {
        let mut environment = Environment::new();
        add(&mut environment);
        let context =
            context! { at => "2026-03-24T15:40:00Z", none => (), empty => "", text => "a/b c&d" };
        environment
            .render_str(template, context)
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_time_is_written_in_the_format_and_zone_asked_for() {
        for (template, expected) in [
            ("{{ at | datetime }}", "2026-03-24 15:40:00 UTC"),
            ("{{ at | datetime('%H:%M', 'Europe/Berlin') }}", "16:40"),
            (
                "{{ at | datetime(zone='Asia/Kolkata', format='%H:%M %Z') }}",
                "21:10 IST",
            ),
            (
                "{{ 1774366800 | datetime('%FT%T') }}",
                "2026-03-24T15:40:00",
            ),
            ("{{ '1774366800' | datetime('%F') }}", "2026-03-24"),
            ("{{ none | datetime }}{{ empty | datetime }}", ""),
        ] {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_no_time_zone_or_format_is_named() {
        for (template, expected) in [
            ("{{ 'soon' | datetime }}", "`soon` is not a time"),
            ("{{ 1e300 | datetime }}", "is not a time"),
            (
                "{{ at | datetime('%F', 'Berlin') }}",
                "no time zone `Berlin`",
            ),
            ("{{ at | datetime('%!') }}", "`%!` is not a format"),
            (
                "{{ 'long' | duration }}",
                "`long` is not a number of seconds",
            ),
        ] {
            let error = render(template).unwrap_err();
            assert!(error.contains(expected), "{template}: {error}");
        }
    }

    #[test]
    fn seconds_are_told_in_the_two_largest_units() {
        for (seconds, expected) in [
            ("0", "0s"),
            ("59.6", "1m"),
            ("900", "15m"),
            ("5400", "1h 30m"),
            ("86400", "1d"),
            ("'90061'", "1d 1h"),
            ("86459", "1d"),
            ("-61", "-1m 1s"),
            ("none", ""),
            ("empty", ""),
        ] {
            assert_eq!(
                render(&format!("{{{{ {seconds} | duration }}}}")).as_deref(),
                Ok(expected),
                "{seconds}"
            );
        }
    }

    #[test]
    fn values_have_the_methods_that_jinja_s_have() {
        for (template, expected) in [
            ("{{ 'a/b'.split('/')[1] }}", "b"),
            ("{{ ' A '.strip().lower() }}", "a"),
            ("{{ 'x' if text.startswith('a/') else 'y' }}", "x"),
            ("{{ {'a': 1}.get('b', 2) }}", "2"),
            ("{{ '<b>x</b> y' | striptags }}", "x y"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_group_ends_with_its_number() {
        for (with, expected) in [
            ("$1 ms", "took 45 ms"),
            ("$1ms", "took 45ms"),
            ("$1_$1", "took 45_45"),
            ("${1}x", "took 45x"),
            ("$name-x", "took 45-x"),
            ("$$1", "took $1"),
            ("$", "took $"),
        ] {
            let template = "{{ 'took 45' | regex_replace('(?<name>[0-9]+)', with) }}";
            let mut environment = Environment::new();
            add(&mut environment);
            let out = environment.render_str(template, context! { with });
            assert_eq!(out.unwrap(), expected, "{with}");
        }
    }

    #[test]
    fn text_is_made_fit_for_addresses_json_and_short_fields() {
        for (template, expected) in [
            ("{{ text | urlencode }}", "a/b%20c%26d"),
            ("{{ text | tojson }}", r#""a/b c\u0026d""#),
            (
                "{{ 'one two three' | truncate(length=7, end='…', leeway=0) }}",
                "one…",
            ),
            (
                "{{ 'one two three' | truncate(7, true, '…', 0) }}",
                "one tw…",
            ),
            (
                "{{ 'one two three' | truncate(7, leeway=0, end='') }}",
                "one",
            ),
            ("{{ 'one two three' | truncate(50) }}", "one two three"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
    }
}
