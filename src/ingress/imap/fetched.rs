//! Reads the content of a FETCH for what was requested. Pure.

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    framing::{Breach, Piece},
    notation::internal_date,
};

/// The content of a FETCH about one mail.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fetched {
    pub(super) uid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) arrived: Option<Timestamp>,
    /// `BODY[]`, if it is not empty.
    pub(super) body: Option<Bytes>,
    /// `BODY[HEADER]`, or some of its fields.
    pub(super) header: Option<Bytes>,
    /// A part of the body, which may be empty.
    pub(super) part: Option<Bytes>,
}

/// A token of a FETCH.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Open,
    Close,
    Word(&'a [u8]),
    Text(Bytes),
}

fn tokenize<'a>(text: &'a [u8], tokens: &mut Vec<Token<'a>>) {
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let length = match first {
            b' ' | b'\t' => 1,
            b'(' | b')' => {
                tokens.push(if first == b'(' {
                    Token::Open
                } else {
                    Token::Close
                });
                1
            }
            b'"' => {
                let (quoted, length) = quoted(rest);
                tokens.push(Token::Text(quoted.into()));
                length
            }
            _ => {
                let length = word(rest);
                tokens.push(Token::Word(&rest[..length]));
                length
            }
        };
        rest = &rest[length..];
    }
}

/// Returns a quoted string without its escapes, and its length including them. An unterminated
/// string extends to the end.
fn quoted(text: &[u8]) -> (Vec<u8>, usize) {
    let mut unquoted = Vec::new();
    let mut at = 1;

    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' if at < text.len() => {
                unquoted.push(text[at]);
                at += 1;
            }
            _ => unquoted.push(byte),
        }
    }

    (unquoted, at)
}

/// Returns the length of a word, including brackets: `BODY[HEADER.FIELDS (FROM)]<0>`.
fn word(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b' ' | b'(' | b')' | b'"' => break,
            b'[' => {
                at += text[at..]
                    .iter()
                    .position(|&byte| byte == b']')
                    .unwrap_or(0);
            }
            _ => {}
        }
        at += 1;
    }

    at
}

/// Reads the list as the protocol defines it: names and values alternate, and each value is a word,
/// a string or a list. Returns `None` if the parentheses do not match.
fn nested(tokens: &[Token<'_>]) -> Option<Fetched> {
    let mut fetched = Fetched::default();
    let (mut depth, mut name) = (0_usize, None);

    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => {
                depth = depth.checked_sub(1)?;
                if depth == 0 && place + 1 < tokens.len() {
                    return None;
                }
                if depth == 1 {
                    name = None;
                }
            }
            Token::Word(word) if depth == 1 && name.is_none() => name = Some(*word),
            value if depth == 1 => {
                fetched.take(name.take()?, value);
            }
            _ => {}
        }
    }

    (depth == 0).then_some(fetched)
}

