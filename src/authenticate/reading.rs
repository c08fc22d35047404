//! Decides whether a signed body can be read in one way only.
//!
//! Content-Type and Content-Transfer-Encoding say how a body is read. If a signature does not cover
//! them, anybody who holds a genuine mail can write others above the same body and have another
//! part of it taken for the alert: what an app's name says in the text, for example. The bridge
//! cannot choose what a sender's signatures cover. So the body itself must show what it is, and the
//! fields must agree:
//!
//! - a multipart's first line that begins with `--` is its boundary, and its last line closes it;
//! - HTML begins with a tag and ends with one, in ASCII or UTF-8;
//! - a body in quoted-printable or base64 holds nothing that is not of that encoding, and a body in
//!   no encoding holds nothing that could be of one.
//!
//! A profile reads more of a body than Atlassian's element, so for a profile there is more to
//! forge:
//!
//! - a name turns text into an attachment;
//! - text is ASCII or UTF-8, and no line of it could be joined with the next (`format=flowed`).
//!
//! Programs differ in how they read a field that is oddly written, so such a field is refused.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{mail::Mail, read::Read};

/// The length of base64, in characters, from which plain text is not mistaken for it.
const SOME_BASE64: usize = 64;

const TYPE: &str = "it does not cover the Content-Type";
const ENCODING: &str = "it does not cover the Content-Transfer-Encoding";

/// Returns what could be read in another way than it was written; `is_signed` tells which fields
/// are signed.
pub fn fault(mail: &Mail<'_>, is_signed: &dyn Fn(&str) -> bool) -> Option<String> {
    let is_read_by_profile = mail.reads.contains(&Read::Body);
    let disposition = mail.value(b"Content-Disposition");
    let is_sound = |value| is_inline(value, is_read_by_profile);
    if !is_signed("Content-Disposition") && disposition.is_some_and(|value| !is_sound(value)) {
        return Some(
            "it does not cover the Content-Disposition, which makes the mail an attachment"
                .to_owned(),
        );
    }

    let content = mail
        .value(b"Content-Type")
        .map_or(Some(Content::default()), Content::read);
    let is_multipart = match &content {
        Some(content) => content.is("multipart/"),
        None => mail
            .value(b"Content-Type")
            .is_some_and(|value| begins(value.trim_ascii(), b"multipart")),
    };

    if !is_signed("Content-Transfer-Encoding")
        && let Some(why) = encoding_fault(mail, is_multipart)
    {
        return Some(format!("{ENCODING}, and {why}"));
    }
    if is_signed("Content-Type") {
        return None;
    }

    let why = content.map_or(Some("that is oddly written"), |content| {
        let of_profile = || parameter_fault(mail, &content).filter(|_| is_read_by_profile);
        type_fault(mail, &content).or_else(of_profile)
    });

    why.map(|why| format!("{TYPE}, and {why}"))
}

