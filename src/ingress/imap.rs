//! Mail fetched from an IMAP mailbox. Home of async-imap.
//!
//! One connection per mailbox: log in, open the folder, scan it by UID from the bookmark, wait for mail (IDLE, else by
//! polling), scan again. Whatever goes wrong ends the connection and a new one is made after a pause; it never gives
//! up. What counts as well-being is a scan that reached the end, not a connection that stands.
//!
//! A mailbox is known by its host, port, user name and folder. Where one of them changes it is a new mailbox, read from
//! "now" on (or from `backfill`); renaming the ingress changes nothing.

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::FutureExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use self::{
    fault::Fault,
    scan::{Scan, Scanned},
    server::Server,
    session::{Session, Woken},
    trouble::Trouble,
};
use super::{Health, Inbox, Ingress};
use crate::{
    clock::Clock,
    settings::{ByteSize, Duration, Problem, Secret},
};

mod after;
mod fault;
mod guard;
mod scan;
mod server;
mod session;
mod trouble;

/// `ingress.imap[]` of the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub host: String,
    /// 993 with implicit TLS, else 143.
    pub port: Option<u16>,
    pub tls: Tls,
    /// PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    pub username: String,
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    // Comes later: refused by name until then.
    pub oauth2: Option<serde_json::Value>,
    pub folder: String,
    /// Whether to wait with IDLE (RFC 2177) where the server can. Without it the folder is polled every
    /// `rescan_interval`, and at least once a minute.
    pub idle: bool,
    /// How often the folder is read anew by UID, beside IDLE.
    pub rescan_interval: Duration,
    /// How far back the first connect reads; 0s: only mail that comes from then on.
    pub backfill: Duration,
    /// Larger mail is quarantined by its header alone.
    pub max_message_size: ByteSize,
    pub after: After,
    // Comes later: refused by name until then.
    pub trusted_authserv_id: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: String::new(),
            port: None,
            tls: Tls::Implicit,
            ca_file: None,
            username: String::new(),
            password: None,
            password_file: None,
            oauth2: None,
            folder: "INBOX".into(),
            idle: true,
            rescan_interval: Duration::from_secs(300),
            backfill: Duration::from_secs(0),
            max_message_size: ByteSize::from_mib(10),
            after: After::Keep,
            trusted_authserv_id: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    Implicit,
    Starttls,
    /// Only sensible on loopback.
    None,
}

/// What is done with a mail in the mailbox once it is stored. Done once: a mail that was stored just before a crash may
/// stay where it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// Nothing: the folder is opened read-only.
    Keep,
    Seen,
    /// Removed where the server has UIDPLUS (RFC 4315), else only marked as deleted. Mail over the size limit stays.
    Delete,
    /// To this folder, made where it does not exist.
    Move(String),
}

