//! A first profile from an opening mail and its closing one: what identifies the alert is equal in
//! both, and what says its status differs.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;

use super::context::subject;
use crate::{
    extract::Contents,
    message::{
        Mended,
        header::{fields, first},
    },
};

mod read;
mod words;

pub use read::{Read, Tried, tried};

/// What a draft goes by, of one mail.
struct Sight {
    from: Option<String>,
    subject: String,
    /// Every value that an expression gives, by the expression.
    values: BTreeMap<String, Value>,
}

/// A value of a pair or of a field of the header.
#[derive(Clone)]
struct Value {
    /// What it is called, in lower case.
    label: String,
    text: String,
    /// Its place in the mail.
    place: usize,
}

/// How the status is told.
struct Status {
    expression: String,
    trigger: Vec<String>,
    resolve: Vec<String>,
    /// An expression over the Subject, where the status stands there.
    subject: Option<String>,
}

/// What else of the Subject is the same in both mails.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Around {
    before: bool,
    after: bool,
    /// How many words at its end differ.
    tail: usize,
}

/// A `profiles:` document for an opening mail and, where there is one, its closing one.
pub fn document(opening: &[u8], closing: Option<&[u8]>) -> String {
    let on = sight(opening);
    let over = closing.map(sight);
    let (status, around) = status(&on, over.as_ref());
    let key = key(&on, over.as_ref(), around);

    let mut out = String::from(
        "# A first profile, made from mails. Try it on more of them with `alertbridge explain`, \
         and\n\
         # name what other mail of this sender looks like in `match.matchers`.\nprofiles:\n",
    );
    let _ = writeln!(out, "  - name: {}", name(on.from.as_deref()));
    match &on.from {
        Some(from) => {
            let _ = writeln!(out, "    match:\n      from: [{}]", quoted(from));
        }
        None => {
            let _ = writeln!(
                out,
                "    match:\n      matchers: [{}]",
                quoted("subject=~\".+\"")
            );
        }
    }
    if let Some(regex) = &status.subject {
        let _ = writeln!(out, "    regex:\n      subject: {}", quoted(regex));
    }

    let _ = writeln!(out, "    fields:");
    let mut field = |name: &str, template: &str| {
        let _ = writeln!(out, "      {name}: {}", quoted(template));
    };
    field("key", &key);
    field("status", &status.expression);
    if let Some(time) = time(&on, over.as_ref()) {
        field("time", &time);
    }
    match labelled(&on, &words::TITLE) {
        Some((title, _)) => field("title", &format!("{{{{ {title} | default(subject) }}}}")),
        None => field("title", "{{ subject }}"),
    }
    if let Some((severity, _)) = labelled(&on, &words::SEVERITY) {
        field(
            "severity",
            &format!("{{{{ {severity} | default('') | lower }}}}"),
        );
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

fn sight(raw: &[u8]) -> Sight {
    let mail = Mended::of(raw);
    let header = mail.header();
    let contents = Contents::of(header, mail.body());
    let mut values = BTreeMap::new();

    for field in fields(header).flatten() {
        let name = String::from_utf8_lossy(field.name.trim_ascii_end()).to_ascii_lowercase();
        let own = name.starts_with("x-")
            && words::STATUS
                .iter()
                .chain(&words::PARTS)
                .any(|word| name.ends_with(word));
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

/// A name out of the sender's domain.
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

/// The best value with one of the labels, in the labels' order.
fn labelled<'a>(sight: &'a Sight, labels: &[&str]) -> Option<(&'a str, &'a Value)> {
    labels.iter().find_map(|label| {
        let found = sight.values.iter().find(|(_, value)| value.label == *label);
        found.map(|(expression, value)| (expression.as_str(), value))
    })
}

/// Where the status stands: in a pair or a header field, else in the Subject, else nowhere.
fn status(on: &Sight, over: Option<&Sight>) -> (Status, Around) {
    if let Some(status) = in_values(on, over) {
        return (
            status,
            over.map_or_else(Around::default, |over| around(on, over, None)),
        );
    }
    if let Some(found) = in_subject(on, over) {
        return found;
    }
    if let Some(over) = over
        && let Some(found) = by_difference(on, over)
    {
        return found;
    }

    let status = Status {
        expression: "PROBLEM".to_owned(),
        trigger: vec!["PROBLEM".to_owned()],
        resolve: Vec::new(),
        subject: None,
    };
    (status, Around::default())
}

fn in_values(on: &Sight, over: Option<&Sight>) -> Option<Status> {
    let candidates = words::STATUS.iter().flat_map(|label| {
        let found = on
            .values
            .iter()
            .filter(move |(_, value)| value.label == *label);
        found.map(|(expression, value)| (expression, value.text.as_str()))
    });

    for (expression, text) in candidates {
        let closing = match over {
            Some(over) => match over.values.get(expression) {
                Some(closing) if closing.text != text => Some(closing.text.as_str()),
                _ => continue,
            },
            None if words::among(text, &words::ON).is_empty() => continue,
            None => None,
        };
        return Some(Status {
            expression: format!("{{{{ {expression} }}}}"),
            trigger: vec![pattern(text)],
            resolve: closing.map_or_else(all_over, |closing| vec![pattern(closing)]),
            subject: None,
        });
    }
    None
}

/// A status as an expression: of `OK -> ALARM` only where it leads matters.
fn pattern(text: &str) -> String {
    match text.rsplit_once(" -> ") {
        Some((_, to)) => format!(".* -> {}", regex::escape(to)),
        None => regex::escape(text),
    }
}

fn all_over() -> Vec<String> {
    let generic = [
        "ok",
        "up",
        "normal",
        "resolved?",
        "recover(y|ed)",
        "closed?",
        "cleared?",
        "success.*",
    ];
    generic.map(ToOwned::to_owned).to_vec()
}

/// A word of the Subject that is in the one mail, and its counterpart in the other.
fn in_subject(on: &Sight, over: Option<&Sight>) -> Option<(Status, Around)> {
    let in_over = |word: &str| over.is_some_and(|over| has_word(&over.subject, word));
    let word = words::among(&on.subject, &words::ON)
        .into_iter()
        .find(|word| !in_over(word))?
        .to_owned();

    let Some(over) = over else {
        let all: Vec<String> = all_over();
        let regex = format!(
            r"(?i)^(?<before>.*?)\W*\b(?<state>{word}|{})\b(?<after>.*)$",
            all.join("|")
        );
        let status = Status {
            expression: "{{ re.state }}".to_owned(),
            trigger: vec![word],
            resolve: all,
            subject: Some(regex),
        };
        return Some((
            status,
            Around {
                before: true,
                after: true,
                tail: 0,
            },
        ));
    };

    let end = words::among(&over.subject, &words::OVER)
        .into_iter()
        .find(|word| !has_word(&on.subject, word))?
        .to_owned();
    Some(told_by(on, over, &word, &end))
}

/// The status by a word of each Subject, and what else of it is the same in both.
fn told_by(on: &Sight, over: &Sight, word: &str, end: &str) -> (Status, Around) {
    let around = around(on, over, Some((word, end)));
    let tail = match around.tail {
        0 => String::new(),
        words => format!(r"(?:\s+\S+){{{words}}}"),
    };
    let after = if around.after {
        "(?<after>.*?)"
    } else {
        "(?<after>.*)"
    };
    let status = Status {
        expression: "{{ re.state }}".to_owned(),
        trigger: vec![word.to_owned()],
        resolve: vec![end.to_owned()],
        subject: Some(format!(
            r"^(?<before>.*?)\W*\b(?<state>{word}|{end})\b{after}{tail}$"
        )),
    };
    (status, around)
}

/// In whatever language: a pair that says something else in the one mail than in the other, or the
/// one word of the Subject that differs.
fn by_difference(on: &Sight, over: &Sight) -> Option<(Status, Around)> {
    let mut pairs: Vec<_> = on.values.iter().collect();
    pairs.sort_by_key(|(_, value)| value.place);
    let differs = pairs.into_iter().find_map(|(expression, value)| {
        let other = over.values.get(expression)?;
        let are_states = is_state(&value.text) && is_state(&other.text);
        (value.text != other.text && are_states).then_some((expression, value, other))
    });
    if let Some((expression, value, other)) = differs {
        let status = Status {
            expression: format!("{{{{ {expression} }}}}"),
            trigger: vec![regex::escape(&value.text)],
            resolve: vec![regex::escape(&other.text)],
            subject: None,
        };
        return Some((status, Around::default()));
    }

    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty());
        words.map(ToOwned::to_owned).collect()
    };
    let (one, other) = (words(&on.subject), words(&over.subject));
    let mut differing = one.iter().zip(&other).filter(|(a, b)| a != b);
    let (Some((word, end)), None) = (differing.next(), differing.next()) else {
        return None;
    };
    let count = |all: &[String], word: &String| all.iter().filter(|other| *other == word).count();
    let is_told_apart = one.len() == other.len()
        && is_state(word)
        && is_state(end)
        && count(&one, word) == 1
        && count(&other, end) == 1;
    is_told_apart.then(|| told_by(on, over, word, end))
}

/// Whether a text may be a state: a word or two, and no number.
fn is_state(text: &str) -> bool {
    let words = text.split_whitespace().count();
    (1..=3).contains(&words) && !text.contains(|c: char| c.is_numeric())
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .any(|other| other == word)
}

/// Whether what stands before and behind the words of the status is the same in both mails.
fn around(on: &Sight, over: &Sight, states: Option<(&str, &str)>) -> Around {
    let Some((word, end)) = states else {
        return Around::default();
    };
    let (Some((before, after)), Some((before_over, after_over))) =
        (on.subject.split_once(word), over.subject.split_once(end))
    else {
        return Around::default();
    };

    let bare = |text: &str| {
        text.trim_end_matches(|c: char| !c.is_alphanumeric())
            .to_owned()
    };
    let same_before = bare(before) == bare(before_over) && !bare(before).is_empty();
    let one: Vec<&str> = after.split_whitespace().collect();
    let other: Vec<&str> = after_over.split_whitespace().collect();
    let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let tail = one.len() - same;
    let same_after = same > 0 && one.len() == other.len() && says_something(&one[..same]);
    Around {
        before: same_before,
        after: same_after,
        tail: if same_after { tail } else { 0 },
    }
}

fn says_something(words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| word.chars().any(char::is_alphanumeric))
}

/// What both mails share: an id, or the parts that make one, or what stands around the status in
/// the Subject.
fn key(on: &Sight, over: Option<&Sight>, around: Around) -> String {
    let shared = |expression: &str, value: &Value| {
        over.is_none_or(|over| {
            over.values
                .get(expression)
                .is_some_and(|other| other.text == value.text)
        })
    };
    let of = |labels: &[&str]| -> Vec<String> {
        labels
            .iter()
            .flat_map(|label| {
                on.values
                    .iter()
                    .filter(move |(_, value)| value.label == *label)
            })
            .filter(|(expression, value)| shared(expression, value))
            .map(|(expression, _)| format!("{{{{ {expression} }}}}"))
            .collect()
    };

    if let Some(id) = of(&words::IDENTITY).into_iter().next() {
        return id;
    }
    let parts = of(&words::PARTS);
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

/// How many pairs of unknown meaning make a key.
const UNKNOWN_PARTS: usize = 2;

/// The first pairs that are the same in both mails, where the Subject is not.
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

/// The time, where it names its zone in both mails.
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

/// A text between the quotes of YAML that escape nothing.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
