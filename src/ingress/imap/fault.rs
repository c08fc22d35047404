//! Why a connection to a mailbox ended, in words for the operator: never a password, never a mail's text.

use std::io;

use async_imap::{
    error::Error,
    imap_proto::{Outcome, ResponseCode},
};

use super::{guard::Breach, oauth::NoToken};
use crate::{ingress::Refused, settings::SecretError};

/// How much of a server's own words is repeated.
const MAX_WORDS: usize = 200;

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("cannot reach {address}: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("no secure connection to {host}: {reason}")]
    Tls { host: String, reason: String },
    #[error("the server offers no STARTTLS: set `tls: implicit`, or `none` on loopback")]
    NoStartTls,
    /// The server takes no password over an open line (RFC 3501, LOGINDISABLED): none was sent.
    #[error("the server takes no password without TLS: set `tls: starttls` or `implicit`")]
    LoginDisabled,
    #[error("the server refused the login of {username}: {said}")]
    Login { username: String, said: String },
    #[error(transparent)]
    Password(#[from] SecretError),
    #[error("the server takes no access token (neither OAUTHBEARER nor XOAUTH2): use `password_file`")]
    NoOauth,
    #[error(transparent)]
    NoToken(#[from] NoToken),
    #[error("the folder `{folder}` cannot be opened: {said}")]
    Folder { folder: String, said: String },
    #[error("the server refused {command}: {said}")]
    Answer { command: &'static str, said: String, try_create: bool },
    #[error("the server closed the connection{}", said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Closed { said: Option<String> },
    #[error("no answer to {command} in time")]
    Silent { command: &'static str },
    #[error("the connection broke: {0}")]
    Broken(io::ErrorKind),
    #[error("the server breaks the protocol: {0}")]
    Protocol(String),
    #[error(transparent)]
    Inbox(#[from] Refused),
}

impl Fault {
    /// Whether only a person can mend it: a refused password or token, or none to be had.
    pub(super) fn needs_a_person(&self) -> bool {
        match self {
            Self::Login { said, .. } => !passes_by_itself(said),
            Self::Password(_) | Self::LoginDisabled | Self::NoOauth => true,
            Self::NoToken(none) => none.needs_a_person(),
            _ => false,
        }
    }

    /// Whether the mail that was being fetched may be the cause.
    pub(super) fn may_be_the_mails(&self) -> bool {
        match self {
            Self::Answer { said, .. } => !passes_by_itself(said),
            Self::Closed { .. } | Self::Silent { .. } | Self::Broken(_) | Self::Protocol(_) => true,
            _ => false,
        }
    }

    /// The server said NO or BAD to a command.
    pub(super) fn answer(command: &'static str, outcome: &Outcome<'_>) -> Self {
        let try_create = matches!(outcome.code, Some(ResponseCode::TryCreate));
        Self::Answer { command, said: words(outcome.information.as_deref()), try_create }
    }

    /// A read or a write failed. The texts of the library are not repeated: they hold what was being parsed.
    pub(super) fn io(error: &io::Error) -> Self {
        if let Some(breach) = error.get_ref().and_then(|inner| inner.downcast_ref::<Breach>()) {
            return Self::Protocol(breach.to_string());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed { said: None },
            io::ErrorKind::Other => Self::Protocol("an answer that is no IMAP".into()),
            kind => Self::Broken(kind),
        }
    }

    /// As [`Fault::io`] for what the library returns outside of a login.
    pub(super) fn library(command: &'static str, error: &Error) -> Self {
        match error {
            Error::Io(error) => Self::io(error),
            Error::ConnectionLost => Self::Closed { said: None },
            Error::No(said) | Error::Bad(said) => Self::Answer { command, said: words(Some(said)), try_create: false },
            _ => Self::Protocol("an answer that is no IMAP".into()),
        }
    }
}

/// The response codes of RFC 5530 that a server gives when it is merely busy.
fn passes_by_itself(said: &str) -> bool {
    ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]"].iter().any(|code| said.contains(code))
}

/// A server's own words: one line, and not a long one.
pub(super) fn words(said: Option<&str>) -> String {
    let said = said.unwrap_or_default().trim();
    if said.is_empty() {
        return "it gave no reason".into();
    }
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_words_with_a_mail_in_them_are_not_repeated() {
        let fault = Fault::io(&io::Error::other("Error during parsing of \"Subject: confidential\""));
        assert_eq!(fault.to_string(), "the server breaks the protocol: an answer that is no IMAP");
    }

    #[test]
    fn a_busy_server_is_no_refused_login() {
        let login = |said: &str| Fault::Login { username: "alerts".into(), said: said.into() };
        assert!(login("[AUTHENTICATIONFAILED] Invalid credentials").needs_a_person());
        assert!(login("LOGIN failed.").needs_a_person());
        assert!(!login("[UNAVAILABLE] Temporary authentication failure").needs_a_person());
    }

    #[test]
    fn a_servers_words_stay_on_one_line_and_short() {
        assert_eq!(words(Some("a\r\nb")), "a  b");
        assert_eq!(words(Some(&"x".repeat(1000))).len(), MAX_WORDS);
    }
}
