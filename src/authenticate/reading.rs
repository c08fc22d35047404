//! Whether the body that is signed leaves one reading only.
//!
//! Content-Type and Content-Transfer-Encoding say how a body is read. Where a signature does not cover them, anybody who
//! holds a genuine mail can write others above the same body, and have another part of it taken for the alert: what an
//! app's name says in the text, say. What a sender's signatures cover is not ours to choose. So the body itself must show
//! what it is, and the fields must say the same:
//!
//! - a multipart's first line that begins with `--` is its boundary, and its last line closes it;
//! - HTML begins with a tag and ends with one, in ASCII or UTF-8;
//! - quoted-printable and base64 are what holds nothing else, and nothing else is what could be one of them.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mail_parser::{ContentType, parsers::MessageStream};

use super::mail::Mail;

/// The least base64 that plain text is not taken for.
const SOME_BASE64: usize = 64;

/// What is read otherwise than it was written, maybe; `is_signed` knows the fields that are.
pub fn fault(mail: &Mail<'_>, is_signed: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    let disposition = mail.value(b"Content-Disposition");
    if !is_signed("Content-Disposition") && disposition.is_some_and(|value| !is_inline(value)) {
        return Some("it does not cover the Content-Disposition, which makes the mail an attachment");
    }
    let (type_is_signed, encoding_is_signed) = (is_signed("Content-Type"), is_signed("Content-Transfer-Encoding"));
    if type_is_signed && encoding_is_signed {
        return None;
    }
    let kind = mail.value(b"Content-Type").map(content_type);
    let kind = match &kind {
        None => None,
        Some(Some(kind)) => Some(kind),
        Some(None) if type_is_signed => None,
        Some(None) => return Some("it does not cover the Content-Type, which cannot be read"),
    };
    let is = |main: &str, sub: Option<&str>| {
        kind.is_some_and(|kind| {
            let of_kind = |sub: &str| kind.subtype().is_some_and(|of_kind| of_kind.eq_ignore_ascii_case(sub));
            kind.ctype().eq_ignore_ascii_case(main) && sub.is_none_or(of_kind)
        })
    };
    let encoding = Encoding::of(mail.value(b"Content-Transfer-Encoding"));
    if is("multipart", None) {
        if !encoding_is_signed && encoding != Some(Encoding::None) {
            return Some("it does not cover the Content-Transfer-Encoding, and a multipart has none");
        }
        let claimed = kind.and_then(|kind| kind.attribute("boundary")).map(|boundary| boundary.trim_end().as_bytes());
        let shown = boundary(mail.body);
        return (!type_is_signed && (shown.is_none() || shown != claimed)).then_some(
            "it does not cover the Content-Type, and the body is not evidently a multipart of that boundary",
        );
    }
    if is("text", Some("html")) {
        return html_fault(mail.body, kind, encoding, type_is_signed, encoding_is_signed);
    }
    if type_is_signed {
        return None;
    }
    let is_plain = kind.is_none() || is("text", Some("plain"));
    (!is_plain || boundary(mail.body).is_some() || could_be_html(mail.body))
        .then_some("it does not cover the Content-Type, and the body could be of another")
}

