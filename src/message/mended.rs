//! A mail as mail programs read it: what transport left before the header or between its lines is
//! skipped.
//!
//! Authenticity is judged over the same bytes from which the alert is read, so that nothing is read
//! that was not judged. An ordinary mail is borrowed as it is; only an odd one is copied.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr_iter, memchr2_iter, memmem};

use super::header::{OF_MAILS, fields, first, split_mail};

/// UTF-8's byte order mark, and the result of decoding one as Latin-1 and encoding it again.
const BYTE_ORDER_MARKS: [&[u8]; 2] = ["\u{feff}".as_bytes(), "\u{ef}\u{bb}\u{bf}".as_bytes()];

/// The maximum size of a block of a server's fields above a mail, in bytes.
const MAX_ABOVE: usize = 64 << 10;

/// The maximum number of banners before the header that are skipped.
const MAX_BANNERS: usize = 3;

/// A mail's header block and body.
#[derive(Debug)]
pub struct Mended<'a> {
    bytes: Cow<'a, [u8]>,
    header_end: usize,
    body_start: usize,
}

impl<'a> Mended<'a> {
    /// Mends a mail. This takes time linear in the mail's size, and copies only an odd mail.
    pub fn of(raw: &'a [u8]) -> Self {
        let bytes = match utf_16(raw) {
            Some(text) if is_mail(text.as_bytes()) || !is_mail(&raw[2..]) => {
                Cow::Owned(mend(text.as_bytes()).into_owned())
            }
            // Only the mark was put before a mail that is not in UTF-16.
            Some(_) => mend(&raw[2..]),
            None => mend(raw),
        };

        let (header, body) = split_mail(&bytes);
        let (header_end, body_start) = (header.len(), bytes.len() - body.len());
        Self {
            bytes,
            header_end,
            body_start,
        }
    }

    /// Returns the whole mail.
    pub fn whole(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the header block, from its first field on.
    pub fn header(&self) -> &[u8] {
        &self.bytes[..self.header_end]
    }

    /// Returns what follows the header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_start..]
    }
}

/// Decodes a file that an editor or a shell saved in UTF-16, which begins with a byte order mark.
fn utf_16(raw: &[u8]) -> Option<Cow<'_, str>> {
    let encoding: &'static Encoding = match raw {
        [0xff, 0xfe, ..] => UTF_16LE,
        [0xfe, 0xff, ..] => UTF_16BE,
        _ => return None,
    };
    Some(encoding.decode_with_bom_removal(raw).0)
}

fn mend(raw: &[u8]) -> Cow<'_, [u8]> {
    // The lines end in a carriage return alone, as on old Macintoshes.
    if memchr(b'\n', raw).is_none() && memchr(b'\r', raw).is_some() {
        let lines: Vec<u8> = raw
            .iter()
            .map(|byte| if *byte == b'\r' { b'\n' } else { *byte })
            .collect();
        return Cow::Owned(begin(&lines).to_vec());
    }

    // The lines end in the two characters of a line end in reverse order.
    if ends_lines_in_lf_cr(raw) {
        return Cow::Owned(mend(&without_returns(raw)).into_owned());
    }

    let raw = begin(raw);
    if let Some(joined) = joined(raw) {
        return Cow::Owned(mend(&joined).into_owned());
    }

    let header = split_mail(raw).0.len();
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

/// Returns whether a line of the header other than the first begins with a byte order mark, because
/// a server has added fields above it.
fn has_marked_line(header: &[u8]) -> bool {
    memchr2_iter(0xef, 0xc3, header).any(|at| {
        at > 0 && header[at - 1] == b'\n' && without_mark(&header[at..]).len() < header.len() - at
    })
}

/// Returns whether the first line ends in LF CR, and so do more than half of all lines.
fn ends_lines_in_lf_cr(raw: &[u8]) -> bool {
    let begins_so = memchr(b'\n', raw).is_some_and(|at| {
        raw.get(at + 1) == Some(&b'\r')
            && raw.get(at + 2).is_some_and(|byte| *byte != b'\n')
            && !raw[..at].ends_with(b"\r")
    });
    begins_so && 2 * memmem::find_iter(raw, b"\n\r").count() > memchr_iter(b'\n', raw).count()
}

fn without_returns(raw: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(raw.len());
    for byte in raw {
        if !(*byte == b'\r' && kept.last() == Some(&b'\n')) {
            kept.push(*byte);
        }
    }
    kept
}

