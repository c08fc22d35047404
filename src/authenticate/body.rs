//! The body as a signature with `c=…/relaxed` hashes it (RFC 6376, 3.4.4).
//!
//! mail-auth's own canonicalization drops empty lines at the end of a body, but not lines of white
//! space alone, which are empty once that white space is ignored. mail-auth compares `bh=` with the
//! hash that it is given, which is computed here.

use mail_auth::common::headers::{Writable, Writer};
use memchr::memchr2;

pub struct Relaxed<'a>(pub &'a [u8]);

impl Writable for Relaxed<'_> {
    fn write(self, writer: &mut impl Writer) {
        let (mut breaks, mut is_spaced, mut is_empty) = (0, false, true);
        let mut rest = self.0;

        while let Some(first) = rest.first() {
            let length = match first {
                b'\n' => {
                    breaks += 1;
                    is_spaced = false;
                    1
                }
                b' ' | b'\t' => {
                    is_spaced = true;
                    1
                }
                // A carriage return belongs to a line's end; one that stands alone is refused
                // (`body_fault`).
                b'\r' => 1,
                _ => {
                    let length = word(rest);
                    for _ in 0..std::mem::take(&mut breaks) {
                        writer.write(b"\r\n");
                    }
                    if std::mem::take(&mut is_spaced) {
                        writer.write(b" ");
                    }
                    writer.write(&rest[..length]);
                    is_empty = false;
                    length
                }
            };
            rest = &rest[length..];
        }

        if !is_empty {
            writer.write(b"\r\n");
        }
    }
}

/// Returns the distance to the next white space or the line's end.
fn word(text: &[u8]) -> usize {
    let line = memchr2(b'\r', b'\n', text).unwrap_or(text.len());
    memchr2(b' ', b'\t', &text[..line]).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_one_space_within_a_line_and_nothing_at_its_end() {
        for (body, canonical) in [
            // The example of RFC 6376, 3.4.5.
            (" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            ("", ""),
            ("\r\n", ""),
            (" \t\r\n", ""),
            ("  ", ""),
            ("a", "a\r\n"),
            ("a  ", "a\r\n"),
            ("a\r\n  ", "a\r\n"),
            ("a\r\n \t\r\n", "a\r\n"),
            ("a\r\n\r\n  \r\n\r\n", "a\r\n"),
            ("a\r\n \r\n\r\n\tb \r\n", "a\r\n\r\n\r\n b\r\n"),
            ("\r\n \r\na\n", "\r\n\r\na\r\n"),
            ("a\u{b}\r\n\u{b}\r\n", "a\u{b}\r\n\u{b}\r\n"),
        ] {
            let mut made = Vec::new();
            Relaxed(body.as_bytes()).write(&mut made);
            assert_eq!(String::from_utf8(made).unwrap(), canonical, "{body:?}");
        }
    }
}
