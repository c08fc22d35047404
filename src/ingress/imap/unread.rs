//! Remembers since when a mailbox is to be read that could not be looked at yet: from the first
//! start on, its server is unreachable or refuses the login. What arrives until that is mended may
//! be an alert.
//!
//! The time is stored as the start of a bookmark that holds no UID, so that a restart does not
//! forget it. There is one under the mailbox, because its ingress may be renamed meanwhile, and one
//! under the ingress, because a wrong host or user name may be what is mended.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Imap, arrival::CLOCKS_DIFFER, scan::of_ingress};
use crate::{
    ingress::{Inbox, Refused},
    message::Bookmark,
};

/// Since when a mailbox is to be read that nobody has looked at.
#[derive(Debug)]
pub(super) struct Unread {
    since: Timestamp,
    /// Whether the store knows this time, or has no need of it.
    is_kept: bool,
    /// Whether an attempt to look at the mailbox has failed.
    has_failed: bool,
}

impl Unread {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            is_kept: false,
            has_failed: false,
        }
    }

    /// Notes that an attempt to look at the mailbox failed.
    pub(super) fn failed(&mut self) {
        self.has_failed = true;
    }

    /// Returns the time since which mail may have come that a look at `now` would take for old;
    /// `None` if the mailbox is looked at as soon as it is to be read.
    pub(super) fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let is_late = self.has_failed || now.duration_since(self.since) > CLOCKS_DIFFER;
        is_late.then_some(self.since)
    }
}

impl Imap {
    /// Stores since when the mailbox is to be read, unless it has been read. An earlier process may
    /// have stored an earlier time.
    pub(super) async fn remember_unread(
        &self,
        inbox: &Arc<dyn Inbox>,
        unread: &mut Unread,
    ) -> Result<(), Refused> {
        if unread.is_kept {
            return Ok(());
        }

        if inbox.bookmark(&self.mailbox).await?.is_none() {
            let mut unknown = Vec::new();
            for name in [self.mailbox.clone(), of_ingress(&self.settings.name)] {
                let name = format!("unread:{name}");
                let known = inbox.bookmark(&name).await?;
                match known.and_then(|known| known.starts_at) {
                    Some(since) => {
                        unread.since = unread.since.min(since);
                        unread.failed();
                    }
                    None => unknown.push(name),
                }
            }
            for name in unknown {
                let bookmark = Bookmark {
                    starts_at: Some(unread.since),
                    ..Bookmark::at(&name, 0, 0)
                };
                inbox.accept(Vec::new(), Some(bookmark)).await?;
            }
        }
        unread.is_kept = true;

        Ok(())
    }
}
