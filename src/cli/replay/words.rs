//! Differences between two configurations for a mail, in words. The text has styles, which the
//! writer drops if the output is not a terminal.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::{
    cli::plain::plain,
    trial::{
        Page,
        compare::{Aspect, Change, Difference, Kind},
    },
};

/// The longest text that is shown whole. Of a longer one, and of one with several lines, only the
/// lines that differ are shown.
const SHORT: usize = 60;
/// The most lines of a text that are shown, before and after. The number of the others is printed.
const MOST_LINES: usize = 8;
/// The indentation below a change.
const INDENT: &str = "           ";

const ADDED: Style = AnsiColor::Green.on_default();
const DROPPED: Style = AnsiColor::Red.on_default();
const OTHERWISE: Style = AnsiColor::Yellow.on_default();
const NAME: Style = Style::new().bold();

/// Prints the mail, and the differences below it.
pub fn tell(difference: &Difference, out: &mut impl Write) -> io::Result<()> {
    let Difference {
        mail,
        incident_id,
        outcome,
        reason,
        changes,
        at,
        subject_line,
    } = difference;

    let id = incident_id
        .as_deref()
        .map(|id| format!("  {}", plain(id)))
        .unwrap_or_default();

    writeln!(out, "{NAME}{}{NAME:#}  {at:.0}{id}", plain(mail))?;
    if let Some(subject) = subject_line {
        writeln!(out, "  {}", plain(subject))?;
    }

    if outcome.before != outcome.after {
        let why = reason
            .after
            .as_deref()
            .map(|reason| format!(": {}", plain(reason)))
            .unwrap_or_default();
        writeln!(out, "  {} → {}{why}", outcome.before, outcome.after)?;
    }

    changes
        .iter()
        .try_for_each(|change| tell_change(change, out))
}

fn tell_change(
    Change {
        kind,
        action,
        differs,
        before,
        after,
    }: &Change,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut line = |verb: &str, style: Style, to_whom: &str| {
        writeln!(
            out,
            "  {style}{verb:<7}{style:#}  the {} {to_whom}",
            action.as_str()
        )
    };

    match (before, after) {
        (None, None) => Ok(()),
        (None, Some(page)) => line("adds", ADDED, &format!("to {}{}", name(page), held(page))),
        (Some(page), None) => line(
            "drops",
            DROPPED,
            &format!("to {}{}", name(page), held(page)),
        ),
        (Some(from), Some(to)) if *kind == Kind::Moved => line(
            "moves",
            OTHERWISE,
            &format!("from {} to {}{}", name(from), name(to), held(to)),
        ),
        (Some(from), Some(to)) => {
            line("changes", OTHERWISE, &format!("to {}", name(to)))?;
            // With another integration, everything in the request differs.
            let of_interest = |aspect: &&Aspect| {
                !differs.contains(&Aspect::Integration)
                    || matches!(aspect, Aspect::Integration | Aspect::HeldUntil)
            };
            differs
                .iter()
                .filter(of_interest)
                .try_for_each(|aspect| tell_aspect(*aspect, from, to, out))
        }
    }
}

fn name(page: &Page) -> String {
    format!(
        "{} ({})",
        plain(&page.request.receiver),
        page.request.integration
    )
}

fn held(page: &Page) -> String {
    page.held_until
        .map(|until| format!(", held until {until:.0}"))
        .unwrap_or_default()
}

fn tell_aspect(aspect: Aspect, from: &Page, to: &Page, out: &mut impl Write) -> io::Result<()> {
    let (a, b) = (&from.request, &to.request);
    match aspect {
        Aspect::Integration => writeln!(
            out,
            "{INDENT}by {} instead of {}",
            b.integration, a.integration
        ),
        Aspect::Method => writeln!(out, "{INDENT}method: {} → {}", a.method, b.method),
        Aspect::Url => writeln!(out, "{INDENT}url: {} → {}", plain(&a.url), plain(&b.url)),
        Aspect::Headers => tell_values(
            "headers",
            Some(&a.headers.clone().into()),
            Some(&b.headers.clone().into()),
            out,
        ),
        Aspect::Body => tell_values("body", Some(&a.body), Some(&b.body), out),
        Aspect::Secrets => writeln!(out, "{INDENT}with another key or secret address"),
        Aspect::HeldUntil => {
            let when = |page: &Page| {
                page.held_until.map_or("at once".to_owned(), |until| {
                    format!("held until {until:.0}")
                })
            };
            writeln!(out, "{INDENT}{} → {}", when(from), when(to))
        }
    }
}

