//! Subjects without the tags that gateways put in front of them.
//!
//! `[EXTERNAL]` says how a mail came, and nothing about its content. The list is fixed, and stands
//! in the guide to profiles. Other text in brackets in front of a Subject may be that of a gateway,
//! of a list or of the sender: it is skipped only if the Subject is not recognised with it. A reply
//! (`Re:`) or a mail that was passed on (`Fwd:`) is somebody else's mail.

use std::iter::successors;

/// The words that are a tag in brackets, between asterisks, or before a colon.
const WORDS: [&str; 22] = [
    "caution",
    "external",
    "extern",
    "ext",
    "external email",
    "external mail",
    "external message",
    "external sender",
    "spam",
    "spam?",
    "suspected spam",
    "possible spam",
    "probable spam",
    "likely spam",
    "junk",
    "bulk",
    "externe",
    "externo",
    "disarmed",
    "fraud?",
    "suspicious",
    "suspicious message",
];

/// The largest number of tags that are removed.
const MAX_TAGS: usize = 8;

/// Returns the Subject without its tags, or unchanged if nothing follows them.
pub fn untagged(subject: &str) -> &str {
    let mut rest = subject.trim_start();
    for _ in 0..MAX_TAGS {
        match without_tag(rest) {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    if rest.is_empty() { subject } else { rest }
}

/// Returns the Subject without the tags of gateways, and then each time without one more text in
/// square brackets in front of it.
pub fn readings(subject: &str) -> impl Iterator<Item = &str> {
    successors(Some(untagged(subject)), |rest| {
        let (tag, behind) = rest.strip_prefix('[')?.split_once(']')?;
        let behind = behind.trim_start();
        let behind = behind
            .strip_prefix([':', '|'])
            .unwrap_or(behind)
            .trim_start();
        let is_one = !tag.trim().is_empty() && !tag.contains('[') && !behind.is_empty();
        is_one.then(|| untagged(behind))
    })
    .take(MAX_TAGS + 1)
}

/// Whether a matcher or an expression mentions such a tag, and therefore means the Subject as it is
/// written.
pub fn is_wanted_by(expression: &str) -> bool {
    let lower = expression.to_ascii_lowercase();
    [
        "caution",
        "ext",
        "spam",
        "junk",
        "bulk",
        "disarmed",
        "fraud",
        "suspicious",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

fn without_tag(subject: &str) -> Option<&str> {
    let (tag, behind) = match subject.chars().next()? {
        '[' => subject[1..].split_once(']')?,
        '(' => subject[1..].split_once(')')?,
        '{' => subject[1..].split_once('}')?,
        '<' => subject[1..].split_once('>')?,
        '*' => {
            let (tag, behind) = subject.trim_start_matches('*').split_once('*')?;
            (tag, behind.trim_start_matches('*'))
        }
        _ => [":", " - ", " | "]
            .iter()
            .filter_map(|joint| subject.split_once(joint))
            .find(|(tag, _)| is_tag(tag))?,
    };

    is_tag(tag).then(|| {
        let behind = behind.trim_start();
        let mut joints = [":", "|", "- "].iter();
        let joined = joints.find_map(|joint| behind.strip_prefix(joint));
        joined.unwrap_or(behind).trim_start()
    })
}

/// Whether a text is a tag. A filter may add how sure it is: `*****SPAM 5.6*****`.
fn is_tag(text: &str) -> bool {
    let is_of_score = |c: char| c.is_ascii_digit() || matches!(c, '.' | ' ');
    let word = text.trim_end_matches(is_of_score).trim_start();
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_gateways_are_passed_over_in_any_number_and_case() {
        let said = [
            "ALARM: \"api\" in EU",
            "[Shop] [Down] no answer",
            "** PROBLEM Service Alert: a/b is CRITICAL **",
            "(prod) disk full",
            "DOWN | nightly",
        ];
        for subject in said {
            for word in WORDS {
                for tag in [
                    format!("[{word}]"),
                    format!("[{}]:", word.to_uppercase()),
                    format!("[ {word} ]"),
                    format!("({word})"),
                    format!("{{{word}}}"),
                    format!("***{word}***"),
                    format!("*****{}*****", word.to_uppercase()),
                    format!("{word}:"),
                    format!("{word} - "),
                    format!("{word} | "),
                    format!("[{word}] |"),
                    format!("<{word}>"),
                    format!("*****{word} 5.6*****"),
                ] {
                    for space in ["", " ", "  "] {
                        let tagged = format!("{tag}{space}{subject}");
                        // An asterisk of the Subject's own would be taken for one of the tag's.
                        if space.is_empty() && tag.ends_with('*') && subject.starts_with('*') {
                            continue;
                        }
                        assert_eq!(untagged(&tagged), subject, "{tagged}");
                        let twice = format!("[EXT] {tagged}");
                        assert_eq!(untagged(&twice), subject, "{twice}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_stands_in_brackets_is_taken_off_one_by_one() {
        for (subject, expected) in [
            (
                "[alerts] [FIRING:1] x",
                vec!["[alerts] [FIRING:1] x", "[FIRING:1] x", "x"],
            ),
            ("[EXTERNAL] [alerts]: DOWN", vec!["[alerts]: DOWN", "DOWN"]),
            (
                "[PHISHING?] [EXT] DOWN",
                vec!["[PHISHING?] [EXT] DOWN", "DOWN"],
            ),
            (
                "[alerts] Re: [FIRING:1] x",
                vec!["[alerts] Re: [FIRING:1] x", "Re: [FIRING:1] x"],
            ),
            ("Fwd: [alerts] x", vec!["Fwd: [alerts] x"]),
            ("[alerts]", vec!["[alerts]"]),
            ("[] x", vec!["[] x"]),
            ("[a [b] x", vec!["[a [b] x"]),
            ("", vec![""]),
        ] {
            assert_eq!(readings(subject).collect::<Vec<_>>(), expected);
        }
        let many = "[a] ".repeat(100) + "x";
        assert_eq!(readings(&many).count(), MAX_TAGS + 1);
    }

    #[test]
    fn what_a_sender_or_a_person_wrote_stays() {
        for subject in [
            "",
            "[EXTERNAL]",
            "Re: [EXTERNAL] ALARM: x",
            "Fwd: ALARM: x",
            "WG: ALARM: x",
            "[External API] Down",
            "[extra] Down",
            "External API: down",
            "** PROBLEM **",
            "*",
            "[",
            "[FIRING:1] x",
        ] {
            assert_eq!(untagged(subject), subject);
        }
        assert_eq!(untagged("[EXTERNAL] Re: ALARM: x"), "Re: ALARM: x");
    }
}
