//! The script elements in the HTML of a mail, at any depth of multiparts, but neither in
//! attachments nor in attached mails. If an alert stands in one of those, because a filter or a
//! gateway put the mail into another one, somebody is told.
//!
//! mail-parser reads base64, and `encoding_rs` the character sets. Multiparts are split here,
//! because mail-parser searches the rest of the mail for every boundary that is declared and never
//! comes, which takes time quadratic in the mail's size (450 KB took it 2 s, so 10 MiB take a
//! quarter of an hour). Here the depth and the number of parts are limited, a part is searched once
//! per level, and parts that do not matter are not decoded.
//!
//! A part is read as what it says it is. What it would be if it said something else becomes no
//! alert, however much it looks like one: whoever may put words into a genuine mail could choose
//! them accordingly. It is an [`Obstacle`] instead, and somebody is told.

use memchr::memmem;

use super::{
    Obstacle, charset, defanged,
    element::{self, Found},
    json,
    mime::{
        Disposition, Kind, Line, boundary, boundary_line, differs, disposition, is_contradictory,
        is_packed, kind, trim_line_end,
    },
    quoted_printable,
    structured::Structured,
    trace,
    transfer::{Decoded, Encoding, is_noise},
};
use crate::message::header::{first, split_part};

/// The depth to which multiparts may nest. Mail programs and lists add one level each; five are
/// rare.
const MAX_DEPTH: usize = 16;

/// The largest number of parts of a mail that are read.
const MAX_PARTS: usize = 256;

/// The largest amount of decoded HTML of a mail that is read, in bytes.
const MAX_HTML: usize = 16 << 20;

/// What a mail's body contains that matters here.
#[derive(Default)]
pub(super) struct Body<'a> {
    /// The elements that were found, in order.
    pub found: Vec<Found>,
    /// The number of text/html parts.
    pub html: usize,
    /// The first thing that kept a part from being read, behind which an alert could hide.
    pub obstacle: Option<Obstacle<'a>>,
    /// The parts that are not read, because they are no HTML that is shown: each with its header.
    aside: Vec<(&'a [u8], &'a [u8])>,
    parts: usize,
    bytes: usize,
}

/// Walks through a mail and searches it for the element.
pub(super) fn read<'a>(header: &'a [u8], body: &'a [u8]) -> Body<'a> {
    let mut read = Body::default();
    read.entity(header, body, 0, false);
    read.obstructed_if_there(header, || {
        "the mail has no empty line between its header and its body".to_owned()
    });
    for (header, aside) in std::mem::take(&mut read.aside) {
        read.obstructed_if_there(aside, || {
            "the alert is in an attachment, an attached mail or another part of the mail that is \
             not looked at: something put it there"
                .to_owned()
        });
        if read.found.is_empty() && read.obstacle.is_none() && is_payload_as_text(header, aside) {
            read.obstructed(aside, || {
                "the mail's plain text holds the alert: a gateway may have taken its HTML away"
                    .to_owned()
            });
        }
    }
    read
}

impl<'a> Body<'a> {
    /// Reads one entity (RFC 2045, 2.4): the mail itself, or a part of a multipart.
    fn entity(&mut self, header: &'a [u8], body: &'a [u8], depth: usize, in_digest: bool) {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return self.obstructed(body, || format!("the mail has more than {MAX_PARTS} parts"));
        }

        let content = first(header, b"Content-Type").map(Structured::parse);
        let kind = content.as_ref().map_or(Kind::Unnamed, kind);
        let content = content.unwrap_or_default();

        match disposition(header) {
            _ if matches!(kind, Kind::Packed) || is_packed(header, &content) => {
                return self.obstructed(body, || {
                    format!("the mail is packed as {}, which is not read", content.token)
                });
            }
            Disposition::Attachment => return self.aside.push((header, body)),
            Disposition::Odd | Disposition::Unsure => {
                let reason =
                    || "a part of the mail does not say whether it is an attachment".to_owned();
                return self.obstructed_if_there(body, reason);
            }
            Disposition::Inline => {}
        }

        match kind {
            Kind::Multipart => self.multipart(&content, body, depth),
            Kind::Html => self.html(header, body, content.first("charset").as_deref()),
            // In a digest, such a part is a mail (RFC 2046, 5.1.5).
            Kind::Unnamed if in_digest => self.aside.push((header, body)),
            Kind::Unnamed => self.unnamed(header, body, content.first("charset").as_deref()),
            Kind::Unsure => {
                let reason = || {
                    format!(
                        "a part of the mail is of the type {:.60?}, which is not read",
                        content.token
                    )
                };
                self.obstructed_if_there(body, reason);
            }
            Kind::Other if is_contradictory(header, &content) => {
                self.obstructed_if_there(body, || {
                    "a part of the mail states two types (Content-Type)".to_owned()
                });
            }
            Kind::Packed | Kind::Other => self.aside.push((header, body)),
        }

