//! Commands and answers over one connection: each command is over with its tagged answer, reads no
//! more than was asked for, and waits no longer than the answer can take.

use std::{fmt::Debug, future::Future, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout},
};

use super::{
    Timeouts,
    answer::{Reply, Said, Status},
    fault::Fault,
    framing::Framing,
};

/// What a server may send beyond what was asked for: flags, other clients' changes, the longest
/// SEARCH.
const CHATTER: u64 = 2 * 1024 * 1024;
/// The slowest server worth waiting for, in bytes a second.
const SLOWEST: u64 = 16 * 1024;

/// A connection, plain or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Transport for T {}

/// A connection over which commands are spoken.
pub(super) struct Dialogue {
    transport: Box<dyn Transport>,
    framing: Framing,
    timeouts: Timeouts,
    commands: u32,
}

impl Dialogue {
    pub(super) fn new(transport: Box<dyn Transport>, timeouts: Timeouts) -> Self {
        let mut framing = Framing::default();
        framing.allow(CHATTER);
        Self {
            transport,
            framing,
            timeouts,
            commands: 0,
        }
    }

    /// Gives up the connection. What came and was not read is dropped: behind STARTTLS it would be
    /// an attacker's.
    pub(super) fn into_transport(self) -> Box<dyn Transport> {
        self.transport
    }

    /// Sends a command, shows every answer before the tagged one to `each`, and is Ok on a tagged
    /// OK alone. `expected` is how many bytes of mail were asked for.
    pub(super) async fn exchange(
        &mut self,
        verb: &'static str,
        command: &str,
        expected: u64,
        each: impl FnMut(Reply) + Send,
    ) -> Result<Said, Fault> {
        self.framing.allow(CHATTER + expected);
        let patience = self.timeouts.command + Duration::from_secs(expected / SLOWEST);
        let answered = async {
            let tag = self.send(verb, command).await?;
            self.finish(verb, &tag, each).await
        };
        within(patience, verb, answered).await
    }

    /// Sends a command; its tag.
    pub(super) async fn send(
        &mut self,
        verb: &'static str,
        command: &str,
    ) -> Result<String, Fault> {
        self.commands += 1;
        let tag = format!("A{}", self.commands);
        self.send_line(verb, &format!("{tag} {command}")).await?;
        Ok(tag)
    }

    /// Sends a line that is no command of its own.
    pub(super) async fn send_line(&mut self, verb: &'static str, line: &str) -> Result<(), Fault> {
        let line = format!("{line}\r\n");
        let sent = async {
            self.transport.write_all(line.as_bytes()).await?;
            self.transport.flush().await
        };
        within(self.timeouts.command, verb, async {
            sent.await.map_err(|error| Fault::io(&error))
        })
        .await
    }

    /// Reads until the tagged answer.
    pub(super) async fn finish(
        &mut self,
        verb: &'static str,
        tag: &str,
        mut each: impl FnMut(Reply) + Send,
    ) -> Result<Said, Fault> {
        let mut farewell = None;
        loop {
            match self.next(verb).await {
                Ok(Reply::Done { tag: theirs, said }) if theirs == tag => {
                    return if said.status == Status::Ok {
                        Ok(said)
                    } else {
                        Err(Fault::answer(verb, &said))
                    };
                }
                // Only ours is over: the answer to another command would leave ours without one.
                Ok(Reply::Done { .. }) => {
                    return Err(Fault::Protocol(
                        "an answer to a command that was not sent".into(),
                    ));
                }
                Ok(Reply::Status(said)) if said.status == Status::Bye => farewell = Some(said),
                Ok(reply) => each(reply),
                Err(Fault::Closed { said: None }) => return Err(Fault::closed(farewell.as_ref())),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The next answer. A server that sends nothing at all for a command's time is dead, as is one
    /// that falls silent in the midst of an answer; one that sends is only slow.
    pub(super) async fn next(&mut self, verb: &'static str) -> Result<Reply, Fault> {
        let Timeouts {
            command: patience,
            stall,
            ..
        } = self.timeouts;
        let (mut received, mut since) = (self.framing.received(), Instant::now());
        loop {
            if let Ok(reply) = timeout(stall.min(patience), self.reply()).await {
                return reply;
            }
            let patience = if self.framing.is_in_mid_answer() {
                stall
            } else {
                patience
            };
            if self.framing.received() != received {
                (received, since) = (self.framing.received(), Instant::now());
            } else if since.elapsed() >= patience.min(self.timeouts.command) {
                return Err(Fault::Silent { command: verb });
            }
        }
    }

    /// The next answer, however long it takes. Dropping it loses nothing of what has come.
    pub(super) async fn reply(&mut self) -> Result<Reply, Fault> {
        loop {
            if let Some(pieces) = self.framing.next()? {
                return Ok(Reply::read(&pieces)?);
            }
            let came = self
                .transport
                .read_buf(self.framing.room())
                .await
                .map_err(|error| Fault::io(&error))?;
            if came == 0 {
                return Err(Fault::Closed { said: None });
            }
            self.framing.admit(came)?;
        }
    }

    /// What may come while nothing was asked for.
    pub(super) fn allow_chatter(&mut self) {
        self.framing.allow(CHATTER);
    }
}

/// The outcome, or that the server was silent.
pub(super) async fn within<T>(
    patience: Duration,
    command: &'static str,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(patience, work)
        .await
        .map_err(|_| Fault::Silent { command })?
}
