//! Translates Alertmanager's regular expressions, which are Go's RE2, into the `regex` crate's
//! dialect.
//!
//! Both take linear time and are nearly one language. Where the same text means something else, or
//! is refused, it is rewritten: `\d \s \w \b` are ASCII, `\Q…\E` quotes, `[`, `&&`, `--` and `~~`
//! in a class are plain characters, and so is a `{` that opens no repetition. See
//! <https://pkg.go.dev/regexp/syntax>.

use std::{iter::Peekable, str::Chars};

use regex::{Regex, RegexBuilder};

use crate::settings::expression::reason;

/// The size limit of a compiled expression, in bytes. It allows some thousand characters of
/// ordinary patterns.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles `pattern` to match a whole value, as Alertmanager anchors it. The error is a sentence.
pub(super) fn anchored(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{})$", translate(pattern)))
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| reason(&error))
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();

    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut out, &mut rest, false),
            '[' => class(&mut out, &mut rest),
            '{' if !opens_repetition(&rest) => out.push_str(r"\{"),
            _ => out.push(c),
        }
    }

    out
}

/// Translates what follows a backslash.
fn escape(out: &mut String, rest: &mut Peekable<Chars<'_>>, in_class: bool) {
    let Some(c) = rest.next() else {
        out.push('\\');
        return;
    };

    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        'B' if !in_class => out.push_str(r"(?-u:\B)"),
        'Q' if !in_class => quoted(out, rest),
        // `\<` is a plain character in Go and the start of a word in the crate.
        '<' | '>' => out.push(c),
        _ => {
            out.push('\\');
            out.push(c);
            // In `\x{e9}` and `\p{Greek}`, the brace belongs to the escape.
            if matches!(c, 'x' | 'p' | 'P') && rest.peek() == Some(&'{') {
                while let Some(c) = rest.next_if(|c| *c != '}') {
                    out.push(c);
                }
            }
        }
    }
}

/// Translates `\Q…\E`; without its end it quotes the rest.
fn quoted(out: &mut String, rest: &mut Peekable<Chars<'_>>) {
    while let Some(c) = rest.next() {
        if c == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            return;
        }
        out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

/// Translates a class, `[…]`, after its opening bracket.
fn class(out: &mut String, rest: &mut Peekable<Chars<'_>>) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }

    let mut first = true;
    let mut range = false;

    while let Some(c) = rest.next() {
        match c {
            ']' if !first => {
                out.push(']');
                return;
            }
            ']' => out.push_str(r"\]"),
            '\\' => escape(out, rest, true),
            '[' if rest.peek() == Some(&':') => named(out, rest),
            // A dash that is first, or the end of a range, is itself.
            '-' if first || range => out.push_str(r"\-"),
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        range = c == '-' && !first && !range;
        first = false;
    }
}

/// Translates `[:alpha:]` within a class, after its first bracket.
fn named(out: &mut String, rest: &mut Peekable<Chars<'_>>) {
    let ahead: String = rest.clone().take_while(|c| *c != ']').collect();
    if ahead.len() > 2 && ahead.ends_with(':') {
        out.push('[');
        out.push_str(&ahead);
        out.push(']');
        rest.nth(ahead.chars().count());
    } else {
        out.push_str(r"\[");
    }
}

/// Returns whether what follows a `{` is `3}`, `3,}` or `3,5}`.
fn opens_repetition(rest: &Peekable<Chars<'_>>) -> bool {
    let inside: String = rest.clone().take(16).take_while(|c| *c != '}').collect();
    let closed = rest.clone().take(16).any(|c| c == '}');
    let (low, high) = inside.split_once(',').unwrap_or((&inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    closed && !low.is_empty() && digits(low) && digits(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_and_the_crate_read_differently_is_read_as_go_does() {
        for (pattern, value, matches) in [
            ("a.c", "abc", true),
            ("a.c", "xabcx", false),
            ("a|b", "b", true),
            ("a|b", "ab", false),
            (r"\d+", "123", true),
            (r"\d+", "١٢٣", false),
            (r"\w+", "é", false),
            (r"\W", "é", true),
            (r"\s", "\u{a0}", false),
            (r"a\b.*", "aé", true),
            (r"[\d.]+", "1.5", true),
            (r"[^\d]", "1", false),
            (r"\Qa.c\E+", "a.cc", true),
            (r"\Qa.c", "abc", false),
            (r"\<a\>", "<a>", true),
            ("[[a]", "[", true),
            ("[a&&b]+", "&ab", true),
            ("[a~~b]+", "~", true),
            ("[--a]", "_", true),
            ("[!--]", "%", true),
            ("[!--]", "x", false),
            ("[a-]", "-", true),
            ("[]a]", "]", true),
            ("[[:alpha:]_]+", "ab_", true),
            ("[[:alpha:]_]+", "ab1", false),
            (r"\p{Greek}", "α", true),
            (r"\x{e9}", "é", true),
            ("x{2}", "xx", true),
            ("x{2", "x{2", true),
            ("{a}", "{a}", true),
            ("x{,2}", "x{,2}", true),
            ("(?i)CRIT.*", "critical", true),
            ("", "", true),
            (".*", "", true),
            (".+", "", false),
            ("a$", "a\n", false),
        ] {
            let regex = anchored(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(value), matches, "{pattern} on {value:?}");
        }
    }

    #[test]
    fn a_bad_or_too_large_expression_is_an_error_in_one_line() {
        for pattern in ["[", "(", "a**b)", r"\", "*", "(?P<a", r"(\pL{1000}){1000}"] {
            let error = anchored(pattern).unwrap_err();
            assert!(
                !error.is_empty() && !error.contains('\n'),
                "{pattern}: {error}"
            );
        }
    }
}
