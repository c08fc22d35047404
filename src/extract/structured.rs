//! The header fields that say how a part is to be read (RFC 2045, 5.1; RFC 2183; RFC 2231): a token
//! and parameters.
//!
//! They are read as they are sent: folded anywhere, with comments, without semicolons or closing
//! quotes, with a boundary that should have been quoted. mail-parser drops a value that begins on
//! the next line, and takes `inline filename=x` for one word.

use std::{borrow::Cow, collections::HashMap};

/// The largest number of parameters that are read.
const MAX_PARAMETERS: usize = 64;

/// The parsed value of a field.
#[derive(Debug, Default)]
pub(super) struct Structured {
    /// The token in lower case; empty if there is none.
    pub token: String,
    parameters: Vec<Parameter>,
}

#[derive(Debug)]
struct Parameter {
    /// The name in lower case, without the marks of RFC 2231.
    name: String,
    value: String,
    /// The number of this part of a value, and whether the part is percent-encoded (RFC 2231, 3 and
    /// 4).
    part: Option<usize>,
    encoded: bool,
}

impl Structured {
    pub fn parse(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let text: Cow<str> = if text.contains('\0') {
            text.replace('\0', "").into()
        } else {
            text
        };

        let comments = Comments::of(&text);
        let (token, mut rest) = token(&text, &comments);
        let mut parameters = Vec::new();

        while parameters.len() < MAX_PARAMETERS
            && let Some((parameter, after)) = parameter(rest, &comments)
        {
            parameters.extend(parameter);
            rest = after;
        }

        Self { token, parameters }
    }

    /// Returns the values that are given for a name, in order. A value in parts (RFC 2231, 3) is
    /// joined.
    pub fn all(&self, name: &str) -> Vec<String> {
        let named = || {
            self.parameters
                .iter()
                .filter(|parameter| parameter.name == name)
        };

        let mut values: Vec<String> = named()
            .filter(|parameter| parameter.part.is_none())
            .map(|parameter| decoded(&parameter.value, parameter.encoded, true))
            .collect();

        let mut parts: Vec<&Parameter> = named()
            .filter(|parameter| parameter.part.is_some())
            .collect();
        parts.sort_by_key(|parameter| parameter.part);
        if !parts.is_empty() {
            let part = |(place, part): (usize, &&Parameter)| {
                decoded(&part.value, part.encoded, place == 0)
            };
            values.push(parts.iter().enumerate().map(part).collect());
        }

        values
    }

    pub fn first(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }
}

/// Returns the token before the first parameter. The token may be quoted, have spaces around its
/// slash, or be missing.
fn token<'a>(text: &'a str, comments: &Comments) -> (String, &'a str) {
    let skip = |text| comments.skip(text);
    let start = skip(text);
    let start = start.strip_prefix('"').unwrap_or(start);
    let ends = |c: char| c.is_ascii_whitespace() || matches!(c, ';' | ',' | '(' | '"' | '=');
    let end = start.find(ends).unwrap_or(start.len());
    let rest = start[end..].trim_start_matches('"');

    if skip(rest).starts_with('=') {
        return (String::new(), start); // The first parameter, where the token is missing.
    }

    let mut token = start[..end].to_ascii_lowercase();
    let mut rest = rest;

    if let Some(subtype) = skip(rest)
        .strip_prefix('/')
        .map(skip)
        .filter(|_| !token.contains('/'))
    {
        let end = subtype.find(ends).unwrap_or(subtype.len());
        token = format!("{token}/{}", subtype[..end].to_ascii_lowercase());
        rest = &subtype[end..];
    } else if token.ends_with('/') {
        let subtype = skip(rest);
        let end = subtype.find(ends).unwrap_or(subtype.len());
        if !skip(&subtype[end..]).starts_with('=') {
            token.push_str(&subtype[..end].to_ascii_lowercase());
            rest = &subtype[end..];
        }
    }

    (token, rest)
}

