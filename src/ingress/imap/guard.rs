//! What a server may send us: a stream that fails as soon as an answer is larger or stranger than anything asked for.
//!
//! The parser behind it allocates whatever length a literal announces, recurses on parentheses and parses an unended
//! line anew with every packet. So the limits stand before it: bytes in answer to one command, the length of a line,
//! parentheses in it, and literals only where our own FETCH puts them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest line, literals apart. A SEARCH over [`super::scan::SEARCH_WIDTH`] UIDs is the longest we ask for.
const MAX_LINE: usize = 256 * 1024;
/// The most opening parentheses in one answer: a FETCH of what we ask for has three.
const MAX_PARENTHESES: usize = 64;

/// How a server broke the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Breach {
    #[error("a line longer than {} KiB", MAX_LINE / 1024)]
    Line,
    #[error("more than {MAX_PARENTHESES} parentheses in one answer")]
    Nesting,
    #[error("a literal where none was asked for")]
    Literal,
    #[error("a line that ends inside parentheses")]
    Unbalanced,
    #[error("far more bytes than were asked for")]
    Flood,
}

/// A connection that is read within limits.
#[derive(Debug)]
pub(super) struct Guard<S> {
    inner: S,
    /// Bytes the server may still send.
    allowance: u64,
    /// Bytes it has sent.
    received: u64,
    answer: Answer,
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, allowance: 0, received: 0, answer: Answer::default() }
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    /// Sets how many bytes may come from here on.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.allowance = bytes;
    }

    /// How many bytes came, to tell a slow server from a dead one.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    fn admit(&mut self, bytes: &[u8]) -> Result<(), Breach> {
        let count = bytes.len() as u64;
        self.allowance = self.allowance.checked_sub(count).ok_or(Breach::Flood)?;
        self.received += count;
        self.answer.read(bytes, self.allowance)
    }
}

/// The answer being read, as far as the limits need to know it.
#[derive(Debug, Default)]
struct Answer {
    line: Vec<u8>,
    /// Bytes to come of the current literal.
    literal: u64,
    /// Whether the line goes on after a literal.
    continued: bool,
    opened: usize,
    closed: usize,
}