/// Reads a list whose parentheses do not match, as with a flag that contains one: takes every known
/// name, and the value after it.
fn flat(tokens: &[Token<'_>]) -> Fetched {
    let mut fetched = Fetched::default();
    for pair in tokens.windows(2) {
        if let [Token::Word(name), value @ (Token::Word(_) | Token::Text(_))] = pair {
            fetched.take(name, value);
        }
    }
    fetched
}

impl Fetched {
    /// Reads the pieces of one answer.
    pub(super) fn read(pieces: &[Piece]) -> Result<Self, Breach> {
        // A literal that was longer or shorter than declared leaves text that cannot follow a
        // literal.
        let follows = |piece: &Piece| matches!(piece.text.first(), Some(b' ' | b')'));
        let ends = pieces
            .last()
            .is_some_and(|piece| piece.text.trim_ascii_end().ends_with(b")"));

        if !pieces.iter().skip(1).all(follows) || !ends {
            return Err(Breach::Literal);
        }

        let mut tokens = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let start = if place == 0 {
                piece
                    .text
                    .iter()
                    .position(|&byte| byte == b'(')
                    .unwrap_or_default()
            } else {
                0
            };
            tokenize(&piece.text[start..], &mut tokens);
            tokens.extend(piece.literal.clone().map(Token::Text));
        }

        let nested = nested(&tokens);

        Ok(nested.unwrap_or_else(|| flat(&tokens)))
    }

    fn take(&mut self, name: &[u8], value: &Token<'_>) {
        let number = || match value {
            Token::Word(word) => std::str::from_utf8(word).ok()?.parse::<u64>().ok(),
            _ => None,
        };

        let text = || match value {
            Token::Text(text) => Some(text.clone()),
            _ => None,
        };

        match name.to_ascii_uppercase().as_slice() {
            b"UID" => {
                self.uid = self
                    .uid
                    .or_else(|| u32::try_from(number()?).ok().filter(|uid| *uid > 0));
            }
            b"RFC822.SIZE" => self.size = self.size.or_else(number),
            b"INTERNALDATE" => {
                self.arrived =
                    text().and_then(|text| internal_date(&String::from_utf8_lossy(&text)));
            }
            // IMAP2 calls the body RFC822.
            b"BODY[]" | b"BODY.PEEK[]" | b"RFC822" => {
                self.body = text().filter(|text| !text.is_empty());
            }
            name if name.starts_with(b"BODY[HEADER]")
                || name.starts_with(b"BODY[HEADER.FIELDS ") =>
            {
                self.header = text();
            }
            // A part without text lies beyond the end of the mail, where there is nothing.
            name if name.starts_with(b"BODY[]<") => {
                self.part = text().or_else(|| Some(Bytes::new()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::answer::Reply, *};

    fn line(text: &str) -> Vec<Piece> {
        vec![Piece {
            text: Bytes::copy_from_slice(text.as_bytes()),
            literal: None,
        }]
    }

    fn fetch(text: &str) -> Fetched {
        match Reply::read(&line(text)) {
            Ok(Reply::Fetch(fetched)) => fetched,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_fetch_is_read_for_what_was_asked_whatever_stands_beside_it() {
        for text in [
            "* 3 FETCH (UID 9 RFC822.SIZE 12 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")",
            "* 3 fetch (uid 9 rfc822.size 12 internaldate \" 17-Jul-1996 02:44:25 -0700\")",
            "* 3 FETCH (FLAGS (\\Seen $Junk(1) [Gmail]/All) UID 9 RFC822.SIZE 12 INTERNALDATE \
             \"17-Jul-1996 02:44:25 -0700\")",
            "* 3 FETCH (FLAGS (\\Seen :-)) UID 9 RFC822.SIZE 12 INTERNALDATE \"17-Jul-1996 \
             02:44:25 -0700\")",
            "* 3 FETCH (FLAGS (\\Seen :-() UID 9 RFC822.SIZE 12 INTERNALDATE \"17-Jul-1996 \
             02:44:25 -0700\")",
            "* 3 FETCH  (UID  9  MODSEQ (4711) RFC822.SIZE 12 INTERNALDATE \"17-Jul-1996 02:44:25 \
             -0700\" FLAGS () )",
            "* 3 FETCH (X-GM-LABELS (\"UID 7\" \"a (b\") SAVEDATE NIL UID 9 RFC822.SIZE 12 \
             INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")",
            "* 3 FETCH (FLAGS (UID 7) UID 9 ENVELOPE (((\"x\" NIL)) NIL) RFC822.SIZE 12 \
             INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")",
        ] {
            let fetched = fetch(text);
            let arrived = Some("1996-07-17T09:44:25Z".parse().unwrap());
            assert_eq!(
                (fetched.uid, fetched.size, fetched.arrived),
                (Some(9), Some(12), arrived),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_value_of_its_kind_is_absent() {
        for text in [
            "* 3 FETCH (UID 9 RFC822.SIZE NIL INTERNALDATE NIL BODY[] NIL)",
            "* 3 FETCH (UID 9 RFC822.SIZE -1 INTERNALDATE \"never\" BODY[] \"\")",
            "* 3 FETCH (UID 9 RFC822.SIZE (12) INTERNALDATE () BODY[] ())",
            "* 3 FETCH (UID 9)",
        ] {
            assert_eq!(
                fetch(text),
                Fetched {
                    uid: Some(9),
                    ..Fetched::default()
                },
                "{text}"
            );
        }
        assert_eq!(
            fetch("* 3 FETCH (UID 0 BODY[] \"a\\\"b\")").body,
            Some("a\"b".into())
        );
        assert_eq!(
            fetch("* 3 FETCH (UID 9 RFC822 \"ab\" RFC822.TEXT \"c\")").body,
            Some("ab".into())
        );
        assert_eq!(fetch("* 3 FETCH (UID 4294967296)").uid, None);
        assert_eq!(
            fetch("* 3 FETCH (UID 9 RFC822.SIZE 99999999999)").size,
            Some(99_999_999_999)
        );
    }

    #[test]
    fn a_literal_of_another_length_than_it_announced_is_no_mail() {
        let piece = |text: &'static str, literal: &'static str| Piece {
            text: text.into(),
            literal: Some(literal.into()),
        };
        let end = |text: &'static str| Piece {
            text: text.into(),
            literal: None,
        };
        let whole = vec![
            piece("* 1 FETCH (UID 9 BODY[] ", "A: b\r\n"),
            end(" FLAGS (\\Seen))"),
        ];
        assert!(matches!(
            Reply::read(&whole),
            Ok(Reply::Fetch(Fetched {
                uid: Some(9),
                body: Some(_),
                ..
            }))
        ));
        for after in ["ody\r", "", "body)", "\u{1f600})", " and so on"] {
            let answer = [piece("* 1 FETCH (UID 9 BODY[] ", "A: b\r\n"), end(after)];
            assert_eq!(Reply::read(&answer), Err(Breach::Literal), "{after}");
        }
    }
}
