//! Receives mail from an IMAP mailbox. This module alone knows the protocol: the client is
//! async-imap, over a wire that tolerates more of what mail servers send than the client's parser
//! does.
//!
//! There is one connection per mailbox. It logs in, opens the folder, scans it by UID from the
//! bookmark, waits for mail (with IDLE, or else by polling), and scans again. Any fault ends the
//! connection, and a new one is made after a pause; the ingress never gives up. It counts as
//! healthy when a scan has reached the end of the folder, and has been given mail if there was
//! some; an open connection alone is not a sign of health. A mail that the server does not return
//! is requested again before the mails behind it for a few seconds, and then steps aside for them.
//!
//! A mailbox is identified by its host, port, user name and folder; renaming the ingress changes
//! nothing. If one of them changes while the ingress keeps its name, the mailbox probably is the
//! one that it was, on a server that moved: it is looked through again, as if its mails had been
//! renumbered. A mailbox under a new name is read from now on (or from `backfill`), also if it can
//! be looked at only later.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration as Pause};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use self::{
    doubt::Doubt,
    fault::Fault,
    idling::Idling,
    patience::{Patience, Pauses},
    scan::{Scan, Scanned},
    server::Server,
    session::{Folder, Session, Woken},
    unread::Unread,
    wanted::Backlog,
};
use super::{Health, Inbox, Ingress};
use crate::{
    clock::Clock,
    settings::{Duration, Problem},
    telemetry,
};

mod after;
mod answer;
mod arrival;
mod census;
mod dialogue;
mod doubt;
mod fault;
mod fetched;
mod framing;
mod idling;
mod notation;
pub mod oauth;
mod passed;
mod patience;
mod plain;
mod reach;
mod sasl;
mod scan;
mod server;
mod session;
mod settings;
pub mod trial;
mod trust;
mod unread;
mod wanted;
mod wire;
mod words;

pub use self::{
    patience::Timeouts,
    settings::{After, Settings, Tls},
};

/// The number of consecutive logins without a token that count as a refused login.
const PATIENCE_WITH_TOKENS: u32 = 3;

/// The shortest wait between two scans.
const SOONEST: Pause = Pause::from_millis(100);

/// The longest pause before reconnecting for a mail that has ended the connection, since the mails
/// behind it wait.
const SOON: Pause = Pause::from_millis(500);

/// How long a server may delay a stop: whatever is cut short is done again at the next start.
const GRACE: Pause = Pause::from_secs(3);

/// The pause after a server has announced mail that is not there.
const AFTER_FALSE_ALARM: Pause = Pause::from_secs(1);

/// A mailbox to read.
pub struct Imap {
    settings: Settings,
    mailbox: String,
    server: Server,
    clock: Clock,
    max_age: Duration,
    timeouts: Timeouts,
    reloaded: Arc<Notify>,
}

impl Imap {
    /// Creates the ingress. It reads `ca_file` and the system's certificates now, and the files of
    /// secrets at every login.
    ///
    /// A mailbox whose UIDVALIDITY changes is read again as far back as `max_age`; 0s means all of
    /// it.
    pub fn new(settings: &Settings, clock: Clock, max_age: Duration) -> Result<Self, Problem> {
        let key = format!("ingress.imap `{}`", settings.name);
        Ok(Self {
            server: Server::new(&key, settings, clock.clone())?,
            mailbox: settings.mailbox(),
            settings: settings.clone(),
            clock,
            max_age,
            timeouts: Timeouts::default(),
            reloaded: Arc::default(),
        })
    }

    /// Returns the same ingress with other time limits.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Returns the same ingress, which tries a refused login again whenever `reloaded` notifies.
    #[must_use]
    pub fn with_reloads(self, reloaded: Arc<Notify>) -> Self {
        Self { reloaded, ..self }
    }

