//! Moves mails later that the server refused to move once they were stored: the target may be full,
//! or somebody may have expunged one of the batch.
//!
//! They are remembered as the wanted mails of a bookmark of their own, so that a restart does not
//! forget them.

use jiff::SignedDuration;

use super::Scan;
use crate::{
    ingress::imap::{After, after, fault::Fault},
    message::{Bookmark, Wanted},
};

/// How long a move is tried again: whoever reads the log has noticed by then.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most mails in one command, and the most commands at one rescan.
const AT_ONCE: usize = 64;
const COMMANDS: usize = 16;

impl Scan<'_> {
    /// Remembers stored mails that the server refused to move.
    pub(super) async fn leave(&mut self, uids: Vec<u32>) -> Result<(), Fault> {
        let since = self.imap.clock.now();
        let left = uids.into_iter().map(|uid| Wanted {
            uid,
            since,
            told: false,
        });
        let wanted = left.collect();
        self.keep_left(Bookmark {
            wanted,
            ..self.left()
        })
        .await
    }

    /// Tries again to move the mails that were left in the folder.
    pub(in super::super) async fn move_left(&mut self) -> Result<(), Fault> {
        if !matches!(self.imap.settings.after, After::Move(_)) {
            return Ok(());
        }
        let Some(known) = self.inbox.bookmark(&self.left().mailbox).await? else {
            return Ok(());
        };
        if known.wanted.is_empty() {
            return Ok(());
        }
        // The UIDs are those of other mails now.
        if self.is_anew || known.uid_validity != self.folder.uid_validity {
            let rewound = true;
            return self
                .keep_left(Bookmark {
                    rewound,
                    ..self.left()
                })
                .await;
        }

        let now = self.imap.clock.now();
        let is_late = |one: &Wanted| now.duration_since(one.since) > PATIENCE;
        let (late, left): (Vec<_>, Vec<_>) = known.wanted.into_iter().partition(is_late);
        let mut given: Vec<u32> = late.iter().map(|one| one.uid).collect();
        let left: Vec<u32> = left.iter().map(|one| one.uid).collect();
        for uids in left.chunks(AT_ONCE).take(COMMANDS) {
            if after::settle(self.session, &self.imap.settings, uids, &[]).await? {
                given.extend(uids);
            }
        }

        if given.is_empty() {
            return Ok(());
        }
        self.keep_left(Bookmark {
            given,
            ..self.left()
        })
        .await
    }

    /// Returns a bookmark of the mails that were left, which changes nothing by itself.
    fn left(&self) -> Bookmark {
        let name = format!("left:{}", self.imap.mailbox);
        Bookmark::at(&name, self.folder.uid_validity, 0)
    }

    async fn keep_left(&mut self, bookmark: Bookmark) -> Result<(), Fault> {
        self.inbox.accept(Vec::new(), Some(bookmark)).await?;
        Ok(())
    }
}
