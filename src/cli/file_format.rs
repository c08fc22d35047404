//! The format of a file, recognised by its beginning: a mail, a mailbox, either of them compressed,
//! or something else.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::mbox;

/// The number of bytes that are examined.
pub const LONGEST_START: u64 = 512;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One mail, possibly in Apple Mail's wrapping.
    Mail,
    Mbox,
    Gzip,
    Zstandard,
    /// Not a mail: says what it is, and what to do.
    Foreign(&'static str),
}

/// The beginnings of files that are not mails, and what those files are. HTML and JSON are
/// recognised separately, below.
const FOREIGN: [(&[u8], &str); 16] = [
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Outlook message (.msg) or another of Microsoft's compound files: save the mail as \
         .eml, or export it from \
         Outlook on the web",
    ),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"%PDF-", "a PDF: save the mail itself, as .eml"),
    (
        b"!BDN",
        "an Outlook data file (.pst or .ost): convert it to mbox first, for example with readpst",
    ),
    (
        b"\x78\x9f\x3e\x22",
        "a winmail.dat (TNEF): save the mail itself, as .eml",
    ),
    (b"BZh", "compressed with bzip2: decompress it first"),
    (b"\xfd7zXZ\0", "compressed with xz: decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!", "a rar archive: unpack it first"),
    (b"\x89PNG", "an image: save the mail itself, as .eml"),
    (b"\xff\xd8\xff", "an image: save the mail itself, as .eml"),
    (b"GIF8", "an image: save the mail itself, as .eml"),
    (
        b"{\\rtf",
        "a text document (RTF): save the mail itself, as .eml",
    ),
    (
        b"SQLite format 3\0",
        "a SQLite database: `replay --stored` reads the bridge's own store",
    ),
    (b"bplist", "a property list: save the mail itself, as .eml"),
    (b"<?xml", "an XML document: save the mail itself, as .eml"),
];

/// The beginnings, in lower case, of a web page that was saved without its mail.
const PAGE: [&[u8]; 3] = [b"<!doctype", b"<html", b"<head"];

impl Format {
    /// Recognises a format by the first [`LONGEST_START`] bytes.
    pub fn of(start: &[u8]) -> Self {
        if mbox::begins(start) {
            return Self::Mbox;
        }

        if start.starts_with(b"\x1f\x8b") {
            return Self::Gzip;
        }

        if start.starts_with(b"\x28\xb5\x2f\xfd") {
            return Self::Zstandard;
        }

        if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Self::Foreign(what);
        }

        let text = start
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(start)
            .trim_ascii_start();

        if PAGE.iter().any(|page| {
            text.get(..page.len())
                .is_some_and(|begun| begun.eq_ignore_ascii_case(page))
        }) {
            return Self::Foreign(
                "HTML without the mail around it: save the mail itself, as .eml, with its header",
            );
        }

        if is_json(text) {
            return Self::Foreign("JSON: give a mail instead, as .eml");
        }

        if start.get(257..262) == Some(b"ustar") {
            return Self::Foreign("a tar archive: unpack it first");
        }

        Self::Mail
    }
}

/// Decides whether a text begins as JSON, with one value or several. A bracket alone is not enough,
/// because a mark that a gateway put before a mail (`[EXTERNAL]`) and a line of a log
/// (`[2026-11-28 04:10:00] …`) begin with one, too.
fn is_json(start: &[u8]) -> bool {
    matches!(start, [b'{' | b'[', ..])
        && Deserializer::from_slice(start)
            .into_iter::<IgnoredAny>()
            // The value may continue beyond the bytes that are examined.
            .all(|value| value.map_or_else(|error| error.is_eof(), |IgnoredAny| true))
}

/// Decompresses a file of this format, up to `limit` bytes.
pub fn unpack(format: Format, packed: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match format {
        Format::Gzip => MultiGzDecoder::new(packed)
            .take(limit + 1)
            .read_to_end(&mut bytes)?,
        Format::Zstandard => zstd::Decoder::new(packed)?
            .take(limit + 1)
            .read_to_end(&mut bytes)?,
        Format::Mail | Format::Mbox | Format::Foreign(_) => {
            packed.take(limit + 1).read_to_end(&mut bytes)?
        }
    };

    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!(
            "it is larger than {} MiB",
            limit >> 20
        )));
    }

    Ok(bytes)
}

/// Returns the mail in Apple Mail's `.emlx` format: a line with its length, the mail, and a
/// property list about it.
pub fn without_wrapping(bytes: &[u8]) -> &[u8] {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(first), Some(rest)) = (parts.next(), parts.next()) else {
        return bytes;
    };
    let length = std::str::from_utf8(first.trim_ascii())
        .ok()
        .and_then(|line| line.parse::<usize>().ok());

    match length {
        // Without a property list after it, the length does not tell where the mail ends, so the
        // rest of the file is taken as the mail.
        Some(length) => rest
            .split_at_checked(length)
            .filter(|(_, behind)| behind.trim_ascii_start().starts_with(b"<?xml"))
            .map_or(rest, |(mail, _)| mail),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_as() {
        for mail in [
            "From: a@b\r\n",
            "Received: x",
            "\u{feff}Date: x",
            "",
            "\r\nFrom: a@b",
            "1234  \nFrom: a@b",
            "<a",
            "[EXTERNAL]\r\nFrom: a@b\r\n",
            "[EXTERNAL] From: a@b\r\n",
            "[EXT] {\"a\": 1}",
            "[1] From: a@b",
            "[2026-11-28 04:10:00] down",
            "{Spam?} From: a@b",
        ] {
            assert_eq!(Format::of(mail.as_bytes()), Format::Mail, "{mail:?}");
        }
        assert_eq!(
            Format::of(b"From a@b Sat Nov 21 06:00:00 2026\n"),
            Format::Mbox
        );
        assert_eq!(Format::of(b"\x1f\x8b\x08\0"), Format::Gzip);
        for (start, what) in [
            (
                &b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"[..],
                "Outlook message (.msg)",
            ),
            (b"%PDF-1.7", "PDF"),
            (b"PK\x03\x04x", "zip"),
            (b"  <!DOCTYPE html>", "HTML without the mail"),
            (b"<HTML>", "HTML without the mail"),
            (b"\xef\xbb\xbf{\"a\": 1}", "JSON"),
            (b"{\"a\": [1, \"cut o", "JSON"),
            (b"{\"a\": 1}\n{\"b\": 2}\n", "JSON"),
            (b"[{}, 3]\n", "JSON"),
        ] {
            assert!(
                matches!(Format::of(start), Format::Foreign(told) if told.contains(what)),
                "{what}"
            );
        }
    }

    #[test]
    fn an_emlx_is_the_mail_in_it() {
        assert_eq!(
            without_wrapping(b"11        \nFrom: a@b\n\n<?xml version"),
            b"From: a@b\n\n"
        );
        for number in ["99", "3", "0", "12"] {
            let numbered = format!("{number}\nFrom: a@b\n\nx");
            assert_eq!(without_wrapping(numbered.as_bytes()), b"From: a@b\n\nx");
        }
        assert_eq!(without_wrapping(b"From: a@b\n\nx"), b"From: a@b\n\nx");
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let packed = zstd::encode_all(&vec![0; 4096][..], 1).unwrap();
        assert_eq!(
            unpack(Format::Zstandard, &packed[..], 4096).unwrap().len(),
            4096
        );
        assert!(
            unpack(Format::Zstandard, &packed[..], 4095)
                .unwrap_err()
                .to_string()
                .contains("larger than")
        );
    }
}
