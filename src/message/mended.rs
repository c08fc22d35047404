//! A mail as mail programs read it: what transport left before the header or between its lines is
//! skipped.
//!
//! Authenticity is judged over the same bytes from which the alert is read, so that nothing is read
//! that was not judged. An ordinary mail is borrowed as it is; only an odd one is copied, once.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr2_iter, memmem};

use super::header::{fields, split};

/// UTF-8's byte order mark, and the result of taking one for Latin-1 and encoding it again.
const BYTE_ORDER_MARKS: [&[u8]; 2] = ["\u{feff}".as_bytes(), "\u{ef}\u{bb}\u{bf}".as_bytes()];

/// How many banners before the header are skipped.
const MAX_BANNERS: usize = 3;

/// A mail's header block and body.
#[derive(Debug)]
pub struct Mended<'a> {
    bytes: Cow<'a, [u8]>,
    header_end: usize,
    body_start: usize,
}

impl<'a> Mended<'a> {
    /// It takes time linear in the mail's size, and copies only an odd mail.
    pub fn of(raw: &'a [u8]) -> Self {
        let bytes = match utf_16(raw) {
            Some(text) => Cow::Owned(mend(text.as_bytes()).into_owned()),
            None => mend(raw),
        };

        let (header, body) = split(&bytes);
        let (header_end, body_start) = (header.len(), bytes.len() - body.len());
        Self {
            bytes,
            header_end,
            body_start,
        }
    }

    /// The header block, from its first field on.
    pub fn header(&self) -> &[u8] {
        &self.bytes[..self.header_end]
    }

    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_start..]
    }
}

/// A file that an editor or a shell saved in UTF-16, which begins with a byte order mark.
fn utf_16(raw: &[u8]) -> Option<Cow<'_, str>> {
    let encoding: &'static Encoding = match raw {
        [0xff, 0xfe, ..] => UTF_16LE,
        [0xfe, 0xff, ..] => UTF_16BE,
        _ => return None,
    };
    Some(encoding.decode_with_bom_removal(raw).0)
}

fn mend(raw: &[u8]) -> Cow<'_, [u8]> {
    // Lines that end in a carriage return alone, as on old Macintoshes.
    if memchr(b'\n', raw).is_none() && memchr(b'\r', raw).is_some() {
        let lines: Vec<u8> = raw
            .iter()
            .map(|byte| if *byte == b'\r' { b'\n' } else { *byte })
            .collect();
        return Cow::Owned(begin(&lines).to_vec());
    }

    let raw = begin(raw);
    let header = split(raw).0.len();
    let doubled = memmem::find(&raw[..header], b"\r\r\n").is_some();

    if !doubled && !has_marked_line(&raw[..header]) {
        return Cow::Borrowed(raw);
    }

    let mut mended = Vec::with_capacity(raw.len());
    let mut at = 0;

    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        let text = if at < header {
            without_mark(line)
        } else {
            line
        };
        at += line.len();
        match text.strip_suffix(b"\r\r\n") {
            Some(text) if doubled => {
                mended.extend_from_slice(trim_returns(text));
                mended.extend_from_slice(b"\r\n");
            }
            _ => mended.extend_from_slice(text),
        }
    }

    Cow::Owned(mended)
}

/// Whether a line of the header other than the first begins with a byte order mark: a server has
/// added fields above it.
fn has_marked_line(header: &[u8]) -> bool {
    memchr2_iter(0xef, 0xc3, header).any(|at| {
        at > 0 && header[at - 1] == b'\n' && without_mark(&header[at..]).len() < header.len() - at
    })
}

/// The mail from its first field on, without byte order marks, empty lines and a gateway's banner.
fn begin(raw: &[u8]) -> &[u8] {
    let mut mail = without_empty_lines(raw);
    for _ in 0..MAX_BANNERS {
        if begins_with_a_field(mail) {
            break;
        }
        let (banner, rest) = split(mail);
        let rest = without_empty_lines(rest);
        if fields(banner).any(|line| line.is_ok()) || !begins_with_a_field(rest) {
            break;
        }
        mail = rest;
    }

    mail
}

