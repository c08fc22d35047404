//! Reads what follows DATA, strictly (RFC 5321, 4.5.2 and 2.3.8).
//!
//! Only CRLF `.` CRLF ends a message. A single CR or LF is never a line break and never part of the
//! end: a mail that contains one is read to its true end and refused as a whole, because servers
//! that disagree about where a mail ends can be made to take one mail for two ("SMTP smuggling").
//! Long lines are accepted: only the size is bounded.

use memchr::memchr2;

use super::content::{Content, Flaw, Received};

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// The position of the next byte within a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    Text,
    /// After a CR.
    Return,
    /// After a dot at the start of a line, which is never part of the message.
    Dot,
    /// After such a dot and a CR.
    DotReturn,
}

/// Reads a message in arbitrary chunks, and removes the dots that the sender added.
#[derive(Debug)]
pub(super) struct DataReader {
    place: Place,
    content: Content,
    seen: u64,
}

impl DataReader {
    pub(super) fn new(content: Content) -> Self {
        Self {
            place: Place::LineStart,
            content,
            seen: 0,
        }
    }

    /// Reads a chunk. `Some(n)` means that the message ended with the chunk's first `n` bytes, and
    /// that commands follow.
    pub(super) fn read(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            match (self.place, byte) {
                (Place::LineStart, b'.') => {
                    self.place = Place::Dot;
                    at += 1;
                }
                (Place::Dot, CR) => {
                    self.place = Place::DotReturn;
                    at += 1;
                }
                (Place::DotReturn, LF) => {
                    self.seen += 1 + at as u64;
                    return Some(at + 1);
                }
                (Place::Return, LF) => {
                    self.content.keep(b"\r\n");
                    self.place = Place::LineStart;
                    at += 1;
                }
                (Place::Return | Place::DotReturn, _) => {
                    self.content.spoil(Flaw::BareLineBreak);
                    self.place = Place::Text;
                }
                (Place::LineStart | Place::Dot | Place::Text, _) => at += self.text(&chunk[at..]),
            }
        }

        self.seen += chunk.len() as u64;
        None
    }

    /// Takes the rest of a line, as far as the chunk has it, and returns the number of bytes.
    fn text(&mut self, rest: &[u8]) -> usize {
        self.place = Place::Text;
        let Some(end) = memchr2(CR, LF, rest) else {
            self.content.keep(rest);
            return rest.len();
        };

        if rest[end] == LF {
            self.content.spoil(Flaw::BareLineBreak);
            return end + 1;
        }

        if rest.get(end + 1) == Some(&LF) {
            self.content.keep(&rest[..end + 2]);
            self.place = Place::LineStart;
            return end + 2;
        }

        self.content.keep(&rest[..end]);
        self.place = Place::Return;

        end + 1
    }

    /// Returns the number of bytes received, including dots and discarded bytes.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns the message without added dots, once [`DataReader::read`] has found its end.
    pub(super) fn finish(self) -> Result<Received, Flaw> {
        self.content.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingress::listener::Budget;

    /// The message, or why it is refused.
    type Read = Result<Vec<u8>, Flaw>;

    /// Returns the result of reading `bytes`: the message, and the commands after it; `None` if the
    /// message never ended.
    fn read_in_chunks(bytes: &[u8], size: usize, limit: u64) -> Option<(Read, Vec<u8>)> {
        let mut reader = DataReader::new(Content::new(limit, 0, &Budget::new(0)));
        let mut at = 0;
        for chunk in bytes.chunks(size) {
            if let Some(end) = reader.read(chunk) {
                assert_eq!(reader.seen(), (at + end) as u64);
                return Some((
                    reader.finish().map(|received| received.raw),
                    bytes[at + end..].to_vec(),
                ));
            }
            at += chunk.len();
        }
        None
    }

    #[track_caller]
    fn assert_reads(bytes: &[u8], message: Result<&[u8], Flaw>, left: &[u8]) {
        for size in 1..=bytes.len() {
            let (got, rest) = read_in_chunks(bytes, size, 1000).expect("the message ends");
            assert_eq!(
                got.as_deref().map_err(|flaw| *flaw),
                message,
                "in chunks of {size}"
            );
            assert_eq!(rest, left, "in chunks of {size}");
        }
    }

    #[test]
    fn a_message_is_the_same_however_its_bytes_are_cut() {
        assert_reads(
            b"a: b\r\n\r\ntext\r\n.\r\nQUIT\r\n",
            Ok(b"a: b\r\n\r\ntext\r\n"),
            b"QUIT\r\n",
        );
    }

    #[test]
    fn an_empty_message_ends() {
        assert_reads(b".\r\n", Ok(b""), b"");
    }

    #[test]
    fn dots_put_in_by_the_sender_are_taken_off_on_every_line() {
        assert_reads(
            b"..\r\n...\r\n.a\r\nb.\r\n..\r\n.\r\n",
            Ok(b".\r\n..\r\na\r\nb.\r\n.\r\n"),
            b"",
        );
    }

    #[test]
    fn nothing_but_the_true_end_ends_a_message() {
        for fake in [
            &b"\n.\n"[..],
            b"\n.\r\n",
            b"\r.\r\n",
            b"\r.\r",
            b"\r\n.\n",
            b"\r\n.\r",
            b"\r\r\n.\n",
            b"\n.\r",
            b"\r\n.\r\r\n",
            b"\r\0\n.\r\0\n",
        ] {
            let bytes = [
                b"a\r\nb",
                fake,
                b"MAIL FROM:<x@example.com>\r\n.\r\nQUIT\r\n",
            ]
            .concat();
            assert_reads(&bytes, Err(Flaw::BareLineBreak), b"QUIT\r\n");
        }
    }

    #[test]
    fn a_null_byte_is_text_and_keeps_a_dot_from_ending() {
        assert_reads(b"a\r\n\0.\r\n.\0\r\n.\r\n", Ok(b"a\r\n\0.\r\n\0\r\n"), b"");
    }

    #[test]
    fn the_limit_counts_the_message_without_added_dots_and_end() {
        let exact = b"..2\r\n67\r\n.\r\n";
        assert_eq!(
            read_in_chunks(exact, 3, 8),
            Some((Ok(b".2\r\n67\r\n".to_vec()), Vec::new()))
        );
        assert_eq!(
            read_in_chunks(exact, 3, 7),
            Some((Err(Flaw::TooLarge), Vec::new()))
        );
    }
}
