//! Stores mails, and the bookmark behind them, in one commit.

use super::{Scan, batch::Fetched, last::Last};
use crate::{
    ingress::imap::{after, fault::Fault},
    message::{Bookmark, Message, Wanted},
    telemetry,
};

impl Scan<'_> {
    /// Stores what was fetched, then handles those mails in their folder as configured.
    pub(super) async fn store(&mut self, fetched: Fetched) -> Result<(), Fault> {
        let Fetched {
            last_uid, mails, ..
        } = fetched;

        let is_cut = |mail: &Message| mail.cut_from.is_some();
        let which = |wanted: bool| -> Vec<u32> {
            let those = mails.iter().filter(|(_, mail)| is_cut(mail) == wanted);
            those.map(|(uid, _)| *uid).collect()
        };
        let (uids, cut) = (which(false), which(true));
        let came = || uids.iter().chain(&cut).copied();
        let given = came().filter(|uid| self.backlog.is_kept(*uid)).collect();
        let highest = mails.last_key_value();
        let latest = highest
            .filter(|(uid, _)| **uid > self.last_uid)
            .and_then(|(uid, mail)| Last::of(*uid, &mail.raw));
        let mails = mails.into_values().collect();

        // If the store refuses these mails, the next scan finds them as new or as wanted mails.
        came().for_each(|uid| self.backlog.forget(uid));
        self.commit_with(mails, last_uid, given, None).await?;
        came().for_each(|uid| self.backlog.passed.add(uid));
        self.latest = latest.or(self.latest);

        if !after::settle(self.session, &self.imap.settings, &uids, &cut).await? {
            self.leave([uids, cut].concat()).await?;
        }
        Ok(())
    }

    /// Puts the bookmark, which is ahead of the folder, back to `to`: an earlier version believed a
    /// wrong UIDNEXT.
    pub(super) fn go_back(&mut self, to: u32) {
        telemetry::mailbox_put_back(
            &self.imap.settings.name,
            self.last_uid,
            to.saturating_add(1),
        );
        self.backlog.keep_again();
        self.backlog.passed.go_back(to);
        (self.last_uid, self.rewound) = (to, true);
    }

    /// Stores the mails, and the fact that all mails up to `last_uid` are stored or known to be
    /// wanted.
    pub(super) async fn commit(&mut self, mails: Vec<Message>, last_uid: u32) -> Result<(), Fault> {
        self.commit_with(mails, last_uid, Vec::new(), None).await
    }

    /// Does the same as [`Scan::commit`]. `given` are wanted mails that were returned or given up,
    /// and `told` is one that is announced now and still wanted.
    pub(super) async fn commit_with(
        &mut self,
        mails: Vec<Message>,
        last_uid: u32,
        given: Vec<u32>,
        told: Option<Wanted>,
    ) -> Result<(), Fault> {
        let last_uid = last_uid.max(self.last_uid);
        let mut wanted = self.backlog.to_keep(last_uid);
        wanted.retain(|one| told.as_ref().is_none_or(|told| told.uid != one.uid));
        wanted.extend(told);

        let bookmark = Bookmark {
            mailbox: self.imap.mailbox.clone(),
            uid_validity: self.folder.uid_validity,
            last_uid,
            wanted: wanted.clone(),
            given,
            rewound: self.rewound,
            starts_at: self.starts_at,
        };

        let has_mails = !mails.is_empty();
        self.inbox.accept(mails, Some(bookmark)).await?;
        self.has_stored |= has_mails;
        self.backlog.kept(&wanted);
        self.backlog.passed.moved_to(last_uid);
        (self.last_uid, self.rewound) = (last_uid, false);

        Ok(())
    }
}
