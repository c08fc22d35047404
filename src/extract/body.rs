//! The text/html parts of a mail, decoded: at any depth of multiparts, but neither attachments nor attached mails.
//!
//! mail-parser reads the MIME headers, base64 and the character sets. Splitting multiparts is done here, because
//! its parser searches the rest of the mail for every boundary that is declared and never comes: time quadratic
//! in the mail's size (450 KB took it 2 s, so 10 MiB take a quarter of an hour). Here depth and number of parts
//! are limited, a part is searched once per level, and parts that do not matter are not decoded.

use std::borrow::Cow;

use mail_parser::{
    ContentType,
    decoders::{base64::base64_decode, charsets::map::charset_decoder},
    parsers::MessageStream,
};
use memchr::memmem;

use super::{Obstacle, quoted_printable};
use crate::message::header::{first, split};

/// How deep multiparts may nest. Mail programs and lists add one level each: five are rare.
const MAX_DEPTH: usize = 16;

/// How many parts of a mail are looked at.
const MAX_PARTS: usize = 256;

/// How much decoded HTML of a mail is looked at, in bytes.
const MAX_HTML: usize = 16 << 20;

/// How names of character sets start in which bytes below 128 are ASCII, beside UTF-8 and ASCII.
const ASCII_COMPATIBLE: [&str; 7] = ["iso-8859-", "iso8859-", "iso_8859-", "windows-125", "cp125", "latin", "koi8-"];

/// What a mail's body holds for us.
#[derive(Default)]
pub(super) struct Body<'a> {
    /// The decoded text/html parts, in order.
    pub html: Vec<Cow<'a, str>>,
    /// The first thing that kept a part from being read, behind which an alert could hide.
    pub obstacle: Option<Obstacle<'a>>,
    parts: usize,
    bytes: usize,
}

/// Walks through a mail.
pub(super) fn html_parts<'a>(header: &'a [u8], body: &'a [u8]) -> Body<'a> {
    let mut found = Body::default();
    found.entity(header, body, 0);
    found
}

impl<'a> Body<'a> {
    /// One entity (RFC 2045, 2.4): the mail itself, or a part of a multipart.
    fn entity(&mut self, header: &'a [u8], body: &'a [u8], depth: usize) {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return self.obstructed(body, || format!("the mail has more than {MAX_PARTS} parts"));
        }
        let Some(kind) = first(header, b"Content-Type").and_then(content_type) else {
            return; // Without a type it is text/plain, or, in a digest, a mail (RFC 2046, 5.1.5).
        };
        if is_attachment(header) {
            return;
        }
        if kind.ctype().eq_ignore_ascii_case("multipart") {
            match kind.attribute("boundary").map(str::trim_end) {
                Some(_) if depth == MAX_DEPTH => {
                    self.obstructed(body, || format!("the mail nests more than {MAX_DEPTH} multiparts"));
                }
                Some(boundary) if !boundary.is_empty() => self.multipart(boundary, body, depth),
                _ => self.obstructed(body, || "the mail has a multipart without a boundary".to_owned()),
            }
        } else if kind.ctype().eq_ignore_ascii_case("text")
            && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("html"))
        {
            match html(header, body, kind.attribute("charset")) {
                Ok(part) if self.bytes + part.text.len() <= MAX_HTML => {
                    self.bytes += part.text.len();
                    self.html.push(part.text);
                    if part.damaged {
                        self.obstructed(body, || "an HTML part of the mail has broken quoted-printable".to_owned());
                    }
                }
                Ok(_) => self.obstructed(body, || format!("the mail has more than {} MiB of HTML", MAX_HTML >> 20)),
                Err(reason) => self.obstructed(body, || reason),
            }
        }
    }

    /// The parts between the boundary lines (RFC 2046, 5.1.1).
    fn multipart(&mut self, boundary: &str, body: &'a [u8], depth: usize) {
        let delimiter = format!("--{boundary}");
        let mut part_start = None;
        for at in memmem::find_iter(body, &delimiter) {
            let Some((last, next)) = boundary_line(body, at, delimiter.len()) else { continue };
            if let Some(start) = part_start {
                let (header, content) = split(body.get(start..at).unwrap_or_default());
                self.entity(header, trim_line_end(content), depth + 1);
                if self.parts > MAX_PARTS {
                    return;
                }
            }
            if last {
                return;
            }
            part_start = Some(next);
        }
        // The last boundary never came. What there is of the last part is read; what is missing may be the alert.
        if let Some(start) = part_start {
            let (header, content) = split(&body[start..]);
            self.entity(header, content, depth + 1);
        }
        self.obstructed(body, || "the mail ends before its last MIME boundary: it looks cut off".to_owned());
    }

    fn obstructed(&mut self, evidence: &'a [u8], reason: impl FnOnce() -> String) {
        if self.obstacle.is_none() {
            self.obstacle = Some(Obstacle { reason: reason(), evidence });
        }
    }
}