    /// Runs one connection, from the login until it breaks, or until `stop`.
    async fn attend(
        &self,
        inbox: &Arc<dyn Inbox>,
        health: &Health,
        stop: &CancellationToken,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        progress.well = false;
        // A store that refuses it is asked again before the next connection.
        let _refused = self.remember_unread(inbox, &mut progress.unread).await;

        let timeouts = progress.patience.timeouts();
        let began = Instant::now();
        let Some(opened) = stop.run_until_cancelled(self.open(timeouts)).await else {
            return Ok(());
        };
        let (mut session, mut folder) = opened?;
        let login = began.elapsed();

        let mut made = Instant::now();

        loop {
            let began = Instant::now();
            session.look();
            let Scanned::New(new) = self
                .scan(&mut session, folder, inbox, health, stop, progress)
                .await?
            else {
                return Ok(());
            };
            // UIDNEXT was true when the folder was opened. Mail that has come since, and was moved
            // away, had a higher UID.
            folder.is_uid_next_told = false;
            progress.patience.took(login, began.elapsed());
            self.tell_of_the_unseen(&session, new, &mut progress.doubt);

            let is_alarmed = matches!(progress.woken, Woken::Mail | Woken::MoreMail);
            progress.woken = if is_alarmed && new == 0 {
                after_false_alarm(stop).await
            } else if session.has_grown() {
                Woken::MoreMail
            } else {
                self.wait(&mut session, progress, stop).await?
            };
            match progress.woken {
                Woken::Stop => {
                    session.log_out().await;
                    return Ok(());
                }
                Woken::Mail | Woken::MoreMail | Woken::Time
                    if self.is_worn(made, &progress.doubt) =>
                {
                    session.log_out().await;
                    let opened = stop.run_until_cancelled(self.open(timeouts)).await;
                    let Some(opened) = opened else {
                        return Ok(());
                    };
                    (session, folder) = opened?;
                    made = Instant::now();
                }
                Woken::Mail => {}
                // A folder may be replaced under an open connection by a restore or a failover. And
                // what was announced amid removals does not say how many mails there are.
                Woken::Time | Woken::MoreMail => folder = self.select(&mut session).await?,
            }
        }
    }

    /// Reports mail that the server announced and does not show.
    fn tell_of_the_unseen(&self, session: &Session, new: usize, doubt: &mut Doubt) {
        let leaves = matches!(self.settings.after, After::Keep | After::Seen);
        let lost = doubt.looked(session.exists, new, leaves, Instant::now());
        if lost > 0 {
            telemetry::mail_never_shown(&self.settings.name, lost);
        }
    }

    /// Returns whether a connection that was made at `made` may show less than a new one would.
    fn is_worn(&self, made: Instant, doubt: &Doubt) -> bool {
        made.elapsed() >= self.timeouts.session || doubt.wants_another_than(made, Instant::now())
    }

    /// Reads the new mails, in turn with earlier ones that were not returned, and then whatever
    /// else is wanted.
    async fn scan(
        &self,
        session: &mut Session,
        folder: Folder,
        inbox: &Arc<dyn Inbox>,
        health: &Health,
        stop: &CancellationToken,
        progress: &mut Progress,
    ) -> Result<Scanned, Fault> {
        let given = progress.backlog.given();
        let backlog = &mut progress.backlog;
        let mut scan = Scan::new(self, session, folder, inbox, health, backlog, stop);
        scan.unread_since = progress.unread.since(self.clock.now());
        let scanned = scan.read_new().await;
        let wanted = match scanned {
            Ok(Scanned::New(_)) => scan.read_wanted().await,
            _ => Ok(Scanned::Stopped),
        };
        if !progress.is_name_known && matches!(scanned, Ok(Scanned::New(_))) {
            // A store that refuses it is asked again after the next scan.
            progress.is_name_known = scan.remember_name().await.is_ok();
        }
        if matches!(scanned, Ok(Scanned::New(_))) {
            // Without it, only a restore of the folder may go unnoticed.
            let _refused = scan.remember_last().await;
        }
        if matches!(wanted, Ok(Scanned::New(_))) && progress.move_left_at <= Instant::now() {
            scan.move_left().await?;
            progress.move_left_at = Instant::now() + self.settings.rescan_interval.as_std();
        }

        // A server that returns some mails before it ends the connection is asked again at once.
        if scan.has_stored {
            progress.pauses = Pauses::new(&self.timeouts);
        }

        let scanned = scanned?;
        if scanned == Scanned::Stopped {
            return Ok(scanned);
        }

        if progress.backlog.given() == given
            && let Some(why) = progress.backlog.stuck()
        {
            return Err(match wanted {
                Err(fault) => fault,
                Ok(_) => Fault::NothingGiven(why.to_owned()),
            });
        }

        health.succeeded(&self.settings.name, self.clock.now());
        progress.pauses = Pauses::new(&self.timeouts);
        progress.well = true;

        if wanted? == Scanned::Stopped {
            Ok(Scanned::Stopped)
        } else {
            Ok(scanned)
        }
    }

