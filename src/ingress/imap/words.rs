//! A server's own words, as they are repeated to people. Pure.

use crate::message::hidden::is_hidden;

/// The most characters of a server's own words that are repeated.
const MAX_WORDS: usize = 200;

/// Returns a server's own words, on one line and of bounded length.
pub(super) fn words(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() {
        return "it gave no reason".into();
    }

    let shown = |c: char| if is_hidden(c) { ' ' } else { c };

    said.chars().map(shown).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_stay_on_one_line_and_short() {
        assert_eq!(words("a\r\nb\u{202e}c"), "a  b c");
        assert_eq!(words(&"x".repeat(1000)).len(), MAX_WORDS);
    }
}
