//! Shares wanted mails with the store, so that another process looks for them too.

use super::{Backlog, Want};
use crate::message::Wanted;

impl Backlog {
    /// Takes over the wanted mails that the store knows and this process does not.
    pub(in crate::ingress::imap) fn adopt(&mut self, wanted: &[Wanted]) {
        for Wanted { uid, since, told } in wanted {
            let want = self
                .mails
                .entry(*uid)
                .or_insert_with(|| Want::new(*since, self.given));
            want.kept = true;
            want.told |= *told;
        }

        // A mail that another process has received is no longer wanted.
        self.mails
            .retain(|uid, want| !want.kept || wanted.iter().any(|wanted| wanted.uid == *uid));
    }

    /// Forgets the mails up to `bookmark` that the store does not know as wanted: another process
    /// has stored them.
    pub(in crate::ingress::imap) fn were_read_elsewhere(&mut self, bookmark: u32) {
        self.mails.retain(|uid, want| want.kept || *uid > bookmark);
    }

    /// Makes the next commit report all wanted mails to the store again.
    pub(in crate::ingress::imap) fn keep_again(&mut self) {
        self.mails.values_mut().for_each(|want| want.kept = false);
    }

    /// Returns whether the store knows that a mail is wanted.
    pub(in crate::ingress::imap) fn is_kept(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.kept)
    }

    /// Returns the wanted mails that are new to the store and that it must know once the bookmark
    /// is at `last_uid`.
    pub(in crate::ingress::imap) fn to_keep(&self, last_uid: u32) -> Vec<Wanted> {
        let new = self.mails.range(..=last_uid).filter(|(_, want)| !want.kept);
        new.map(|(uid, want)| Wanted {
            uid: *uid,
            since: want.since,
            told: want.told,
        })
        .collect()
    }

    /// Notes that the store knows these wanted mails now.
    pub(in crate::ingress::imap) fn kept(&mut self, wanted: &[Wanted]) {
        for Wanted { uid, .. } in wanted {
            if let Some(want) = self.mails.get_mut(uid) {
                want.kept = true;
            }
        }
    }
}
