//! What others wrote, made safe to show on a terminal.

use std::borrow::Cow;

/// The text without control characters, each told as what it is (`\u{1b}`, `\n`): a mail must neither move the cursor
/// nor forge a line of ours.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let tell = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(tell).collect())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{9b}1m"), "a\\u{1b}[2Jb\\r\\nc\\u{9b}1m");
        assert_eq!(plain("Bücher für Jira"), "Bücher für Jira");
    }
}
