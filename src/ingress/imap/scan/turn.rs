//! Keeps the order of mails: those that were not returned are requested again before later mails
//! are stored.
//!
//! If an end is stored before its beginning, nobody is told of either. So mails that came wait for
//! earlier ones that did not, for a few seconds in all: no mail blocks the others for longer.

use tokio::time::{Instant, sleep_until};

use super::{Listed, Scan, Scanned, batch::Fetched};
use crate::ingress::imap::{fault::Fault, wanted::Awaited};

/// How many mails that have stepped aside are requested before new ones are read.
const FIRST_AT_MOST: usize = 16;

impl Scan<'_> {
    /// Requests those mails below the bookmark that were not returned, before new mails are read.
    pub(super) async fn read_earlier(&mut self) -> Result<Scanned, Fault> {
        let nothing = Fetched::nothing_up_to(self.last_uid);
        if self.store_in_turn(nothing).await? == Scanned::Stopped {
            return Ok(Scanned::Stopped);
        }

        // A connection may never live long enough for the mails that are requested last.
        let mut due = self.backlog.due_harmless(self.last_uid);
        due.truncate(FIRST_AT_MOST);
        self.read_again(due).await
    }

    /// Stores what was fetched, after the mails that are missing before it, if these come soon.
    pub(super) async fn store_in_turn(&mut self, mut fetched: Fetched) -> Result<Scanned, Fault> {
        if self.backlog.awaited(fetched.last_uid).is_some() {
            let (began, patience) = (Instant::now(), self.backlog.patience());
            let waited = self.wait_for_earlier(&mut fetched, began + patience).await;
            self.backlog.has_waited(began.elapsed());
            if waited? == Scanned::Stopped {
                return Ok(Scanned::Stopped);
            }
        }

        if fetched.messages() > 0 {
            self.store(fetched).await?;
        } else if !self.backlog.to_keep(self.last_uid).is_empty() {
            // A wanted mail has appeared below the bookmark, and no later mail brings it into the
            // store.
            self.commit(Vec::new(), self.last_uid).await?;
        }

        Ok(Scanned::New(0))
    }

    async fn wait_for_earlier(
        &mut self,
        fetched: &mut Fetched,
        until: Instant,
    ) -> Result<Scanned, Fault> {
        let up_to = fetched.last_uid;

        while let Some((lowest, awaited)) = self.backlog.awaited(up_to) {
            if self.stop.is_cancelled() {
                return Ok(Scanned::Stopped);
            }
            if Instant::now() >= until {
                self.backlog.let_go(up_to);
                break;
            }

            let before_it = fetched.split_below(lowest);
            if before_it.messages() > 0 {
                self.store(before_it).await?;
            }

            if awaited == Awaited::Announcement {
                self.try_to_tell(lowest).await?;
                continue;
            }

            let stop = self.stop;
            let uid = match self.backlog.next_request(up_to) {
                Ok(uid) => uid,
                Err(soonest) => {
                    let due = soonest.map_or(until, |soonest| soonest.min(until));
                    stop.run_until_cancelled(sleep_until(due)).await;
                    continue;
                }
            };

            if self.was_read_elsewhere(uid).await? {
                continue;
            }

            let mail = Listed::only(uid);
            let Some(came) = stop.run_until_cancelled(self.fetch(&[mail])).await else {
                return Ok(Scanned::Stopped);
            };
            fetched.mails.append(&mut came?.mails);
        }

        Ok(Scanned::New(0))
    }
}
