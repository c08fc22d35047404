//! Words for states on the pages; each goes with a shape and a colour.

use serde::Serialize;

use crate::{
    delivery::{Action, DeliveryState},
    label::Labels,
    message::{Authenticity, Evidence, Outcome, Verdict},
};

/// A severity: its word, and which of the four shapes it has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Severity {
    kind: &'static str,
    word: String,
}

impl Severity {
    /// Chooses the shape. A team's own word is drawn as an error, as receivers are told.
    pub fn new(word: &str) -> Self {
        let kind = match word.trim().to_ascii_lowercase().as_str() {
            "critical" => "critical",
            "warning" | "" => "warning",
            "info" => "info",
            _ => "error",
        };
        let word = if word.is_empty() { "warning" } else { word };
        Self {
            kind,
            word: word.to_owned(),
        }
    }
}

/// A line of facts: a name and a value.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fact {
    pub name: &'static str,
    pub text: String,
    pub href: Option<String>,
    pub time: Option<super::when::When>,
}

impl Fact {
    pub fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            text: text.into(),
            ..Self::default()
        }
    }

    pub fn link(name: &'static str, text: impl Into<String>, href: impl Into<String>) -> Self {
        Self {
            href: Some(href.into()),
            ..Self::new(name, text)
        }
    }

    pub fn time(name: &'static str, time: super::when::When) -> Self {
        Self {
            name,
            time: Some(time),
            ..Self::default()
        }
    }
}

/// A label and its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Label {
    name: String,
    value: String,
}

/// Returns the labels that are not empty.
pub fn labels(labels: &Labels) -> Vec<Label> {
    let said = labels.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| Label {
        name: name.to_string(),
        value: value.clone(),
    })
    .collect()
}

/// Returns a label's value if it is not empty.
pub fn label<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    let value = labels.get(name).map(String::as_str);
    value.filter(|value| !value.is_empty())
}

/// Formats the measured value, as far as it is known: `60% (objective 99%)`.
pub fn measured(labels: &Labels) -> Option<String> {
    let unit = label(labels, "unit").unwrap_or_default();
    let value = |name| label(labels, name).map(|number| quantity(number, unit));
    match (value("sli_value"), value("slo_value")) {
        (Some(measured), Some(objective)) => Some(format!("{measured} (objective {objective})")),
        (Some(measured), None) => Some(measured),
        (None, _) => None,
    }
}

/// Formats a number with its unit: `60%`, `2.4 seconds`.
pub fn quantity(number: &str, unit: &str) -> String {
    match unit.trim() {
        "" => number.to_owned(),
        unit if unit == "%" || unit.to_ascii_lowercase().starts_with("percent") => {
            format!("{number}%")
        }
        unit => format!("{number} {}", unit.to_lowercase()),
    }
}

/// Formats how often it recurred: `the 3rd time within 28 days`.
pub fn recurrence(labels: &Labels) -> Option<String> {
    let before: u64 = label(labels, "recurrence_28d")?.parse().ok()?;
    (before > 0).then(|| format!("the {} time within 28 days", ordinal(before + 1)))
}

pub fn ordinal(number: u64) -> String {
    let end = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

/// Formats a count: `1 page`, `3 pages`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Returns an integration in words: `opsgenie`, or `opsgenie 2` if there are several.
pub fn integration(name: &str) -> String {
    match name.split_once('/') {
        Some((kind, "0")) => kind.to_owned(),
        Some((kind, number)) => number.parse::<u32>().map_or_else(
            |_| name.to_owned(),
            |number| format!("{kind} {}", number + 1),
        ),
        None => name.to_owned(),
    }
}

/// Describes the state of a delivery: the shape, and a phrase about its receiver.
pub fn delivery(
    state: DeliveryState,
    action: Action,
    receiver: &str,
    failures: u32,
) -> (&'static str, String) {
    let what = match action {
        Action::Trigger => "",
        Action::Change => " of the change",
        Action::Resolve => " of the resolve",
    };

    match state {
        DeliveryState::Delivered => ("good", format!("told {receiver}{what}")),
        DeliveryState::Pending if failures > 0 => (
            "bad",
            format!("not yet told {receiver}{what}, tried {}", times(failures)),
        ),
        DeliveryState::Pending => ("wait", format!("telling {receiver}{what} next")),
        DeliveryState::Held => ("wait", format!("held back from {receiver}{what}")),
        DeliveryState::Dead if what.is_empty() => ("bad", format!("did not reach {receiver}")),
        DeliveryState::Dead => ("bad", format!("could not tell {receiver}{what}")),
        DeliveryState::Discarded => ("off", format!("not told {receiver}{what}: discarded")),
    }
}

pub fn times(number: u32) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{number} times"),
    }
}

