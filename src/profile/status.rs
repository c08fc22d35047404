//! The meaning of a status.

use regex::{Regex, RegexBuilder};
use serde::Serialize;

use super::settings::{Otherwise, Statuses as Settings};
use crate::settings::{Problem, expression::reason};

/// The maximum size of a compiled expression, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// The effect of an alert's status on its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    Trigger,
    Resolve,
    /// Told as `updated` while the incident is open, and ignored otherwise.
    Update,
}

/// What becomes of an alert by its status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Alert(Meaning),
    Ignored,
    /// The status is in no list, and `otherwise` says that it is unparsed.
    Unparsed,
}

/// The compiled lists.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    trigger: Vec<Regex>,
    resolve: Vec<Regex>,
    update: Vec<Regex>,
    ignore: Vec<Regex>,
    otherwise: Otherwise,
}

impl Statuses {
    pub fn compile(key: &str, settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        let mut list = |name: &str, texts: &[String]| {
            let mut compiled = Vec::with_capacity(texts.len());
            for (index, text) in texts.iter().enumerate() {
                match anchored(text) {
                    Ok(regex) => compiled.push(regex),
                    Err(reason) => problems.push(Problem::new(
                        format!("{key}.{name}[{index}]"),
                        format!("`{text}` is not a valid regular expression: {reason}"),
                        "write a pattern for the whole status: `OPEN`, `.* -> ALARM`; put a \
                         backslash before a character that is meant literally",
                    )),
                }
            }
            compiled
        };

        Self {
            trigger: list("trigger", &settings.trigger),
            resolve: list("resolve", &settings.resolve),
            update: list("update", &settings.update),
            ignore: list("ignore", &settings.ignore),
            otherwise: settings.otherwise,
        }
    }

    /// Returns the verdict of the first list that matches.
    pub fn verdict(&self, status: &str) -> Verdict {
        let among = |list: &[Regex]| list.iter().any(|regex| regex.is_match(status));

        if among(&self.trigger) {
            Verdict::Alert(Meaning::Trigger)
        } else if among(&self.resolve) {
            Verdict::Alert(Meaning::Resolve)
        } else if among(&self.update) {
            Verdict::Alert(Meaning::Update)
        } else if among(&self.ignore) {
            Verdict::Ignored
        } else {
            match self.otherwise {
                Otherwise::Trigger => Verdict::Alert(Meaning::Trigger),
                Otherwise::Unparsed => Verdict::Unparsed,
                Otherwise::Ignore => Verdict::Ignored,
            }
        }
    }
}

fn anchored(text: &str) -> Result<Regex, String> {
    // Check the expression alone first: an invalid one must not become valid between the anchors.
    expression(text)?;
    RegexBuilder::new(&format!(r"\A(?:{text})\z"))
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| reason(&error))
}

/// Compiles an expression as it is written. The error is a sentence.
pub(super) fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| reason(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_list_that_matches_says_what_a_status_means() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let settings = |otherwise| Settings {
            trigger: texts(&[".* -> ALARM", "PROBLEM|FLAPPING"]),
            resolve: texts(&[".* -> OK"]),
            update: texts(&["ACK.*"]),
            ignore: texts(&["INSUFFICIENT_DATA.*", "ack"]),
            otherwise,
        };
        let verdict = |status: &str, otherwise| {
            let mut problems = Vec::new();
            let statuses = Statuses::compile("s", &settings(otherwise), &mut problems);
            assert!(problems.is_empty(), "{problems:?}");
            statuses.verdict(status)
        };
        for (status, expected) in [
            ("OK -> ALARM", Verdict::Alert(Meaning::Trigger)),
            ("ok -> alarm", Verdict::Alert(Meaning::Trigger)),
            ("problem", Verdict::Alert(Meaning::Trigger)),
            ("INSUFFICIENT_DATA -> OK", Verdict::Alert(Meaning::Resolve)),
            ("ack", Verdict::Alert(Meaning::Update)),
            ("insufficient_data", Verdict::Ignored),
            ("no PROBLEM", Verdict::Alert(Meaning::Trigger)),
            ("new", Verdict::Alert(Meaning::Trigger)),
        ] {
            assert_eq!(verdict(status, Otherwise::Trigger), expected, "{status}");
        }
        assert_eq!(verdict("new", Otherwise::Unparsed), Verdict::Unparsed);
        assert_eq!(verdict("no PROBLEM", Otherwise::Ignore), Verdict::Ignored);
    }

    #[test]
    fn what_is_no_expression_is_told() {
        for text in ["(", ")(", "[a", "(?=x)", r"\1"] {
            assert!(anchored(text).is_err(), "{text}");
        }
    }
}