/// Joins a mail's fields with those that a server wrote above them, if an empty line separates the
/// two.
///
/// They are one header, in which the server's own fields stay the topmost.
fn joined(mail: &[u8]) -> Option<Vec<u8>> {
    let (above, rest) = split_mail(mail);
    let is_of_server = OF_MAILS.iter().all(|name| first(above, name).is_none());
    if !is_of_server || above.is_empty() || above.len() > MAX_ABOVE {
        return None;
    }

    let rest = without_empty_lines(rest);
    if !begins_with_a_field(rest) || first(split_mail(rest).0, b"From").is_none() {
        return None;
    }

    // A boundary that the fields above name may end the header before its From: then the two are
    // no header.
    let joined = [above, rest].concat();
    first(split_mail(&joined).0, b"From")
        .is_some()
        .then_some(joined)
}

fn is_mail(bytes: &[u8]) -> bool {
    begins_with_a_field(begin(bytes))
}

/// Returns the mail from its first field on, without byte order marks, empty lines and a gateway's
/// banner.
fn begin(raw: &[u8]) -> &[u8] {
    let mut mail = without_empty_lines(raw);
    for _ in 0..MAX_BANNERS {
        if begins_with_a_field(mail) {
            break;
        }
        let (banner, rest) = split_mail(mail);
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
        // A file that was damaged, or that was written in blocks, may begin with NULs.
        while let Some(rest) = mail.strip_prefix(b"\0") {
            mail = without_mark(rest);
        }
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
            "\0\0\0",
            "\0\u{feff}\0\r\n",
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
        assert_eq!(
            mended(PLAIN.replace("\r\n", "\n\r").as_bytes()),
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
    fn a_mark_of_utf_16_before_another_mail_is_passed_over() {
        for mark in [[0xff, 0xfe], [0xfe, 0xff]] {
            for between in ["", "\r\n", "\n"] {
                // A number of bytes that UTF-16 may have, and one more.
                for long in ["", "x"] {
                    let mail = format!("{PLAIN}{long}");
                    let raw = [&mark[..], between.as_bytes(), mail.as_bytes()].concat();
                    assert_eq!(mended(&raw), mended(mail.as_bytes()), "{between:?} {long}");
                }
            }
        }
    }

    #[test]
    fn what_a_server_wrote_above_the_header_stays_above_it() {
        for above in [
            "Return-Path: <x@y>\r\n",
            "Received: by a\r\n\tb\r\nX-A: 1\r\n",
        ] {
            for blank in ["\r\n", "\n", "\r\n \r\n"] {
                let raw = format!("{above}{blank}{PLAIN}");
                let expected = (
                    format!("{above}From: a@b\r\nTo: c@d\r\n"),
                    "body\r\n".to_owned(),
                );
                assert_eq!(mended(raw.as_bytes()), expected, "{raw:?}");
            }
        }
        // A boundary of the fields above ends what would be one header, before and after joining.
        let raw = "X: boundary=\"a: x\r\n\r\nY: 1\r\n--a: x\r\nFrom: a@b\r\n\r\nbody";
        let (header, body) = raw.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            mended(raw.as_bytes()),
            (format!("{header}\r\n"), body.to_owned())
        );
        // A mail without a From is not the mail that it quotes.
        for raw in [
            "Subject: Fwd\r\nReceived: x\r\n\r\nFrom: a@b\r\n\r\nbody",
            "Received: x\r\n\r\nHello\r\nFrom: a@b\r\n\r\nbody",
            "Received: x\r\n\r\nNote: this\r\n\r\nFrom: a@b\r\n",
        ] {
            let (header, body) = raw.split_once("\r\n\r\n").unwrap();
            assert_eq!(
                mended(raw.as_bytes()),
                (format!("{header}\r\n"), body.to_owned())
            );
        }
    }

    #[test]
    fn a_banner_of_html_in_the_header_hides_none_of_its_fields() {
        for banner in ["<b>[EXTERNAL]</b>\r\n", "<p>Take care\r\n</p>\r\n"] {
            let lines: Vec<&str> = PLAIN.split_inclusive("\r\n").collect();
            for at in 0..2 {
                let mut lines = lines.clone();
                lines.insert(at, banner);
                let (header, body) = mended(lines.concat().as_bytes());
                assert_eq!(body, "body\r\n", "{header}");
                assert_eq!(first(header.as_bytes(), b"To"), Some(&b" c@d\r\n"[..]));
            }
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
