//! Why a connection to a mailbox ended, in words for the operator. They never contain a password or
//! a mail's text.

use std::io;

use async_imap::error::Error;

use super::{framing::Breach, oauth::NoToken, wire::Heard, words::words};
use crate::{ingress::Refused, settings::SecretError};

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("cannot reach {address}: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("cannot reach {address}: no connection and greeting within {seconds} s")]
    Mute { address: String, seconds: u64 },
    #[error("no secure connection to {host}: {reason}")]
    Tls { host: String, reason: String },
    #[error("the server offers no STARTTLS: set `tls: implicit`, or `none` on loopback")]
    NoStartTls,
    /// The server accepts no password over an unencrypted connection (RFC 3501, LOGINDISABLED):
    /// none was sent.
    #[error("the server accepts no password without TLS: set `tls: starttls` or `implicit`")]
    LoginDisabled,
    #[error("the server refused the login of {username}: {said}")]
    Login { username: String, said: String },
    #[error(transparent)]
    Password(#[from] SecretError),
    #[error(
        "the server accepts no access token (neither OAUTHBEARER nor XOAUTH2): use `password_file`"
    )]
    NoOauth,
    #[error(transparent)]
    NoToken(#[from] NoToken),
    #[error("the folder `{folder}` cannot be opened: {said}")]
    Folder { folder: String, said: String },
    #[error("the server refused {command}: {said}")]
    Answer {
        command: &'static str,
        said: String,
        try_create: bool,
    },
    /// Every requested mail failed, so the cause is not a single odd one.
    #[error("the server returns no mail: {0}")]
    NothingGiven(String),
    #[error("the server closed the connection{}", after_colon(said.as_deref()))]
    Closed { said: Option<String> },
    #[error("no answer to {command} in time")]
    Silent { command: &'static str },
    #[error("the connection broke: {0}")]
    Broken(io::ErrorKind),
    #[error("the server violates the protocol: {0}")]
    Protocol(String),
    #[error(transparent)]
    Inbox(#[from] Refused),
}

impl Fault {
    /// Returns whether only a person can fix it: a password or token is refused, or none can be
    /// obtained.
    pub(super) fn needs_a_person(&self) -> bool {
        match self {
            Self::Login { said, .. } => !is_busy(said),
            Self::Password(_) | Self::LoginDisabled | Self::NoOauth => true,
            Self::NoToken(none) => none.needs_a_person(),
            _ => false,
        }
    }

    /// Returns whether the server may merely be slow. A mail that does not come says nothing about
    /// the server; nor does an IDLE that never begins, or a connection that dies in one.
    pub(super) fn is_slowness(&self) -> bool {
        match self {
            Self::Mute { .. } => true,
            Self::Silent { command } => !matches!(*command, "FETCH" | "IDLE" | "DONE"),
            _ => false,
        }
    }

    /// Returns whether the mail that was being fetched may be the cause.
    pub(super) fn may_be_the_mails(&self) -> bool {
        matches!(
            self,
            Self::Answer { .. }
                | Self::Closed { .. }
                | Self::Silent { .. }
                | Self::Broken(_)
                | Self::Protocol(_)
        )
    }

    /// Returns whether the server says that it is merely busy.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Answer { said, .. } => is_busy(said),
            Self::Closed { said } => said.as_deref().is_some_and(is_busy),
            _ => false,
        }
    }

    /// Returns the fault of a command to which the server said NO or BAD.
    pub(super) fn refused(command: &'static str, heard: &Heard) -> Self {
        let said = heard.outcome.as_ref();
        Self::Answer {
            command,
            said: words(said.map_or("", |said| &said.text)),
            try_create: said.is_some_and(|said| said.has_code("TRYCREATE")),
        }
    }

    /// Returns the fault of a connection that the server closed, with its last words.
    pub(super) fn closed(heard: &Heard) -> Self {
        Self::Closed {
            said: heard.farewell.as_ref().map(|said| words(&said.text)),
        }
    }

    /// Returns the fault of a read or a write that failed.
    pub(super) fn io(error: &io::Error) -> Self {
        if let Some(breach) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Breach>())
        {
            return Self::Protocol(breach.to_string());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed { said: None },
            // This is the library's own error, for an answer that it does not understand.
            io::ErrorKind::Other => Self::Protocol(Breach::Foreign.to_string()),
            kind => Self::Broken(kind),
        }
    }

    /// Returns the fault of a command of the library that failed. The library's texts are for
    /// programmers, and some contain what was being read, so the server's words are used instead.
    pub(super) fn library(command: &'static str, error: &Error, heard: &Heard) -> Self {
        match error {
            Error::ConnectionLost => Self::closed(heard),
            Error::No(_) | Error::Bad(_) => Self::refused(command, heard),
            Error::Io(error) => Self::io(error),
            _ => Self::Protocol(Breach::Foreign.to_string()),
        }
    }
}

