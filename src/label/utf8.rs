//! Alertmanager's UTF-8 matcher grammar (`matcher/parse`).
//!
//! Names and values are quoted as Go quotes strings, or are bare words of any characters except
//! white space and ``{}!=~,\"'` ``. Braces come in pairs.

use super::matcher::{Matcher, MatcherError, Operator};

/// Parses the matchers of a list, which may be empty.
pub(super) fn matchers(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let mut cursor = Cursor { text, at: 0 };
    let mut matchers = Vec::new();
    let braced = cursor.eat('{');

    while !matches!(cursor.peek(), None | Some('}')) {
        matchers.push(matcher(&mut cursor)?);
        if !cursor.eat(',') {
            break;
        }
    }

    match (braced, cursor.eat('}')) {
        (true, false) if cursor.peek().is_none() => {
            Err(cursor.error("the closing brace is missing"))
        }
        (false, true) => {
            Err(cursor.error("there is a closing brace without an opening one before the end"))
        }
        _ if cursor.peek().is_some() => Err(cursor.error("a comma or the end is expected")),
        _ => Ok(matchers),
    }
}

fn matcher(cursor: &mut Cursor<'_>) -> Result<Matcher, MatcherError> {
    let name = cursor.word("a label's name is expected", |c| {
        is_reserved(c) || matches!(c, '<' | '>')
    })?;
    cursor.peek();

    let operator = Operator::leading(cursor.rest())
        .ok_or_else(|| cursor.error("an operator (= != =~ !~ > >= < <=) is expected"))?;
    cursor.at += operator.as_str().len();

    let value = cursor.word("a value is expected (an empty one is \"\")", is_reserved)?;

    Matcher::new(&name, operator, value)
}

fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

struct Cursor<'a> {
    text: &'a str,
    /// The byte position.
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Skips white space and returns the next character.
    fn peek(&mut self) -> Option<char> {
        self.at = self.text.len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    /// Reads a quoted or bare word; a bare one ends where `ends` says.
    fn word(
        &mut self,
        expected: &'static str,
        ends: fn(char) -> bool,
    ) -> Result<String, MatcherError> {
        match self.peek() {
            Some('"') => self.quoted(),
            Some(c) if !ends(c) => {
                let rest = self.rest();
                let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
                self.at += word.len();
                Ok(word.to_owned())
            }
            _ => Err(self.error(expected)),
        }
    }

    /// Reads a string in double quotes, with Go's escapes.
    fn quoted(&mut self) -> Result<String, MatcherError> {
        let body = &self.rest()[1..];
        let mut escaped = false;
        let end = body
            .find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })
            .ok_or_else(|| self.error("there is no closing quote for the one"))?;

        let value = unquote(&body[..end])
            .ok_or_else(|| self.error("there is an invalid escape in the quotes"))?;
        self.at += end + 2;

        Ok(value)
    }

    fn error(&self, what: &'static str) -> MatcherError {
        MatcherError::Syntax {
            column: self.text[..self.at].chars().count() + 1,
            what,
        }
    }
}

/// Decodes the inside of double quotes as Go's `strconv.Unquote` does.
fn unquote(body: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;

    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '\n' {
            return None;
        }
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.chars().next()?;
        let (digits, radix) = match escape {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => {
                bytes.push(simple(escape)?);
                rest = &rest[1..];
                continue;
            }
        };
        let from = usize::from(radix == 16);
        let number = rest
            .get(from..from + digits)
            .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let number = u32::from_str_radix(number, radix).ok()?;
        rest = &rest[from + digits..];
        if matches!(escape, 'u' | 'U') {
            bytes.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(number).ok()?);
        }
    }

    String::from_utf8(bytes).ok()
}

fn simple(escape: char) -> Option<u8> {
    Some(match escape {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        _ => return None,
    })
}
