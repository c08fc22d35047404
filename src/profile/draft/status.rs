//! Finds what states the status in two mails: a value that both name, a word of their Subjects, or
//! whatever differs.

use super::{
    sight::{Sight, Value},
    words,
};

/// How the status is recognised.
pub(super) struct Status {
    pub(super) expression: String,
    pub(super) trigger: Vec<String>,
    pub(super) resolve: Vec<String>,
    /// An expression over the Subject, if the status is there.
    pub(super) subject: Option<String>,
}

/// The parts of the Subject around the status that are the same in both mails.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) before: bool,
    pub(super) after: bool,
    /// The number of words at the end of the Subject that differ.
    pub(super) tail: usize,
}

/// Finds the status: in a pair or a header field, otherwise in the Subject, otherwise in whatever
/// differs, otherwise nowhere.
pub(super) fn status(on: &Sight, over: Option<&Sight>) -> (Status, Around) {
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
        // Carriers add header fields that are different in every mail.
        let is_of_header = expression.starts_with("header[");
        if is_of_header && !(is_state(text) && closing.is_none_or(is_state)) {
            continue;
        }
        return Some(Status {
            expression: format!("{{{{ {expression} }}}}"),
            trigger: vec![pattern(text)],
            resolve: closing.map_or_else(all_over, |closing| vec![pattern(closing)]),
            subject: None,
        });
    }
    None
}

/// Returns a status as an expression. Of `OK -> ALARM`, only the target matters.
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

/// Finds a word of one mail's Subject that states the status, and its counterpart in the other.
fn in_subject(on: &Sight, over: Option<&Sight>) -> Option<(Status, Around)> {
    let in_over = |word: &str| over.is_some_and(|over| has_word(&over.subject, word));
    let word = words::among(&on.subject, &words::ON)
        .into_iter()
        .find(|word| !in_over(word))?
        .to_owned();

    let Some(over) = over else {
        let all: Vec<String> = all_over();
        // The group ends with the word: the rest of the Subject does not belong to the status.
        let one_word = all.join("|").replace(".*", r"\w*");
        let regex =
            format!(r"(?i)^(?<before>.*?)\W*\b(?<state>{word}|{one_word})\b\W*(?<after>.*)$");
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

/// Returns the status by one word of each Subject, and what else of the Subject is the same in
/// both.
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
            r"^(?<before>.*?)\W*\b(?<state>{word}|{end})\b\W*{after}{tail}$"
        )),
    };
    (status, around)
}

/// Finds the status in any language: a pair with different values in the two mails, or the one word
/// of the Subject that differs.
fn by_difference(on: &Sight, over: &Sight) -> Option<(Status, Around)> {
    let begins = |value: &Value, list: &[&str]| {
        let first = value.label.split_whitespace().next();
        first.is_some_and(|first| list.contains(&first))
    };
    let pairs = on.values.iter();
    let mut pairs: Vec<_> = pairs
        .filter(|(_, value)| !begins(value, &words::BEFORE))
        .collect();
    pairs.sort_by_key(|(_, value)| (!begins(value, &words::NOW), value.place));
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

/// Returns whether a text may be a state: one to three words, and no digit.
fn is_state(text: &str) -> bool {
    let words = text.split_whitespace().count();
    (1..=3).contains(&words) && !text.contains(|c: char| c.is_numeric())
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .any(|other| other == word)
}

/// Returns which parts of the Subject, before and after the words of the status, are the same in
/// both mails.
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
