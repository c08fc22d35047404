//! What the pipeline asks of a store: the first two commits, and what is still to be decided.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Decide, Decision, Item, Mutes, Room, StoreError, StoredMail, Subject, Unsilenced};
use crate::message::{Authenticity, Bookmark, MailId, Message};

/// Mail comes in: recorded, then decided. The pipeline's view of a store.
#[async_trait]
pub trait Intake: Send + Sync {
    /// First commit: the mails as they came, and how far their mailbox was read. All or none.
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError>;

    /// How far a mailbox was read.
    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError>;

    /// Mails without a decision, in order of arrival, after `after`; not those that wait to be
    /// checked again. None after those that have [`READ_BACK`](super::READ_BACK) bytes together.
    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// Undecided mails that other processes took, recorded before `mail`: their numbers, in order.
    /// A mail that was acknowledged before `mail` was sent is among them.
    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError>;

    /// Those of these mails that are undecided still, in order, whoever took them; limited as
    /// `undecided` is.
    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError>;

    /// Second commit: of each item that was found in the mail, in order, shows what is known of its
    /// incident and writes what is concluded, all in one transaction. None where the mail has been
    /// decided by somebody else, or waits to be looked at again. Where an item waits for what a
    /// silence held, nothing is written, and its decision is the last returned.
    async fn decide_all(
        &self,
        mail: MailId,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError>;

    /// The same of a mail in which one thing was found, where nothing is muted.
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

    /// Mails to be looked at again, with the outcome they have: those let out of the quarantine
    /// first, then those whose authenticity is to be checked again by now.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// Those that a person let out of the quarantine and nobody has looked at since, in order.
    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError>;

    /// As `decide_all`, for a mail that was due: with what is known of its authenticity now. Where
    /// somebody was told of the mail before, its outcome stays, and what was told belongs to the
    /// opening it leads to. None where the mail is not due any more.
    async fn reconsider_all(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError>;

    /// The same of a mail in which one thing was found, where nothing is muted.
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

    /// As `decide`, for what the bridge tells of itself: without a mail.
    async fn announce(&self, item: Item, now: Timestamp) -> Result<Decision, StoreError>;

    /// Incidents of which a silence holds a page and has ended by now; `announce` concludes about
    /// them.
    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError>;

    /// The space that is left for the store; none where nobody here can tell.
    fn room(&self) -> Option<Room>;
}
