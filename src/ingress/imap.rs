//! Mail fetched from an IMAP mailbox. Home of async-imap.
//!
//! One connection per mailbox: log in, open the folder, scan it by UID from the bookmark, wait for mail (IDLE, else by
//! polling), scan again. Whatever goes wrong ends the connection and a new one is made after a pause; it never gives
//! up. What counts as well-being is a scan that reached the end, not a connection that stands.
//!
//! A mailbox is known by its host, port, user name and folder. Where one of them changes it is a new mailbox, read from
//! "now" on (or from `backfill`); renaming the ingress changes nothing.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use self::{
    fault::Fault,
    patience::Pauses,
    scan::{Scan, Scanned},
    server::Server,
    session::{Session, Woken},
    trouble::Trouble,
};
use super::{Health, Inbox, Ingress};
use crate::{
    clock::Clock,
    settings::{Duration, Problem},
    telemetry,
};

mod after;
mod fault;
mod guard;
mod notation;
pub mod oauth;
mod patience;
mod sasl;
mod scan;
mod server;
mod session;
mod settings;
mod trouble;

pub use self::{
    patience::Timeouts,
    settings::{After, Settings, Tls},
};

/// Logins that may fail for want of a token before it counts as a refused login.
const PATIENCE_WITH_TOKENS: u32 = 3;

/// A mailbox that is read.
pub struct Imap {
    settings: Settings,
    mailbox: String,
    server: Server,
    clock: Clock,
    max_age: Duration,
    timeouts: Timeouts,
}

impl Imap {
    /// Reads `ca_file` and the system's certificates; secrets' files are read at every login. A mailbox whose
    /// UIDVALIDITY changes is read again as far back as `max_age`; 0s: all of it.
    pub fn new(settings: &Settings, clock: Clock, max_age: Duration) -> Result<Self, Problem> {
        let key = format!("ingress.imap `{}`", settings.name);
        Ok(Self {
            server: Server::new(&key, settings, clock.clone())?,
            mailbox: settings.mailbox(),
            settings: settings.clone(),
            clock,
            max_age,
            timeouts: Timeouts::default(),
        })
    }

    /// The same, in another hurry.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// One connection, from the login until it breaks, or until `stop`.
    async fn attend(
        &self,
        inbox: &Arc<dyn Inbox>,
        health: &Health,
        stop: &CancellationToken,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        progress.well = false;
        let Some(opened) = stop.run_until_cancelled(self.open()).await else { return Ok(()) };
        let (mut session, folder) = opened?;
        loop {
            let scan = Scan { imap: self, session: &mut session, folder, inbox, trouble: &mut progress.trouble, stop };
            if scan.run().await? == Scanned::Stopped {
                return Ok(());
            }
            health.succeeded(&self.settings.name, self.clock.now());
            progress.pauses = Pauses::new(&self.timeouts);
            progress.well = true;
            if self.wait(&mut session, stop).await? == Woken::Stop {
                session.log_out().await;
                return Ok(());
            }
        }
    }

    async fn open(&self) -> Result<(Session, session::Folder), Fault> {
        let connection = self.server.log_in(self.timeouts.connect).boxed().await?;
        let mut session = Session::begin(connection, self.timeouts).await?;
        let folder = session.open(&self.settings.folder, self.settings.after == After::Keep).await?;
        Ok((session, folder))
    }

    async fn wait(&self, session: &mut Session, stop: &CancellationToken) -> Result<Woken, Fault> {
        let interval = self.settings.rescan_interval.as_std();
        if self.settings.idle && session.can.idle {
            return session.idle(interval.min(self.timeouts.idle), stop).await;
        }
        let pause = tokio::time::sleep(interval.min(self.timeouts.poll));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Ok(Woken::Stop);
        }
        // A server shows new mail only after a command (RFC 3501, 7).
        session.command("NOOP", "NOOP").await?;
        Ok(Woken::Time)
    }
}

#[async_trait]
impl Ingress for Imap {
    async fn run(self: Box<Self>, inbox: Arc<dyn Inbox>, health: Health, stop: CancellationToken) {
        let (trouble, pauses) = (Trouble::default(), Pauses::new(&self.timeouts));
        let mut progress = Progress { trouble, pauses, well: false, tokenless: 0 };
        while !stop.is_cancelled() {
            let connection = AssertUnwindSafe(self.attend(&inbox, &health, &stop, &mut progress));
            // The library's parser panics on some answers (`INTERNALDATE NIL`): one more way to break the protocol.
            let ended = connection
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Fault::Protocol("an answer the parser cannot stand".into())));
            let Err(fault) = ended else { continue };
            if progress.well && self.server.token_ended(&fault).boxed().await {
                telemetry::session_ended_with_its_token(&self.settings.name);
            } else {
                progress.trouble.blame(&fault);
                health.failed(&self.settings.name, &fault.to_string(), progress.cannot_log_in(&fault));
            }
            stop.run_until_cancelled(tokio::time::sleep(progress.pauses.after(&fault))).await;
        }
    }
}

/// What outlives a connection.
struct Progress {
    trouble: Trouble,
    pauses: Pauses,
    /// Whether the latest connection was of use.
    well: bool,
    /// Logins in a row that had to do without a token.
    tokenless: u32,
}

impl Progress {
    /// Whether nobody gets in: the login is refused, or the token server has been away for longer than a moment.
    fn cannot_log_in(&mut self, fault: &Fault) -> bool {
        self.tokenless = if matches!(fault, Fault::NoToken(_)) { self.tokenless + 1 } else { 0 };
        fault.needs_a_person() || self.tokenless >= PATIENCE_WITH_TOKENS
    }
}
