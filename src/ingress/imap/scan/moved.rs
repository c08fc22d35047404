//! Recognizes a mailbox that moved: its host, port, user name or folder was edited, and its ingress
//! kept its name.
//!
//! Such edits end an outage (a server that moved, plain IMAP that was switched off), so what came
//! meanwhile must be read. The bookmark of the former mailbox says nothing about the UIDs of this
//! one. That there was one is remembered by a bookmark of the ingress' name, which holds no UID.

use super::Scan;
use crate::{ingress::imap::fault::Fault, message::Bookmark};

impl Scan<'_> {
    /// Returns the bookmark of what this ingress read before; `None` if it reads for the first
    /// time.
    pub(super) async fn former(&self) -> Result<Option<Bookmark>, Fault> {
        let settings = &self.imap.settings;
        let named = self.inbox.bookmark(&of_ingress(&settings.name)).await?;
        let as_written = settings.mailbox_as_written();
        if named.is_some() || as_written == self.imap.mailbox {
            return Ok(named);
        }
        Ok(self.inbox.bookmark(&as_written).await?)
    }

    /// Remembers that this ingress has read a mailbox, and since when. The store keeps the first
    /// time that it is given.
    pub(in super::super) async fn remember_name(&self) -> Result<(), Fault> {
        let name = of_ingress(&self.imap.settings.name);
        if self.inbox.bookmark(&name).await?.is_some() {
            return Ok(());
        }

        let bookmark = Bookmark {
            starts_at: self.starts_at,
            ..Bookmark::at(&name, 0, 0)
        };
        self.inbox.accept(Vec::new(), Some(bookmark)).await?;

        Ok(())
    }
}

/// Returns the key of an ingress' bookmark, which no mailbox can have: theirs begin with `imap://`.
pub(in super::super) fn of_ingress(name: &str) -> String {
    format!("ingress:{name}")
}