impl Settings {
    /// What is wrong with them; `key` is their own path (`ingress.imap[0]`). Names, and what comes with a later version,
    /// are looked at by `config`, for all ingresses alike.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let at = |name: &str| format!("{key}.{name}");
        let mut problems = Vec::new();
        let mut require = |name: &str, value: &str, example: &str| {
            if value.trim().is_empty() {
                let what = format!("`{name}` is missing");
                problems.push(Problem::new(at(name), what, format!("add it: `{name}: {example}`")));
            }
        };
        require("host", &self.host, "imap.example.com");
        require("username", &self.username, "alerts@example.com");
        require("folder", &self.folder, "INBOX");
        if let After::Move(folder) = &self.after {
            require("after.move", folder, "Processed");
            if *folder == self.folder {
                problems.push(Problem::new(
                    at("after.move"),
                    format!("mail would be moved from `{folder}` to itself"),
                    "name another folder",
                ));
            }
        }
        // OAuth2 stands for a password.
        if self.oauth2.is_none()
            && let Err(problem) = self.secret(key)
        {
            problems.push(problem);
        }
        if self.port == Some(0) {
            problems.push(Problem::new(at("port"), "0 is no port", "drop the key for the usual one, 993 or 143"));
        }
        if self.rescan_interval < Duration::from_secs(1) {
            problems.push(Problem::new(at("rescan_interval"), "it is shorter than a second", "write 5m"));
        }
        if self.max_message_size.bytes() == 0 {
            problems.push(Problem::new(at("max_message_size"), "no mail is that small", "write 10MiB"));
        }
        problems
    }

    /// What works and is unwise.
    pub fn warnings(&self, key: &str) -> Vec<Problem> {
        let loopback = self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if self.tls == Tls::None && !loopback {
            return vec![Problem::new(
                format!("{key}.tls"),
                format!("the password goes to {} unencrypted", self.host),
                "set `tls: implicit` or `tls: starttls`",
            )];
        }
        Vec::new()
    }

    /// Names the mailbox in its bookmark. No two ingresses may share one.
    pub fn mailbox(&self) -> String {
        format!("imap://{}@{}:{}/{}", self.username, self.host, self.port(), self.folder)
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls == Tls::Implicit { 993 } else { 143 })
    }

    fn secret(&self, key: &str) -> Result<Secret, Problem> {
        Secret::required(key, "password", self.password.as_deref(), self.password_file.as_deref())
    }
}

/// How long each thing may take, and how long the pauses are.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To connect up to the greeting, and then to log in.
    pub connect: std::time::Duration,
    /// For a command, beside the time its mails need; a server that sends nothing for so long is dead.
    pub command: std::time::Duration,
    /// For one IDLE: Exchange forgets clients after ten minutes.
    pub idle: std::time::Duration,
    /// Between two scans where the server has no IDLE.
    pub poll: std::time::Duration,
    pub logout: std::time::Duration,
    /// The first and the longest pause before connecting again. A minute at most: a page waits for it.
    pub retry: (std::time::Duration, std::time::Duration),
    /// The same after a refused login: providers lock accounts that try too often.
    pub retry_login: (std::time::Duration, std::time::Duration),
}

impl Default for Timeouts {
    fn default() -> Self {
        let secs = std::time::Duration::from_secs;
        Self {
            connect: secs(20),
            command: secs(60),
            idle: secs(9 * 60),
            poll: secs(60),
            logout: secs(2),
            retry: (secs(1), secs(60)),
            retry_login: (secs(30), secs(300)),
        }
    }
}

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
    /// Reads `ca_file` and the system's certificates; the password's file is read at every login. A mailbox whose
    /// UIDVALIDITY changes is read again as far back as `max_age`; 0s: all of it.
    pub fn new(settings: &Settings, clock: Clock, max_age: Duration) -> Result<Self, Problem> {
        let key = format!("ingress.imap `{}`", settings.name);
        Ok(Self {
            server: Server::new(&key, settings)?,
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
        let Some(opened) = stop.run_until_cancelled(self.open()).await else { return Ok(()) };
        let (mut session, folder) = opened?;
        loop {
            let scan = Scan { imap: self, session: &mut session, folder, inbox, trouble: &mut progress.trouble, stop };
            if scan.run().await? == Scanned::Stopped {
                return Ok(());
            }
            health.succeeded(&self.settings.name, self.clock.now());
            progress.pauses = Pauses::new(&self.timeouts);
            if self.wait(&mut session, stop).await? == Woken::Stop {
                session.log_out().await;
                return Ok(());
            }
        }
    }

    async fn open(&self) -> Result<(Session, session::Folder), Fault> {
        let connection = self.server.log_in(self.timeouts.connect).await?;
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
        let mut progress = Progress { trouble: Trouble::default(), pauses: Pauses::new(&self.timeouts) };
        while !stop.is_cancelled() {
            let connection = AssertUnwindSafe(self.attend(&inbox, &health, &stop, &mut progress));
            // The library's parser panics on some answers (`INTERNALDATE NIL`): one more way to break the protocol.
            let ended = connection
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Fault::Protocol("an answer the parser cannot stand".into())));
            let Err(fault) = ended else { continue };
            progress.trouble.blame(&fault);
            health.failed(&self.settings.name, &fault.to_string(), fault.needs_a_person());
            stop.run_until_cancelled(tokio::time::sleep(progress.pauses.after(&fault))).await;
        }
    }
}