        if differs(header, b"Content-Type") {
            self.obstructed_if_there(body, || {
                "a part of the mail has two Content-Types".to_owned()
            });
        }
    }

    /// Reads the parts between the boundary lines (RFC 2046, 5.1.1).
    fn multipart(&mut self, content: &Structured, body: &'a [u8], depth: usize) {
        let in_digest = content.token == "multipart/digest";
        let Some(boundary) = boundary(content, body) else {
            return self.obstructed(body, || {
                "the mail has a multipart without a boundary".to_owned()
            });
        };

        if depth == MAX_DEPTH {
            return self.obstructed(body, || {
                format!("the mail nests more than {MAX_DEPTH} multiparts")
            });
        }

        let delimiter = format!("--{boundary}");
        let mut preamble = None;
        let mut part_start = None;
        let mut ended = false;

        for at in memmem::find_iter(body, &delimiter) {
            let Some((line, next)) = boundary_line(body, at, delimiter.len()) else {
                continue;
            };
            if line == Line::LastPerhaps {
                ended = part_start.is_some();
                continue;
            }
            let before = *preamble.get_or_insert(&body[..at]);
            if let Some(start) = part_start {
                let (header, content) = split_part(body.get(start..at).unwrap_or_default());
                self.entity(header, trim_line_end(content), depth + 1, in_digest);
                if self.parts > MAX_PARTS {
                    return;
                }
            }
            if line == Line::Last {
                if part_start.is_none() {
                    self.obstructed_if_there(body, || {
                        "the mail has a multipart without a part".to_owned()
                    });
                }
                return self.around_parts(before, &body[next..]);
            }
            part_start = Some(next);
            ended = false;
        }

        // The last boundary never came. Read what there is of the last part; what is missing may be
        // the alert.
        if let Some(start) = part_start {
            let (header, content) = split_part(&body[start..]);
            self.entity(header, content, depth + 1, in_digest);
        }

        if !ended {
            self.obstructed(body, || {
                "the mail ends before its last MIME boundary: it looks cut off".to_owned()
            });
        }
    }

    /// Checks what stands before and behind all parts of a multipart. Mail programs skip both, and
    /// some begin another part where a multipart was closed too early.
    fn around_parts(&mut self, before: &'a [u8], behind: &'a [u8]) {
        for outside in [before, behind] {
            self.obstructed_if_there(outside, || {
                "the mail has an alert before or behind all parts of a multipart".to_owned()
            });
        }
    }

    /// Reads a text/html part in its declared encoding.
    fn html(&mut self, header: &[u8], body: &'a [u8], charset: Option<&str>) {
        self.html += 1;
        let field = first(header, b"Content-Transfer-Encoding");
        let encoding = Encoding::named(field);

        if encoding == Encoding::Packed {
            let name = String::from_utf8_lossy(field.unwrap_or_default())
                .trim()
                .to_owned();
            return self.obstructed(body, || {
                format!(
                    "an HTML part of the mail has the transfer encoding {name:.40?}, which is \
                         not read"
                )
            });
        }

        let before = self.found.len();
        let decoded = encoding.decode(body);
        let doubt = match self.look(&decoded, charset) {
            Ok(doubt) => doubt,
            Err(reason) => return self.obstructed(body, || reason),
        };

        // Line ends that are written twice cut words apart: without the empty lines, it may be an
        // alert.
        if encoding == Encoding::QuotedPrintable
            && !self.found[before..].iter().any(is_alert)
            && let Some(joined) = quoted_printable::without_empty_lines(body)
        {
            let as_sent = self.found.split_off(before);
            let _ = self.look(&encoding.decode(&joined), charset);
            if !self.found[before..].iter().any(is_alert) {
                self.found.truncate(before);
                self.found.extend(as_sent);
            }
        }

        if let Some(reason) = doubt {
            self.obstructed(body, || reason);
        }

        if self.found.len() > before {
            return;
        }

        if encoding == Encoding::Unknown || differs(header, b"Content-Transfer-Encoding") {
            self.obstructed(body, || {
                "the transfer encoding of an HTML part of the mail is not known".to_owned()
            });
        }
        if let Some(why) = suspicion(encoding, &decoded.bytes) {
            self.obstructed(body, || why.to_owned());
        }
    }

    /// Searches HTML for the element. Returns what is doubtful about the HTML; the error says why
    /// the HTML cannot be read.
    fn look(
        &mut self,
        decoded: &Decoded<'_>,
        charset: Option<&str>,
    ) -> Result<Option<String>, String> {
        let damage = decoded
            .damage
            .map(|damage| format!("an HTML part of the mail has {damage}"));
        let read = charset::decode(&decoded.bytes, charset)?;

        if self.bytes + read.text.len() > MAX_HTML {
            return Err(format!(
                "the mail has more than {} MiB of HTML",
                MAX_HTML >> 20
            ));
        }

        self.bytes += read.text.len();
        self.found.extend(element::find(&read.text)?);

        Ok(damage.or_else(|| read.unknown.as_deref().map(unknown_charset)))
    }

    /// Reads a part that does not say what it is. Mail programs show it as text, unless it begins
    /// as HTML does.
    fn unnamed(&mut self, header: &[u8], body: &'a [u8], charset: Option<&str>) {
        let encoding = Encoding::named(first(header, b"Content-Transfer-Encoding"));
        let decoded = encoding.decode(body);
        let text = decoded
            .bytes
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(&decoded.bytes)
            .trim_ascii_start();

        if matches!(text, [b'<', b'!' | b'a'..=b'z' | b'A'..=b'Z', ..]) {
            self.html(header, body, charset);
        } else {
            self.obstructed_if_there(body, || {
                "a part of the mail states no type (Content-Type)".to_owned()
            });
        }
    }

    fn obstructed(&mut self, evidence: &'a [u8], reason: impl FnOnce() -> String) {
        if self.obstacle.is_none() {
            self.obstacle = Some(Obstacle {
                reason: reason(),
                evidence,
            });
        }
    }

    /// Notes an obstacle if a trace of the element is there: mail without the element is no alert,
    /// however odd it is.
    fn obstructed_if_there(&mut self, body: &'a [u8], reason: impl FnOnce() -> String) {
        if self.obstacle.is_none() && self.found.is_empty() && trace::is_there(body) {
            self.obstructed(body, reason);
        }
    }
}

