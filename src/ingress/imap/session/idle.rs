//! Waits for mail with IDLE (RFC 2177). The library's own implementation keeps waiting after a NO,
//! and takes any answer for news.

use async_imap::imap_proto::{MailboxDatum, Response, Status};
use tokio::time::{Duration, Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Session;
use crate::ingress::imap::{dialogue::answers_done, fault::Fault};

/// The shortest time between two IDLEs that the server ends by itself.
const SELF_ENDED: Duration = Duration::from_secs(5);

/// The reason why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingress::imap) enum Woken {
    Mail,
    /// Mail that was announced while the folder was looked at, which the look may have missed.
    MoreMail,
    Time,
    Stop,
}

/// What an answer means while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    GoAhead,
    /// New mail, with the number of mails in the folder if the server says it.
    Mail(Option<u32>),
    /// The command is over, although the client did not end it.
    Over,
    Leaves,
    Nothing,
}

impl Signal {
    fn read(answer: &Response<'_>) -> Self {
        match answer {
            Response::Continue(_) => Self::GoAhead,
            Response::MailboxData(MailboxDatum::Exists(count)) => Self::Mail(Some(*count)),
            Response::MailboxData(MailboxDatum::Recent(_)) => Self::Mail(None),
            Response::Done { tag, .. } if !answers_done(tag) => Self::Over,
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
    ///
    /// Returns `None` at once if the server offers IDLE but refuses it: it would do the same on
    /// another connection (RFC 9051, 6.3.13, lets it say NO).
    pub(in crate::ingress::imap) async fn idle(
        &mut self,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Option<Woken>, Fault> {
        self.dialogue.allow(0);
        let began = Instant::now();
        let until = began + patience;
        let tag = self.dialogue.send("IDLE", "IDLE").await?;
        let mut is_mail = false;

        loop {
            match self.dialogue.next("IDLE", Signal::read).await? {
                Signal::GoAhead => break,
                Signal::Over => return Ok(is_mail.then_some(Woken::Mail)),
                Signal::Leaves => return Err(Fault::closed(self.dialogue.heard())),
                Signal::Mail(count) => {
                    self.exists = count.or(self.exists);
                    is_mail = true;
                }
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
                        Signal::Mail(count) => {
                            self.exists = count.or(self.exists);
                            is_mail = true;
                        }
                        // Mail may have come meanwhile.
                        Signal::Over => {
                            let pause = SELF_ENDED.min(self.timeouts.poll);
                            let pause = sleep_until(began + pause);
                            let stopped = stop.run_until_cancelled(pause).await.is_none();
                            return Ok(Some(if stopped { Woken::Stop } else { Woken::Time }));
                        }
                        Signal::Leaves => return Err(Fault::closed(self.dialogue.heard())),
                        Signal::GoAhead | Signal::Nothing => {}
                    },
                    Err(_) => break Woken::Time,
                },
            }
        };

        self.dialogue.done(&tag).await?;

        Ok(Some(woken))
    }
}