/// Whether the bytes at `at` are a boundary line: if it is the last one, and where the next line starts.
fn boundary_line(body: &[u8], at: usize, length: usize) -> Option<(bool, usize)> {
    if at > 0 && body[at - 1] != b'\n' {
        return None;
    }
    let after = &body[at + length..];
    let line_end = memchr::memchr(b'\n', after);
    let rest = after[..line_end.unwrap_or(after.len())].trim_ascii_end();
    let next = line_end.map_or(body.len(), |end| at + length + end + 1);
    match rest {
        b"" => Some((false, next)),
        // Anything may follow the closing dashes: some gateways add text there.
        [b'-', b'-', ..] => Some((true, next)),
        _ => None,
    }
}

/// The line end before a boundary belongs to the boundary.
fn trim_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

fn content_type(value: &[u8]) -> Option<ContentType<'_>> {
    MessageStream::new(value).parse_content_type().into_content_type()
}

/// RFC 2183, 2.8: any disposition but `inline` is to be treated as an attachment.
fn is_attachment(header: &[u8]) -> bool {
    first(header, b"Content-Disposition")
        .and_then(content_type)
        .is_some_and(|disposition| !disposition.ctype().eq_ignore_ascii_case("inline"))
}

/// A decoded text/html part.
struct Html<'a> {
    text: Cow<'a, str>,
    /// Whether bytes that are not of its encoding were taken literally.
    damaged: bool,
}

/// A text/html part as text. The error says what keeps it from being read.
fn html<'a>(header: &[u8], body: &'a [u8], charset: Option<&str>) -> Result<Html<'a>, String> {
    let encoding = first(header, b"Content-Transfer-Encoding").unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let (bytes, damaged): (Cow<[u8]>, bool) = match encoding.as_slice() {
        b"" | b"7bit" | b"8bit" | b"binary" => (body.into(), false),
        b"quoted-printable" => {
            let (decoded, damaged) = quoted_printable::decode(body);
            (decoded.into(), damaged)
        }
        b"base64" => {
            (base64_decode(body).ok_or("an HTML part of the mail has broken base64: it looks damaged")?.into(), false)
        }
        other => {
            return Err(format!(
                "an HTML part of the mail has the unknown transfer encoding {:?}",
                String::from_utf8_lossy(&other[..other.len().min(40)])
            ));
        }
    };
    Ok(Html { text: text(bytes, charset)?, damaged })
}

/// Decodes a character set in which ASCII is ASCII.
///
/// Others hide markup until they are decoded (UTF-7, ISO-2022-*, UTF-16): alerts never come in them, and what else
/// could be in such a part is for a person to see.
fn text<'a>(bytes: Cow<'a, [u8]>, charset: Option<&str>) -> Result<Cow<'a, str>, String> {
    let name = charset.unwrap_or("utf-8").trim().to_ascii_lowercase();
    if matches!(name.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii") {
        return Ok(match bytes {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .unwrap_or_else(|damaged| String::from_utf8_lossy(damaged.as_bytes()).into_owned())
                .into(),
        });
    }
    ASCII_COMPATIBLE
        .iter()
        .any(|safe| name.starts_with(safe))
        .then(|| charset_decoder(name.as_bytes()))
        .flatten()
        .map(|decode| decode(&bytes).into())
        .ok_or_else(|| {
            let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            format!("an HTML part of the mail is in the character set {name:?}, which is not read")
        })
}