/// Returns the shape of an outcome.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Opened | Outcome::Reopened | Outcome::Updated | Outcome::Changed => "on",
        Outcome::Resolved => "good",
        Outcome::Unparsed => "bad",
        Outcome::Pending | Outcome::Quarantined => "wait",
        Outcome::Duplicate
        | Outcome::Stale
        | Outcome::Expired
        | Outcome::Silenced
        | Outcome::Ignored => "off",
    }
}

/// Describes in a few words what is known of a mail's sender.
pub fn proof(authenticity: &Authenticity) -> String {
    let by = authenticity.evidence.map(|evidence| match evidence {
        Evidence::Dkim => "its DKIM signature",
        Evidence::AuthenticationResults => "its mailbox provider",
        Evidence::Arc => "its forwarders' ARC seals",
    });
    let of = authenticity.domain.as_deref();

    match (authenticity.verdict, by, of) {
        (Verdict::Pass, Some(by), Some(of)) => format!("proven by {by} to be from {of}"),
        (Verdict::Pass, Some(by), None) => format!("proven by {by}"),
        (Verdict::Pass, ..) => "proven".to_owned(),
        (Verdict::Fail, ..) => "forged, not from its sender".to_owned(),
        (Verdict::None, ..) => "not proven".to_owned(),
        (Verdict::TempError, ..) => "not checked yet: DNS does not answer".to_owned(),
        (Verdict::Off, ..) => "not checked, because no proof is required".to_owned(),
    }
}

/// Formats a size: `12 KiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20),
    }
}

/// The prefix of the word for what a filter discarded: `discarded-33-2`.
const DISCARDED: &str = "discarded-";

/// Returns the word for how many mails were discarded, and how many newer ones were not.
pub fn discarded_all(gone: u64, newer: u64) -> String {
    format!("{DISCARDED}{gone}-{newer}")
}

/// Returns the sentence for such a word.
pub fn discarded(word: &str) -> Option<String> {
    let (gone, later) = word.strip_prefix(DISCARDED)?.split_once('-')?;
    Some(gone_of(gone.parse().ok()?, later.parse().ok()?))
}

/// Describes how many were discarded: `33 mails are discarded; 2 newer ones wait.`
fn gone_of(gone: u64, later: u64) -> String {
    let gone = match gone {
        0 => "Nothing was discarded".to_owned(),
        1 => "1 mail is discarded".to_owned(),
        _ => format!("{gone} mails are discarded"),
    };
    match later {
        0 => format!("{gone}."),
        1 => format!("{gone}; 1 newer mail waits."),
        _ => format!("{gone}; {later} newer mails wait."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_units_and_words() {
        assert_eq!(quantity("60", "PERCENT"), "60%");
        assert_eq!(quantity("2.4", "SECONDS"), "2.4 seconds");
        assert_eq!(quantity("7", ""), "7");
        let said = [1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111]
            .map(ordinal)
            .join(" ");
        assert_eq!(said, "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 101st 111th");
        assert_eq!(
            [size(17), size(1025), size(3 << 19)],
            ["17 B", "2 KiB", "1.5 MiB"]
        );
        assert_eq!(integration("opsgenie/0"), "opsgenie");
        assert_eq!(integration("opsgenie/1"), "opsgenie 2");
    }

    #[test]
    fn a_word_of_the_teams_own_is_drawn_as_an_error() {
        for (word, kind) in [
            ("Critical", "critical"),
            ("", "warning"),
            ("page-me", "error"),
        ] {
            assert_eq!(Severity::new(word).kind, kind);
        }
    }
}
