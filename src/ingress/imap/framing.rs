//! Divides a server's bytes into whole answers: a line and the literals within it (RFC 9051, 2.2.2
//! and 4.3). Pure.
//!
//! The limits are enforced here: bytes in answer to one command, the length of a line, and literals
//! only in data. An answer is passed on only when all of it has arrived, so that a truncated mail
//! is never taken for a whole one.

use std::io;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// The longest line in bytes, excluding literals. The answer to a SEARCH over
/// [`super::scan::SEARCH_WIDTH`] UIDs is the longest that is requested.
const MAX_LINE: usize = 256 * 1024;
/// The least space that is reserved at once, in bytes.
const ROOM: usize = 8 * 1024;
/// The length above which a literal's memory is released together with its bytes.
const LARGE: usize = 64 * 1024;

/// How a server broke the limits, or the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Breach {
    #[error("a line longer than {} KiB", MAX_LINE / 1024)]
    Line,
    #[error("far more bytes than were asked for")]
    Flood,
    #[error("a literal of another length than it announced")]
    Literal,
    #[error("an answer that is not IMAP")]
    Foreign,
}

impl From<Breach> for io::Error {
    fn from(breach: Breach) -> Self {
        Self::new(io::ErrorKind::InvalidData, breach)
    }
}

/// A part of an answer: text, and the literal that follows it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Piece {
    /// The text without the announcement of the literal and without the line's end.
    pub(super) text: Bytes,
    pub(super) literal: Option<Bytes>,
}

/// What has arrived of a server's answers so far.
#[derive(Debug, Default)]
pub(super) struct Framing {
    buffer: BytesMut,
    /// The number of bytes at the start of the buffer that contain no line feed.
    scanned: usize,
    /// The complete pieces of the answer being read.
    pieces: Vec<Piece>,
    /// The length of the literal being read.
    literal: Option<usize>,
    /// Bytes that the server may still send.
    allowance: u64,
    received: u64,
}

impl Framing {
    /// Sets how many bytes may come from here on.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.allowance = bytes;
    }

    /// Returns the number of bytes received, to tell a slow server from a dead one.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Returns whether an answer has begun and is incomplete.
    pub(super) fn is_in_mid_answer(&self) -> bool {
        !self.buffer.is_empty() || !self.pieces.is_empty() || self.literal.is_some()
    }

    /// Returns the buffer for the server's bytes; [`Framing::admit`] must then be told how many
    /// came.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        self.buffer.reserve(ROOM);
        &mut self.buffer
    }

    pub(super) fn admit(&mut self, count: usize) -> Result<(), Breach> {
        self.received += count as u64;
        self.allowance = self
            .allowance
            .checked_sub(count as u64)
            .ok_or(Breach::Flood)?;
        Ok(())
    }

    /// Returns the next whole answer, if it has arrived.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Piece>>, Breach> {
        loop {
            if let Some(length) = self.literal {
                if self.buffer.len() < length {
                    return Ok(None);
                }
                let literal = self.buffer.split_to(length).freeze();
                // What follows the literal must not keep the literal's memory.
                if length > LARGE {
                    self.buffer = BytesMut::from(&self.buffer[..]);
                }
                if let Some(piece) = self.pieces.last_mut() {
                    piece.literal = Some(literal);
                }
                self.literal = None;
            }
            let Some(line) = self.line()? else {
                return Ok(None);
            };
            let Some((before, length)) = announced_literal(&line).filter(|_| self.is_data(&line))
            else {
                self.pieces.push(Piece {
                    text: Bytes::copy_from_slice(&line),
                    literal: None,
                });
                return Ok(Some(std::mem::take(&mut self.pieces)));
            };
            if length > self.allowance + self.buffer.len() as u64 {
                return Err(Breach::Flood);
            }
            let length = usize::try_from(length).map_err(|_| Breach::Flood)?;
            // Reserve all of it at once: a buffer that grows by doubling takes half as much again.
            self.buffer
                .reserve(length.saturating_sub(self.buffer.len()) + ROOM);
            self.literal = Some(length);
            self.pieces.push(Piece {
                text: Bytes::copy_from_slice(before),
                literal: None,
            });
        }
    }

    /// Returns the next line, without its end.
    fn line(&mut self) -> Result<Option<BytesMut>, Breach> {
        let end = memchr(b'\n', &self.buffer[self.scanned..]).map(|at| self.scanned + at);
        if end.unwrap_or(self.buffer.len()) > MAX_LINE {
            return Err(Breach::Line);
        }

        let Some(end) = end else {
            self.scanned = self.buffer.len();
            return Ok(None);
        };

        self.scanned = 0;

        let mut line = self.buffer.split_to(end + 1);
        line.truncate(end);
        if line.ends_with(b"\r") {
            line.truncate(end - 1);
        }

        Ok(Some(line))
    }

    /// Returns whether a literal may occur in what is being read: in data, never in the text for
    /// people after a status.
    fn is_data(&self, line: &[u8]) -> bool {
        let begins = self.pieces.first().map_or(line, |first| &first.text);
        let Some(rest) = begins.strip_prefix(b"* ") else {
            return false;
        };
        let word = rest.split(|&byte| byte == b' ').next().unwrap_or_default();
        ![b"OK".as_slice(), b"NO", b"BAD", b"BYE", b"PREAUTH"]
            .iter()
            .any(|status| word.eq_ignore_ascii_case(status))
    }
}

