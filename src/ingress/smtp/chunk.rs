//! Reads what follows BDAT (RFC 3030): a mail in chunks of declared sizes, without added dots and
//! without an end to look for.
//!
//! No byte of a chunk can be taken for a command, whatever it contains, so the size must be read
//! exactly: a server that disagrees with the client about it reads commands out of a mail. A single
//! CR or LF is refused here as it is after DATA.

use memchr::memchr2_iter;
use tokio::time::Instant;

use super::content::{Content, Flaw, Received};

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// What a BDAT command announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) size: u64,
    pub(super) last: bool,
}

/// Returns whether a line, well formed or not, is a BDAT command.
pub(super) fn is_bdat(line: &[u8]) -> bool {
    line.get(..4)
        .is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

/// Parses `BDAT size [LAST]` without its line break, strictly: a lenient reader could be made to
/// see another size than the client's. Returns `None` if it is malformed.
pub(super) fn announced(line: &[u8]) -> Option<Announced> {
    let mut words = line.split(|&byte| byte == b' ');
    let verb = words.next()?;
    let digits = words.next()?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"LAST") => true,
        Some(_) => return None,
    };

    let plain = is_bdat(verb)
        && verb.len() == 4
        && words.next().is_none()
        && digits.iter().all(u8::is_ascii_digit);

    let size = str::from_utf8(digits).ok()?.parse().ok()?;

    plain.then_some(Announced { size, last })
}

/// The joined chunks of a mail.
#[derive(Debug)]
pub(super) struct Chunks {
    content: Content,
    /// Whether the last byte was a CR, so that an LF must follow.
    after_cr: bool,
    /// The deadline for the whole mail.
    pub(super) deadline: Instant,
}

impl Chunks {
    pub(super) fn new(content: Content, deadline: Instant) -> Self {
        Self {
            content,
            after_cr: false,
            deadline,
        }
    }

    /// Takes a piece of any length.
    pub(super) fn read(&mut self, piece: &[u8]) {
        let Some(&end) = piece.last() else { return };
        if !self.line_breaks_are_whole(piece) {
            self.content.spoil(Flaw::BareLineBreak);
        }
        self.after_cr = end == CR;
        self.content.keep(piece);
    }

    fn line_breaks_are_whole(&self, piece: &[u8]) -> bool {
        let begins_well = !self.after_cr || piece.first() == Some(&LF);
        begins_well
            && memchr2_iter(CR, LF, piece).all(|at| {
                if piece[at] == CR {
                    // What follows the piece is examined with the next one.
                    piece.get(at + 1).is_none_or(|&next| next == LF)
                } else {
                    at.checked_sub(1)
                        .map_or(self.after_cr, |before| piece[before] == CR)
                }
            })
    }

    /// Returns why the mail will be refused, if that is already known.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.content.flaw()
    }

    /// Returns the mail, once the last chunk has arrived.
    pub(super) fn finish(mut self) -> Result<Received, Flaw> {
        if self.after_cr {
            self.content.spoil(Flaw::BareLineBreak);
        }
        self.content.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingress::listener::Budget;

    #[test]
    fn only_the_letter_of_the_command_is_read() {
        let chunk = |size, last| Some(Announced { size, last });
        for (line, read) in [
            ("BDAT 0", chunk(0, false)),
            ("bdat 1000 last", chunk(1000, true)),
            ("BDAT 18446744073709551615 LAST", chunk(u64::MAX, true)),
            ("BDAT 18446744073709551616 LAST", None),
            ("BDAT 184467440737095516155", None),
            ("BDAT", None),
            ("BDAT ", None),
            ("BDAT  5", None),
            ("BDAT 5 ", None),
            ("BDAT +5", None),
            ("BDAT -5", None),
            ("BDAT 0x5", None),
            ("BDAT 5 LASTS", None),
            ("BDAT 5 LAST LAST", None),
            ("BDATX 5", None),
            ("BDAT\t5", None),
        ] {
            assert_eq!(announced(line.as_bytes()), read, "{line}");
        }
    }

    #[test]
    fn line_breaks_are_whole_however_the_bytes_are_cut() {
        for (bytes, whole) in [
            (&b"a\r\nb\r\n"[..], true),
            (b"\r\n.\r\nMAIL FROM:<>\r\n", true),
            (b"no end", true),
            (b"\0\xff\r\n", true),
            (b"", true),
            (b"a\nb", false),
            (b"\n", false),
            (b"a\rb", false),
            (b"a\r\r\n", false),
            (b"a\r\n\n", false),
            (b"a\r", false),
        ] {
            for size in 1..=bytes.len().max(1) {
                let content = Content::new(100, 0, &Budget::new(0));
                let mut chunks = Chunks {
                    content,
                    after_cr: false,
                    deadline: Instant::now(),
                };
                bytes.chunks(size).for_each(|piece| chunks.read(piece));
                let read = chunks.finish().map(|received| received.raw);
                let expected = if whole {
                    Ok(bytes.to_vec())
                } else {
                    Err(Flaw::BareLineBreak)
                };
                assert_eq!(
                    read,
                    expected,
                    "{} in pieces of {size}",
                    bytes.escape_ascii()
                );
            }
        }
    }
}
