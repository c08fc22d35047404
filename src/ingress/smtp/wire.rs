//! The two buffers of a connection: what came and is not read yet, what is said and not sent yet.
//!
//! Replies leave when there is nothing left to read, so that pipelined commands (RFC 2920) are
//! answered in one write.

use std::{io, ops::Range, time::Duration};

use memchr::memchr;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Also the longest line there can be: a client that sends more without a line break is cut off.
const INPUT: usize = 64 << 10;
/// A client that sends commands and reads no reply must not make us remember them all.
const OUTPUT: usize = 16 << 10;

/// How long a client that is sent away is heard out, and how much of it.
const HEARD_OUT: Duration = Duration::from_millis(500);
const HEARD: u64 = 256 << 10;

/// A connection, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Why no more can be read.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client went away, or never ends its line.
    Gone,
    /// It kept silent, or took no reply.
    TimedOut,
    /// Its place is another's.
    Displaced,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

pub(super) struct Wire {
    stream: Box<dyn Transport>,
    /// Cancelled once the connection's place is lost.
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

    /// Sends what is said, then goes on encrypted. What came before is forgotten: whoever can put
    /// bytes into the plain connection must not have them read as the client's (RFC 3207, 4.2).
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

    /// What has come and is not read yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.unread.clone()]
    }

    /// The first `n` unread bytes are read.
    pub(super) fn consume(&mut self, n: usize) {
        self.unread.start = self.unread.end.min(self.unread.start.saturating_add(n));
    }

    /// A line with its LF, if one has come whole, and where to say the reply.
    pub(super) fn line(&mut self) -> Option<(&[u8], &mut Vec<u8>)> {
        let unread = &self.input[self.unread.clone()];
        let line = &unread[..=memchr(b'\n', unread)?];
        self.unread.start += line.len();
        Some((line, &mut self.output))
    }

    /// Sends what is said, then waits for more to read. Safe to drop while it waits.
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

    /// Sends what is said, if it has become much.
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

        // Taken out first: a write that is dropped half-way must not be sent again from its start.
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

    /// The client may still be sending: what comes after a close would have our last words thrown
    /// away unread.
    pub(super) fn hear_out(&mut self) {
        self.hears_out = true;
    }

    /// Sends what is said and ends the connection.
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
