//! The parts of a mail that contain something: every entity that is no multipart, in order.
//!
//! The walk is the same as that of [`super::body`], with its bounds, but it returns everything
//! instead of searching for one element.

use memchr::memmem;

use super::{
    charset,
    mime::{Disposition, Kind, Line, boundary, boundary_line, disposition, kind, trim_line_end},
    structured::Structured,
    transfer::{Encoding, ends_within_a_quantum},
};
use crate::message::header::{first, split_part};

/// The depth to which multiparts may nest.
const MAX_DEPTH: usize = 16;

/// The largest number of parts that are read.
const MAX_PARTS: usize = 256;

/// One entity (RFC 2045, 2.4) that is no multipart.
pub(super) struct Part<'a> {
    pub header: &'a [u8],
    pub body: &'a [u8],
    pub content: Structured,
    pub kind: Kind,
    /// Whether the part is to be shown with the mail, or does not say so.
    pub inline: bool,
    /// Whether the boundary that should end the part never came.
    is_open: bool,
}

/// The damage to a part: what of it may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Damage {
    /// Anything may be missing.
    Anywhere(String),
    /// What follows the end may be missing, and perhaps a piece of the last line.
    AtItsEnd(String),
    /// What follows the end may be missing, but the last line is whole if it has a line end.
    WithinALine(String),
}

/// The result of the walk.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub all: Vec<Part<'a>>,
    /// The first thing that kept a part from being read.
    pub obstacle: Option<String>,
    /// The first thing that kept a part from being read at all.
    pub hidden: Option<String>,
}

/// The place of an entity in the mail.
#[derive(Clone, Copy, Default)]
struct Place {
    depth: usize,
    /// Whether nothing says that the entity ends where the mail does.
    is_open: bool,
}

/// Walks through a mail and returns its parts.
pub(super) fn of<'a>(header: &'a [u8], body: &'a [u8]) -> Parts<'a> {
    let mut parts = Parts::default();
    parts.entity(header, body, Place::default());
    parts
}

impl<'a> Parts<'a> {
    fn entity(&mut self, header: &'a [u8], body: &'a [u8], place: Place) {
        if self.all.len() >= MAX_PARTS {
            return self.hidden(|| format!("the mail has more than {MAX_PARTS} parts"));
        }

        let content = first(header, b"Content-Type").map(Structured::parse);
        let kind = content.as_ref().map_or(Kind::Unnamed, kind);
        let content = content.unwrap_or_default();

        match kind {
            Kind::Multipart => self.multipart(&content, body, place),
            _ => self.all.push(Part {
                header,
                body,
                inline: !matches!(
                    disposition(header),
                    Disposition::Attachment | Disposition::Odd
                ),
                content,
                kind,
                is_open: place.is_open,
            }),
        }
    }

    /// Reads the parts between the boundary lines (RFC 2046, 5.1.1).
    fn multipart(&mut self, content: &Structured, body: &'a [u8], place: Place) {
        let Some(boundary) = boundary(content, body) else {
            return self.hidden(|| "the mail has a multipart without a boundary".to_owned());
        };
        if place.depth == MAX_DEPTH {
            return self.hidden(|| format!("the mail nests more than {MAX_DEPTH} multiparts"));
        }

        let within = Place {
            depth: place.depth + 1,
            is_open: false,
        };
        let delimiter = format!("--{boundary}");
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
            if let Some(start) = part_start {
                let (header, content) = split_part(body.get(start..at).unwrap_or_default());
                self.entity(header, trim_line_end(content), within);
            }
            if line == Line::Last || self.all.len() > MAX_PARTS {
                return;
            }
            part_start = Some(next);
            ended = false;
        }

        // The last boundary never came: read what there is of the last part. Within a part that is
        // ended, nothing is missing but the boundary.
        let why = || "the mail ends before its last MIME boundary: it looks cut off".to_owned();
        match part_start {
            Some(start) => {
                let (header, content) = split_part(&body[start..]);
                let is_open = !ended && (place.depth == 0 || place.is_open);
                self.entity(header, content, Place { is_open, ..within });
                self.obstructed(why);
            }
            None => self.hidden(why),
        }
    }

    fn hidden(&mut self, reason: impl FnOnce() -> String) {
        let reason = self.hidden.get_or_insert_with(reason).clone();
        self.obstructed(|| reason);
    }

    fn obstructed(&mut self, reason: impl FnOnce() -> String) {
        if self.obstacle.is_none() {
            self.obstacle = Some(reason());
        }
    }
}

impl Part<'_> {
    /// Returns the text that a reader sees of the part, whatever it was encoded in.
    pub fn text(&self) -> String {
        self.in_unicode(&self.encoding().decode(self.body).bytes)
    }

    /// Returns the text, and what may be missing of it.
    pub fn read(&self) -> (String, Option<Damage>) {
        let encoding = self.encoding();
        let decoded = encoding.decode(self.body);
        let damage = match encoding {
            Encoding::Base64 if decoded.is_lost => Some(Damage::Anywhere(
                "a part of the mail has broken base64: it looks damaged".to_owned(),
            )),
            _ if decoded.is_lost => Some(Damage::Anywhere(
                "a part of the mail has a transfer encoding that is not read".to_owned(),
            )),
            Encoding::Base64 if decoded.damage.is_none() && ends_within_a_quantum(self.body) => {
                Some(Damage::WithinALine(
                    "a part of the mail ends within its base64: it looks cut off".to_owned(),
                ))
            }
            _ if self.is_open => Some(Damage::AtItsEnd(
                "the mail ends before its last MIME boundary: it looks cut off".to_owned(),
            )),
            _ => None,
        };
        (self.in_unicode(&decoded.bytes), damage)
    }

    fn in_unicode(&self, decoded: &[u8]) -> String {
        let charset = self.content.first("charset");
        let charset = charset.filter(|charset| !charset.trim().is_empty());
        let charset = charset.or_else(|| match self.kind {
            Kind::Html => charset::declared(decoded),
            _ => None,
        });
        charset::decode_all(decoded, charset.as_deref())
    }

    /// Returns the decoded bytes of the part.
    pub fn bytes(&self) -> Vec<u8> {
        self.encoding().decode(self.body).bytes.into_owned()
    }

    fn encoding(&self) -> Encoding {
        Encoding::named(first(self.header, b"Content-Transfer-Encoding"))
    }
}
