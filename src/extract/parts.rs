//! The parts of a mail that hold something: every entity that is no multipart, in order.
//!
//! The walk is [`super::body`]'s, with its bounds, and gives everything instead of looking for one
//! element.

use memchr::memmem;

use super::{
    charset,
    mime::{Disposition, Kind, Line, boundary, boundary_line, disposition, kind, trim_line_end},
    structured::Structured,
    transfer::Encoding,
};
use crate::message::header::{first, split_part};

/// How deep multiparts may nest.
const MAX_DEPTH: usize = 16;

/// How many parts are looked at.
const MAX_PARTS: usize = 256;

/// One entity (RFC 2045, 2.4) that is no multipart.
pub(super) struct Part<'a> {
    pub header: &'a [u8],
    pub body: &'a [u8],
    pub content: Structured,
    pub kind: Kind,
    /// Whether it says that it is to be shown with the mail, or does not say.
    pub inline: bool,
}

/// What the walk found.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub all: Vec<Part<'a>>,
    /// The first thing that kept a part from being seen.
    pub obstacle: Option<String>,
}

/// Walks through a mail.
pub(super) fn of<'a>(header: &'a [u8], body: &'a [u8]) -> Parts<'a> {
    let mut parts = Parts::default();
    parts.entity(header, body, 0);
    parts
}

impl<'a> Parts<'a> {
    fn entity(&mut self, header: &'a [u8], body: &'a [u8], depth: usize) {
        if self.all.len() >= MAX_PARTS {
            return self.obstructed(|| format!("the mail has more than {MAX_PARTS} parts"));
        }

        let content = first(header, b"Content-Type").map(Structured::parse);
        let kind = content.as_ref().map_or(Kind::Unnamed, kind);
        let content = content.unwrap_or_default();

        match kind {
            Kind::Multipart => self.multipart(&content, body, depth),
            _ => self.all.push(Part {
                header,
                body,
                inline: !matches!(disposition(header), Disposition::Attachment),
                content,
                kind,
            }),
        }
    }

    /// The parts between the boundary lines (RFC 2046, 5.1.1).
    fn multipart(&mut self, content: &Structured, body: &'a [u8], depth: usize) {
        let Some(boundary) = boundary(content, body) else {
            return self.obstructed(|| "the mail has a multipart without a boundary".to_owned());
        };
        if depth == MAX_DEPTH {
            return self.obstructed(|| format!("the mail nests more than {MAX_DEPTH} multiparts"));
        }

        let delimiter = format!("--{boundary}");
        let mut part_start = None;

        for at in memmem::find_iter(body, &delimiter) {
            let Some((line, next)) = boundary_line(body, at, delimiter.len()) else {
                continue;
            };
            if line == Line::LastPerhaps {
                continue;
            }
            if let Some(start) = part_start {
                let (header, content) = split_part(body.get(start..at).unwrap_or_default());
                self.entity(header, trim_line_end(content), depth + 1);
            }
            if line == Line::Last || self.all.len() > MAX_PARTS {
                return;
            }
            part_start = Some(next);
        }

        // The last boundary never came: what there is of the last part is read.
        if let Some(start) = part_start {
            let (header, content) = split_part(&body[start..]);
            self.entity(header, content, depth + 1);
        }
        self.obstructed(|| {
            "the mail ends before its last MIME boundary: it looks cut off".to_owned()
        });
    }

    fn obstructed(&mut self, reason: impl FnOnce() -> String) {
        if self.obstacle.is_none() {
            self.obstacle = Some(reason());
        }
    }
}

impl Part<'_> {
    /// The text that a reader sees of the part, whatever it was encoded in.
    pub fn text(&self) -> String {
        let encoding = Encoding::named(first(self.header, b"Content-Transfer-Encoding"));
        let decoded = encoding.decode(self.body).bytes;
        let charset = self.content.first("charset");
        let charset = charset.filter(|charset| !charset.trim().is_empty());
        let charset = charset.or_else(|| match self.kind {
            Kind::Html => charset::declared(&decoded),
            _ => None,
        });
        charset::decode_all(&decoded, charset.as_deref())
    }

    /// The bytes of the part.
    pub fn bytes(&self) -> Vec<u8> {
        let encoding = Encoding::named(first(self.header, b"Content-Transfer-Encoding"));
        encoding.decode(self.body).bytes.into_owned()
    }
}