fn html_fault(
    body: &[u8],
    kind: Option<&ContentType<'_>>,
    encoding: Option<Encoding>,
    type_is_signed: bool,
    encoding_is_signed: bool,
) -> Option<&'static str> {
    const TRANSFER: &str = "it does not cover the Content-Transfer-Encoding, and the body could be of another";
    let Some(text) = encoding.and_then(|encoding| encoding.decode(body)) else {
        return Some(
            "it does not cover how the body is read, which is not of its Content-Transfer-Encoding throughout",
        );
    };
    let could_be = |other: Encoding| other.decode(body).is_some_and(|decoded| *decoded != *body);
    if !encoding_is_signed && encoding == Some(Encoding::None) && could_be(Encoding::QuotedPrintable) {
        return Some(TRANSFER);
    }
    let base64 = encoding != Some(Encoding::Base64) && body.len() >= SOME_BASE64 && could_be(Encoding::Base64);
    if !encoding_is_signed && base64 {
        return Some(TRANSFER);
    }
    if type_is_signed {
        return None;
    }
    if !is_html(&text) {
        return Some("it does not cover the Content-Type, and the body is not evidently HTML");
    }
    let charset = kind.and_then(|kind| kind.attribute("charset")).unwrap_or("utf-8").trim().to_ascii_lowercase();
    (!is_evident(&charset, &text))
        .then_some("it does not cover the Content-Type, and the body could be of another charset")
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    None,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// The one a field names, as loosely as anybody reads it; none where it is unknown.
    fn of(value: Option<&[u8]>) -> Option<Self> {
        let Some(value) = value else { return Some(Self::None) };
        let end = value.iter().position(|byte| matches!(byte, b';' | b'(')).unwrap_or(value.len());
        let plain = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-';
        let word: Vec<u8> = value[..end].iter().filter(plain).map(u8::to_ascii_lowercase).collect();
        match word.as_slice() {
            b"" | b"7bit" | b"7-bit" | b"8bit" | b"8-bit" | b"binary" => Some(Self::None),
            b"quoted-printable" => Some(Self::QuotedPrintable),
            b"base64" => Some(Self::Base64),
            _ => None,
        }
    }

    /// None where something in the body is not of it.
    fn decode(self, body: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::None => Some(body.into()),
            Self::QuotedPrintable => quoted_printable(body).map(Cow::Owned),
            Self::Base64 => {
                let solid: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                BASE64_STANDARD.decode(solid).ok().map(Cow::Owned)
            }
        }
    }
}

/// RFC 2045, 6.7: every `=` is an escape, or the end of a line.
fn quoted_printable(body: &[u8]) -> Option<Vec<u8>> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
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
        let end = after.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(after.len());
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

/// The boundary of what is evidently a multipart.
fn boundary(body: &[u8]) -> Option<&[u8]> {
    let dashed = |line: &&[u8]| line.starts_with(b"--") && line.trim_ascii_end().len() > 2;
    let first = body.split(|byte| *byte == b'\n').find(dashed)?.trim_ascii_end();
    let last = body.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    last.strip_suffix(b"--").filter(|opening| *opening == first)?;
    first.strip_prefix(b"--")
}

fn is_html(text: &[u8]) -> bool {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii();
    let tag = matches!(text, [b'<', second, ..] if second.is_ascii_alphabetic() || b"!?".contains(second));
    tag && text.ends_with(b">")
}

fn could_be_html(body: &[u8]) -> bool {
    [Encoding::None, Encoding::QuotedPrintable, Encoding::Base64]
        .into_iter()
        .any(|encoding| encoding.decode(body).is_some_and(|text| is_html(&text)))
}

/// Whether a text is of the charset and could be of no other: ASCII that is the same in all, or UTF-8.
fn is_evident(charset: &str, text: &[u8]) -> bool {
    // The stateful ones and those of two bytes hide markup in ASCII.
    const OTHERWISE: [&str; 6] = ["utf-7", "utf7", "iso-2022", "csiso2022", "hz", "utf-16"];
    let utf_8 = matches!(charset, "utf-8" | "utf8");
    if text.is_ascii() {
        return utf_8 || (!text.contains(&0x1b) && !OTHERWISE.iter().any(|odd| charset.starts_with(odd)));
    }
    utf_8 && str::from_utf8(text).is_ok()
}

fn is_inline(value: &[u8]) -> bool {
    content_type(value).is_some_and(|disposition| disposition.ctype().eq_ignore_ascii_case("inline"))
}

/// As the extractor reads it.
fn content_type(value: &[u8]) -> Option<ContentType<'_>> {
    MessageStream::new(value).parse_content_type().into_content_type()
}

#[cfg(test)]
mod tests;
