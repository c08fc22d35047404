//! A mail as it arrived, whose bytes are never changed; who vouches for it, and what became of it.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod authenticity;
pub mod header;
pub mod hidden;
mod mended;
mod outcome;
pub mod sender;

pub use authenticity::{Authenticity, Evidence, Verdict};
pub use mended::Mended;
pub use outcome::Outcome;

/// The store's number for a mail, which increases in order of arrival.
pub type MailId = i64;

/// A mail as an ingress hands it over.
#[derive(Debug, Clone)]
pub struct Message {
    /// The name of the ingress through which it came.
    pub ingress: String,
    /// The time at which it reached the team's mail system: INTERNALDATE for IMAP, otherwise the
    /// present time.
    pub arrived_at: Timestamp,
    /// The bytes: the whole mail, or only its header if [`Message::cut_from`] is set.
    pub raw: Bytes,
    /// The original size, in bytes, of a mail over the size limit, of which only the header was
    /// taken; or the size of a whole mail of which only the header is to be stored.
    pub cut_from: Option<u64>,
    /// Why the mail server did not return the mail. [`Message::raw`] is then at most the header.
    pub withheld: Option<String>,
    /// What the SMTP client declared, if there was one.
    pub envelope: Option<Envelope>,
}

/// The maximum length, in bytes, of a header that is kept alone: a stranger may write it as long as
/// he likes.
const LONGEST_HEADER: usize = 16 << 10;

/// Returns what is kept of a mail that is cut: its header, up to a limit.
pub fn head(raw: &[u8]) -> &[u8] {
    let (header, _) = header::split(raw);
    &header[..header.len().min(LONGEST_HEADER)]
}

impl Message {
    /// Reduces the mail to its header.
    #[must_use]
    pub fn cut(self) -> Self {
        let cut_from = self.cut_from.or(Some(self.raw.len() as u64));
        Self {
            raw: Bytes::copy_from_slice(head(&self.raw)),
            cut_from,
            ..self
        }
    }

    /// Marks a mail that was read whole to be stored as its header and the hash of all of it.
    #[must_use]
    pub fn to_be_cut(self) -> Self {
        Self {
            cut_from: Some(self.raw.len() as u64),
            ..self
        }
    }

    pub fn is_to_be_cut(&self) -> bool {
        self.cut_from == Some(self.raw.len() as u64)
    }
}

/// What the SMTP client declared about a mail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Envelope {
    /// The client's address.
    #[schema(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    /// The name that the client gave in EHLO or HELO.
    pub helo: String,
    /// The address of MAIL FROM; empty for the null sender.
    pub mail_from: String,
    /// The addresses of RCPT TO, in order.
    pub rcpt_to: Vec<String>,
}

/// How far an IMAP folder has been read (RFC 9051, 2.3.1.1). It is stored in the same commit as the
/// mails that it covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The mailbox: host, port, user name and folder.
    ///
    /// Renaming the ingress keeps the position; changing the account resets it.
    pub mailbox: String,
    /// The UIDVALIDITY of the folder. UIDs mean nothing under another one.
    pub uid_validity: u32,
    /// Every UID up to this one is stored, or wanted.
    pub last_uid: u32,
    /// The wanted mails: when stored, the newly wanted ones; when read, all of them.
    pub wanted: Vec<Wanted>,
    /// UIDs that are no longer wanted.
    pub given: Vec<u32>,
    /// Whether the folder was restored to an earlier state: `last_uid` may then be lower than
    /// before, and no earlier mail is wanted any more.
    pub rewound: bool,
    /// The time before which mail was left out when the mailbox was first read, and stays left out.
    /// The first value that is stored counts.
    pub starts_at: Option<Timestamp>,
}

/// A mail that its server announced and has not returned yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub uid: u32,
    pub since: Timestamp,
    /// Whether somebody was told of it.
    pub told: bool,
}

impl Bookmark {
    /// Returns a position at which everything up to `last_uid` is stored and nothing is wanted.
    pub fn at(mailbox: &str, uid_validity: u32, last_uid: u32) -> Self {
        let mailbox = mailbox.to_owned();
        Self {
            mailbox,
            uid_validity,
            last_uid,
            wanted: Vec::new(),
            given: Vec::new(),
            rewound: false,
            starts_at: None,
        }
    }
}

/// Who released a mail from the quarantine, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// The name of the person; for a command, `user@host`.
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Why a mail is in the quarantine, if the bridge raises an alarm about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// A resolve without proof that it is genuine.
    Resolve,
    /// An unverified trigger over `max_per_hour`, one that could not be checked where such triggers
    /// are quarantined, or one that would reach nobody.
    Flood,
    /// Genuine mail of an app that is not in `alerts.app_keys`: its key, at most 200 bytes.
    App(String),
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
