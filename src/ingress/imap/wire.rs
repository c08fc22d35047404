//! What the client library speaks over: the connection, read as patiently as mail servers need it.
//!
//! Each answer is read whole within the limits of [`super::framing`], understood as far as it can
//! be ([`super::answer`]), and handed on in plain words ([`super::plain`]). What breaks a limit, or
//! is no IMAP, ends the connection. A server that dies in the midst of an answer has not given it.

use std::{
    collections::VecDeque,
    fmt::Debug,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{
    answer::{Reply, Said, Status},
    framing::Framing,
    plain::written,
};

/// What a server may send beyond what was asked for: flags, other clients' changes, the longest
/// SEARCH.
const CHATTER: u64 = 2 * 1024 * 1024;

/// A connection, plain or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Transport for T {}

#[derive(Debug)]
pub(super) struct Wire {
    /// One packet for each command.
    transport: BufWriter<Box<dyn Transport>>,
    framing: Framing,
    /// The answer that the client is reading.
    plain: VecDeque<Bytes>,
    heard: Heard,
    /// The login that is kept from the server, as far as it was written.
    kept_login: Option<Vec<u8>>,
}

/// What the server said that the client is not shown, as it came.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What it can do, as it said last; in upper case.
    pub(super) abilities: Vec<String>,
    /// The latest answer to a command.
    pub(super) outcome: Option<Said>,
    /// The words with which it leaves.
    pub(super) farewell: Option<Said>,
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        let mut wire = Self {
            transport: BufWriter::new(transport),
            framing: Framing::default(),
            plain: VecDeque::new(),
            heard: Heard::default(),
            kept_login: None,
        };
        wire.allow(0);
        wire
    }

    /// Gives up the connection. What came and was not read is dropped: behind STARTTLS it would be
    /// an attacker's.
    pub(super) fn into_transport(self) -> Box<dyn Transport> {
        self.transport.into_inner()
    }

    /// Sets how many bytes of mail may come from here on, beside the usual chatter.
    pub(super) fn allow(&mut self, expected: u64) {
        self.framing.allow(CHATTER + expected);
    }

    /// How many bytes came, to tell a slow server from a dead one.
    pub(super) fn received(&self) -> u64 {
        self.framing.received()
    }

    /// Whether an answer has begun and is not whole.
    pub(super) fn is_in_mid_answer(&self) -> bool {
        self.framing.is_in_mid_answer()
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Answers the next command itself, and sends none: the client makes no session without a
    /// login, and a server that knows us already takes none.
    pub(super) fn keep_login(&mut self) {
        self.kept_login = Some(Vec::new());
    }

    /// The next answer, before there is a client; none where the connection ended.
    pub(super) async fn reply(&mut self) -> io::Result<Option<Reply>> {
        poll_fn(|context| self.poll_reply(context)).await
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Reply>>> {
        loop {
            if let Some(pieces) = self.framing.next()? {
                let reply = Reply::read(&pieces)?;
                self.heard.note(&reply);
                return Poll::Ready(Ok(Some(reply)));
            }
            let transport = Pin::new(&mut self.transport);
            let came = ready!(poll_read_buf(transport, context, self.framing.room()))?;
            if came == 0 {
                return Poll::Ready(Ok(None));
            }
            self.framing.admit(came)?;
        }
    }
}

impl Heard {
    fn note(&mut self, reply: &Reply) {
        match reply {
            Reply::Capability(all) => self.abilities.clone_from(all),
            Reply::Done { said, .. } => self.outcome = Some(said.clone()),
            Reply::Status(said) => {
                if let Some(all) = said.capabilities() {
                    self.abilities = all;
                }
                if said.status == Status::Bye {
                    self.farewell = Some(said.clone());
                }
            }
            _ => {}
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(part) = this.plain.front_mut() {
                let count = part.len().min(room.remaining());
                room.put_slice(&part.split_to(count));
                if part.is_empty() {
                    this.plain.pop_front();
                }
                return Poll::Ready(Ok(()));
            }
            match ready!(this.poll_reply(context))? {
                Some(reply) => this.plain.extend(written(reply)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(login) = &mut this.kept_login else {
            return Pin::new(&mut this.transport).poll_write(context, bytes);
        };
        login.extend_from_slice(bytes);
        if login.ends_with(b"\r\n") {
            let tag = login.split(|byte| *byte == b' ').next().unwrap_or_default();
            let answer = [tag, b" OK\r\n"].concat();
            this.plain.push_back(answer.into());
            this.kept_login = None;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }
}