/// Returns the next parameter, and what follows it; `None` at the end. A word without a value is
/// skipped.
fn parameter<'a>(text: &'a str, comments: &Comments) -> Option<(Option<Parameter>, &'a str)> {
    let skip = |text| comments.skip(text);
    let start =
        text.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | ','));
    let start = skip(start);

    if start.is_empty() {
        return None;
    }

    let end = start
        .find(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | ',' | '=' | '('))
        .unwrap_or(start.len());
    let name = start[..end].trim_matches('"').to_ascii_lowercase();
    let after = skip(&start[end..]);
    let Some(after) = after.strip_prefix('=') else {
        // Consume at least one character, so that the parsing ends.
        let step = start.chars().next().map_or(0, char::len_utf8);
        return Some((None, &start[end.max(step)..]));
    };

    let (value, rest) = value(skip(after));
    let (name, part, encoded) = marks(&name);

    Some((
        Some(Parameter {
            name: name.to_owned(),
            value,
            part,
            encoded,
        }),
        rest,
    ))
}

/// Returns a value, quoted or not, and what follows it.
fn value(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                // A program quoted what was already quoted, and so doubled the quote.
                '"' if value.is_empty() => return bare(&quoted[at + 1..]),
                '"' => return (value, &quoted[at + 1..]),
                '\r' | '\n' => {}
                c => value.push(c),
            }
        }
        // The quote is never closed, so the value ends where one without quotes would.
        return bare(quoted);
    }

    bare(text)
}

/// Returns a value without quotes, and what follows it. The value ends at the next semicolon, or at
/// white space before a comment, another parameter or the end.
fn bare(text: &str) -> (String, &str) {
    let end = text.find(';').unwrap_or(text.len());
    let whole = &text[..end];
    let next = |(at, _): (usize, &str)| {
        let after = whole[at..].trim_ascii_start();
        let name = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
        after.is_empty()
            || after.starts_with('(')
            || (name > 0 && after[name..].trim_ascii_start().starts_with('='))
    };

    let begins =
        |(at, _): &(usize, &str)| *at == 0 || !whole.as_bytes()[at - 1].is_ascii_whitespace();
    let blanks = whole
        .match_indices(|c: char| c.is_ascii_whitespace())
        .filter(begins);
    let end = blanks.into_iter().find(|found| next(*found));
    let end = end.map_or(whole.len(), |(at, _)| at);

    (
        whole[..end]
            .trim()
            .trim_end_matches('"')
            .replace(['\r', '\n'], ""),
        &text[end..],
    )
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '*' | '_')
}

/// Splits `name*1*` into the name, the number of the part, and whether the part is encoded.
fn marks(name: &str) -> (&str, Option<usize>, bool) {
    let Some((plain, marks)) = name.split_once('*') else {
        return (name, None, false);
    };
    let (place, encoded) = match marks.strip_suffix('*') {
        Some(place) => (place, true),
        None => (marks, marks.is_empty()),
    };
    (plain, place.parse().ok(), encoded)
}

