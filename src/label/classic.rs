//! Alertmanager's classic matcher grammar (`pkg/labels/parse.go`): a plain name, an operator, and
//! everything up to the comma or the end as the value, quoted or not.
//!
//! It is tolerant where people write by hand: a brace may stand alone, a backslash that escapes
//! nothing is itself, and white space around a token is dropped.

use super::matcher::{Matcher, Operator};

/// The white space that `\s` matches in the classic grammar.
const SPACE: [char; 5] = ['\t', '\n', '\u{c}', '\r', ' '];

/// Parses the matchers of a list; `None` if it does not follow this grammar.
pub(super) fn matchers(text: &str) -> Option<Vec<Matcher>> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    let mut matchers = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);

    for (at, c) in text.char_indices() {
        match c {
            ',' if !quoted => {
                matchers.push(matcher(&text[start..at])?);
                start = at + 1;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        // A comma does not end an escape; Alertmanager's scanner behaves in the same way.
        if c != ',' {
            escaped = c == '\\' && !escaped;
        }
    }

    // A trailing comma is allowed.
    match text[start..].trim() {
        "" => {}
        last => matchers.push(matcher(last)?),
    }

    Some(matchers)
}

/// Parses one matcher; `None` if it does not follow this grammar.
pub(super) fn matcher(text: &str) -> Option<Matcher> {
    let text = text.trim_matches(SPACE);
    let end = text.find(|c| !is_name_char(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);

    if !is_name(name) {
        return None;
    }

    let rest = rest.trim_start_matches(SPACE);
    let operator = Operator::leading(rest)?;
    let value = rest[operator.as_str().len()..].trim_start_matches(SPACE);

    Matcher::new(name, operator, unescape(value)?).ok()
}

/// Returns whether a text is a plain name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| !c.is_ascii_digit()) && text.chars().all(is_name_char)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Returns the value without its quotes; `None` if an unescaped quote is anywhere except at both
/// ends, which does not follow this grammar.
///
/// `\"`, `\\` and `\n` are escapes, in an unquoted value too.
fn unescape(raw: &str) -> Option<String> {
    let (body, mut open) = raw
        .strip_prefix('"')
        .map_or((raw, false), |body| (body, true));
    let mut value = String::with_capacity(body.len());
    let mut chars = body.chars();

    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(c @ ('"' | '\\')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
                None => value.push('\\'),
            },
            '"' if open && chars.as_str().is_empty() => open = false,
            '"' => return None,
            _ => value.push(c),
        }
    }

    (!open).then_some(value)
}