/// What outlives a connection.
struct Progress {
    trouble: Trouble,
    pauses: Pauses,
}

/// Pauses that grow with every failure since the last scan that reached the end.
struct Pauses {
    ordinary: ExponentialBackoff,
    login: ExponentialBackoff,
    longest: std::time::Duration,
}

impl Pauses {
    fn new(timeouts: &Timeouts) -> Self {
        let growing = |(first, longest)| {
            ExponentialBuilder::new()
                .with_min_delay(first)
                .with_max_delay(longest)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(fastrand::u64(..))
                .build()
        };
        Self { ordinary: growing(timeouts.retry), login: growing(timeouts.retry_login), longest: timeouts.retry.1 }
    }

    fn after(&mut self, fault: &Fault) -> std::time::Duration {
        let pauses = if fault.needs_a_person() { &mut self.login } else { &mut self.ordinary };
        pauses.next().unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Settings {
        Settings {
            name: "alerts".into(),
            host: "imap.example.com".into(),
            username: "alerts".into(),
            password_file: Some("/run/secrets/imap".into()),
            ..Settings::default()
        }
    }

    #[test]
    fn good_settings_have_no_problems() {
        assert_eq!(good().check("ingress.imap[0]"), []);
        assert_eq!(good().warnings("ingress.imap[0]"), []);
    }

    #[test]
    fn every_problem_names_its_key() {
        type Spoil = fn(&mut Settings);
        let spoilt: [(&str, Spoil); 10] = [
            ("host", |s| s.host.clear()),
            ("username", |s| s.username.clear()),
            ("folder", |s| s.folder.clear()),
            ("port", |s| s.port = Some(0)),
            ("password", |s| s.password = Some("x".into())),
            ("", |s| s.password_file = None),
            ("rescan_interval", |s| s.rescan_interval = Duration::from_secs(0)),
            ("max_message_size", |s| s.max_message_size = ByteSize::from_mib(0)),
            ("after.move", |s| s.after = After::Move(String::new())),
            ("after.move", |s| s.after = After::Move("INBOX".into())),
        ];
        for (name, spoil) in spoilt {
            let mut settings = good();
            spoil(&mut settings);
            let keys: Vec<String> = settings.check("k").into_iter().map(|problem| problem.key).collect();
            let expected = if name.is_empty() { "k".to_owned() } else { format!("k.{name}") };
            assert_eq!(keys, [expected]);
        }
    }

    #[test]
    fn a_password_in_the_clear_is_warned_of_except_on_loopback() {
        let mut settings = Settings { tls: Tls::None, ..good() };
        assert_eq!(settings.warnings("k").len(), 1);
        settings.host = "127.0.0.1".into();
        assert_eq!(settings.warnings("k"), []);
    }

    #[test]
    fn pauses_grow_to_their_limit_and_are_longer_after_a_refused_login() {
        let timeouts = Timeouts::default();
        let mut pauses = Pauses::new(&timeouts);
        let closed = Fault::Closed { said: None };
        let login = Fault::Login { username: "alerts".into(), said: "[AUTHENTICATIONFAILED]".into() };
        assert!(pauses.after(&closed) < std::time::Duration::from_secs(3));
        assert!(pauses.after(&login) >= timeouts.retry_login.0);
        let late: Vec<_> = (0..50).map(|_| pauses.after(&closed)).skip(10).collect();
        assert!(late.iter().all(|pause| *pause >= timeouts.retry.1 && *pause <= 2 * timeouts.retry.1), "{late:?}");
    }
}
