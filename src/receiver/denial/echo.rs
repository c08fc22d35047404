//! Echoes: what a reply repeats of the request, which proves nothing about the page, and what it
//! may repeat.
//!
//! Words are compared without whatever can be written in several ways: capitals, accents, the
//! characters between words, and the escapes of JSON, HTML and URLs.

use std::{
    collections::{BTreeSet, HashSet},
    sync::LazyLock,
};

use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use super::{
    failure::{failure, reads},
    words::{ACTS, ERRORS, SENTENCES, is_success, plain},
};
use crate::receiver::{Body, Request};

/// The number of words in a row that do not match by chance.
const RUN: usize = 3;
/// The fields whose words all alerts have in common.
const COMMON: [&str; 8] = [
    "action", "kind", "level", "priority", "severity", "state", "status", "type",
];

/// The words and fields of a request.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The words of all values, one value after the other, separated by empty words.
    words: Vec<String>,
    /// Each of the words once, in order.
    known: BTreeSet<String>,
    /// Each run of [`RUN`] words, and each value of fewer words.
    runs: HashSet<String>,
    /// The names and values of the request's JSON, in the form in which they are compared.
    fields: BTreeSet<(String, String)>,
    /// The whole request in lower case, but otherwise as it was sent.
    verbatim: String,
}

impl Sent {
    pub(super) fn new(request: &Request) -> Self {
        let mut sent = Self::default();
        sent.take("", &request.url);
        for (name, value) in &request.headers {
            sent.take(name, value);
        }
        match &request.body {
            Body::Json(json) => each(json, "", &mut |name, value| sent.take_field(name, value)),
            body => {
                let text = body.text();
                sent.take("", &text);
                text.lines()
                    .for_each(|line| sent.take_short("", &words(line)));
            }
        }
        sent
    }

    fn take(&mut self, name: &str, text: &str) {
        let words = words(text);
        self.take_short(name, &words);
        let runs = words.windows(RUN).map(|run| run.join(" "));
        self.runs.extend(runs);
        self.known.extend(words.iter().cloned());
        self.words.extend(words);
        self.words.push(String::new());
        self.verbatim += &text.to_lowercase();
    }

    /// Adds a short value as a run, unless it is a small number or one of the words that all alerts
    /// have.
    fn take_short(&mut self, name: &str, words: &[String]) {
        let is_run = match words {
            [] => false,
            [only] => {
                let is_small = only.len() < RUN && only.chars().all(|c| c.is_ascii_digit());
                !is_small && !COMMON.contains(&plain(name).as_str())
            }
            words => words.len() < RUN,
        };
        if is_run {
            self.runs.insert(words.join(" "));
        }
    }

    fn take_field(&mut self, name: &str, value: &Value) {
        let text = text(value);
        self.take(name, &text);
        self.fields.insert((plain(name), words(&text).join(" ")));
    }

    /// Whether a text begins with words that the request has in this order: [`RUN`] of them, or all
    /// of the text's if it has fewer. The last may be cut off. A single word may be the same by
    /// chance, so it does not count unless it is a name such as `db1`.
    pub(super) fn repeats(&self, text: &str) -> bool {
        let said = words(text);
        let run = &said[..said.len().min(RUN)];
        let Some((last, rest)) = run.split_last() else {
            return false;
        };
        let is_name = last.len() >= RUN && last.contains(|c: char| c.is_ascii_digit());
        if rest.is_empty() && !is_name || !self.begins(run) {
            return false;
        }

        let may_be_cut = run.len() == said.len() && !rest.is_empty();
        self.words.windows(run.len()).any(|own| {
            let (own_last, own_rest) = own.split_last().unwrap_or((last, rest));
            own_rest == rest && (own_last == last || may_be_cut && own_last.starts_with(last))
        })
    }

    /// Whether a text that denies by `evidence` may have its words from the request: the request
    /// contains the evidence, some words of the text, or a word of which the text is the beginning.
    pub(super) fn may_be_in(&self, text: &str, evidence: Option<&str>) -> bool {
        let said = words(text);
        let is_run = |length| {
            said.windows(length)
                .any(|run| self.runs.contains(&run.join(" ")))
        };
        let is_word = || {
            let [only] = said.as_slice() else {
                return false;
            };
            let mut longer = self.known.range(only.clone()..);
            longer.next().is_some_and(|own| own.starts_with(only))
        };
        // A text without a word, such as a truncated `<…`, says nothing of its own.
        said.is_empty()
            || (1..=RUN).any(is_run)
            || is_word()
            || evidence.is_some_and(|evidence| self.has_evidence(evidence))
    }

    /// Whether the request has these words in a row.
    pub(super) fn has(&self, said: &str) -> bool {
        let run = words(said);
        self.begins(&run) && self.words.windows(run.len()).any(|own| own == run)
    }

    /// Whether the request has the first of these words. If not, it need not be searched for all of
    /// them.
    fn begins(&self, run: &[String]) -> bool {
        run.first().is_some_and(|first| self.known.contains(first))
    }

