//! What a reply repeats of the request, which says nothing of what became of it.
//!
//! Words are compared, without what is written in many ways: capitals, what is between words, and
//! the escapes of JSON, HTML and URLs.

use std::{collections::BTreeSet, sync::LazyLock};

use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};
use serde_json::Value;

use super::words::{ACTS, SENTENCES, begins_badly, is_success, plain, reads};
use crate::receiver::{Body, Request};

/// So many words in a row are no chance.
const RUN: usize = 3;

/// The words and fields of a request.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Those of one value after those of another, parted by an empty one.
    words: Vec<String>,
    /// The names and values of its JSON, as they are compared.
    fields: BTreeSet<(String, String)>,
    /// All of it in lower case, as it was sent.
    verbatim: String,
}

impl Sent {
    pub(super) fn new(request: &Request) -> Self {
        let mut sent = Self::default();
        let headers = request.headers.iter().map(|(_, value)| value.as_str());
        for text in headers.chain([request.url.as_str()]) {
            sent.take(text);
        }
        let text = request.body.text();
        match &request.body {
            Body::Json(json) => each(json, "", &mut |name, value| sent.take_field(name, value)),
            _ => sent.take(&text),
        }
        sent
    }

    fn take(&mut self, text: &str) {
        self.words.extend(words(text));
        self.words.push(String::new());
        self.verbatim += &text.to_lowercase();
    }

    fn take_field(&mut self, name: &str, value: &Value) {
        let text = text(value);
        self.take(&text);
        self.fields.insert((plain(name), words(&text).join(" ")));
    }

    /// Whether a text is a part of it to the letter.
    pub(super) fn has(&self, text: &str) -> bool {
        self.verbatim.contains(&text.to_lowercase())
    }

    /// Whether a text begins with words that it has in this order, of which the last may be cut
    /// off: [`RUN`] of them, or all. A single word may be the same by chance, unless it is a name
    /// such as `db1`.
    pub(super) fn repeats(&self, text: &str) -> bool {
        let said = words(text);
        let run = &said[..said.len().min(RUN)];
        let Some((last, rest)) = run.split_last() else {
            return false;
        };
        let is_name = last.len() >= RUN && last.contains(|c: char| c.is_ascii_digit());
        if rest.is_empty() && !is_name {
            return false;
        }

        let may_be_cut = run.len() == said.len() && !rest.is_empty();
        self.words.windows(run.len()).any(|own| {
            let (own_last, own_rest) = own.split_last().unwrap_or((last, rest));
            own_rest == rest && (own_last == last || may_be_cut && own_last.starts_with(last))
        })
    }

    /// Whether the word that a denial begins with is one of its own.
    pub(super) fn holds_first_of(&self, denial: &str) -> bool {
        let first = words(denial).into_iter().next();
        first.is_some_and(|first| self.words.contains(&first))
    }

    /// Whether a field of a reply may be one of the request's.
    fn holds(&self, name: &str, value: &Value) -> bool {
        let text = text(value);
        let may_be_ours = || begins_badly(&text) && self.holds_first_of(&text);
        self.has_field(name, &text) || value.is_string() && (self.repeats(&text) || may_be_ours())
    }

    fn has_field(&self, name: &str, text: &str) -> bool {
        let value = words(text).join(" ");
        self.fields.contains(&(plain(name), value))
    }

    /// The reply without what it may repeat.
    pub(super) fn taken_from(&self, reply: &Value) -> Value {
        match reply {
            Value::Object(fields) => fields
                .iter()
                .filter(|(name, value)| {
                    value.is_object() || value.is_array() || !self.holds(name, value)
                })
                .map(|(name, value)| (name.clone(), self.taken_from(value)))
                .collect(),
            Value::Array(items) => items.iter().map(|item| self.taken_from(item)).collect(),
            other => other.clone(),
        }
    }

    /// Whether a reply repeats the alert, or says that it was taken, and adds no sentence of its
    /// own that could say why it was refused.
    pub(super) fn is_repeated_in(&self, reply: &Value) -> bool {
        let (mut repeated, mut own) = (false, false);
        each(reply, "", &mut |name, value| {
            let name = plain(name);
            repeated |= *value == Value::Bool(true) && ACTS.contains(&name.as_str());
            let Some(text) = value.as_str() else { return };
            let is_repeated = self.repeats(text) || self.has_value(text);
            repeated |= is_repeated;
            own |= SENTENCES.contains(&name.as_str())
                && !is_repeated
                && !self.has_field(&name, text)
                && !is_success(text)
                && !ACTS.contains(&plain(text).as_str());
        });
        repeated && !own
    }

    /// Whether a text is all of one of its values, and no word that replies are judged by.
    fn has_value(&self, text: &str) -> bool {
        let value = words(text).join(" ");
        !reads(&value) && self.fields.iter().any(|(_, own)| *own == value)
    }
}

/// Every value that holds no others, with the name that it or its list has.
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

/// The words of a text.
fn words(text: &str) -> Vec<String> {
    #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
    static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\\+u([0-9a-f]{4})|\\+[bfnrt]|&#(?:x([0-9a-f]{1,6})|([0-9]{1,7}));|&[a-z]+;",
        )
        .unwrap()
    });

    let text = percent_decode_str(text).decode_utf8_lossy();
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
