//! Placeholders, which stand for a secret in examples and are easily left where the secret should
//! be.

/// The words that make up placeholders.
const WORDS: [&str; 50] = [
    "a",
    "access",
    "add",
    "an",
    "api",
    "app",
    "auth",
    "bot",
    "change",
    "client",
    "credential",
    "discord",
    "enter",
    "fixme",
    "genie",
    "goes",
    "here",
    "hook",
    "in",
    "insert",
    "integration",
    "it",
    "jira",
    "jsm",
    "key",
    "me",
    "of",
    "opsgenie",
    "pagerduty",
    "password",
    "paste",
    "placeholder",
    "put",
    "real",
    "replace",
    "routing",
    "secret",
    "signing",
    "slack",
    "tbd",
    "teams",
    "the",
    "this",
    "to",
    "todo",
    "token",
    "url",
    "user",
    "webhook",
    "your",
];

/// The words with which a placeholder begins, unless it ends in `here`.
const BEGINNINGS: [&str; 13] = [
    "add",
    "change",
    "enter",
    "fixme",
    "insert",
    "paste",
    "placeholder",
    "put",
    "replace",
    "tbd",
    "the",
    "todo",
    "your",
];

/// The fewest letters `x`, asterisks or bullets that stand for a whole secret.
const FEWEST: usize = 4;

/// Returns whether a text is certainly no secret: it is to be filled in (`<api key>`, `{…}`,
/// `${TOKEN}`), crossed out (`xxxx-xxxx`), or a wish (`changeme`, `your-api-key`). The placeholder
/// may also follow a prefix that its vendor's keys have (`xoxb-your-token`), or be in an address,
/// as its password or in its path (`/XXX/YYY/ZZZ`). A secret of random letters and digits is none
/// of these.
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    if let Some((_, rest)) = text.split_once("://") {
        let parts = || rest.split(['/', '?', '&', '=']).skip(1);
        let stands_for_several = parts().filter(|part| is_one_letter(part)).count() > 1;
        let authority = rest.split('/').next().unwrap_or_default();
        let password = authority
            .rsplit_once('@')
            .and_then(|(user, _)| user.split_once(':'))
            .map(|(_, password)| password);
        return stands_for_several
            || password.is_some_and(stands_for_one)
            || parts().any(|part| stands_for_one(part) && !is_word(part));
    }

    let after_prefix = || {
        text.split_once(['-', '_'])
            .is_some_and(|(_, key)| stands_for_one(key))
    };
    stands_for_one(text)
        || ["xoxb-", "xapp-", "xoxp-", "whsec_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
            && after_prefix()
}

fn stands_for_one(text: &str) -> bool {
    is_to_be_filled_in(text) || is_crossed_out(text) || is_wish(text)
}

/// Returns whether a text is a plain word, of which ordinary paths consist.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Returns whether a text consists of words, or nothing but dots, within brackets, or of dots
/// alone.
fn is_to_be_filled_in(text: &str) -> bool {
    let text = text.strip_prefix('$').unwrap_or(text);
    let within = [('<', '>'), ('{', '}'), ('[', ']')]
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    let Some(within) = within.map(|within| within.trim_matches(['{', '}', '<', '>', ' '])) else {
        return is_dots(text);
    };

    is_dots(within)
        || within.starts_with(char::is_alphabetic)
            && within
                .chars()
                .all(|c| c.is_alphabetic() || " _-.'".contains(c))
}

fn is_dots(text: &str) -> bool {
    text == "\u{2026}" || text.len() > 2 && text.bytes().all(|byte| byte == b'.')
}

fn is_crossed_out(text: &str) -> bool {
    let is_cross = |c: &char| matches!(c, 'x' | 'X' | '*' | '\u{2022}');
    text.chars().filter(is_cross).count() >= FEWEST
        && text.chars().all(|c| is_cross(&c) || "-_. ".contains(c))
}

/// Returns whether a text repeats one capital letter, such as `XXX`, and beside it `YYY`.
fn is_one_letter(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 2 && bytes[0].is_ascii_uppercase() && bytes.iter().all(|byte| *byte == bytes[0])
}

/// Returns whether a text consists of [`WORDS`] alone, however they are joined, and either begins
/// with one of [`BEGINNINGS`] or ends in `here`.
fn is_wish(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words = lower.replace(['-', '_', ' ', '.', '\'', '!'], "");
    let begins = BEGINNINGS.iter().any(|word| words.starts_with(word));
    (begins || words.ends_with("here")) && is_made_of_words(&words)
}

