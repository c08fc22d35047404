//! Drafts a first profile from an opening mail and its closing one: what identifies the alert is
//! equal in both, and what states its status differs.

use std::fmt::Write as _;

use jiff::Timestamp;

mod read;
mod sight;
mod status;
mod words;

use sight::{Sight, Value, labelled, sight};
use status::{Around, status};

pub use read::{Read, Tried, tried};

/// Writes a `profiles:` document for an opening mail and, if there is one, its closing mail.
pub fn document(opening: &[u8], closing: Option<&[u8]>) -> String {
    let mut on = sight(opening);
    let over = closing.map(sight);
    if over.as_ref().is_some_and(|over| over.json != on.json) {
        on.values.retain(|expression, _| !is_of_json(expression));
    }
    let (status, around) = status(&on, over.as_ref());
    let key = key(&on, over.as_ref(), around);

    let mut out = String::from(
        "# A first profile, made from mails. Try it on more of them with `alertbridge explain`, \
         and\n\
         # name what other mail of this sender looks like in `match.matchers`.\nprofiles:\n",
    );
    let _ = writeln!(out, "  - name: {}", name(on.from.as_deref()));
    let matched = match &on.from {
        Some(from) => format!("from: [{}]", quoted(from)),
        None => format!("matchers: [{}]", quoted("subject=~\".+\"")),
    };
    let _ = writeln!(out, "    match:\n      {matched}");
    if let Some(regex) = &status.subject {
        let _ = writeln!(out, "    regex:\n      subject: {}", quoted(regex));
    }

    let mut fields = vec![("key", key), ("status", status.expression)];
    fields.extend(time(&on, over.as_ref()).map(|time| ("time", time)));
    fields.push(("title", title(&on)));
    fields.extend(severity(&on).map(|severity| ("severity", severity)));
    if let Some(place) = on.json
        && fields.iter().any(|(_, template)| template.contains(JSON))
    {
        let _ = writeln!(out, "    json: {{ {place} }}");
    }
    let _ = writeln!(
        out,
        "    # Two different alerts of this sender must get two keys.\n    fields:"
    );
    for (name, template) in fields {
        let _ = writeln!(out, "      {name}: {}", quoted(&template));
    }

    let list = |texts: &[String]| {
        let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        texts.join(", ")
    };
    let _ = writeln!(out, "    status:");
    let _ = writeln!(out, "      trigger: [{}]", list(&status.trigger));
    let _ = writeln!(out, "      resolve: [{}]", list(&status.resolve));
    let _ = writeln!(out, "      otherwise: trigger");
    if status.resolve.is_empty() {
        let _ = writeln!(
            out,
            "    # Nothing in the mail says that it is over: it ends by itself.\n    \
             resolve_after: 24h"
        );
    }
    out
}

/// The prefix of expressions that look up JSON.
const JSON: &str = "json.";

fn is_of_json(expression: &str) -> bool {
    expression.starts_with(JSON)
}

/// Derives a name from the sender's domain.
fn name(from: Option<&str>) -> String {
    let domain = from
        .and_then(|from| from.rsplit_once('@'))
        .map_or("", |(_, domain)| domain);
    let registered = psl::domain_str(domain).unwrap_or(domain);
    let label = registered.split('.').next().unwrap_or_default();
    let plain: String = label
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    if plain.is_empty() {
        "my-alerts".to_owned()
    } else {
        format!("{plain}-alerts")
    }
}

/// Returns a key of what both mails share: an id, or the parts that make one, or what surrounds the
/// status in the Subject.
fn key(on: &Sight, over: Option<&Sight>, around: Around) -> String {
    let shared = |expression: &str, value: &Value| {
        over.is_none_or(|over| {
            over.values
                .get(expression)
                .is_some_and(|other| other.text == value.text)
        })
    };
    // A header field named as an id may be the mail's own id, unless two mails share it.
    let is_known = |(expression, _): &(&String, &Value)| {
        over.is_some() || !expression.starts_with("header[") || !expression.ends_with("-id']")
    };
    let of = |labels: &[&str], says: fn(&str) -> bool| -> Vec<String> {
        labels
            .iter()
            .flat_map(|label| {
                on.values
                    .iter()
                    .filter(move |(_, value)| value.label == *label && says(&value.text))
            })
            .filter(is_known)
            .filter(|(expression, value)| shared(expression, value))
            .map(|(expression, _)| format!("{{{{ {expression} }}}}"))
            .collect()
    };

    let ids = of(&words::IDENTITY, |_| true);
    let ids = ids.into_iter().chain(of(&words::NUMBERED, is_number));
    if let Some(id) = ids.into_iter().next() {
        return id;
    }
    let parts = [&words::PARTS[..], &words::PARTS_OF_TEXT].concat();
    let parts = of(&parts, |_| true);
    if !parts.is_empty() {
        return parts.join("/");
    }

    match (around.before, around.after) {
        (true, true) => "{{ re.before }}/{{ re.after }}".to_owned(),
        (true, false) => "{{ re.before }}".to_owned(),
        (false, true) => "{{ re.after }}".to_owned(),
        (false, false) => what_stays(on, over).unwrap_or_else(|| "{{ subject }}".to_owned()),
    }
}

/// Returns whether a text is a number, or a name with one, like those of tickets.
fn is_number(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit()) && !text.contains(char::is_whitespace)
}

/// The number of pairs of unknown meaning that make a key.
const UNKNOWN_PARTS: usize = 2;

/// Returns a key of the first pairs that are the same in both mails, if the Subjects differ.
fn what_stays(on: &Sight, over: Option<&Sight>) -> Option<String> {
    let over = over.filter(|over| over.subject != on.subject)?;
    let mut same: Vec<_> = on
        .values
        .iter()
        .filter(|(expression, value)| {
            let other = over.values.get(*expression);
            let is_about_something = !words::TIME.contains(&value.label.as_str())
                && !words::SEVERITY.contains(&value.label.as_str());
            is_about_something && other.is_some_and(|other| other.text == value.text)
        })
        .collect();
    same.sort_by_key(|(_, value)| value.place);

    let parts = same.into_iter().take(UNKNOWN_PARTS);
    let parts: Vec<String> = parts
        .map(|(expression, _)| format!("{{{{ {expression} }}}}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Returns the template of the time, if it names its zone in both mails.
fn time(on: &Sight, over: Option<&Sight>) -> Option<String> {
    let (expression, value) = labelled(on, &words::TIME)?;
    let reads = |text: &str| text.parse::<Timestamp>().is_ok();
    let both = reads(&value.text)
        && over.is_none_or(|over| {
            let other = over.values.get(expression);
            other.is_some_and(|value| reads(&value.text))
        });
    both.then(|| format!("{{{{ {expression} | time }}}}"))
}

fn title(on: &Sight) -> String {
    let title = labelled(on, &words::TITLE);
    title.map_or_else(
        || "{{ subject }}".to_owned(),
        |(title, _)| format!("{{{{ {title} | default(subject) }}}}"),
    )
}

fn severity(on: &Sight) -> Option<String> {
    let (severity, _) = labelled(on, &words::SEVERITY)?;
    Some(format!("{{{{ {severity} | default('') | lower }}}}"))
}

/// Returns a text in the quotes of YAML that have no escapes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
