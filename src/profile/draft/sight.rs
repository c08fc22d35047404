//! What a draft is made from: the sender of a mail, its Subject, and every value that it names.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::words;
use crate::{
    extract::{Contents, contents::parse_json, selected::Selector, subject::untagged},
    message::{
        Mended,
        header::{fields, first},
    },
    profile::context::subject,
};

/// The parts of one mail that a draft is made from.
pub(super) struct Sight {
    pub(super) from: Option<String>,
    pub(super) subject: String,
    /// Where the mail's JSON is, in the words of a profile.
    pub(super) json: Option<&'static str>,
    /// Every value that an expression gives, by that expression.
    pub(super) values: BTreeMap<String, Value>,
}

/// A value of a pair, of a field of the header or of JSON.
#[derive(Clone)]
pub(super) struct Value {
    /// The name of the value, in lower case.
    pub(super) label: String,
    pub(super) text: String,
    /// The position of the value in the mail.
    pub(super) place: usize,
}

pub(super) fn sight(raw: &[u8]) -> Sight {
    let mail = Mended::of(raw);
    let header = mail.header();
    let contents = Contents::of(header, mail.body());
    let mut values = BTreeMap::new();

    for field in fields(header).flatten() {
        let name = String::from_utf8_lossy(field.name.trim_ascii_end()).to_ascii_lowercase();
        let mut telling = words::STATUS.iter().chain(&words::PARTS);
        let is_id = name.ends_with("-id") && words::ALERTS.iter().any(|word| name.contains(word));
        let own = name.starts_with("x-") && (is_id || telling.any(|word| name.ends_with(word)));
        if own
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            let label = name.rsplit('-').next().unwrap_or_default().to_owned();
            let text = subject(field.value);
            let place = values.len();
            values
                .entry(format!("header['{name}']"))
                .or_insert(Value { label, text, place });
        }
    }
    for (label, _) in contents.pairs.iter() {
        let text = contents.pairs.get(label).unwrap_or_default();
        if text.is_empty() || label.contains(['\'', '\\', '{', '}']) {
            continue;
        }
        let (text, place) = (text.to_owned(), values.len());
        values.entry(format!("pairs['{label}']")).or_insert(Value {
            label: label.to_lowercase(),
            text,
            place,
        });
    }

    let json = json(&contents);
    if let Some((_, json)) = &json {
        scalars("json", json, 1, &mut values);
    }

    Sight {
        json: json.map(|(place, _)| place),
        from: first(header, b"From")
            .map(subject)
            .as_deref()
            .and_then(address),
        subject: first(header, b"Subject")
            .map(|value| untagged(&subject(value)).to_owned())
            .unwrap_or_default(),
        values,
    }
}

/// Returns a JSON object of the mail, and where it is.
fn json(contents: &Contents) -> Option<(&'static str, Json)> {
    let object = |text: &str| parse_json(text).ok().filter(Json::is_object);
    let is_named = |name: &str| name.to_ascii_lowercase().ends_with(".json");
    let attached = contents
        .attachments
        .iter()
        .filter(|file| is_named(&file.name));
    let elements = Selector::parse(ELEMENT).and_then(|selector| contents.elements(&selector));

    for (place, texts) in [
        (
            "attachment: '*.json'",
            attached.map(|file| file.text.clone()).collect(),
        ),
        ("text: true", vec![contents.text.clone()]),
        (
            "element: 'script[type=\"application/json\"]'",
            elements.unwrap_or_default(),
        ),
    ] {
        // If there are two, no profile could tell which is meant.
        if let [text] = texts.as_slice()
            && let Some(json) = object(text)
        {
            return Some((place, json));
        }
    }
    None
}

/// The element of a page that contains JSON.
const ELEMENT: &str = "script[type=\"application/json\"]";

/// The depth to which JSON is searched for values.
const MAX_DEPTH: usize = 4;

/// Collects the texts and numbers of an object, by the expressions that give them.
fn scalars(path: &str, json: &Json, depth: usize, values: &mut BTreeMap<String, Value>) {
    for (key, json) in json.as_object().into_iter().flatten() {
        let is_plain = !key.starts_with(|c: char| c.is_ascii_digit())
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_plain {
            continue;
        }
        let path = format!("{path}.{key}");
        let text = match json {
            Json::String(text) => text.trim().to_owned(),
            Json::Number(number) => number.to_string(),
            Json::Object(_) if depth < MAX_DEPTH => {
                scalars(&path, json, depth + 1, values);
                continue;
            }
            _ => continue,
        };
        if !text.is_empty() {
            let (label, place) = (key.to_lowercase().replace('_', " "), values.len());
            values.insert(path, Value { label, text, place });
        }
    }
}

/// Returns the address of a From: the text in the last angle brackets, or the whole.
fn address(from: &str) -> Option<String> {
    let address = from
        .rsplit_once('<')
        .map_or(from, |(_, rest)| rest.split('>').next().unwrap_or(rest));
    let address = address.trim().to_lowercase();
    crate::settings::host::is_address(&address).then_some(address)
}

/// Returns the first value that has one of the labels, in the labels' order.
pub(super) fn labelled<'a>(sight: &'a Sight, labels: &[&str]) -> Option<(&'a str, &'a Value)> {
    labels.iter().find_map(|label| {
        let found = sight.values.iter().find(|(_, value)| value.label == *label);
        found.map(|(expression, value)| (expression.as_str(), value))
    })
}
