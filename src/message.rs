//! A mail as it arrived, and its outcome. The bytes are never changed.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub mod header;
pub mod hidden;
mod mended;
pub mod sender;

pub use mended::Mended;

/// The store's number for a mail, which increases in order of arrival.
pub type MailId = i64;

/// One mail as an ingress hands it over.
#[derive(Debug, Clone)]
pub struct Message {
    /// The name of the ingress it came through.
    pub ingress: String,
    /// When it reached the team's mail system: INTERNALDATE for IMAP, otherwise the present time.
    pub arrived_at: Timestamp,
    /// The bytes: the whole mail, or only its header if [`Message::cut_from`] is set.
    pub raw: Bytes,
    /// The original size in bytes of a mail over the size limit, of which only the header was
    /// taken.
    pub cut_from: Option<u64>,
    /// Why the mail server did not return the mail, of which [`Message::raw`] is then at most the
    /// header.
    pub withheld: Option<String>,
    /// What the SMTP client declared, if there was one.
    pub envelope: Option<Envelope>,
}

/// The most bytes of a header that are kept alone: a stranger writes it as long as he likes.
const LONGEST_HEADER: usize = 16 << 10;

/// What is kept of a mail that is cut: its header, up to a limit.
pub fn head(raw: &[u8]) -> &[u8] {
    let (header, _) = header::split(raw);
    &header[..header.len().min(LONGEST_HEADER)]
}

impl Message {
    /// The same with its header alone.
    #[must_use]
    pub fn cut(self) -> Self {
        let cut_from = self.cut_from.or(Some(self.raw.len() as u64));
        Self {
            raw: Bytes::copy_from_slice(head(&self.raw)),
            cut_from,
            ..self
        }
    }
}

/// What the SMTP conversation said about a mail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Envelope {
    /// The client's address.
    #[schema(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    /// Its EHLO or HELO name.
    pub helo: String,
    /// MAIL FROM; empty is the null sender.
    pub mail_from: String,
    /// RCPT TO, in order.
    pub rcpt_to: Vec<String>,
}

/// How far an IMAP folder has been read (RFC 9051, 2.3.1.1): stored in the same commit as the mails
/// it covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The mailbox: host, port, user name and folder. Renaming the ingress keeps the position;
    /// changing the account resets it.
    pub mailbox: String,
    /// UIDs mean nothing under another UIDVALIDITY.
    pub uid_validity: u32,
    /// Every UID up to this one is stored, or wanted.
    pub last_uid: u32,
    /// When stored: the newly wanted mails. When read: all wanted mails.
    pub wanted: Vec<Wanted>,
    /// UIDs that are no longer wanted.
    pub given: Vec<u32>,
    /// The folder was restored to an earlier state: `last_uid` may be lower than before, and no
    /// earlier mail is wanted any more.
    pub rewound: bool,
}

/// A mail that its server announced and has not returned yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub uid: u32,
    pub since: Timestamp,
    /// Whether it was announced.
    pub told: bool,
}

impl Bookmark {
    /// Everything up to `last_uid` is stored, and nothing is wanted.
    pub fn at(mailbox: &str, uid_validity: u32, last_uid: u32) -> Self {
        let mailbox = mailbox.to_owned();
        Self {
            mailbox,
            uid_validity,
            last_uid,
            wanted: Vec::new(),
            given: Vec::new(),
            rewound: false,
        }
    }
}

/// The conclusion about a mail's sender when it arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Authenticity {
    pub verdict: Verdict,
    /// The evidence that proved it, if any.
    pub evidence: Option<Evidence>,
    /// The domain that vouches, or whose evidence was refuted.
    pub domain: Option<String>,
    /// The domain's key that signed (RFC 6376, 3.1), if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The SPF result of the SMTP client (RFC 7208, 2.6), in one word. It is recorded, and never
    /// evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<String>,
    /// A sentence for people: what was examined, and why it passed or failed.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is proven to be from the sender.
    Pass,
    /// There is evidence, and it is refuted.
    Fail,
    /// There is no evidence at all.
    None,
    /// DNS did not answer, and nothing else proves the mail.
    TempError,
    /// The check is switched off (`alerts.authenticity.require: []`).
    Off,
}

impl Verdict {
    /// The word used in JSON, labels and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::Off => "off",
        }
    }
}

/// What can prove the sender of a mail.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The mail's own DKIM signature, verified here.
    Dkim,
    /// What the mailbox's host recorded when the mail arrived there.
    AuthenticationResults,
    /// A chain of forwarders' seals.
    Arc,
}

impl Evidence {
    /// The word used in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dkim => "dkim",
            Self::AuthenticationResults => "authentication_results",
            Self::Arc => "arc",
        }
    }
}

impl Authenticity {
    /// A verdict without evidence, and its reason.
    pub fn unproven(verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            verdict,
            evidence: None,
            domain: None,
            selector: None,
            spf: None,
            detail: Some(detail.into()),
        }
    }

    /// The verdict while `alerts.authenticity.require` is empty.
    pub fn off() -> Self {
        Self::unproven(
            Verdict::Off,
            "authenticity is not checked: alerts.authenticity.require is empty",
        )
    }
}

impl std::fmt::Display for Authenticity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}",
            self.verdict.as_str(),
            self.detail.as_deref().unwrap_or_default()
        )?;

        self.spf.as_ref().map_or(Ok(()), |spf| {
            write!(f, " (SPF of the client, for the record: {spf})")
        })
    }
}

/// Who released a quarantined mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// `user@host`.
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Why a mail is in the quarantine, if the bridge raises an alarm about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// A resolve without proof that it is genuine.
    Resolve,
    /// An unverified trigger over `max_per_hour`, or one that could not be checked where such
    /// triggers are quarantined.
    Flood,
    /// Genuine mail of an app that is not in `alerts.app_keys`: its key, at most 200 bytes.
    App(String),
}

/// The outcome of a mail. Every mail has one, with a reason.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Outcome {
    /// Not decided yet.
    Pending,
    /// A new incident. Notifies.
    Opened,
    /// An incident that was over has returned. Notifies.
    Reopened,
    /// An incident is over. Notifies whoever was notified of it.
    Resolved,
    /// An unknown status: drift. Notifies.
    Updated,
    /// The incident is open and has changed, for example its severity. Notifies.
    Changed,
    /// An alert that could not be read. Notifies.
    Unparsed,
    /// Already known.
    Duplicate,
    /// Older than what is known.
    Stale,
    /// A trigger older than `global.max_age`.
    Expired,
    /// A trigger that notifies nobody: a silence covers it, or all its routes drop it in a mute.
    Silenced,
    /// Held for a person.
    Quarantined,
    /// Not an alert.
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
            Self::Changed => "changed",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_mail_without_end_in_its_header_little_is_kept() {
        assert_eq!(head(b"Subject: x\r\n\r\nbody"), b"Subject: x\r\n");
        assert_eq!(head(&b"X".repeat(1 << 20)).len(), LONGEST_HEADER);
    }
}
