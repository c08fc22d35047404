//! Characters that a mail may contain but that must not be shown raw: they move a terminal's
//! cursor, change the direction of writing, or are invisible.
//!
//! One rule applies to commands, logs, pages and all JSON that leaves the program.

use std::{borrow::Cow, fmt::Write as _};

/// Returns whether a character is invisible, or changes how its neighbours are shown.
///
/// These are controls (C0 with ANSI's escape, C1), line and paragraph separators, and what Unicode
/// calls default ignorable (`Default_Ignorable_Code_Point`: directional marks, zero-width
/// characters, the byte order mark, fillers, variation selectors, tags) or interlinear annotation.
pub fn is_hidden(c: char) -> bool {
    // Most characters are ASCII.
    if c.is_ascii() {
        return c.is_ascii_control();
    }

    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Returns the text with each hidden character shown as an escape (`\u{1b}`, `\n`): a mail must not
/// move the cursor, forge a line of output or show what is not there.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }

    let tell = |c: char| {
        if is_hidden(c) {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };

    Cow::Owned(text.chars().map(tell).collect())
}

/// Escapes the hidden characters in the texts of JSON, as in `\u202e`.
///
/// To a reader, the value stays the same, and a terminal on which it is printed obeys nothing.
/// Outside texts, JSON has no hidden characters except line feeds.
pub fn escaped(json: String) -> String {
    let is_raw = |c: char| c != '\n' && is_hidden(c);
    // Hidden characters below this limit are in no text, because serde_json has escaped them.
    let is_plain = json.bytes().all(|byte| byte < 0x7F);
    if is_plain || !json.contains(is_raw) {
        return json;
    }

    let mut safe = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_raw(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }

    safe
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{escaped, is_hidden};

    /// Tests every hidden character, alone, in a name and between others.
    #[test]
    fn json_is_the_same_value_and_holds_no_hidden_character_raw() {
        let hidden: Vec<char> = ('\0'..=char::MAX).filter(|c| is_hidden(*c)).collect();
        assert!(hidden.len() > 4_000, "{}", hidden.len());
        for c in hidden {
            let value =
                json!({ format!("a{c}"): [c.to_string(), format!("é{c}\"{c}日"), 1, null] });
            for json in [
                value.to_string(),
                serde_json::to_string_pretty(&value).unwrap(),
            ] {
                let safe = escaped(json);
                let is_raw = |c: char| c != '\n' && is_hidden(c);
                assert!(!safe.contains(is_raw), "{c:?}: {safe}");
                assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), value);
            }
        }
        for plain in ["{\n  \"a\": \"b\"\n}", "\"é日🚒\""] {
            assert_eq!(escaped(plain.to_owned()), plain);
        }
    }

    #[test]
    fn what_is_not_seen_or_changes_what_is_seen_is_hidden_and_what_people_write_is_not() {
        let hidden = "\0\u{7}\t\n\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200c}\u{200d}\
                      \u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\
                      \u{206a}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{e0001}\u{e0041}\u{e007f}\u{e0100}";
        assert!(hidden.chars().all(is_hidden));
        for shown in [
            "Bücher für Jira",
            "日本語",
            "שלום",
            "مرحبا",
            "नमस्ते",
            "🚒 a\u{301} €½™",
            "\u{a0}\u{3000}",
        ] {
            assert!(!shown.chars().any(is_hidden), "{shown}");
        }
    }
}