/// Response codes that blame the credentials (RFC 5530).
const REFUSALS: [&str; 4] = [
    "[AUTHENTICATIONFAILED",
    "[AUTHORIZATIONFAILED",
    "[EXPIRED",
    "[PRIVACYREQUIRED",
];

/// Response codes of a server that is busy, full or broken, whatever was requested (RFC 5530, and
/// those of single vendors).
const TROUBLES: [&str; 9] = [
    "[UNAVAILABLE",
    "[INUSE",
    "[IN-USE",
    "[LIMIT",
    "[SERVERBUG",
    "[OVERQUOTA",
    "[CONTACTADMIN",
    "[SYS/TEMP",
    "[THROTTLED",
];

/// Phrases of servers without such codes: Gmail, Exchange, Yahoo, Zimbra, Courier, Cyrus, Dovecot,
/// Zoho.
const BUSY_WORDS: [&str; 32] = [
    "too many",
    "too much",
    "maximum number",
    "maximum connection",
    "max connection",
    "connection limit",
    "connections exceeded",
    "exceeded the limit",
    "exceeded command or bandwidth",
    "bandwidth limits",
    "simultaneous connections",
    "concurrent connections",
    "rate limit",
    "ratelimit",
    "throttl",
    "quota",
    "temporar",
    "try again",
    "try later",
    "retry",
    "unavailable",
    "not available",
    "overload",
    "server busy",
    "is busy",
    "server error",
    "internal error",
    "system error",
    "lookup failed",
    "but not connected",
    "maintenance",
    "timed out",
];

/// Returns whether a server's words say that waiting helps, and another password would not.
fn is_busy(said: &str) -> bool {
    let upper = said.to_ascii_uppercase();
    if TROUBLES.iter().any(|code| upper.contains(code)) {
        return true;
    }

    if REFUSALS.iter().any(|code| upper.contains(code)) {
        return false;
    }

    let lower = said.to_ascii_lowercase();

    BUSY_WORDS.iter().any(|words| lower.contains(words))
}

fn after_colon(said: Option<&str>) -> String {
    said.map(|said| format!(": {said}")).unwrap_or_default()
}

/// Returns why a system call failed, without the number of the error.
pub(super) fn system_reason(error: &io::Error) -> String {
    let said = error.to_string();
    said.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(said: &str) -> Fault {
        Fault::Login {
            username: "alerts".into(),
            said: said.into(),
        }
    }

    #[test]
    fn a_busy_server_is_no_refused_login() {
        for said in [
            "[UNAVAILABLE] Temporary authentication failure",
            "[LIMIT] LOGIN Rate limit hit",
            "[OVERQUOTA] Mailbox is full",
            "[INUSE] Mailbox is locked",
            "[CONTACTADMIN] Ask us",
            "[SERVERBUG] Internal error occurred. Refer to server log for more information.",
            "[ALERT] Too many simultaneous connections. (Failure)",
            "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            "User is authenticated but not connected.",
            "Server Unavailable. 15",
            "Lookup failed q7mb12345",
            "LOGIN failed: account temporarily locked, try again later",
        ] {
            assert!(!login(said).needs_a_person(), "{said}");
        }
    }

    #[test]
    fn a_refused_login_needs_a_person() {
        for said in [
            "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            "[AUTHENTICATIONFAILED] Too many wrong passwords",
            "LOGIN failed.",
            "[EXPIRED] Your password is over",
            "[ALERT] Application-specific password required",
            "Invalid username or password",
        ] {
            assert!(login(said).needs_a_person(), "{said}");
        }
    }

    #[test]
    fn no_message_is_written_for_the_compiler() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(system_reason(&refused), "Connection refused");
        assert_eq!(
            Fault::io(&refused).to_string(),
            "the connection broke: connection refused"
        );
    }
}