fn encoding_fault(mail: &Mail<'_>, is_multipart: bool) -> Option<&'static str> {
    let encoding = Encoding::of(mail);
    // No program applies an oddly written encoding to a multipart.
    if is_multipart {
        let packs = matches!(encoding, Some(Encoding::QuotedPrintable | Encoding::Base64));
        return packs.then_some("a multipart has none");
    }

    let Some(encoding) = encoding else {
        return Some("that is oddly written");
    };
    if encoding.decode(mail.body).is_none() {
        return Some("not all of the body is of it");
    }

    let could_be = |other: Encoding| {
        other != encoding
            && other
                .decode(mail.body)
                .is_some_and(|decoded| *decoded != *mail.body)
    };

    let base64 = mail.body.len() >= SOME_BASE64 && could_be(Encoding::Base64);

    (base64 || (encoding == Encoding::None && could_be(Encoding::QuotedPrintable)))
        .then_some("the body could be of another")
}

/// The multipart types whose parts are read alike.
const ALIKE: [&str; 3] = [
    "multipart/alternative",
    "multipart/mixed",
    "multipart/related",
];

fn type_fault(mail: &Mail<'_>, content: &Content) -> Option<&'static str> {
    if content.is("multipart/") {
        // A reader treats the same parts differently under another subtype, or skips them.
        if !ALIKE.contains(&content.kind.as_str()) {
            return Some("a multipart of another subtype would be read in another way");
        }
        let claimed = content.parameter("boundary").map(str::as_bytes);
        let shown = boundary(mail.body);
        return (shown.is_none() || shown != claimed)
            .then_some("the body is not evidently a multipart of that boundary");
    }

    let text = Encoding::of(mail).and_then(|encoding| encoding.decode(mail.body));
    match (content.kind.as_str(), text) {
        ("text/html", Some(text)) if !is_html(&text) => Some("the body is not evidently HTML"),
        ("text/html", Some(text)) => {
            let charset = content.parameter("charset").unwrap_or("utf-8");
            (!is_evident(charset, &text)).then_some("the body could be of another charset")
        }
        ("" | "text/plain", Some(_))
            if boundary(mail.body).is_none() && !could_be_html(mail.body) =>
        {
            None
        }
        _ => Some("the body could be of another"),
    }
}

/// Returns the reason if an unsigned parameter could give the body another reading. A multipart has
/// no such parameter.
fn parameter_fault(mail: &Mail<'_>, content: &Content) -> Option<&'static str> {
    if content.is("multipart/") {
        return None;
    }
    if content.parameter("name").is_some() {
        return Some("its name makes the mail an attachment");
    }
    if content.kind == "text/html" {
        return None;
    }

    let text = Encoding::of(mail)?.decode(mail.body)?;
    if !is_evident(content.parameter("charset").unwrap_or("utf-8"), &text) {
        return Some("the text could be of another charset");
    }

    // With `format=flowed` a reader joins lines that end in a space, and drops the first space of
    // those that begin with one (RFC 3676, 4).
    let is_fixed = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        !line.starts_with(b" ") && (!line.ends_with(b" ") || line == b"-- ")
    };
    let mut lines = text.split(|byte| *byte == b'\n');
    (!lines.all(is_fixed)).then_some(
        "lines that begin or end with a space would be read in another way with `format=flowed`",
    )
}

/// A Content-Type or a Content-Disposition in the plain grammar that all programs read alike.
#[derive(Default)]
struct Content {
    /// The type in lower case; empty if there is no field.
    kind: String,
    parameters: Vec<(String, String)>,
}

impl Content {
    /// Parses a value; `None` if it is written in any other way: with comments, escapes,
    /// continuations, or a repeated parameter.
    fn read(value: &[u8]) -> Option<Self> {
        let value = str::from_utf8(value).ok()?;
        let mut parts = value.split(';').map(str::trim);
        let mut read = Self {
            kind: parts.next()?.to_ascii_lowercase(),
            parameters: Vec::new(),
        };

        let is_kind = read.kind.split('/').all(is_token);
        let mut rest = parts.peekable();

        while let Some(part) = rest.next() {
            if part.is_empty() && rest.peek().is_none() {
                break;
            }
            let (name, value) = part.split_once('=')?;
            let quoted = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            let is_plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
            if !is_token(name)
                || !quoted.map_or_else(|| is_token(value), |text| text.chars().all(is_plain))
            {
                return None;
            }
            let name = name.to_ascii_lowercase();
            if name.contains('*') || read.parameter(&name).is_some() {
                return None;
            }
            read.parameters
                .push((name, quoted.unwrap_or(value).to_owned()));
        }

        is_kind.then_some(read)
    }

    fn is(&self, main: &str) -> bool {
        self.kind.starts_with(main)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Returns whether the text is a token of RFC 2045, 5.1, extended by `=`, which many leave unquoted
/// in a boundary.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?".contains(&byte))
}

fn begins(value: &[u8], with: &[u8]) -> bool {
    value
        .get(..with.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// The transfer encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    None,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// Returns the encoding that the mail names; `None` if it is unknown or oddly written.
    fn of(mail: &Mail<'_>) -> Option<Self> {
        let Some(value) = mail.value(b"Content-Transfer-Encoding") else {
            return Some(Self::None);
        };
        match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"7bit" | b"8bit" | b"binary" => Some(Self::None),
            b"quoted-printable" => Some(Self::QuotedPrintable),
            b"base64" => Some(Self::Base64),
            _ => None,
        }
    }

    /// Decodes a body; `None` if part of it is not in this encoding.
    fn decode(self, body: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::None => Some(body.into()),
            Self::QuotedPrintable => quoted_printable(body).map(Cow::Owned),
            Self::Base64 => {
                let solid: Vec<u8> = body
                    .iter()
                    .copied()
                    .filter(|byte| !byte.is_ascii_whitespace())
                    .collect();
                BASE64_STANDARD.decode(solid).ok().map(Cow::Owned)
            }
        }
    }
}

/// Decodes quoted-printable (RFC 2045, 6.7): every `=` is an escape, or the end of a line.
fn quoted_printable(body: &[u8]) -> Option<Vec<u8>> {
    let hex = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };

    let mut decoded = Vec::with_capacity(body.len());
    let mut rest = body;

    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'=' {
            if !byte.is_ascii() {
                return None;
            }
            decoded.push(byte);
            continue;
        }
        let end = after
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\t'))
            .unwrap_or(after.len());
        rest = match &after[end..] {
            [] => &[],
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            [high, low, rest @ ..] if end == 0 => {
                decoded.push(hex(*high)? << 4 | hex(*low)?);
                rest
            }
            _ => return None,
        };
    }

    Some(decoded)
}

