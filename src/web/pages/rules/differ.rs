//! What other rules would have done with the same mails.

use serde::Serialize;
use serde_json::Value;

use crate::web::{
    pages::words::{count, integration},
    workbench,
};

/// The differences in pages.
#[derive(Debug, Default, Serialize)]
pub struct Diff {
    heading: String,
    faults: Vec<String>,
    changes: Vec<Change>,
    rest: Option<&'static str>,
}

/// A mail of which other receivers are told, or are told differently.
#[derive(Debug, Serialize)]
struct Change {
    title: String,
    href: Option<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    kind: &'static str,
    words: String,
}

impl Diff {
    pub fn fault(why: &str) -> Self {
        Self {
            heading: "It cannot be compared".to_owned(),
            faults: faults(why),
            ..Self::default()
        }
    }

    pub fn new(diff: &workbench::Diff, days: u16) -> Self {
        let changes: Vec<_> = diff.differences.iter().map(Change::new).collect();
        let of = format!(
            "of {} within {}",
            count(diff.mails, "mail", "mails"),
            count(u64::from(days), "day", "days")
        );
        let heading = match changes.len() {
            0 => format!("No page would have been different, {of}"),
            number => format!("{number} would have been handled differently, {of}"),
        };
        Self {
            heading,
            faults: Vec::new(),
            changes,
            rest: diff
                .truncated
                .then_some("There are too many mails to compare at once: choose fewer days."),
        }
    }
}

/// Splits an error text into faults, each joined with its fix, which is indented on the line below.
fn faults(why: &str) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    for line in why.lines() {
        match faults.last_mut().filter(|_| line.starts_with("  ")) {
            Some(fault) => {
                fault.push_str("; ");
                fault.push_str(line.trim_start());
            }
            None => faults.push(line.to_owned()),
        }
    }
    faults
}

impl Change {
    /// Reads a difference as `replay --diff --json` prints it.
    fn new(difference: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mail = text(&difference["mail"]);
        let number = mail.bytes().all(|byte| byte.is_ascii_digit()) && !mail.is_empty();

        let [before, after] = ["before", "after"].map(|side| text(&difference["outcome"][side]));
        let outcome = (before != after).then(|| Line {
            kind: "wait",
            words: format!("{after} instead of {before}"),
        });
        let pages = difference["changes"].as_array().into_iter().flatten();

        Self {
            href: number.then(|| format!("/mails/{mail}")),
            title: match difference["incident_id"].as_str() {
                Some(incident) => format!("Mail {mail}, {incident}"),
                None => format!("Mail {mail}"),
            },
            lines: outcome.into_iter().chain(pages.map(Line::new)).collect(),
        }
    }
}

impl Line {
    /// Describes a page that differs.
    fn new(change: &Value) -> Self {
        let page = match change["action"].as_str() {
            Some("resolve") => "resolve",
            Some("change") => "change",
            _ => "page",
        };
        let to = |side: &str| {
            let text = |key: &str| change[side][key].as_str().unwrap_or_default();
            format!(
                "{} ({})",
                text("receiver"),
                integration(text("integration"))
            )
        };
        let differs = change["differs"].as_array().into_iter().flatten();
        let differs = differs
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", ");

        let (kind, words) = match change["change"].as_str() {
            Some("added") => ("good", format!("added: a {page} to {}", to("after"))),
            Some("dropped") => ("bad", format!("dropped: the {page} to {}", to("before"))),
            Some("moved") => (
                "wait",
                format!("moved: the {page} from {} to {}", to("before"), to("after")),
            ),
            _ => (
                "wait",
                format!(
                    "changed: the {page} to {} in its {}",
                    to("after"),
                    differs.replace('_', " ")
                ),
            ),
        };
        Self { kind, words }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_mend_stands_with_what_it_mends() {
        let why = "a.yaml:1:2: x: is no y\n  mend: take z\na.yaml:3:4: v\n  did you mean w?";
        assert_eq!(
            faults(why),
            [
                "a.yaml:1:2: x: is no y; mend: take z",
                "a.yaml:3:4: v; did you mean w?"
            ]
        );
    }

    use super::*;

    #[test]
    fn each_kind_of_difference_is_a_sentence() {
        let page = |receiver: &str| json!({ "receiver": receiver, "integration": "slack/0" });
        let change = |kind: &str, before: Value, after: Value| {
            json!({ "change": kind, "action": "trigger", "differs": ["held_until"],
                              "before": before, "after": after })
        };
        let difference = json!({
            "mail": "17", "incident_id": "A1",
            "outcome": { "before": "silenced", "after": "opened" },
            "changes": [
                change("added", Value::Null, page("chat")),
                change("dropped", page("chat"), Value::Null),
                change("moved", page("chat"), page("ops")),
                change("changed", page("ops"), page("ops")),
            ]
        });
        let change = Change::new(&difference);
        assert_eq!(change.href.as_deref(), Some("/mails/17"));
        let lines: Vec<_> = change
            .lines
            .iter()
            .map(|line| line.words.as_str())
            .collect();
        assert_eq!(
            lines,
            [
                "opened instead of silenced",
                "added: a page to chat (slack)",
                "dropped: the page to chat (slack)",
                "moved: the page from chat (slack) to ops (slack)",
                "changed: the page to ops (slack) in its held until",
            ]
        );
    }
}
