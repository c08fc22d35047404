//! The two buffers of a connection: received bytes that are not read yet, and replies that are not
//! sent yet.
//!
//! Replies are sent when there is nothing left to read, so that pipelined commands (RFC 2920) are
//! answered in one write.

use std::{io, ops::Range, time::Duration};

use memchr::memchr;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The size of the input buffer in bytes, which is also the longest possible line: a client that
/// sends more without a line break is disconnected.
const INPUT: usize = 64 << 10;
/// The bytes of pending replies after which they are sent, so that a client that sends commands
/// without reading the replies cannot make the server remember them all.
const OUTPUT: usize = 16 << 10;

/// How long, and up to how many bytes, a client that is disconnected is still read.
const HEARD_OUT: Duration = Duration::from_millis(500);
const HEARD: u64 = 256 << 10;

/// A connection, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Why no more can be read.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client is gone, or never ends its line.
    Gone,
    /// The client stayed silent, or did not read a reply.
    TimedOut,
    /// The place of the connection was given to another.
    Displaced,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

pub(super) struct Wire {
    stream: Box<dyn Transport>,
    /// Cancelled when the connection loses its place.
    lost: CancellationToken,
    input: Box<[u8]>,
    unread: Range<usize>,
    pub(super) output: Vec<u8>,
    hears_out: bool,
}

impl Wire {
    pub(super) fn new(stream: impl Transport + 'static, lost: CancellationToken) -> Self {
        Self {
            stream: Box::new(stream),
            lost,
            input: vec![0; INPUT].into(),
            unread: 0..0,
            output: Vec::with_capacity(512),
            hears_out: false,
        }
    }

    /// Sends the pending replies, then continues encrypted. Earlier input is discarded: if an
    /// attacker inserts bytes into the plain connection, they must not be read as the client's (RFC
    /// 3207, 4.2).
    pub(super) async fn encrypt(
        mut self,
        acceptor: &TlsAcceptor,
        deadline: Instant,
    ) -> Result<Self, Ended> {
        self.flush(deadline).await?;
        let stream = timeout_at(deadline, acceptor.accept(self.stream))
            .await
            .map_err(|_| Ended::TimedOut)??;
        Ok(Self {
            stream: Box::new(stream),
            unread: 0..0,
            ..self
        })
    }

    /// Returns the received bytes that are not read yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.unread.clone()]
    }

    /// Marks the first `n` unread bytes as read.
    pub(super) fn consume(&mut self, n: usize) {
        self.unread.start = self.unread.end.min(self.unread.start.saturating_add(n));
    }

    /// Returns a complete line with its LF, if there is one, and the buffer for the reply.
    pub(super) fn line(&mut self) -> Option<(&[u8], &mut Vec<u8>)> {
        let unread = &self.input[self.unread.clone()];
        let line = &unread[..=memchr(b'\n', unread)?];
        self.unread.start += line.len();
        Some((line, &mut self.output))
    }

    /// Sends the pending replies, then waits for more input. The future can safely be dropped while
    /// it waits.
    pub(super) async fn fill(&mut self, deadline: Instant) -> Result<(), Ended> {
        self.flush(deadline).await?;
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.input.len() {
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }

        let room = &mut self.input[self.unread.end..];
        if room.is_empty() {
            return Err(Ended::Gone);
        }

        let read = tokio::select! {
            read = timeout_at(deadline, self.stream.read(room)) => read,
            () = self.lost.cancelled() => return Err(Ended::Displaced),
        };

        match read {
            Ok(Ok(0)) => Err(Ended::Gone),
            Ok(read) => {
                self.unread.end += read?;
                Ok(())
            }
            Err(_) => Err(Ended::TimedOut),
        }
    }

    /// Sends the pending replies if there are many.
    pub(super) async fn relieve(&mut self, deadline: Instant) -> Result<(), Ended> {
        if self.output.len() < OUTPUT {
            return Ok(());
        }
        self.flush(deadline).await
    }

    async fn flush(&mut self, deadline: Instant) -> Result<(), Ended> {
        if self.output.is_empty() {
            return Ok(());
        }

        // The replies are taken out first, because a write that is dropped half-way must not be
        // sent again from its start.
        let mut output = std::mem::take(&mut self.output);
        let sent = timeout_at(deadline, async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        })
        .await;

        output.clear();
        self.output = output;

        Ok(sent.map_err(|_| Ended::TimedOut)??)
    }

    /// Makes [`Wire::close`] read on for a while. The client may still be sending, and input after
    /// a close would make it discard the last replies unread.
    pub(super) fn hear_out(&mut self) {
        self.hears_out = true;
    }

    /// Sends the pending replies and closes the connection.
    pub(super) async fn close(mut self, deadline: Instant) {
        if self.flush(deadline).await.is_err() {
            return;
        }

        let _ = timeout_at(deadline, self.stream.shutdown()).await;
        if self.hears_out {
            let (mut rest, mut nowhere) = ((&mut self.stream).take(HEARD), tokio::io::sink());
            let rest = tokio::io::copy(&mut rest, &mut nowhere);
            let _ = timeout_at(deadline.min(Instant::now() + HEARD_OUT), rest).await;
        }
    }
}