/// Returns the boundary of a body that is evidently a multipart.
fn boundary(body: &[u8]) -> Option<&[u8]> {
    let dashed = |line: &&[u8]| line.starts_with(b"--") && line.trim_ascii_end().len() > 2;
    let first = body
        .split(|byte| *byte == b'\n')
        .find(dashed)?
        .trim_ascii_end();

    let last = body.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    last.strip_suffix(b"--")
        .filter(|opening| *opening == first)?;

    first.strip_prefix(b"--")
}

fn is_html(text: &[u8]) -> bool {
    let text = text
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(text)
        .trim_ascii();
    let begins_with_tag = matches!(
        text,
        [b'<', second, ..] if second.is_ascii_alphabetic() || b"!?".contains(second)
    );
    begins_with_tag && text.ends_with(b">")
}

fn could_be_html(body: &[u8]) -> bool {
    [Encoding::None, Encoding::QuotedPrintable, Encoding::Base64]
        .into_iter()
        .any(|encoding| encoding.decode(body).is_some_and(|text| is_html(&text)))
}

/// Returns whether a text is in this charset and could be in no other: it is ASCII, which is the
/// same in all, or UTF-8.
fn is_evident(charset: &str, text: &[u8]) -> bool {
    // The charsets in which ASCII is ASCII. Stateful and two-byte charsets can hide markup in it.
    const PLAIN: [&str; 4] = ["us-ascii", "ascii", "iso-8859-", "windows-125"];
    let charset = charset.to_ascii_lowercase();
    let utf_8 = matches!(charset.as_str(), "utf-8" | "utf8");
    if text.is_ascii() {
        return utf_8 || PLAIN.iter().any(|plain| charset.starts_with(plain));
    }
    utf_8 && str::from_utf8(text).is_ok()
}

/// Returns whether a Content-Disposition says nothing that would not hold without it. For profiles,
/// a name makes the part an attachment.
fn is_inline(value: &[u8], is_read_by_profile: bool) -> bool {
    Content::read(value).is_some_and(|disposition| {
        disposition.kind == "inline" && (disposition.parameters.is_empty() || !is_read_by_profile)
    })
}

#[cfg(test)]
mod tests;
