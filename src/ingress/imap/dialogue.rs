//! The commands and answers of a session. Each command ends with its tagged answer, reads no more
//! than was requested, and waits no longer than the answer can take.
//!
//! The library's own commands take a NO, and the end of the connection, for an empty answer. Every
//! command therefore goes through [`Dialogue::exchange`], which returns Ok only for a tagged OK.

use std::{future::Future, time::Duration};

use async_imap::{
    Session,
    imap_proto::{RequestId, Response, Status},
};
use tokio::time::{Instant, timeout};

use super::{
    Timeouts,
    census::Census,
    fault::Fault,
    wire::{Heard, Wire},
};

/// The slowest server worth waiting for, in bytes a second.
const SLOWEST: u64 = 16 * 1024;

/// A connection for commands.
pub(super) struct Dialogue {
    client: Session<Wire>,
    timeouts: Timeouts,
}

impl Dialogue {
    pub(super) fn new(client: Session<Wire>, timeouts: Timeouts) -> Self {
        Self { client, timeouts }
    }

    /// Sends a command, passes every answer before the tagged one to `each`, and returns Ok only
    /// for a tagged OK. `expected` is the number of bytes of mail that were requested.
    pub(super) async fn exchange(
        &mut self,
        verb: &'static str,
        command: &str,
        expected: u64,
        each: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), Fault> {
        self.allow(expected);
        let patience = self.timeouts.command + Duration::from_secs(expected / SLOWEST);
        let answered = async {
            let tag = self.send(verb, command).await?;
            self.finish(verb, &tag, each).await
        };
        within(patience, verb, answered).await
    }

    /// Sends a command, and returns its tag.
    pub(super) async fn send(
        &mut self,
        verb: &'static str,
        command: &str,
    ) -> Result<RequestId, Fault> {
        let sent = timeout(self.timeouts.command, self.client.run_command(command)).await;
        let sent = sent.map_err(|_| Fault::Silent { command: verb })?;
        sent.map_err(|error| Fault::library(verb, &error, self.heard()))
    }

    /// Ends an IDLE.
    pub(super) async fn done(&mut self, tag: &RequestId) -> Result<(), Fault> {
        let patience = self.timeouts.command;
        let done = async {
            let sent = self.client.run_command_untagged("DONE").await;
            sent.map_err(|error| Fault::library("DONE", &error, self.heard()))?;
            self.finish("IDLE", tag, |_| {}).await
        };
        within(patience, "DONE", done).await
    }

    /// Reads up to the tagged answer.
    async fn finish(
        &mut self,
        verb: &'static str,
        tag: &RequestId,
        mut each: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), Fault> {
        loop {
            let answered = self.next(verb, |answer| match answer {
                Response::Done {
                    tag: theirs,
                    status,
                    ..
                } if theirs == tag => Some(Ok(*status == Status::Ok)),
                Response::Done { tag: theirs, .. } if answers_done(theirs) => None,
                // Only its own answer ends the present command, which would be left without one if
                // that of another command were taken for it.
                Response::Done { .. } => Some(Err(Fault::Protocol(
                    "an answer to a command that was not sent".into(),
                ))),
                other => {
                    each(other);
                    None
                }
            });
            match answered.await? {
                None => {}
                Some(Ok(true)) => return Ok(()),
                Some(Ok(false)) => return Err(Fault::refused(verb, self.heard())),
                Some(Err(fault)) => return Err(fault),
            }
        }
    }

    /// Passes the next answer to `read`. A server that sends nothing for a command's time limit is
    /// dead, as is one that stops within an answer; a server that still sends is only slow.
    pub(super) async fn next<R>(
        &mut self,
        verb: &'static str,
        read: impl FnOnce(&Response<'_>) -> R,
    ) -> Result<R, Fault> {
        let Timeouts {
            command: patience,
            stall,
            ..
        } = self.timeouts;

        let (mut received, mut since) = (self.wire().received(), Instant::now());

        loop {
            let answer = self.client.read_response();
            if let Ok(answer) = timeout(stall.min(patience), answer).await {
                return match answer.map_err(|error| Fault::io(&error))? {
                    Some(answer) => Ok(read(answer.parsed())),
                    None => Err(Fault::closed(self.heard())),
                };
            }
            let patience = if self.wire().is_in_mid_answer() {
                stall
            } else {
                patience
            };
            if self.wire().received() != received {
                (received, since) = (self.wire().received(), Instant::now());
            } else if since.elapsed() >= patience.min(self.timeouts.command) {
                return Err(Fault::Silent { command: verb });
            }
        }
    }

    /// Passes the next answer to `read`, however long it takes. Dropping the future loses nothing
    /// that has arrived.
    pub(super) async fn answer<R>(
        &mut self,
        read: impl FnOnce(&Response<'_>) -> R,
    ) -> Result<R, Fault> {
        match self.client.read_response().await {
            Ok(Some(answer)) => Ok(read(answer.parsed())),
            Ok(None) => Err(Fault::closed(self.heard())),
            Err(error) => Err(Fault::io(&error)),
        }
    }

    /// Sets how many bytes of mail may come from here on.
    pub(super) fn allow(&mut self, expected: u64) {
        self.client.get_mut().allow(expected);
    }

    /// Returns what the server said besides its answers.
    pub(super) fn heard(&self) -> &Heard {
        self.wire().heard()
    }

    /// Returns what the server said about the number of mails in the folder.
    pub(super) fn census(&mut self) -> &mut Census {
        self.client.get_mut().census()
    }

    fn wire(&self) -> &Wire {
        self.client.get_ref()
    }
}

/// Returns whether an answer is to a DONE that came after the server had ended its IDLE, and that
/// the server takes for a command.
pub(super) fn answers_done(tag: &RequestId) -> bool {
    tag.0.eq_ignore_ascii_case("DONE")
}

/// Returns the result of `work`, or a fault if the server is silent for longer than `patience`.
pub(super) async fn within<T>(
    patience: Duration,
    command: &'static str,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(patience, work)
        .await
        .map_err(|_| Fault::Silent { command })?
}