/// Decodes a value of RFC 2231: `charset'language'percent-encoded`. The first two occur only at the
/// beginning of a value.
fn decoded(value: &str, encoded: bool, begins: bool) -> String {
    if !encoded {
        return value.to_owned();
    }

    let text = match value.splitn(3, '\'').collect::<Vec<_>>()[..] {
        [_, _, text] if begins => text,
        _ => value,
    };

    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// The comments of a value. They are found once: there may be as many as characters, and none of
/// them may end.
#[derive(Default)]
struct Comments {
    /// The number of bytes behind each comment. The key is the number from its beginning on, both
    /// up to the end of the value.
    behind: HashMap<usize, usize>,
}

impl Comments {
    /// Finds the comments, which may be nested. A comment that never ends is no
    /// comment.
    fn of(text: &str) -> Self {
        let mut comments = Self::default();
        let mut open = Vec::new();
        for (at, byte) in text.bytes().enumerate() {
            let left = text.len() - at;
            match byte {
                b'(' => open.push(left),
                b')' => {
                    let begun = open.pop().map(|begun| (begun, left - 1));
                    comments.behind.extend(begun);
                }
                _ => {}
            }
        }
        comments
    }

    /// Skips white space and comments at the beginning of `rest`, which is an end of the value.
    fn skip<'a>(&self, rest: &'a str) -> &'a str {
        let mut rest = rest.trim_ascii_start();
        while rest.starts_with('(')
            && let Some(behind) = self.behind.get(&rest.len())
        {
            rest = rest[rest.len() - behind..].trim_ascii_start();
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary(value: &str) -> Vec<String> {
        let read = Structured::parse(value.as_bytes());
        assert_eq!(read.token, "multipart/mixed", "{value:?}");
        read.all("boundary")
    }

    #[test]
    fn a_boundary_is_read_however_it_is_written() {
        for value in [
            "multipart/mixed; boundary=b1",
            "multipart/mixed; boundary=\"b1\"",
            " Multipart/Mixed ; charset=x; BOUNDARY = \"b1\" ; x=y\r\n",
            "multipart/mixed;\r\n boundary=\r\n \"b1\"\r\n",
            "multipart/mixed;\r\n\tboundary\r\n\t=\r\n\tb1\r\n",
            "multipart/mixed boundary=b1",
            "multipart/mixed, boundary=b1",
            "multipart/mixed; charset=x boundary=b1",
            "multipart/mixed; type=\"text/html\" boundary=\"b1\"",
            "multipart/mixed (a comment; boundary=no); boundary=b1 (another)",
            "(first) multipart/mixed; boundary=b1 (never closed",
            "multipart/mixed; boundary=\"b1",
            "multipart/mixed; boundary=\"b1; x=y",
            "multipart/mixed; boundary=b1\"",
            "multipart/mixed; boundary=\"\"b1\"\"",
            "multipart/mixed;;; boundary=b1;",
            "multipart/mixed; boundary*=us-ascii''b%31",
            "multipart/mixed; boundary*1=1; boundary*0=b",
            "multipart/mixed; boundary*0*=us-ascii''b; boundary*1*=%31",
            "\"multipart/mixed\"; boundary=b1",
            "multipart / mixed; boundary=b1",
            "multipart/ mixed; boundary=b1",
            "multipart/mixed; \0boundary=b1",
            "multipart/mixed; flag; boundary=b1",
        ] {
            assert_eq!(boundary(value), ["b1"], "{value:?}");
        }
        assert_eq!(
            boundary("multipart/mixed; boundary=a; boundary=b"),
            ["a", "b"]
        );
        for odd in [
            "----=_Part_1.2=",
            "a:b,c/d?e'f()+_,-./:=?",
            "=_x (y)",
            "a b",
        ] {
            let unquoted = odd.split(" (").next().unwrap();
            assert_eq!(
                boundary(&format!("multipart/mixed; boundary=\"{odd}\"")),
                [odd]
            );
            assert_eq!(
                boundary(&format!("multipart/mixed; boundary={odd}")),
                [unquoted]
            );
        }
    }

    #[test]
    fn a_token_is_read_without_its_parameters() {
        for (value, token) in [
            ("inline filename=x.html", "inline"),
            ("inline;filename=x", "inline"),
            ("attachment", "attachment"),
            ("\"inline\"", "inline"),
            (" INLINE \r\n", "inline"),
            ("filename=x", ""),
            ("; filename=x", ""),
            ("", ""),
            ("text", "text"),
            ("text/", "text/"),
            ("text/ charset=x", "text/"),
            ("text/html;charset=x", "text/html"),
        ] {
            assert_eq!(
                Structured::parse(value.as_bytes()).token,
                token,
                "{value:?}"
            );
        }
        let charset = |value: &str| Structured::parse(value.as_bytes()).first("charset");
        assert_eq!(charset("charset=x"), Some("x".into()));
        assert_eq!(
            charset("text/html; charset=\"iso-8859-1;\""),
            Some("iso-8859-1;".into())
        );
        assert_eq!(charset("text/html; charset"), None);
        assert_eq!(charset("text/html; charset=\r\n"), Some(String::new()));
    }

    #[test]
    fn reading_ends_whatever_is_written() {
        for value in [
            "=",
            "==;=",
            "\"",
            "(",
            "((",
            ")",
            ";=;\"=\\",
            "a/=b",
            "é=é\u{2028}",
            "a;\u{a0}",
            ",(",
            "= ( =",
        ] {
            Structured::parse(value.as_bytes());
            Structured::parse(value.repeat(3_000).as_bytes());
        }
    }
}
