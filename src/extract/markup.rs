//! HTML as a stream of tags and texts (the HTML standard, 13.2.5, as far as a text needs it).
//!
//! It takes one pass, linear in the document's length, and builds no tree, so that nested tags cost
//! nothing. Elements that hide text (comments, scripts, styles) are skipped here.

mod ending;

use memchr::{memchr, memchr_iter, memmem};

pub(super) use ending::{Ending, ending, without_last_line};

/// The length of the longest name of an element that matters, in bytes.
const LONGEST_NAME: usize = 16;

/// A piece of a document.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Text as it is written, with its entities not decoded.
    Text(&'a str),
    /// A start tag: its name, and what follows the name.
    Start(Name, &'a str),
    End(Name),
}

/// The name of an element, in lower case. A name that is longer than that of any element that
/// matters is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; LONGEST_NAME],
    length: usize,
}

impl Name {
    /// Reads the name at the beginning of a text, and returns the name's whole length as well.
    fn at(text: &[u8]) -> (Self, usize) {
        let mut bytes = [0; LONGEST_NAME];
        let mut whole = 0;
        for byte in text {
            if byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>') {
                break;
            }
            if let Some(place) = bytes.get_mut(whole) {
                *place = byte.to_ascii_lowercase();
            }
            whole += 1;
        }

        let length = whole.min(LONGEST_NAME);
        (Self { bytes, length }, whole)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether the element's content is no markup and is not shown.
    fn is_opaque(&self) -> bool {
        matches!(
            self.as_bytes(),
            b"script"
                | b"style"
                | b"title"
                | b"textarea"
                | b"iframe"
                | b"noembed"
                | b"noframes"
                | b"xmp"
        )
    }
}

/// An iterator over the pieces of a document.
pub(super) struct Pieces<'a> {
    html: &'a str,
    rest: &'a str,
    begun: usize,
}

impl<'a> Pieces<'a> {
    pub fn of(html: &'a str) -> Self {
        Self {
            html,
            rest: html,
            begun: 0,
        }
    }

    /// Returns the place of the next piece, or of what is skipped before it.
    pub fn at(&self) -> usize {
        self.html.len() - self.rest.len()
    }

    /// Returns the place at which the last piece began.
    pub fn begun(&self) -> usize {
        self.begun
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Skips past the next `mark`, or to the end of the document if there is none.
    fn skip_past(&mut self, mark: &str) {
        let end = memmem::find(self.rest.as_bytes(), mark.as_bytes());
        self.take(end.map_or(self.rest.len(), |at| at + mark.len()));
    }

    /// Skips past the end of a comment, which is `-->` or `--!>`.
    fn skip_comment(&mut self) {
        let bytes = self.rest.as_bytes();
        let ends = |at: &usize| bytes[..*at].ends_with(b"--") || bytes[..*at].ends_with(b"--!");
        let end = memchr_iter(b'>', bytes).find(ends);
        self.take(end.map_or(bytes.len(), |at| at + 1));
    }

    /// Reads the tag that begins here, if one does.
    fn tag(&mut self) -> Option<Piece<'a>> {
        let bytes = self.rest.as_bytes();
        let closes = bytes.get(1) == Some(&b'/');
        let name_at = 1 + usize::from(closes);
        let (name, length) = Name::at(&bytes[name_at..]);

        let attributes_at = name_at + length;
        let end = end_of_tag(&self.rest[attributes_at..])?;
        let attributes = &self.rest[attributes_at..attributes_at + end];
        self.take(attributes_at + end + 1);

        if closes {
            return Some(Piece::End(name));
        }
        if name.is_opaque() {
            self.pass_over(name.as_str());
        }
        Some(Piece::Start(name, attributes))
    }

    /// Skips to the end tag of an element whose content is no markup.
    fn pass_over(&mut self, name: &str) {
        let bytes = self.rest.as_bytes();
        let ends = |at: &usize| {
            let tag = &bytes[at + 2..];
            tag.get(..name.len())
                .is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
                && tag
                    .get(name.len())
                    .is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'))
        };
        let end = memmem::find_iter(bytes, b"</").find(ends);
        self.take(end.unwrap_or(bytes.len()));
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            let bytes = self.rest.as_bytes();
            self.begun = self.at();
            match bytes {
                [] => return None,
                [b'<', b'!', b'-', b'-', b'>', ..] => drop(self.take(5)),
                [b'<', b'!', b'-', b'-', b'-', b'>', ..] => drop(self.take(6)),
                [b'<', b'!', b'-', b'-', ..] => {
                    self.take(4);
                    self.skip_comment();
                }
                [b'<', b'!' | b'?', ..] => self.skip_past(">"),
                [b'<', b'/', letter, ..] | [b'<', letter, ..] if letter.is_ascii_alphabetic() => {
                    if let Some(piece) = self.tag() {
                        return Some(piece);
                    }
                    // A tag that never ends is the end of the document.
                    self.take(self.rest.len());
                }
                [b'<', b'/', ..] => self.skip_past(">"),
                _ => {
                    let next = memchr(b'<', &bytes[1..]).map_or(bytes.len(), |at| at + 1);
                    return Some(Piece::Text(self.take(next)));
                }
            }
        }
    }
}

