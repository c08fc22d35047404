//! Waiting for mail with IDLE (RFC 2177). The library's own implementation keeps waiting after a
//! NO, and takes any answer for news.

use async_imap::imap_proto::{MailboxDatum, Response, Status};
use tokio::time::{Duration, Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Session;
use crate::ingress::imap::fault::Fault;

/// What ended an IDLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingress::imap) enum Woken {
    Mail,
    Time,
    Stop,
}

/// What an answer means while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    GoAhead,
    Mail,
    /// The command is over, though nobody ended it.
    Over,
    Leaves,
    Nothing,
}

impl Signal {
    fn read(answer: &Response<'_>) -> Self {
        match answer {
            Response::Continue(_) => Self::GoAhead,
            Response::MailboxData(MailboxDatum::Exists(_) | MailboxDatum::Recent(_)) => Self::Mail,
            Response::Done { .. } => Self::Over,
            Response::Data {
                status: Status::Bye,
                ..
            } => Self::Leaves,
            _ => Self::Nothing,
        }
    }
}

impl Session {
    /// Waits with IDLE until mail comes, the time is over, or `stop`. The time is absolute: a
    /// server's keep-alives prove that it is alive, not that it still announces mail.
    pub(in crate::ingress::imap) async fn idle(
        &mut self,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Woken, Fault> {
        self.dialogue.allow(0);
        let until = Instant::now() + patience;
        let tag = self.dialogue.send("IDLE", "IDLE").await?;
        let mut is_mail = false;

        loop {
            match self.dialogue.next("IDLE", Signal::read).await? {
                Signal::GoAhead => break,
                Signal::Over => return Err(Fault::refused("IDLE", self.dialogue.heard())),
                Signal::Leaves => return Err(Fault::closed(self.dialogue.heard())),
                Signal::Mail => is_mail = true,
                Signal::Nothing => {}
            }
        }

        let woken = loop {
            if is_mail {
                break Woken::Mail;
            }
            tokio::select! {
                () = stop.cancelled() => break Woken::Stop,
                signal = timeout_at(until, self.dialogue.answer(Signal::read)) => match signal {
                    Ok(signal) => match signal? {
                        Signal::Mail => is_mail = true,
                        Signal::Leaves => return Err(Fault::closed(self.dialogue.heard())),
                        Signal::GoAhead | Signal::Over | Signal::Nothing => {}
                    },
                    Err(_) => break Woken::Time,
                },
            }
        };

        self.dialogue.done(&tag).await?;

        Ok(woken)
    }
}
