//! What the pipeline asks of a store: the first two commits, and the mail that is still undecided.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Decide, Decision, Item, Room, StoreError, StoredMail, Subject, Unsilenced};
use crate::message::{Authenticity, Bookmark, MailId, Message};

/// The pipeline's view of a store: mail is recorded, then decided.
#[async_trait]
pub trait Intake: Send + Sync {
    /// The first commit: the mails as they arrived, and how far their mailbox was read. It is
    /// atomic.
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError>;

    /// How far a mailbox has been read.
    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError>;

    /// Undecided mails in order of arrival, after `after`, without those that wait to be checked
    /// again. It stops after [`READ_BACK`](super::READ_BACK) bytes.
    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// The numbers of undecided mails that other processes recorded before `mail`, in order. Every
    /// mail that was acknowledged before `mail` was sent is among them.
    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError>;

    /// Those of these mails that are still undecided, in order, whichever process recorded them;
    /// bounded as `undecided` is.
    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError>;

    /// The second commit. For each item found in the mail, in order, it passes what is known of the
    /// incident to `decide` and writes the conclusion, all in one transaction. Returns `None` if
    /// somebody else has decided the mail, or if it waits to be checked again. If an item has to
    /// wait for a page that a silence held, nothing is written, and its decision is the last one
    /// returned.
    async fn decide_all(
        &self,
        mail: MailId,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError>;

    /// The same for a mail with a single item.
    async fn decide(
        &self,
        mail: MailId,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        let decided = self.decide_all(mail, vec![Item { subject, decide }], now);
        Ok(decided.await?.and_then(|mut decisions| decisions.pop()))
    }

    /// Mails that are due to be checked again, with their present outcome: first those released
    /// from the quarantine, then those whose authenticity is due for another check.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// The mails that a person released from the quarantine and that have not been decided since,
    /// in order.
    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// Like `decide_all`, for a mail that was due, with its newly checked authenticity. If the mail
    /// has already notified somebody, its outcome stays, and its pages belong to the opening that
    /// it leads to. Returns `None` if the mail is no longer due.
    async fn reconsider_all(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError>;

    /// The same for a mail with a single item.
    async fn reconsider(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        let items = vec![Item { subject, decide }];
        let decided = self.reconsider_all(mail, authenticity, items, now);
        Ok(decided.await?.and_then(|mut decisions| decisions.pop()))
    }

    /// Like `decide`, for the bridge's own alarms: there is no mail.
    async fn announce(
        &self,
        subject: Subject,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Decision, StoreError>;

    /// Incidents with a page held by a silence that has ended by now; `announce` decides about
    /// them.
    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError>;

    /// The free space for the store; `None` if it cannot be determined from here.
    fn room(&self) -> Option<Room>;
}
