//! Characters that a mail may contain and that must not be shown raw: they move a terminal's
//! cursor, change the direction of writing, or are invisible. One rule for commands, logs and
//! pages.

/// Whether a character is invisible, or changes how its neighbours are shown: controls (C0 with
/// ANSI's escape, C1), line and paragraph separators, and what Unicode calls default ignorable
/// (`Default_Ignorable_Code_Point`: directional marks, zero-width characters, the byte order mark,
/// fillers, variation selectors, tags) or interlinear annotation.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::is_hidden;

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
