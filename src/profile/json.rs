//! The JSON in a mail, at the place that the profile names.

use std::{borrow::Cow, path::Path};

use glob::{MatchOptions, Pattern};
use serde_json::Value;

use super::settings::Json as Settings;
use crate::{
    extract::{Contents, contents::parse_json, selected::Selector},
    settings::Problem,
    validate::Validator,
};

/// File names are matched in any case, because some systems ignore it.
const ANY_CASE: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

/// The compiled `json`.
#[derive(Debug)]
pub(super) struct Source {
    place: Place,
    schema: Option<Validator>,
}

#[derive(Debug)]
enum Place {
    Element(Selector, String),
    Attachment(Pattern),
    Text,
}

impl Source {
    pub fn compile(key: &str, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        let given = [
            settings.element.is_some(),
            settings.attachment.is_some(),
            settings.text,
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            problems.push(Problem::new(
                key,
                "JSON is read from exactly one place",
                "give one of `element: 'script#id'`, `attachment: \"*.json\"` and `text: true`",
            ));
            return None;
        }

        let place = match settings {
            Settings {
                element: Some(element),
                ..
            } => Selector::parse(element)
                .map(|selector| Place::Element(selector, element.clone()))
                .map_err(|error| {
                    problems.push(Problem::new(
                        format!("{key}.element"),
                        format!("`{element}` finds no element: {error}"),
                        "write it as in CSS: `script#incident-data`",
                    ));
                }),
            Settings {
                attachment: Some(pattern),
                ..
            } => Pattern::new(pattern)
                .map(Place::Attachment)
                .map_err(|error| {
                    problems.push(Problem::new(
                        format!("{key}.attachment"),
                        format!("`{pattern}` is not a valid file name pattern: {error}"),
                        "write it like `*.json`",
                    ));
                }),
            _ => Ok(Place::Text),
        };

        let schema = settings
            .schema_file
            .as_deref()
            .map(|path| schema(key, path, problems));

        Some(Self {
            place: place.ok()?,
            schema: schema.unwrap_or_default(),
        })
    }

    /// Returns the JSON; `None` if the mail has none at that place. The error says why it cannot be
    /// read.
    pub fn read(&self, contents: &Contents) -> Result<Option<Value>, String> {
        // Each text comes with whether it was cut.
        let texts: Vec<(Cow<'_, str>, bool)> = match &self.place {
            Place::Element(selector, _) => contents
                .elements(selector)?
                .into_iter()
                .map(|text| (text.into(), false))
                .collect(),
            Place::Attachment(pattern) => contents
                .attachments
                .iter()
                .filter(|attachment| pattern.matches_with(&attachment.name, ANY_CASE))
                .map(|attachment| (attachment.text.as_str().into(), attachment.is_cut))
                .collect(),
            Place::Text => Some(before_footer(&contents.text))
                .filter(|text| !text.trim().is_empty())
                .map(|text| (text.into(), contents.cut.is_some()))
                .into_iter()
                .collect(),
        };

        let mut agreed: Option<Value> = None;
        for (text, is_cut) in &texts {
            let json = parse_json(text).map_err(|why| {
                if *is_cut {
                    format!("{why}; it is longer than what is read of it, and was cut")
                } else {
                    why
                }
            })?;
            if agreed.as_ref().is_some_and(|first| *first != json) {
                return Err(format!(
                    "the mail holds JSON {} times {self}, and they differ",
                    texts.len()
                ));
            }
            agreed = Some(json);
        }

        if let (Some(schema), Some(json)) = (&self.schema, &agreed) {
            schema.fits(json)?;
        }
        Ok(agreed)
    }
}

/// Returns the text before the line that separates a footer (RFC 3676, 4.3), which no JSON
/// contains. After it, SNS says how to unsubscribe.
fn before_footer(text: &str) -> &str {
    let lines = text.split_inclusive('\n');
    let length: usize = lines
        .take_while(|line| line.trim_end() != "--")
        .map(str::len)
        .sum();
    &text[..length]
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Element(_, element) => write!(f, "in an element `{element}`"),
            Place::Attachment(pattern) => write!(f, "in an attachment `{pattern}`"),
            Place::Text => f.write_str("as its text"),
        }
    }
}

fn schema(key: &str, path: &Path, problems: &mut Vec<Problem>) -> Option<Validator> {
    Validator::from_file(path)
        .map_err(|error| {
            problems.push(Problem::new(
                format!("{key}.schema_file"),
                error.to_string(),
                "correct the schema, or drop the key",
            ));
        })
        .ok()
}