    /// Pauses before the next connection. If the login was refused, the pause ends as soon as a
    /// person may have mended that: the credential has changed, or the configuration was reloaded.
    async fn pause(&self, pause: Pause, refused: bool) {
        let has_new_credential = async {
            while !self.server.has_new_credential() {
                tokio::time::sleep(self.timeouts.look).await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = has_new_credential, if refused => {}
            () = self.reloaded.notified(), if refused => {}
        }
    }

    async fn open(&self, timeouts: Timeouts) -> Result<(Session, Folder), Fault> {
        let dialogue = self.server.log_in(timeouts).boxed().await?;
        let mut session = Session::begin(dialogue, timeouts).await?;
        let folder = self.select(&mut session).await?;
        Ok((session, folder))
    }

    async fn select(&self, session: &mut Session) -> Result<Folder, Fault> {
        session
            .open(&self.settings.folder, self.settings.after == After::Keep)
            .await
    }

    /// Waits until mail comes, the next scan is due, or `stop`.
    async fn wait(
        &self,
        session: &mut Session,
        progress: &mut Progress,
        stop: &CancellationToken,
    ) -> Result<Woken, Fault> {
        let due = progress.backlog.next_due().map_or(Pause::MAX, |due| {
            due.saturating_duration_since(Instant::now())
        });
        let due = due.min(progress.doubt.pause().unwrap_or(Pause::MAX));
        let interval = self.settings.rescan_interval.as_std().min(due.max(SOONEST));

        // A server that refuses IDLE once may accept it the next time; until then it is polled.
        let began = Instant::now();
        if self.settings.idle && session.can.idle && progress.idling.is_worth_it(began) {
            let woken = session.idle(interval.min(self.timeouts.idle), stop).await;
            progress.idling.ended(began, woken.is_err(), Instant::now());
            if let Some(woken) = woken? {
                return Ok(woken);
            }
        }

        let pause = tokio::time::sleep(interval.min(self.timeouts.poll));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Ok(Woken::Stop);
        }

        // A server reports new mail only after a command (RFC 3501, 7).
        session.command("NOOP", "NOOP").await?;

        Ok(Woken::Time)
    }
}

#[async_trait]
impl Ingress for Imap {
    async fn run(self: Box<Self>, inbox: Arc<dyn Inbox>, health: Health, stop: CancellationToken) {
        let backlog = Backlog::new(self.settings.rescan_interval.as_std());
        let pauses = Pauses::new(&self.timeouts);
        let mut progress = Progress {
            backlog,
            pauses,
            patience: Patience::new(self.timeouts),
            doubt: Doubt::default(),
            idling: Idling::default(),
            well: false,
            woken: Woken::Time,
            tokenless: 0,
            is_name_known: false,
            unread: Unread::new(self.clock.now()),
            move_left_at: Instant::now(),
        };

        while !stop.is_cancelled() {
            let connection = AssertUnwindSafe(self.attend(&inbox, &health, &stop, &mut progress));
            let overdue = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            // Nothing in here should panic; if something does, it only ends the connection.
            let ended = tokio::select! {
                ended = connection.catch_unwind() => ended.unwrap_or_else(|_| {
                    Err(Fault::Protocol(
                        "an answer that cannot be dealt with".into(),
                    ))
                }),
                () = overdue => return,
            };
            let Err(fault) = ended else { continue };
            progress.unread.failed();
            progress.patience.after(&fault);
            if progress.well && self.server.token_ended(&fault).boxed().await {
                telemetry::session_ended_with_its_token(&self.settings.name);
            } else if progress.backlog.blame(&fault, self.clock.now()) {
                telemetry::mail_withheld_still(&self.settings.name, &fault.to_string());
            } else {
                health.failed(
                    &self.settings.name,
                    &fault.to_string(),
                    progress.cannot_log_in(&fault),
                );
            }
            let pause = if progress.backlog.is_blamed_awaited() {
                self.timeouts.retry.0.min(SOON)
            } else {
                progress.pauses.after(&fault)
            };
            let refused = fault.needs_a_person();
            stop.run_until_cancelled(self.pause(pause, refused)).await;
        }
    }
}

/// Waits after an announcement of mail that is not there. The folder may have been replaced by
/// then, so it is opened again.
async fn after_false_alarm(stop: &CancellationToken) -> Woken {
    let pause = tokio::time::sleep(AFTER_FALSE_ALARM);
    match stop.run_until_cancelled(pause).await {
        Some(()) => Woken::Time,
        None => Woken::Stop,
    }
}

/// The state that outlives a connection.
struct Progress {
    backlog: Backlog,
    pauses: Pauses,
    patience: Patience,
    doubt: Doubt,
    idling: Idling,
    /// Whether the latest connection was useful.
    well: bool,
    /// What ended the latest wait.
    woken: Woken,
    /// Consecutive logins without a token.
    tokenless: u32,
    /// Whether the store knows that this ingress has read a mailbox.
    is_name_known: bool,
    unread: Unread,
    /// When mails that could not be moved are tried again.
    move_left_at: Instant,
}

impl Progress {
    /// Returns whether no login is possible: it is refused, or the token server has been
    /// unreachable for longer than a moment.
    fn cannot_log_in(&mut self, fault: &Fault) -> bool {
        self.tokenless = if matches!(fault, Fault::NoToken(_)) {
            self.tokenless + 1
        } else {
            0
        };
        fault.needs_a_person() || self.tokenless >= PATIENCE_WITH_TOKENS
    }
}
