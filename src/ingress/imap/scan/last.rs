//! Recognizes a folder that was restored from a backup under the same UIDVALIDITY, and to which
//! more mails have come since than were lost: UIDs up to the bookmark are those of other mails now.
//!
//! The store keeps a hash of the last mail that was read. Whenever the folder is opened, the mail
//! under that UID is compared with it. A mail that is gone was moved or deleted, which proves
//! nothing.

use aws_lc_rs::digest::{SHA256, digest};

use super::Scan;
use crate::{
    ingress::imap::fault::Fault,
    message::{Bookmark, Mended, header},
};

/// The fields by which mails differ, and which no server changes.
const FIELDS: [&[u8]; 4] = [b"Message-ID", b"Date", b"From", b"Subject"];

/// A mail that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) uid: u32,
    pub(super) hash: u32,
}

impl Last {
    /// Returns what is to be remembered of a mail; `None` if it has none of the fields by which
    /// mails differ.
    pub(super) fn of(uid: u32, raw: &[u8]) -> Option<Self> {
        let mended = Mended::of(raw);
        let values = FIELDS.map(|name| header::first(mended.header(), name));
        if values.iter().all(Option::is_none) {
            return None;
        }

        let mut text = Vec::new();
        for value in values {
            let words = value.unwrap_or_default().split(u8::is_ascii_whitespace);
            text.extend(words.flatten());
            text.push(b'\n');
        }
        let hash = digest(&SHA256, &text);
        let start = hash.as_ref().first_chunk()?;
        Some(Self {
            uid,
            hash: u32::from_be_bytes(*start),
        })
    }
}

impl Scan<'_> {
    /// Returns whether another mail than the one that was read has its UID. Only a folder that was
    /// opened just now is asked.
    pub(super) async fn has_another_mail(&mut self, known: &Bookmark) -> Result<bool, Fault> {
        if !self.folder.is_uid_next_told {
            return Ok(false);
        }
        let last = self.inbox.bookmark(&self.last().mailbox).await?;
        // A mail above the bookmark is of before the folder was restored.
        let Some(last) = last.filter(|last| last.last_uid <= known.last_uid) else {
            return Ok(false);
        };

        let other = self.other_than(last.last_uid, last.uid_validity).await?;
        // It counts as read from then on, so that the folder is looked through only once.
        self.latest = other;
        Ok(other.is_some())
    }

    /// Returns the mail that has this UID now, if it is another than the one with this hash.
    async fn other_than(&mut self, uid: u32, hash: u32) -> Result<Option<Last>, Fault> {
        if self.backlog.is_suspect(uid) {
            return Ok(None);
        }

        // If this ends the connection, the mail is not looked at again.
        self.backlog.begin(uid, uid.saturating_add(1));
        let is_other = |mail: &Last| mail.hash != hash;
        let header = unless_refused(self.session.header(uid).await)?.flatten();
        let mut other = header
            .and_then(|header| Last::of(uid, &header))
            .filter(is_other);
        // Some servers return a mail's header in other words than the mail, which was read whole.
        if other.is_some() {
            let bodies = self.session.bodies(&[uid], self.limit(), false).await;
            let fetched = unless_refused(bodies)?.and_then(|mut bodies| bodies.remove(&uid));
            let body = fetched.and_then(|fetched| fetched.body);
            other = body.and_then(|raw| Last::of(uid, &raw)).filter(is_other);
        }
        self.backlog.end();

        Ok(other)
    }

    /// Remembers the last mail that was read.
    pub(in super::super) async fn remember_last(&mut self) -> Result<(), Fault> {
        let Some(Last { uid, hash }) = self.latest.take() else {
            return Ok(());
        };
        let bookmark = Bookmark {
            uid_validity: hash,
            last_uid: uid,
            rewound: true,
            ..self.last()
        };
        self.inbox.accept(Vec::new(), Some(bookmark)).await?;

        Ok(())
    }

    /// Returns the bookmark that keeps the last mail, still empty. It has the mail's hash where
    /// others have the UIDVALIDITY, which is part of its name.
    fn last(&self) -> Bookmark {
        let uid_validity = self.folder.uid_validity;
        Bookmark::at(&format!("last:{uid_validity}:{}", self.imap.mailbox), 0, 0)
    }
}

/// Returns nothing if the server refuses the command, which says nothing about the mail.
fn unless_refused<T>(answer: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Fault::Answer { .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_told_from_others_and_known_again_in_another_layout() {
        let hash = |raw: &str| Last::of(7, raw.as_bytes()).map(|last| last.hash);
        let one = hash("Subject: a b\r\nMessage-ID: <1@x>\r\n\r\nbody");
        assert!(one.is_some());
        for same in [
            "Received: x\r\nMessage-Id:\r\n <1@x>\r\nSubject:  a\r\n\tb\r\n\r\n",
            "message-id: <1@x>\nSubject: a b\n\nanother body",
        ] {
            assert_eq!(hash(same), one, "{same}");
        }
        for other in [
            "Subject: a b\r\nMessage-ID: <2@x>\r\n\r\nbody",
            "Subject: a b\r\nFrom: <1@x>\r\n\r\nbody",
            "Subject: a b\r\n\r\nbody",
        ] {
            assert_ne!(hash(other), one, "{other}");
        }
        assert_eq!(hash("Received: x\r\n\r\nbody"), None);
        assert_eq!(hash(""), None);
    }
}
