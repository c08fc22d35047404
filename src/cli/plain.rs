//! Text from others, made safe to show on a terminal.

use serde::Serialize;

use crate::message::hidden::escaped;
pub use crate::message::hidden::plain;

/// Makes a text of several lines safe, line by line.
pub fn lines(text: &str) -> String {
    text.split('\n')
        .map(|line| plain(line.trim_end_matches('\r')))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Formats a value as one line of JSON with hidden characters escaped, which does not change its
/// meaning.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(escaped)
}

/// Like [`json`], but on several lines.
pub fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(escaped)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::message::hidden::is_hidden;

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(
            plain("a\u{1b}[2Jb\r\nc\u{9b}1m"),
            "a\\u{1b}[2Jb\\r\\nc\\u{9b}1m"
        );
        assert_eq!(
            plain("exe.\u{202e}fdp\u{200b}\u{e0041}"),
            "exe.\\u{202e}fdp\\u{200b}\\u{e0041}"
        );
        assert_eq!(plain("Bücher für Jira"), "Bücher für Jira");
        assert_eq!(lines("a\r\nb\u{1b}[m\n"), "a\nb\\u{1b}[m\n");
    }

    #[test]
    fn json_with_hidden_characters_is_the_same_value_without_them() {
        let value = json!({ "a\u{202e}": ["\u{9b}31m", "\u{e0041}x", "line\nfeed", "é"], "n": 1 });
        for written in [json(&value).unwrap(), pretty(&value).unwrap()] {
            assert!(
                !written.contains(|c| c != '\n' && is_hidden(c)),
                "{written}"
            );
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
        assert_eq!(json(&json!("\u{e0041}")).unwrap(), r#""\udb40\udc41""#);
    }
}