fn begins_with_a_field(mail: &[u8]) -> bool {
    fields(mail).next().is_some_and(|line| line.is_ok())
}

fn without_empty_lines(mut mail: &[u8]) -> &[u8] {
    loop {
        mail = without_mark(mail);
        let blank = mail
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
            .count();
        match mail.get(blank) {
            Some(b'\n') => mail = &mail[blank + 1..],
            _ => return mail,
        }
    }
}

fn without_mark(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = BYTE_ORDER_MARKS
        .iter()
        .find_map(|mark| line.strip_prefix(*mark))
    {
        line = rest;
    }
    line
}

fn trim_returns(mut line: &[u8]) -> &[u8] {
    while let Some(shorter) = line.strip_suffix(b"\r") {
        line = shorter;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "From: a@b\r\nTo: c@d\r\n\r\nbody\r\n";

    fn mended(raw: &[u8]) -> (String, String) {
        let mended = Mended::of(raw);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(mended.header()), text(mended.body()))
    }

    #[test]
    fn an_ordinary_mail_is_not_copied() {
        assert!(matches!(
            Mended::of(PLAIN.as_bytes()).bytes,
            Cow::Borrowed(_)
        ));
        let accented = "From: Jürgen <a@b>\r\nSubject: Ã\r\n\r\n\u{feff}body\r\r\n".as_bytes();
        assert!(matches!(Mended::of(accented).bytes, Cow::Borrowed(_)));
    }

    #[test]
    fn what_stands_before_the_header_is_passed_over() {
        let expected = mended(PLAIN.as_bytes());
        for before in [
            "\u{feff}",
            "\u{ef}\u{bb}\u{bf}",
            "\r\n",
            "\n\n\n",
            " \t\r\n\u{feff}\r\n",
            "\u{feff}\u{feff}\r\r\n",
            "This mail came from outside\r\nof the company\r\n\r\n",
            "From a@b Sat Nov 21 06:00:00 2026\r\n\r\n",
        ] {
            let raw = format!("{before}{PLAIN}");
            assert_eq!(mended(raw.as_bytes()), expected, "{before:?}");
        }
        let marked = PLAIN.replace("To:", "\u{feff}To:");
        assert_eq!(mended(marked.as_bytes()), expected);
    }

    #[test]
    fn lines_end_as_lines_do_whatever_ends_them() {
        let expected = mended(PLAIN.as_bytes());
        for end in ["\r\r\n", "\r\r\r\n"] {
            assert_eq!(
                mended(PLAIN.replace("\r\n", end).as_bytes()),
                expected,
                "{end:?}"
            );
        }
        let bare = |text: &str| text.replace("\r\n", "\n");
        assert_eq!(
            mended(PLAIN.replace("\r\n", "\r").as_bytes()),
            (bare(&expected.0), bare(&expected.1))
        );
    }

    #[test]
    fn a_mail_saved_in_utf_16_is_read() {
        for (mark, bytes) in [
            ([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]),
            ([0xfe, 0xff], u16::to_be_bytes),
        ] {
            let text = PLAIN.encode_utf16().flat_map(bytes);
            let raw: Vec<u8> = mark.into_iter().chain(text).collect();
            assert_eq!(mended(&raw), mended(PLAIN.as_bytes()));
        }
    }

    #[test]
    fn a_body_is_left_alone() {
        let raw = b"From: a@b\r\n\r\n\xef\xbb\xbfone\r\r\ntwo\rthree\0";
        assert_eq!(Mended::of(raw).body(), &raw[13..]);
        assert_eq!(mended(b""), (String::new(), String::new()));
        assert_eq!(mended(b"\r\n \n"), (String::new(), String::new()));
    }
}
