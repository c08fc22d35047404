//! What the header of a part says about it (RFC 2045, RFC 2046, RFC 2183), and where the parts of a
//! multipart begin and end.

use memchr::memmem;

use super::structured::Structured;
use crate::message::header::{fields, first};

/// The main types that exist (RFC 2046, RFC 8081, RFC 2077).
const MAIN_TYPES: [&str; 9] = [
    "application",
    "audio",
    "example",
    "font",
    "image",
    "message",
    "model",
    "text",
    "video",
];

/// The types in which a whole mail may be packed, so that its HTML cannot be seen.
const PACKED: [&str; 8] = [
    "application/pgp-encrypted",
    "application/pkcs7-mime",
    "application/x-pkcs7-mime",
    "application/ms-tnef",
    "application/vnd.ms-tnef",
    "multipart/encrypted",
    "message/partial",
    "message/external-body",
];

/// The names of such files, for gateways that declare them as arbitrary bytes.
const PACKED_FILES: [&str; 4] = ["smime.p7m", "smime.p7z", "winmail.dat", "encrypted.asc"];

/// The kind of a part, as far as it matters here.
pub(super) enum Kind {
    Html,
    Multipart,
    /// A form in which the content cannot be seen.
    Packed,
    /// The part does not say what it is, or not in a way that can be read.
    Unnamed,
    /// The part says that it is something other than HTML, but programs may take it for HTML.
    Unsure,
    Other,
}

/// Returns the kind of a part, by its Content-Type.
pub(super) fn kind(content: &Structured) -> Kind {
    let (main, sub) = content
        .token
        .split_once('/')
        .unwrap_or((&content.token, ""));

    match (main, sub) {
        _ if PACKED.contains(&content.token.as_str()) => Kind::Packed,
        ("multipart", _) => Kind::Multipart,
        ("text" | "application", "html" | "xhtml" | "xhtml+xml" | "x-html") => Kind::Html,
        ("text", "plain") => Kind::Other,
        (main, sub) if !MAIN_TYPES.contains(&main) || sub.is_empty() => Kind::Unnamed,
        ("text", _) => Kind::Unsure,
        ("application" | "message", sub) if sub.contains("html") || sub.ends_with("xml") => {
            Kind::Unsure
        }
        _ => Kind::Other,
    }
}

/// Whether a part is a file in which a whole mail may be packed.
pub(super) fn is_packed(header: &[u8], content: &Structured) -> bool {
    let disposition = first(header, b"Content-Disposition").map(Structured::parse);
    let names = [
        content.first("name"),
        disposition.and_then(|disposition| disposition.first("filename")),
    ];
    names
        .into_iter()
        .flatten()
        .any(|name| PACKED_FILES.contains(&name.trim().to_ascii_lowercase().as_str()))
}

/// Whether the Content-Type names one type, and also mentions something of another.
pub(super) fn is_contradictory(header: &[u8], content: &Structured) -> bool {
    !content.all("boundary").is_empty()
        || first(header, b"Content-Type")
            .is_some_and(|value| memmem::find(&value.to_ascii_lowercase(), b"text/html").is_some())
}

/// The disposition of a part (RFC 2183): whether the part is to be shown with the mail.
pub(super) enum Disposition {
    Inline,
    Attachment,
    /// A word that nobody has defined. RFC 2183, 2.8 treats it as an attachment, whereas mail
    /// programs show such a part.
    Odd,
    /// The part does not say so in a way that can be read.
    Unsure,
}

pub(super) fn disposition(header: &[u8]) -> Disposition {
    let Some(value) = first(header, b"Content-Disposition") else {
        return Disposition::Inline;
    };
    if differs(header, b"Content-Disposition") {
        return Disposition::Unsure;
    }

    match Structured::parse(value).token.as_str() {
        "inline" => Disposition::Inline,
        "" if value.trim_ascii().is_empty() => Disposition::Inline,
        "" => Disposition::Unsure,
        "attachment" => Disposition::Attachment,
        _ => Disposition::Odd,
    }
}

/// Whether a field is given twice with different values.
pub(super) fn differs(header: &[u8], name: &[u8]) -> bool {
    let mut values = fields(header)
        .flatten()
        .filter(|field| field.is(name))
        .map(|field| field.value.trim_ascii());
    let first = values.next();
    values.any(|value| first.is_some_and(|first| !first.eq_ignore_ascii_case(value)))
}

/// Returns the boundary that is meant: the first of the possible ones that occurs in the body.
pub(super) fn boundary(content: &Structured, body: &[u8]) -> Option<String> {
    let written = content.all("boundary");
    let written: Vec<&str> = written
        .iter()
        .map(|boundary| boundary.trim_end())
        .filter(|it| !it.is_empty())
        .collect();

    let comes = |boundary: &str| {
        let delimiter = format!("--{boundary}");
        memmem::find_iter(body, &delimiter)
            .any(|at| boundary_line(body, at, delimiter.len()).is_some())
    };

    let meant = |boundary: &&str| -> Vec<String> {
        let cut = boundary.split([' ', '\t', '(']).next().unwrap_or_default();
        let solid = boundary.split_ascii_whitespace().collect::<String>();
        [
            boundary.trim_start(),
            cut,
            &solid,
            boundary.trim_matches(['\'', '"', '\\']),
            boundary.trim_matches('='),
            &boundary.replace('\\', ""),
        ]
        .into_iter()
        .filter(|meant| !meant.is_empty())
        .map(ToOwned::to_owned)
        .collect()
    };

    let first = (*written.first()?).to_owned();

    if written.len() == 1 && comes(&first) {
        return Some(first);
    }

    let all = written
        .iter()
        .map(|boundary| (*boundary).to_owned())
        .chain(written.iter().flat_map(meant))
        .take(16);

    Some(
        all.into_iter()
            .find(|boundary| comes(boundary))
            .unwrap_or(first),
    )
}

#[derive(PartialEq)]
pub(super) enum Line {
    Next,
    Last,
    /// Closing dashes with more text behind them: a footer that a gateway wrote there, or a
    /// boundary that begins with this one.
    LastPerhaps,
}

/// Whether the bytes at `at` are a boundary line. Returns which one, and where the next line
/// starts.
pub(super) fn boundary_line(body: &[u8], at: usize, length: usize) -> Option<(Line, usize)> {
    if at > 0 && body[at - 1] != b'\n' {
        return None;
    }

    let after = &body[at + length..];
    let line_end = memchr::memchr(b'\n', after);
    let rest = after[..line_end.unwrap_or(after.len())].trim_ascii_end();
    let next = line_end.map_or(body.len(), |end| at + length + end + 1);

    match rest {
        b"" => Some((Line::Next, next)),
        b"--" => Some((Line::Last, next)),
        [b'-', b'-', ..] => Some((Line::LastPerhaps, next)),
        _ => None,
    }
}

/// Removes the line end before a boundary, because it belongs to the boundary.
pub(super) fn trim_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}