impl Answer {
    fn read(&mut self, mut bytes: &[u8], allowance: u64) -> Result<(), Breach> {
        while !bytes.is_empty() {
            if self.literal > 0 {
                let skipped = usize::try_from(self.literal).unwrap_or(usize::MAX).min(bytes.len());
                self.literal -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
            let (part, rest) = bytes.split_at(end);
            bytes = rest;
            for byte in part {
                self.opened += usize::from(*byte == b'(');
                self.closed += usize::from(*byte == b')');
            }
            self.line.extend_from_slice(part);
            if self.opened > MAX_PARENTHESES {
                return Err(Breach::Nesting);
            }
            if self.line.len() > MAX_LINE {
                return Err(Breach::Line);
            }
            if part.ends_with(b"\n") {
                self.end_line(allowance + rest.len() as u64)?;
            }
        }
        Ok(())
    }

    /// Decides whether a literal follows the line. The parser must come to the same conclusion, or a server could hide
    /// one literal in another: hence only after `]` or `>` (`BODY[] {9}`, `BODY[HEADER]<0> {9}`), directly inside the
    /// list of a FETCH, with no quoted string before it.
    fn end_line(&mut self, available: u64) -> Result<(), Breach> {
        let fetch = self.continued || matches!(self.line.as_slice(), [b'*', b' ', digit, ..] if digit.is_ascii_digit());
        match announced_literal(&self.line) {
            Some((before, length)) => {
                let expected = fetch
                    && self.opened == self.closed + 1
                    && !before.contains(&b'"')
                    && (before.ends_with(b"] ") || before.ends_with(b"> "));
                if !expected {
                    return Err(Breach::Literal);
                }
                if length > available {
                    return Err(Breach::Flood);
                }
                self.literal = length;
                self.continued = true;
            }
            None if fetch && self.opened != self.closed => return Err(Breach::Unbalanced),
            None => (self.opened, self.closed, self.continued) = (0, 0, false),
        }
        self.line.clear();
        self.line.shrink_to(4096);
        Ok(())
    }
}

/// `… {123}CRLF`: what stands before the brace, and the number. A number too large for a `u64` counts as the largest.
fn announced_literal(line: &[u8]) -> Option<(&[u8], u64)> {
    let line = line.strip_suffix(b"}\r\n")?;
    let brace = line.iter().rposition(|&byte| byte == b'{')?;
    let (before, digits) = (&line[..brace], &line[brace + 1..]);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((before, std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX)))
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        Poll::Ready(self.admit(&buf.filled()[before..]).map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes whole and then one by one: packets may be cut anywhere.
    fn judge(bytes: &[u8]) -> Result<(), Breach> {
        let mut guard = Guard::new(());
        guard.allow(1 << 20);
        let whole = guard.admit(bytes);
        let mut guard = Guard::new(());
        guard.allow(1 << 20);
        let piecemeal = bytes.chunks(1).try_for_each(|byte| guard.admit(byte));
        assert_eq!(whole, piecemeal);
        whole
    }

    #[test]
    fn what_an_honest_server_answers_passes() {
        for answer in [
            "* OK [CAPABILITY IMAP4rev1 IDLE] ready (mostly)\r\n",
            "* OK unbalanced :-( text\r\n",
            "* SEARCH 1 2 3\r\n",
            "* 3 FETCH (UID 9 RFC822.SIZE 12 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
            "* 3 FETCH (UID 9 FLAGS (\\Seen) BODY[] {5}\r\n(((\r\n)\r\n* 4 FETCH (UID 10 BODY[] {0}\r\n)\r\n",
            "* 3 FETCH (UID 9 BODY[HEADER]<0> {10}\r\n{999999}\r\n)\r\n",
            "* 3 FETCH (BODY[] {2}\r\n(( UID 9)\r\na1 OK done\r\n",
            "* 1 FETCH (UID 1 BODY[HEADER] {2}\r\n\r\n BODY[] {3}\r\n(((",
        ] {
            assert_eq!(judge(answer.as_bytes()), Ok(()), "{answer}");
        }
    }

    #[test]
    fn what_would_harm_the_parser_is_stopped() {
        let parentheses = format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(300_000));
        let endless = format!("* OK {}", "x".repeat(MAX_LINE));
        for (answer, breach) in [
            ("* 1 FETCH (UID 1 BODY[] {500000000}\r\n", Breach::Flood),
            ("* 1 FETCH (UID 1 BODY[] {99999999999999999999999}\r\n", Breach::Flood),
            (parentheses.as_str(), Breach::Nesting),
            (endless.as_str(), Breach::Line),
            ("* LIST () \"/\" {5}\r\n", Breach::Literal),
            ("* OK {5}\r\n", Breach::Literal),
            ("a1 OK {5}\r\n", Breach::Literal),
            ("* 1 FETCH (X (a BODY[] {20}\r\n", Breach::Literal),
            ("* 1 FETCH (X \")\" Y (a BODY[] {20}\r\n", Breach::Literal),
            ("* 1 FETCH (X a{20}\r\n", Breach::Literal),
            ("* 1 FETCH (X (a\r\n", Breach::Unbalanced),
            ("* 1 FETCH (X a\r\n", Breach::Unbalanced),
        ] {
            assert_eq!(judge(answer.as_bytes()), Err(breach), "{}", &answer[..answer.len().min(60)]);
        }
    }

    #[test]
    fn more_than_was_asked_for_is_stopped() {
        let mut guard = Guard::new(());
        guard.allow(100);
        assert_eq!(guard.admit(&b"* 1 EXISTS\r\n".repeat(8)), Ok(()));
        assert_eq!(guard.admit(b"* 1 EXISTS\r\n"), Err(Breach::Flood));
    }
}
