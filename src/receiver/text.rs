//! Adaptation of text to a vendor's field: hidden characters are removed, and text that is too long
//! is cut.
//!
//! Vendors do not document the unit in which they count. Of the likely units, UTF-16 code units
//! give the largest count, so a text that fits by them fits in any case.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;

use crate::message::hidden::is_hidden;

/// The mark of a text that was cut.
const ELLIPSIS: char = '…';

/// The longest cluster, in units, that counts as readable text. A longer one (stacked accents) may
/// be cut inside.
const LONGEST_CLUSTER: usize = 32;

/// Returns the length of a text in the units that vendors are assumed to count.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Returns the text below a headline whose field takes `max` units. If the headline is longer than
/// that, the text begins with the whole headline, followed by `gap`.
pub fn below(headline: &str, max: usize, text: String, gap: &str) -> String {
    if units(headline) > max && !text.starts_with(headline) {
        format!("{headline}{gap}{text}")
    } else {
        text
    }
}

/// Returns at most `max` units of the text, with "…" at the end if something is missing.
pub fn cut(text: &str, max: usize) -> String {
    let fits = prefix(text, max);
    if fits.len() == text.len() {
        return text.to_owned();
    }
    marked(prefix(text, max.saturating_sub(1)), max)
}

/// Cuts a text like [`cut`], but for Slack's markup: never inside an entity (`&amp;`) nor inside a
/// link or mention (`<https://…|text>`).
pub fn cut_markup(text: &str, max: usize) -> String {
    let fits = prefix(text, max);
    if fits.len() == text.len() {
        return text.to_owned();
    }

    let mut kept = prefix(text, max.saturating_sub(1));
    for (open, close) in [('&', ';'), ('<', '>')] {
        if let Some(at) = kept.rfind(open)
            && !kept[at..].contains(close)
        {
            kept = &kept[..at];
        }
    }

    marked(kept, max)
}

/// Returns at most `max` bytes of a text, up to a character boundary: a first, cheap bound for text
/// of any size.
pub fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Returns text of several lines without hidden characters other than line feeds and tabs, so that
/// a reader sees everything that is there.
pub fn clean(text: &str) -> String {
    let unified: Cow<'_, str> = if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n").into()
    } else {
        text.into()
    };

    visible(&unified).trim().to_owned()
}

/// Returns a text without hidden characters other than tabs and line ends.
pub fn visible(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\n' | '\r' | '\t') || !is_hidden(*c))
        .collect()
}

/// Returns a text on one line, without hidden characters: every run of white space becomes one
/// space.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !is_hidden(c) {
            line.push(c);
        }
    }

    line.truncate(line.trim_end().len());
    line
}

/// Returns the longest prefix of at most `max` units that cuts no cluster in two.
fn prefix(text: &str, max: usize) -> &str {
    // A character has no more units than bytes.
    if text.len() <= max {
        return text;
    }

    let mut used = 0;
    let mut end = 0;

    for (at, cluster) in text.grapheme_indices(true) {
        let size = units(cluster);
        if used + size <= max {
            used += size;
            end = at + cluster.len();
            continue;
        }
        if size > LONGEST_CLUSTER {
            for c in cluster.chars() {
                used += c.len_utf16();
                if used > max {
                    break;
                }
                end += c.len_utf8();
            }
        }
        break;
    }

    &text[..end]
}

fn marked(kept: &str, max: usize) -> String {
    if max == 0 {
        return String::new();
    }
    let mut text = kept.trim_end().to_owned();
    text.push(ELLIPSIS);
    text
}

#[cfg(test)]
mod tests {
    use super::{clean, cut, cut_markup, one_line, units};

    #[test]
    fn a_text_that_fits_is_left_alone() {
        assert_eq!(cut("five!", 5), "five!");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut_markup("a &amp; b", 9), "a &amp; b");
    }

    #[test]
    fn a_text_too_long_ends_with_an_ellipsis_within_the_limit() {
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("abc def", 5), "abc…");
        assert_eq!(cut("abc", 1), "…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn neither_a_surrogate_pair_nor_a_letter_of_several_characters_is_cut_in_two() {
        assert_eq!(cut("ab🚒🚒", 5), "ab🚒…");
        assert_eq!(cut("ab🚒🚒", 4), "ab…");
        assert_eq!(cut("x👩‍👩‍👧‍👦y", 8), "x…");
        assert_eq!(cut("cafe\u{301}s", 5), "caf…");
    }

    #[test]
    fn a_letter_without_end_is_cut_all_the_same() {
        let zalgo = format!("e{}", "\u{301}".repeat(500));
        assert_eq!(units(&cut(&zalgo, 100)), 100);
    }

    #[test]
    fn markup_is_cut_before_an_entity_or_a_link_and_never_inside() {
        assert_eq!(cut_markup("ab &lt;!channel&gt;", 6), "ab…");
        assert_eq!(cut_markup("ab &lt;!channel&gt;", 8), "ab &lt;…");
        assert_eq!(cut_markup("see <https://a.example|it> now", 20), "see…");
    }

    #[test]
    fn control_characters_and_direction_marks_vanish() {
        assert_eq!(
            clean("\u{1b}[31mred\u{0}\r\nnext\ttab\u{202e}"),
            "[31mred\nnext\ttab"
        );
        assert_eq!(one_line(" a\r\n\tb\u{7}\u{2028}c\u{85} "), "a b c");
        assert_eq!(
            one_line("pay\u{200b}pal\u{feff} \u{e0041}\u{2067}x\u{9b}31m"),
            "paypal x31m"
        );
    }
}
