//! What a draft goes by: the sender of a mail, its Subject, and every value that it names.

use std::collections::BTreeMap;

use super::words;
use crate::{
    extract::Contents,
    message::{
        Mended,
        header::{fields, first},
    },
    profile::context::subject,
};

/// What a draft goes by, of one mail.
pub(super) struct Sight {
    pub(super) from: Option<String>,
    pub(super) subject: String,
    /// Every value that an expression gives, by the expression.
    pub(super) values: BTreeMap<String, Value>,
}

/// A value of a pair or of a field of the header.
#[derive(Clone)]
pub(super) struct Value {
    /// What it is called, in lower case.
    pub(super) label: String,
    pub(super) text: String,
    /// Its place in the mail.
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

    Sight {
        from: first(header, b"From")
            .map(subject)
            .as_deref()
            .and_then(address),
        subject: first(header, b"Subject").map(subject).unwrap_or_default(),
        values,
    }
}

/// The address of a From: what stands in the last brackets, or the whole.
fn address(from: &str) -> Option<String> {
    let address = from
        .rsplit_once('<')
        .map_or(from, |(_, rest)| rest.split('>').next().unwrap_or(rest));
    let address = address.trim().to_lowercase();
    crate::settings::host::is_address(&address).then_some(address)
}

/// The best value with one of the labels, in the labels' order.
pub(super) fn labelled<'a>(sight: &'a Sight, labels: &[&str]) -> Option<(&'a str, &'a Value)> {
    labels.iter().find_map(|label| {
        let found = sight.values.iter().find(|(_, value)| value.label == *label);
        found.map(|(expression, value)| (expression.as_str(), value))
    })
}