/// Returns whether a text can be taken apart into [`WORDS`]. A placeholder is short, so each way to
/// take it apart can be tried.
fn is_made_of_words(text: &str) -> bool {
    const LONGEST: usize = 64;
    text.len() <= LONGEST
        && (text.is_empty()
            || WORDS
                .iter()
                .filter_map(|word| text.strip_prefix(word))
                .any(is_made_of_words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::is_placeholder;

    #[test]
    fn what_examples_hold_in_place_of_a_secret_is_no_secret() {
        let wishes = [
            "change me",
            "change this",
            "change it",
            "replace me",
            "replace this",
            "your api key",
            "your token",
            "your token here",
            "insert api key here",
            "paste your webhook url here",
            "put the key here",
            "enter your password",
            "your slack bot token",
            "the api key",
            "your pagerduty routing key",
            "api key goes here",
            "todo",
            "fixme",
        ];
        let mut placeholders = vec![
            "{\u{2026}}".to_owned(),
            "<...>".into(),
            "\u{2026}".into(),
            "...".into(),
            "xxxx".into(),
            "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX".into(),
            "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".into(),
            "********".into(),
            "xoxb-xxxx-xxxx".into(),
            "xoxb-your-token".into(),
            "whsec_xxxxxxxx".into(),
            "${OPSGENIE_API_KEY}".into(),
            "{{ key }}".into(),
            "[API key]".into(),
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX".into(),
            "https://hooks.slack.com/services/<your path>".into(),
            "https://discord.com/api/webhooks/1/YOUR_TOKEN".into(),
            "https://hooks.slack.com/services/...".into(),
            "https://hooks.slack.com/services/XXX/YYY/ZZZ".into(),
            "https://ann:<password>@example.com/x".into(),
            "postgres://alertbridge:changeme@db.example.com/alertbridge".into(),
            "https://a.example/hook?token={token}".into(),
        ];
        for wish in wishes {
            for joint in ["-", "_", " ", ""] {
                let joined = wish.replace(' ', joint);
                placeholders.extend([
                    joined.to_uppercase(),
                    format!("<{joined}>"),
                    format!("{{{joined}}}"),
                    format!(" {joined}\n"),
                    joined,
                ]);
            }
        }
        for placeholder in placeholders {
            assert!(is_placeholder(&placeholder), "{placeholder:?}");
        }
    }

    #[test]
    fn a_secret_that_looks_odd_is_one() {
        for secret in [
            "k",
            "x",
            "xx",
            "xxx",
            "key",
            "secret",
            "token",
            "hunter2",
            "password",
            "correct horse",
            "xoxb-1-2-abc",
            "xoxb-xxxa",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "{a1b2}",
            "<3<3<3<3",
            "{\"a\":1}",
            "yourself",
            "your mother's maiden name",
            "changemaker",
            "theodore",
            "00000000-0000-0000-0000-000000000000",
            "aaaaaaaa",
            "https://example.com/change",
            "https://example.com/todo/placeholder/x",
            "https://hooks.slack.com/services/T0/B0/abc",
            "https://example.com/AAA/b1",
            "https://ann:hunter2@example.com/x",
            "https://example.com/aaa/bbb",
            "https://YOUR_TOKEN.example/x",
            "a.b",
            "..",
            "x-x",
            "$a",
            "[]",
            "<>",
            "{}",
        ] {
            assert!(!is_placeholder(secret), "{secret:?}");
        }
    }

    proptest! {
        #[test]
        fn no_key_as_they_come_is_a_placeholder(
            key in prop_oneof![
                "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                "[0-9a-f]{32}", "[A-Za-z0-9]{8,64}", "[A-Za-z0-9+/]{16,64}={0,2}",
                "[A-Za-z0-9_-]{8,64}", "[ -~]{8,24}", "[a-z]{10,32}",
                "xoxb-[0-9]{10}-[A-Za-z0-9]{24}",
                "https://hooks\\.slack\\.com/services/T[A-Z0-9]{8}/B[A-Z0-9]{8}/[A-Za-z0-9]{24}",
            ]
        ) {
            prop_assert!(!is_placeholder(&key), "{}", key);
        }
    }
}
