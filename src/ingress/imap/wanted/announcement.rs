//! Decides when a wanted mail is announced, and with what. If another mail is returned, this shows
//! that the wanted mail fails, and not the server.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Backlog, TRIES, Want};

/// The tries after which a mail is announced, if there is no other mail to compare it with.
const TRIES_ALONE: u32 = 6;
/// How long a mail must have been gone from its folder to be given up: it does not come back.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);

impl Backlog {
    /// Returns whether another mail is needed to show that the server returns others.
    pub(in crate::ingress::imap) fn wants_proof(&self, uid: u32) -> bool {
        self.mails
            .get(&uid)
            .is_some_and(|want| !want.told && !want.gone && !want.proven && want.tries >= TRIES)
    }

    pub(in crate::ingress::imap) fn was_compared(&mut self, uid: u32) {
        if let Some(want) = self.mails.get_mut(&uid) {
            want.compared = true;
        }
    }

    /// Returns why a mail is to be announced now; `None` if it is too early, or if the server may
    /// be to blame.
    pub(in crate::ingress::imap) fn to_tell(&self, uid: u32) -> Option<String> {
        let want = self.mails.get(&uid).filter(|want| !want.told)?;
        let is_only_one = self.mails.values().filter(|want| !want.told).count() == 1;
        let enough = (want.tries >= TRIES && (want.gone || want.proven))
            || (want.tries >= TRIES_ALONE && !want.busy && is_only_one);
        enough.then(|| want.why.clone())
    }

    /// Returns whether to request a mail's header before the announcement. It does so only once,
    /// because the request may end the connection as well.
    pub(in crate::ingress::imap) fn ask_header(&mut self, uid: u32) -> bool {
        self.mails
            .get_mut(&uid)
            .is_some_and(|want| !std::mem::replace(&mut want.header_asked, true) && !want.gone)
    }

    /// Notes that a mail was announced. From now on, it is looked for at every rescan.
    pub(in crate::ingress::imap) fn told(&mut self, uid: u32) {
        if let Some(want) = self.mails.get_mut(&uid) {
            want.told = true;
            want.due = Instant::now() + self.rescan;
        }
    }

    /// Keeps the note that the server returns in place of a mail.
    pub(in crate::ingress::imap) fn keep_stand_in(&mut self, uid: u32, note: Bytes) {
        if let Some(want) = self.mails.get_mut(&uid).filter(|want| !want.told) {
            want.stand_in = Some(note);
        }
    }

    pub(in crate::ingress::imap) fn stand_in(&mut self, uid: u32) -> Option<Bytes> {
        self.mails.get_mut(&uid)?.stand_in.take()
    }

    pub(in crate::ingress::imap) fn since(&self, uid: u32) -> Option<Timestamp> {
        self.mails.get(&uid).map(|want| want.since)
    }

    pub(in crate::ingress::imap) fn is_told(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.told)
    }

    /// Returns whether the latest look found that a mail is not in the folder.
    pub(in crate::ingress::imap) fn is_gone(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.gone)
    }

    /// Returns whether an announced mail has been gone long enough to give it up.
    pub(in crate::ingress::imap) fn is_given_up(&self, uid: u32, now: Timestamp) -> bool {
        let over =
            |want: &Want| want.told && want.gone && now.duration_since(want.since) > GONE_AFTER;
        self.mails.get(&uid).is_some_and(over)
    }
}