/// Prints the values that differ, each with its path.
fn tell_values(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    out: &mut impl Write,
) -> io::Result<()> {
    match (before, after) {
        _ if before == after => Ok(()),
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let news = after.keys().filter(|key| !before.contains_key(*key));
            before.keys().chain(news).try_for_each(|key| {
                tell_values(
                    &format!("{path}.{}", plain(key)),
                    before.get(key),
                    after.get(key),
                    out,
                )
            })
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            (0..before.len().max(after.len())).try_for_each(|place| {
                tell_values(
                    &format!("{path}[{place}]"),
                    before.get(place),
                    after.get(place),
                    out,
                )
            })
        }
        (Some(Value::String(before)), Some(Value::String(after)))
            if long(before) || long(after) =>
        {
            writeln!(out, "{INDENT}{path}:")?;
            tell_lines(before, after, out)
        }
        _ => {
            let shown = |value: Option<&Value>| {
                value.map_or("(none)".to_owned(), |value| {
                    plain(&value.to_string()).into()
                })
            };
            writeln!(out, "{INDENT}{path}: {} → {}", shown(before), shown(after))
        }
    }
}

fn long(text: &str) -> bool {
    text.len() > SHORT || text.contains('\n')
}

/// Prints the lines between a common beginning and a common end.
fn tell_lines(before: &str, after: &str, out: &mut impl Write) -> io::Result<()> {
    let (before, after): (Vec<_>, Vec<_>) =
        (before.split('\n').collect(), after.split('\n').collect());
    let alike = before
        .iter()
        .zip(&after)
        .take_while(|(a, b)| a == b)
        .count();

    let (before, after) = (&before[alike..], &after[alike..]);
    let alike = before
        .iter()
        .rev()
        .zip(after.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();

    let (before, after) = (
        &before[..before.len() - alike],
        &after[..after.len() - alike],
    );

    tell_some(before, '-', DROPPED, out)?;

    tell_some(after, '+', ADDED, out)
}

fn tell_some(lines: &[&str], mark: char, style: Style, out: &mut impl Write) -> io::Result<()> {
    for line in lines.iter().take(MOST_LINES) {
        writeln!(out, "{INDENT}  {style}{mark} {}{style:#}", plain(line))?;
    }
    match lines.len().saturating_sub(MOST_LINES) {
        0 => Ok(()),
        more => writeln!(out, "{INDENT}  {style}{mark} … and {more} more{style:#}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        tell_values("body", Some(before), Some(after), &mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn of_a_body_only_the_values_that_differ_are_shown() {
        let before = json!({ "alias": "a", "priority": "P1", "tags": ["x"], "old": 1 });
        let after = json!({ "alias": "a", "priority": "P2", "tags": ["x", "y"], "new": null });
        let said = [
            r#"body.priority: "P1" → "P2""#,
            r#"body.tags[1]: (none) → "y""#,
            "body.old: 1 → (none)",
            "body.new: (none) → null",
        ];
        assert_eq!(
            told(&before, &after),
            said.map(|line| format!("{INDENT}{line}\n")).concat()
        );
        assert_eq!(told(&before, &before), "");
    }

    #[test]
    fn of_text_with_lines_only_the_lines_that_differ_are_shown() {
        let before = json!("same\nold\u{1b}[2J\nsame");
        let after = json!("same\nnew\nmore\nsame");
        let said = ["body:", "  - old\\u{1b}[2J", "  + new", "  + more"];
        assert_eq!(
            told(&before, &after),
            said.map(|line| format!("{INDENT}{line}\n")).concat()
        );
        let many = told(&json!("y"), &json!("x\n".repeat(9) + "x"));
        assert!(
            many.ends_with(&format!("{INDENT}  + … and 2 more\n")),
            "{many}"
        );
        assert_eq!(
            told(&json!("a\n"), &json!("a")),
            format!("{INDENT}body:\n{INDENT}  - \n")
        );
    }
}
