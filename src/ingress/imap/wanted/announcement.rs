//! When a wanted mail is announced, and with what: that it is this mail which fails, and not the
//! server, is shown by another.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Backlog, TRIES, Want};

/// The tries after which a mail is announced, if there is no other mail to compare it with.
const TRIES_ALONE: u32 = 6;
/// A mail that has been gone from its folder for this long does not come back.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);

impl Backlog {
    /// Whether another mail is needed to show that the server returns others.
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

    /// Why a mail is to be announced now; `None` if it is too early, or if the server may be to
    /// blame.
    pub(in crate::ingress::imap) fn to_tell(&self, uid: u32) -> Option<String> {
        let want = self.mails.get(&uid).filter(|want| !want.told)?;
        let is_only_one = self.mails.values().filter(|want| !want.told).count() == 1;
        let enough = (want.tries >= TRIES && (want.gone || want.proven))
            || (want.tries >= TRIES_ALONE && !want.busy && is_only_one);
        enough.then(|| want.why.clone())
    }

    /// Whether to request its header before the announcement: once, because that may end the
    /// connection as well.
    pub(in crate::ingress::imap) fn ask_header(&mut self, uid: u32) -> bool {
        self.mails
            .get_mut(&uid)
            .is_some_and(|want| !std::mem::replace(&mut want.header_asked, true) && !want.gone)
    }

    /// It was announced, and is looked for at every rescan from now on.
    pub(in crate::ingress::imap) fn told(&mut self, uid: u32) {
        if let Some(want) = self.mails.get_mut(&uid) {
            want.told = true;
            want.due = Instant::now() + self.rescan;
        }
    }

    /// A note that the server returns in place of the mail.
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

    /// Whether the latest look found that a mail is not in the folder.
    pub(in crate::ingress::imap) fn is_gone(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.gone)
    }

    /// Whether an announced mail has been gone long enough to give it up.
    pub(in crate::ingress::imap) fn is_given_up(&self, uid: u32, now: Timestamp) -> bool {
        let over =
            |want: &Want| want.told && want.gone && now.duration_since(want.since) > GONE_AFTER;
        self.mails.get(&uid).is_some_and(over)
    }
}