    /// Whether the request has the words by which a text denies. A word such as Slack's
    /// `no_service` must occur literally. Chinese and Japanese, which do not separate words, may
    /// also occur literally.
    fn has_evidence(&self, evidence: &str) -> bool {
        let is_apart = evidence.is_ascii() && !evidence.contains('_');
        (!evidence.contains('_') && self.has(evidence))
            || (!is_apart && self.verbatim.contains(evidence))
    }

    /// Whether a field of a reply may be one of the request's, or be written in one of the
    /// request's texts, such as `success=false`.
    fn holds(&self, name: &str, value: &Value) -> bool {
        let text = text(value);
        let is_said = || {
            let evidence = failure(&text);
            self.repeats(&text) || self.may_be_in(&text, evidence.as_deref())
        };
        // Some endpoints make a number of a text that is one.
        let is_number = || value.as_u64() >= Some(100) && self.is_value(&text);
        self.has_field(name, &text)
            || self.has(&format!("{name} {text}"))
            || is_number()
            || value.is_string() && is_said()
    }

    fn has_field(&self, name: &str, text: &str) -> bool {
        let value = words(text).join(" ");
        self.fields.contains(&(plain(name), value))
    }

    /// Returns the reply without the parts that may repeat the request.
    pub(super) fn taken_from(&self, reply: &Value) -> Value {
        self.left_of("", reply).unwrap_or_default()
    }

    fn left_of(&self, name: &str, value: &Value) -> Option<Value> {
        match value {
            Value::Object(fields) => Some(
                fields
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), self.left_of(name, value)?)))
                    .collect(),
            ),
            Value::Array(items) => {
                let left = items.iter().filter_map(|item| self.left_of(name, item));
                Some(left.collect())
            }
            value => (!self.holds(name, value)).then(|| value.clone()),
        }
    }

    /// Whether a reply repeats the alert, or says that the alert was taken.
    pub(super) fn is_repeated_in(&self, reply: &Value) -> bool {
        let mut repeated = false;
        each(reply, "", &mut |name, value| {
            repeated |= *value == Value::Bool(true) && ACTS.contains(&plain(name).as_str());
            let text = value.as_str();
            repeated |= text.is_some_and(|text| self.is_repeat(&plain(name), text));
        });
        repeated
    }

    /// Whether a reply adds a sentence of its own, which could say why the alert was refused.
    pub(super) fn is_added_to_by(&self, reply: &Value) -> bool {
        let mut added = false;
        each(reply, "", &mut |name, value| {
            let name = plain(name);
            let Some(text) = value.as_str() else { return };
            added |= SENTENCES.contains(&name.as_str())
                && !self.is_repeat(&name, text)
                && !self.has_field(&name, text)
                && !is_success(text)
                && !ACTS.contains(&plain(text).as_str());
        });
        added
    }

    /// Whether a field repeats the alert. A field of an error may quote the alert that it is about;
    /// in any other field, a quotation is a repetition.
    fn is_repeat(&self, name: &str, text: &str) -> bool {
        self.repeats(text)
            || (self.is_value(text) && !reads(&words(text).join(" ")))
            || (!ERRORS.contains(&name) && self.is_wrapped_in(text))
    }

    /// Whether a text has [`RUN`] words of the request in a row, and without them reports no
    /// failure: `[alert] Backup of db1 failed`.
    pub(super) fn is_wrapped_in(&self, text: &str) -> bool {
        let said = words(text);
        let mut left = said.clone();
        for (at, run) in said.windows(RUN).enumerate() {
            if self.runs.contains(&run.join(" ")) {
                left[at..at + RUN].iter_mut().for_each(String::clear);
            }
        }
        left.retain(|word| !word.is_empty());
        left.len() < said.len() && failure(&left.join(" ")).is_none()
    }

    /// Whether a text is the whole of one of the request's values.
    fn is_value(&self, text: &str) -> bool {
        let value = words(text).join(" ");
        self.fields.iter().any(|(_, own)| *own == value)
    }
}

/// Passes on every value that holds no others, with the name of its field or of the list that it is
/// in.
fn each(json: &Value, name: &str, with: &mut impl FnMut(&str, &Value)) {
    match json {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| each(value, name, with)),
        Value::Array(items) => items.iter().for_each(|item| each(item, name, with)),
        value => with(name, value),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the words of a text, in the form in which they are compared.
fn words(text: &str) -> Vec<String> {
    #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
    static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\\+u([0-9a-f]{4})|\\+[bfnrt]|&#(?:x([0-9a-f]{1,6})|([0-9]{1,7}));|&[a-z]+;",
        )
        .unwrap()
    });

    let text: String = percent_decode_str(text)
        .decode_utf8_lossy()
        .nfkc()
        .collect();
    let text = ESCAPE.replace_all(&text, |found: &Captures<'_>| {
        let number = |at, radix| u32::from_str_radix(found.get(at)?.as_str(), radix).ok();
        let code = number(1, 16)
            .or_else(|| number(2, 16))
            .or_else(|| number(3, 10));
        code.and_then(char::from_u32).unwrap_or(' ').to_string()
    });
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}