/// Returns why HTML in which no element is found may contain an alert nevertheless.
fn suspicion(encoding: Encoding, decoded: &[u8]) -> Option<&'static str> {
    if decoded.trim_ascii().is_empty() {
        Some("an HTML part of the mail is empty")
    } else if is_noise(decoded) {
        Some("an HTML part of the mail is not text")
    } else if defanged::is_there(decoded) {
        Some(
            "the mail's HTML mentions the alert but has no element that holds it: a gateway may \
             have removed it",
        )
    } else if is_encoded(encoding, decoded) {
        Some("an HTML part of the mail is encoded but does not say how")
    } else if is_cut(decoded) {
        Some("the mail's HTML ends before it is closed: it looks cut off")
    } else {
        None
    }
}

/// Whether a part is plain text that is left of the HTML with the element.
fn is_payload_as_text(header: &[u8], body: &[u8]) -> bool {
    let content = first(header, b"Content-Type").map(Structured::parse);
    let is_plain = content.is_none_or(|content| content.token == "text/plain");
    let encoding = Encoding::named(first(header, b"Content-Transfer-Encoding"));
    is_plain && defanged::is_payload(&String::from_utf8_lossy(&encoding.decode(body).bytes))
}

/// Whether a part contains the element in an encoding that it does not name, or encoded once more.
fn is_encoded(encoding: Encoding, decoded: &[u8]) -> bool {
    /// The first bytes of gzip (RFC 1952, 2.3.1).
    const GZIP: &[u8] = b"\x1f\x8b";

    if !trace::is_plain(decoded) {
        return match encoding {
            _ if decoded.starts_with(GZIP) => true,
            Encoding::Identity => trace::is_there(decoded),
            _ => trace::is_encoded(decoded),
        };
    }
    // The element's id needs no escape, but the equals sign before the id does.
    memmem::find(decoded, b"=3D").is_some()
        && element::find(&String::from_utf8_lossy(
            &quoted_printable::decode(decoded).0,
        ))
        .is_ok_and(|found| !found.is_empty())
}

/// Whether HTML is begun but not closed.
fn is_cut(html: &[u8]) -> bool {
    let lower = html.to_ascii_lowercase();
    let has = |tag: &str| memmem::find(&lower, tag.as_bytes()).is_some();
    (has("<html") || has("<body")) && !has("</html") && !has("</body")
}

fn unknown_charset(name: &str) -> String {
    format!("an HTML part of the mail is in the character set {name:?}, which is not known")
}

fn is_alert(found: &Found) -> bool {
    matches!(found, Found::Json(text) if json::parse(text).is_ok())
}