/// Returns the end of a tag: the first `>` that is not within a quoted value (the HTML standard,
/// 13.2.5.32 to 13.2.5.40). Names are so short that setting up a vector search would cost more than
/// it saves; values are not.
fn end_of_tag(attributes: &str) -> Option<usize> {
    let bytes = attributes.as_bytes();
    // The places from which the next name may begin, and from which the next mark is searched for.
    let (mut from, mut seen) = (0, 0);

    loop {
        let is_mark = |byte: &u8| matches!(byte, b'=' | b'>');
        let mark = seen + bytes[seen..].iter().position(is_mark)?;
        if bytes[mark] == b'>' {
            return Some(mark);
        }
        seen = mark + 1;

        // An equals sign without a name before it begins a name.
        let before = bytes[from..mark].trim_ascii_end().last();
        if before.is_none_or(|byte| *byte == b'/') {
            continue;
        }

        let value = bytes.len() - bytes[seen..].trim_ascii_start().len();
        let length = match bytes.get(value)? {
            quote @ (b'"' | b'\'') => memchr(*quote, &bytes[value + 1..])? + 2,
            _ => bytes[value..]
                .iter()
                .position(|byte| byte.is_ascii_whitespace() || *byte == b'>')?,
        };
        from = value + length;
        seen = from;
    }
}

/// Returns the value of an attribute, with its entities decoded.
pub(super) fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut decoded = String::new();
    decode(written(attributes, name)?, |c| decoded.push(c));
    Some(decoded)
}

/// Returns the value of an attribute, with its entities as they are written.
pub(super) fn written<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let begun = rest.chars().next()?.len_utf8();
        let end = rest[begun..]
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/'))
            .map_or(rest.len(), |at| at + begun);
        let found = &rest[..end];
        let after = rest[end..].trim_ascii_start();

        let (value, behind) = match after.strip_prefix('=').map(str::trim_ascii_start) {
            None => ("", after),
            Some(value) => match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    value[1..].split_once(quote).unwrap_or((&value[1..], ""))
                }
                _ => value.split_at(
                    value
                        .find(|c: char| c.is_ascii_whitespace())
                        .unwrap_or(value.len()),
                ),
            },
        };

        if found.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = behind;
    }
}

/// Passes on the characters of a text, with its entities decoded.
pub(super) fn decode(text: &str, mut give: impl FnMut(char)) {
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        rest[..at].chars().for_each(&mut give);
        rest = &rest[at..];

        let length = rest
            .bytes()
            .skip(1)
            .take(MAX_ENTITY)
            .position(|byte| !byte.is_ascii_alphanumeric() && byte != b'#')
            .map(|length| length + 1)
            .filter(|end| *end > 1 && rest.as_bytes()[*end] == b';');
        if let Some(end) = length {
            let mut decoded = String::new();
            let entity = &rest.as_bytes()[..=end];
            mail_parser::decoders::html::add_html_token(&mut decoded, entity, false);
            decoded.chars().for_each(&mut give);
            rest = &rest[end + 1..];
        } else {
            give('&');
            rest = &rest[1..];
        }
    }
    rest.chars().for_each(give);
}

/// The length of the longest entity that exists.
const MAX_ENTITY: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(html: &str) -> String {
        let mut told = String::new();
        for piece in Pieces::of(html) {
            match piece {
                Piece::Text(text) => decode(text, |c| told.push(c)),
                Piece::Start(name, _) => told += &format!("[{}]", name.as_str()),
                Piece::End(name) => told += &format!("[/{}]", name.as_str()),
            }
        }
        told
    }

    #[test]
    fn tags_and_texts_are_told_apart_as_browsers_do() {
        for (html, expected) in [
            ("a<b>c</B >d", "a[b]c[/b]d"),
            ("<a href=\"x>y\">z", "[a]z"),
            ("<a title='\"' href=x>z", "[a]z"),
            ("<a \"x>z", "[a]z"),
            ("<a =\"x>z", "[a]z"),
            ("<a x==\"y>z", "[a]z"),
            ("<a x=y=\"y>z", "[a]z"),
            ("<a x=/\"y>z", "[a]z"),
            ("<a x/=\"y>z", "[a]z"),
            ("<a x\n= \"y>\"y='>'>z", "[a]z"),
            ("<a x=>z", "[a]z"),
            ("1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
            ("a<!-- <b> -->c<!-->d<!---->e", "acde"),
            ("a<!-- <b> --!>c<!-- > -- > --->d<!-- -!> -->e", "acde"),
            (
                "<script>if (a < b) \"</scripty>\"</script>x",
                "[script][/script]x",
            ),
            ("<style>td { a: b }</STYLE\n>x", "[style][/style]x"),
            ("a<?php x ?>b<!DOCTYPE html>c</>d", "abcd"),
            ("a<script>never closed", "a[script]"),
            ("a<b title=\"never closed", "a"),
            (
                "&lt;b&gt; &#65;&#x42; &unknown; &nosemicolon &;",
                "<b> AB &unknown; &nosemicolon &;",
            ),
        ] {
            assert_eq!(told(html), expected, "{html}");
        }
    }

    #[test]
    fn an_attribute_is_found_among_others() {
        for (attributes, value) in [
            (" href=\"a&amp;b\"", Some("a&b")),
            (" class=x HREF = 'y' id=z", Some("y")),
            (" href=y/", Some("y/")),
            (" data-href=n hidden href=y", Some("y")),
            (" title=\"href=n\"", None),
            (" href", Some("")),
            (" é=1 href=y", Some("y")),
        ] {
            assert_eq!(
                attribute(attributes, "href").as_deref(),
                value,
                "{attributes}"
            );
        }
    }
}