/// Reads the announcement of a literal at the end of a line: `… {123}`, and `~{123}` (RFC 3516)
/// and `{123+}` (RFC 7888), which some servers write. Returns what precedes it, and the number. A
/// number that is too large for a `u64` counts as the largest.
fn announced_literal(line: &[u8]) -> Option<(&[u8], u64)> {
    let inner = line.strip_suffix(b"}")?;
    let brace = inner.iter().rposition(|&byte| byte == b'{')?;
    let (before, digits) = (&inner[..brace], &inner[brace + 1..]);
    let before = before.strip_suffix(b"~").unwrap_or(before);
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);

    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }

    Some((
        before,
        std::str::from_utf8(digits)
            .ok()?
            .parse()
            .unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], packet: usize) -> Result<Vec<Vec<Piece>>, Breach> {
        let mut framing = Framing::default();
        framing.allow(1 << 20);
        let mut answers = Vec::new();
        for bytes in bytes.chunks(packet) {
            framing.room().extend_from_slice(bytes);
            framing.admit(bytes.len())?;
            while let Some(answer) = framing.next()? {
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    /// Reads the bytes both at once and one by one, because packets may be cut anywhere.
    fn judge(bytes: &[u8]) -> Result<Vec<Vec<Piece>>, Breach> {
        let whole = read(bytes, bytes.len());
        assert_eq!(read(bytes, 1), whole);
        whole
    }

    fn piece(text: &'static str, literal: Option<&'static str>) -> Piece {
        Piece {
            text: text.into(),
            literal: literal.map(Into::into),
        }
    }

    #[test]
    fn an_answer_is_a_line_and_the_literals_in_it() {
        let answers =
            judge(b"* OK {5}\r\n* 3 FETCH (BODY[] {6}\r\n(\r\n{9} UID 9)\r\na1 OK {9}\r\n* 4 EXI")
                .unwrap();
        assert_eq!(
            answers,
            [
                vec![piece("* OK {5}", None)],
                vec![
                    piece("* 3 FETCH (BODY[] ", Some("(\r\n{9}")),
                    piece(" UID 9)", None)
                ],
                vec![piece("a1 OK {9}", None)],
            ]
        );
    }

    #[test]
    fn a_literal_is_announced_in_three_ways() {
        for announced in ["{2}", "~{2}", "{2+}"] {
            let answer = format!("* 3 FETCH (BODY[] {announced}\r\n(\r UID 9)\r\n");
            assert_eq!(
                judge(answer.as_bytes()).unwrap(),
                [vec![
                    piece("* 3 FETCH (BODY[] ", Some("(\r")),
                    piece(" UID 9)", None)
                ]],
                "{announced}"
            );
        }
    }

    #[test]
    fn what_would_fill_the_memory_is_stopped() {
        let endless = format!("* OK {}", "x".repeat(MAX_LINE));
        for (answer, breach) in [
            ("* 1 FETCH (UID 1 BODY[] {500000000}\r\n", Breach::Flood),
            (
                "* 1 FETCH (UID 1 BODY[] {99999999999999999999999}\r\n",
                Breach::Flood,
            ),
            (endless.as_str(), Breach::Line),
        ] {
            assert_eq!(
                judge(answer.as_bytes()),
                Err(breach),
                "{}",
                &answer[..answer.len().min(60)]
            );
        }
        assert_eq!(
            read(&b"* 1 EXISTS\r\n".repeat(100_000), 4096),
            Err(Breach::Flood)
        );
    }
}
