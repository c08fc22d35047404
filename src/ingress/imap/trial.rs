//! Tries a mailbox out: everything that reading it needs is done once, and nothing in it changes.

use super::{
    Settings, Timeouts,
    fault::Fault,
    oauth::NoToken,
    server::Server,
    session::{Folder, Session},
};
use crate::{clock::Clock, settings::Problem};

/// A folder that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The number of mails in it, if the server reports it.
    pub mails: Option<u32>,
    /// Whether the server announces new mail by itself (IDLE).
    pub tells: bool,
}

/// The step at which a trial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The host name has no address.
    Name,
    Connection,
    Tls,
    Login,
    Folder,
}

/// A mailbox that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub at: Stopped,
    pub what: String,
    pub mend: &'static str,
}

/// Logs in and opens the folder with EXAMINE, which changes nothing, not even `\Recent`.
pub async fn try_out(
    key: &str,
    settings: &Settings,
    clock: Clock,
    timeouts: Timeouts,
) -> Result<Opened, Unreadable> {
    let server = Server::new(key, settings, clock).map_err(|problem| misconfigured(&problem))?;
    let opened = open(&server, settings, timeouts).await;
    opened.map_err(|fault| unreadable(&fault))
}

async fn open(server: &Server, settings: &Settings, timeouts: Timeouts) -> Result<Opened, Fault> {
    let dialogue = server.log_in(timeouts).await?;
    let mut session = Session::begin(dialogue, timeouts).await?;
    let Folder { exists, .. } = session.open(&settings.folder, true).await?;
    let tells = session.can.idle;
    session.log_out().await;

    Ok(Opened {
        mails: exists,
        tells,
    })
}

fn misconfigured(problem: &Problem) -> Unreadable {
    Unreadable {
        at: Stopped::Tls,
        what: format!("{}; {}", problem.what, problem.mend),
        mend: "correct the connection settings of the mailbox",
    }
}

fn unreadable(fault: &Fault) -> Unreadable {
    let (at, mend) = match fault {
        Fault::Unreachable { reason, .. } if reason.starts_with("its name") => (
            Stopped::Name,
            "correct `host`, or fix this machine's name resolution (/etc/resolv.conf)",
        ),
        Fault::Unreachable { .. } | Fault::Mute { .. } => (
            Stopped::Connection,
            "correct `host` and `port`, and let this machine connect there through the firewall",
        ),
        Fault::Tls { .. } => (
            Stopped::Tls,
            "write `host` as the certificate names it, name the CA that signed it in `ca_file`, \
             or have an expired certificate renewed",
        ),
        Fault::NoStartTls | Fault::LoginDisabled => (
            Stopped::Tls,
            "set `tls: implicit`, or whatever the provider documents",
        ),
        Fault::Login { .. } | Fault::Password(_) | Fault::NoOauth => (
            Stopped::Login,
            "correct `username` and the secret; if the provider requires an app password or OAuth, \
             see deploy/guides/mailboxes.md",
        ),
        Fault::NoToken(NoToken::Unanswered { .. }) => (
            Stopped::Login,
            "let this machine reach the identity provider: its name, the firewall, a proxy",
        ),
        Fault::NoToken(NoToken::Refused { code, .. }) if code == "invalid_grant" => (
            Stopped::Login,
            "get a new refresh token with `alertbridge imap login NAME --write`",
        ),
        Fault::NoToken(_) => (
            Stopped::Login,
            "correct `client_id`, its secret and the addresses of `oauth2`",
        ),
        Fault::Folder { .. } => (
            Stopped::Folder,
            "name a folder of this mailbox in `folder`, as the server spells it",
        ),
        _ => (
            Stopped::Connection,
            "check whether the mail server works; if it does, report its answer as a bug",
        ),
    };

    Unreadable {
        at,
        what: fault.to_string(),
        mend,
    }
}
