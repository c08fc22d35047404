//! The store as the pipeline sees it: the first two commits, and the mail that is still undecided.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Decide, Decision, Item, Mutes, Room, StoreError, StoredMail, Subject, Unsilenced};
use crate::message::{Authenticity, Bookmark, MailId, Message};

/// The pipeline's view of a store: mail is recorded, then decided.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Makes the first commit: the mails as they arrived, and how far their mailbox was read. It is
    /// atomic.
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError>;

    /// Returns how far a mailbox has been read.
    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError>;

    /// Returns the undecided mails after `after` in order of arrival, without those that wait to be
    /// checked again. It stops after [`READ_BACK`](super::READ_BACK) bytes.
    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// Returns the numbers of the undecided mails that other processes recorded before `mail`, in
    /// order. Every mail that was acknowledged before `mail` was sent is among them.
    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError>;

    /// Returns those of these mails that are still undecided, in order, whichever process recorded
    /// them. It has the same limit of bytes as `undecided`.
    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError>;

    /// Makes the second commit. For each item found in the mail, in order, it passes what is known
    /// of the incident to `decide` and writes the conclusion, all in one transaction. Returns
    /// `None` if somebody else has decided the mail, or if it waits to be checked again. If an item
    /// has to wait for a page that a silence held, nothing is written, and its decision is the last
    /// one returned.
    async fn decide_all(
        &self,
        mail: MailId,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError>;

    /// Makes the second commit for a mail with a single item, with nothing muted.
    async fn decide(
        &self,
        mail: MailId,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        let item = Item {
            subject,
            decide,
            mutes: Mutes::default(),
        };
        let decided = self.decide_all(mail, vec![item], now);
        Ok(decided.await?.and_then(|mut decisions| decisions.pop()))
    }

    /// Returns the mails that are due to be checked again, with their present outcome: first those
    /// released from the quarantine, then those whose authenticity is due for another check.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// Returns the mails that a person released from the quarantine and that have not been decided
    /// since, in order.
    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// Decides a mail that was due like `decide_all`, with its newly checked authenticity. If the
    /// mail has already notified somebody, its outcome stays, and its pages belong to the episode
    /// to which it leads. Returns `None` if the mail is no longer due.
    async fn reconsider_all(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError>;

    /// Reconsiders a mail with a single item, with nothing muted.
    async fn reconsider(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        subject: Option<Subject>,
        now: Timestamp,
        decide: Decide,
    ) -> Result<Option<Decision>, StoreError> {
        let item = Item {
            subject,
            decide,
            mutes: Mutes::default(),
        };
        let decided = self.reconsider_all(mail, authenticity, vec![item], now);
        Ok(decided.await?.and_then(|mut decisions| decisions.pop()))
    }

    /// Decides about an incident without a mail, such as one of the bridge's own alarms.
    async fn announce(&self, item: Item, now: Timestamp) -> Result<Decision, StoreError>;

    /// Returns the incidents with a page held by a silence that has ended by now. `announce`
    /// decides about them.
    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError>;

    /// Returns the free space of the store, or `None` if it cannot be determined from here.
    fn room(&self) -> Option<Room>;
}
