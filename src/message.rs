//! A mail as it came, and what became of it. The bytes are never changed.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The store's number for a mail; grows in order of arrival.
pub type MailId = i64;

/// One mail as an ingress hands it over.
#[derive(Debug, Clone)]
pub struct Message {
    /// The name of the ingress it came through.
    pub ingress: String,
    /// When it reached the team's mail system: INTERNALDATE over IMAP, now otherwise.
    pub arrived_at: Timestamp,
    /// The bytes: the whole mail, or only its header where [`Message::cut_from`] says so.
    pub raw: Bytes,
    /// The true size in bytes of a mail over the size limit, of which only the header was taken.
    pub cut_from: Option<u64>,
    /// What the SMTP client said, where there was one.
    pub envelope: Option<Envelope>,
}

/// What the SMTP conversation said about a mail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The client's address.
    pub peer: Option<IpAddr>,
    /// Its EHLO or HELO name.
    pub helo: String,
    /// MAIL FROM; empty is the null sender.
    pub mail_from: String,
    /// RCPT TO, in order.
    pub rcpt_to: Vec<String>,
}

/// How far an IMAP folder was read (RFC 9051, 2.3.1.1): stored in the same commit as the mails it covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The mailbox: host, port, user name and folder, so that a changed account starts anew and a renamed ingress not.
    pub mailbox: String,
    /// UIDs mean nothing under another UIDVALIDITY.
    pub uid_validity: u32,
    /// Every UID up to this one is stored.
    pub last_uid: u32,
}

/// What was concluded about a mail's sender when it arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authenticity {
    pub verdict: Verdict,
    /// What convinced us, where something did.
    pub evidence: Option<Evidence>,
    /// The domain that vouches.
    pub domain: Option<String>,
    /// A sentence for people.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
    None,
    TempError,
    /// The check is switched off (`alerts.authenticity.require: []`).
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    Dkim,
    AuthenticationResults,
    Arc,
}

impl Authenticity {
    /// The verdict while `alerts.authenticity.require` is empty.
    pub fn off() -> Self {
        Self {
            verdict: Verdict::Off,
            evidence: None,
            domain: None,
            detail: Some("authenticity is not checked: alerts.authenticity.require is empty".into()),
        }
    }
}

/// Who let a quarantined mail act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// `user@host`.
    pub by: String,
    pub at: Timestamp,
}

/// Why a mail is in the quarantine, where the bridge tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// A resolve that is not proven to be genuine.
    Resolve,
    /// An unverified trigger over `max_per_hour`.
    Flood,
    /// Genuine mail of an app that is not in `alerts.app_keys`: its key, at most 200 bytes.
    App(String),
}

/// What became of a mail. Every mail has one, with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Outcome {
    /// Not decided yet.
    Pending,
    /// A new incident. Notifies.
    Opened,
    /// An incident that was over is back. Notifies.
    Reopened,
    /// An incident is over. Notifies whoever was told of it.
    Resolved,
    /// A status we do not know: drift. Notifies.
    Updated,
    /// An alert that could not be read. Notifies.
    Unparsed,
    /// Known already.
    Duplicate,
    /// Older than what is known.
    Stale,
    /// A trigger older than `global.max_age`.
    Expired,
    /// A trigger inside a planned silence.
    Silenced,
    /// Held for a person.
    Quarantined,
    /// No alert.
    Ignored,
}

impl Outcome {
    /// The word used in JSON, metrics and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Resolved => "resolved",
            Self::Updated => "updated",
            Self::Unparsed => "unparsed",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Silenced => "silenced",
            Self::Quarantined => "quarantined",
            Self::Ignored => "ignored",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
