//! Requests mails again that were not returned before, one by one, and announces them after a few
//! tries.

use bytes::Bytes;

use super::{Listed, Scan, Scanned, cut};
use crate::{ingress::imap::fault::Fault, message::Wanted, telemetry};

/// The most announced mails that are looked for in one scan, so that its cost stays flat.
const TOLD_AT_MOST: usize = 16;
/// How far below a mail, in UIDs, another one is looked for to compare it with.
const NEIGHBOURS: u32 = 500;

impl Scan<'_> {
    /// Requests the wanted mails that are due again.
    pub(in crate::ingress::imap) async fn read_wanted(&mut self) -> Result<Scanned, Fault> {
        self.read_again(self.backlog.due(TOLD_AT_MOST)).await
    }

    /// Requests these wanted mails again.
    pub(super) async fn read_again(&mut self, uids: Vec<u32>) -> Result<Scanned, Fault> {
        for uid in uids {
            if self.was_read_elsewhere(uid).await? {
                continue;
            }
            // Another request would only end the connection again.
            if self.backlog.broke(uid) && self.try_to_tell(uid).await? {
                continue;
            }
            let stop = self.stop;
            let mail = Listed::only(uid);
            let Some(fetched) = stop.run_until_cancelled(self.fetch(&[mail])).await else {
                return Ok(Scanned::Stopped);
            };
            let fetched = fetched?;
            if fetched.messages() == 0 {
                self.try_to_tell(uid).await?;
            } else {
                if self.backlog.is_told(uid) {
                    telemetry::mail_given_after_all(&self.imap.settings.name, uid);
                }
                if self.store_in_turn(fetched).await? == Scanned::Stopped {
                    return Ok(Scanned::Stopped);
                }
            }
            if self.stop.is_cancelled() {
                return Ok(Scanned::Stopped);
            }
        }

        Ok(Scanned::New(0))
    }

    /// Returns whether another replica has stored the mail: then it is missing here because it was
    /// moved, or is no longer wanted.
    pub(super) async fn was_read_elsewhere(&mut self, uid: u32) -> Result<bool, Fault> {
        let Some(known) = self.inbox.bookmark(&self.imap.mailbox).await? else {
            return Ok(false);
        };
        let passed = known.uid_validity == self.folder.uid_validity && known.last_uid >= uid;
        // A mail that appeared below the bookmark is missing in the store because nothing was
        // committed since.
        let is_missing = self.backlog.is_kept(uid) || known.last_uid > self.last_uid;
        let elsewhere = passed && is_missing && known.wanted.iter().all(|wanted| wanted.uid != uid);

        if elsewhere {
            self.backlog.forget(uid);
            self.backlog.passed.add(uid);
        }

        Ok(elsewhere)
    }

    /// Announces a mail if it has failed often enough while others are returned: stores what is
    /// known about it, and why that is not more. Returns whether the mail was announced or given
    /// up.
    pub(super) async fn try_to_tell(&mut self, uid: u32) -> Result<bool, Fault> {
        if self.backlog.is_given_up(uid, self.imap.clock.now()) {
            self.backlog.forget(uid);
            self.commit_with(Vec::new(), 0, vec![uid], None).await?;
            self.backlog.passed.add(uid);
            return Ok(true);
        }

        if self.backlog.wants_proof(uid) {
            self.compare(uid).await?;
        }

        let Some(why) = self.backlog.to_tell(uid) else {
            return Ok(false);
        };
        if self.backlog.is_gone(uid) {
            return self.tell_that_it_was_taken(uid).await;
        }
        let header = self.last_header(uid).await?;
        let stand_in = self.backlog.stand_in(uid);
        let listed = Listed::only(uid);

        let mut message = self.message(listed, stand_in.clone().or(header).unwrap_or_default());
        let reason = format!(
            "the mail server does not return this mail (UID {uid} of {}): {why}. It is requested \
             again at every rescan; read it in the mailbox",
            self.imap.settings.folder
        );

        telemetry::mail_withheld(&self.imap.settings.name, uid, &why);

        // Exchange's note is a mail in itself, and names the sender.
        message.withheld = stand_in.is_none().then_some(reason);

        let told = Wanted {
            uid,
            since: self.backlog.since(uid).unwrap_or(message.arrived_at),
            told: true,
        };

        self.commit_with(vec![message], uid, Vec::new(), Some(told))
            .await?;
        self.backlog.told(uid);

        Ok(true)
    }

    /// Records that somebody else moved or deleted a mail before it could be read.
    ///
    /// Nothing is known of the mail, so it does not count as an alert that could not be read.
    /// Instead, the ingress is reported, once, however many mails are taken away. The mail is read
    /// if it comes back.
    async fn tell_that_it_was_taken(&mut self, uid: u32) -> Result<bool, Fault> {
        let now = self.imap.clock.now();
        telemetry::mail_taken_away(&self.imap.settings.name, uid);
        self.health.taken_away(&self.imap.settings.name, now);

        let told = Wanted {
            uid,
            since: self.backlog.since(uid).unwrap_or(now),
            told: true,
        };
        self.commit_with(Vec::new(), uid, Vec::new(), Some(told))
            .await?;
        self.backlog.told(uid);

        Ok(true)
    }

    /// Returns the header of a mail, if the server returns at least that.
    async fn last_header(&mut self, uid: u32) -> Result<Option<Bytes>, Fault> {
        if !self.backlog.ask_header(uid) {
            return Ok(None);
        }

        self.backlog.begin(uid, uid);

        let header = match self.session.header(uid).await {
            Ok(header) => header,
            Err(Fault::Answer { .. }) => None,
            Err(fault) => return Err(fault),
        };

        self.backlog.end();

        // A header that is cut within a name would be taken for another sender's.
        Ok(header.filter(|header| cut::body(header).is_some()))
    }

    /// Requests another mail, which has already been read: if it is returned, it is not the server
    /// that fails.
    async fn compare(&mut self, uid: u32) -> Result<(), Fault> {
        self.backlog.was_compared(uid);
        let other = match self.backlog.last_given() {
            Some(other) => Some(other),
            None if uid > 1 => {
                let keys = format!("UID {}:{}", uid.saturating_sub(NEIGHBOURS).max(1), uid - 1);
                let found = self.session.search(&keys, None).await?;
                found
                    .into_iter()
                    .rev()
                    .find(|other| !self.backlog.is_wanted(*other))
            }
            None => None,
        };

        let Some(other) = other else { return Ok(()) };

        match self.session.bodies(&[other], self.limit(), false).await {
            Ok(bodies) if !bodies.is_empty() => self.backlog.prove(uid),
            Ok(_) | Err(Fault::Answer { .. }) => {}
            Err(fault) => return Err(fault),
        }

        Ok(())
    }
}
