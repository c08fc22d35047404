//! Text bodies that say that nothing was posted: by their words, by one of Slack's error words, or
//! by an element.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::{
    Denial,
    failure::{failure, passed_over, reads},
    page::{elsewhere, heading, is_element},
    words::{CODES, FLAGS, STATES, plain},
};

/// The families of Slack's one-word errors, which compatible services share.
const BEGINNINGS: [&str; 5] = ["invalid_", "missing_", "no_", "not_", "too_many_"];
/// Words that begin like one of the families, but report no failure.
const FINE: [&str; 15] = [
    "no_action",
    "no_alert",
    "no_change",
    "no_content",
    "no_error",
    "no_exception",
    "no_failure",
    "no_fault",
    "no_issue",
    "no_op",
    "no_problem",
    "no_reply",
    "no_response",
    "no_warning",
    "not_modified",
];
const ENDINGS: [&str; 10] = [
    "_archived",
    "_denied",
    "_disabled",
    "_error",
    "_expired",
    "_failed",
    "_limited",
    "_not_found",
    "_prohibited",
    "_revoked",
];

/// The words by which Microsoft's connectors report a failure.
const UNDELIVERED: &str = "delivery failed";

pub(super) fn of_text(said: &str) -> Option<Denial> {
    evidence(said).map(|(denial, _)| denial)
}

/// Returns how a text denies, and by which of its words, in lower case.
pub(super) fn evidence(said: &str) -> Option<(Denial, String)> {
    let lower = said.trim().to_ascii_lowercase();
    let proper = heading(&lower).unwrap_or(&lower);
    if let Some(code) = status_line(proper) {
        let line = proper.lines().next().unwrap_or_default();
        return Some((Denial::Status(code), line.to_owned()));
    }

    if lower.contains(UNDELIVERED) {
        return Some((undelivered(&lower), UNDELIVERED.to_owned()));
    }
    if is_slacks(&lower) {
        return Some((Denial::Words, lower));
    }

    let element = ["error", "fault"]
        .into_iter()
        .find(|name| is_element(&lower, &[name]));
    let string = || Some("faultstring").filter(|name| lower.contains(&format!("<{name}")));
    if let Some(name) = element.or_else(string) {
        return Some((Denial::Words, name.to_owned()));
    }
    if let Some(words) = failure(proper) {
        return Some((Denial::Word, words));
    }
    let nobody_s = elsewhere(&lower).or_else(|| passed_over(said));
    nobody_s.map(|words| (Denial::Doubtful, words))
}

/// Judges a failure of Microsoft's connectors: "Webhook message delivery failed with error: …
/// returned HTTP error 429". They reply 200 although another attempt may help, even after 401 and
/// 412; a message that is too large stays too large.
fn undelivered(lower: &str) -> Denial {
    let code = lower
        .split("http error ")
        .nth(1)
        .and_then(|rest| rest.get(..3)?.parse().ok());
    code.filter(|code| matches!(code, 413 | 429 | 500..600))
        .map_or(Denial::Words, Denial::Status)
}

/// Whether a text in lower case is one of Slack's error words.
fn is_slacks(lower: &str) -> bool {
    let is_word = !lower.is_empty()
        && lower
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word
        && !FINE.iter().any(|fine| lower.starts_with(fine))
        && (BEGINNINGS.iter().any(|begin| lower.starts_with(begin))
            || ENDINGS.iter().any(|end| lower.ends_with(end)))
}

/// Returns the status of an error with which a text in lower case begins:
/// `rt/4.4.1 401 credentials required`, as in HTTP, or `404 not found`, with the words that belong
/// to the number.
fn status_line(lower: &str) -> Option<u16> {
    let line = lower.lines().next()?.trim();
    let (first, rest) = line.split_once(' ')?;
    let is_version = first.split_once('/').is_some_and(|(name, version)| {
        name.bytes().all(|byte| byte.is_ascii_lowercase())
            && version.starts_with(|c: char| c.is_ascii_digit())
    });
    let code = if is_version {
        rest.split(' ').next()?
    } else {
        first
    };
    let status: StatusCode = code.parse().ok()?;
    let reason = status.canonical_reason()?.to_ascii_lowercase();
    let is_named = is_version || rest.starts_with(&reason) || rest.starts_with("page not found");
    let is_error = status.is_client_error() || status.is_server_error();
    (is_named && is_error).then(|| status.as_u16())
}

/// Returns the fields of a text such as `success=false&msg=…`, or of lines such as
/// `status: error`, if a reply may be judged by the first of them.
pub(super) fn pairs(said: &str) -> Option<Value> {
    let of_query = said
        .split(['&', '\n', ';', ','])
        .map_while(|pair| pair.split_once('='));
    let fields = fields(of_query);
    let is_read = |(name, _): (&String, &Value)| reads(&name.to_ascii_lowercase());
    if fields.iter().next().is_some_and(is_read) {
        return Some(Value::Object(fields));
    }

    let lines: Option<Vec<_>> = said.lines().map(|line| line.split_once(": ")).collect();
    let fields = self::fields(lines?.into_iter());
    let says = |name: &String| {
        [&FLAGS[..], &STATES, &CODES]
            .iter()
            .any(|names| names.contains(&plain(name).as_str()))
    };
    let is_read = fields.iter().next().is_some_and(|(name, _)| says(name));
    is_read.then_some(Value::Object(fields))
}

fn fields<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().into()))
        .collect()
}
