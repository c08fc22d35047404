//! The implementation of [`Intake`] for SQLite.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    crash,
    message::{Authenticity, Bookmark, MailId, Message},
    store::{Decision, Intake, Item, Room, StoreError, StoredMail, Unsilenced, kept::pack},
};

use super::{Sqlite, concern, decide, failure, mail, record, silence};

#[async_trait]
impl Intake for Sqlite {
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError> {
        let packed = mails.into_iter().map(pack).collect::<Result<Vec<_>, _>>()?;
        self.write(move |connection| {
            let ids = record::record(connection, &packed, bookmark.as_ref()).map_err(failure)?;
            crash::point("recording");
            Ok(ids)
        })
        .await
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError> {
        let mailbox = mailbox.to_owned();
        self.read(move |connection| record::bookmark(connection, &mailbox))
            .await
    }

    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::undecided(connection, after, limit))
            .await
    }

    /// Returns nothing: one process owns the file, so no other process records mail.
    async fn ahead(&self, _mail: MailId) -> Result<Vec<MailId>, StoreError> {
        Ok(Vec::new())
    }

    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::undecided_among(connection, &mails))
            .await
    }

    async fn decide_all(
        &self,
        mail: MailId,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        self.write(move |connection| decide::decide(connection, mail, items, now).map_err(failure))
            .await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::due(connection, now, limit))
            .await
    }

    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.read(move |connection| mail::let_out(connection, limit))
            .await
    }

    async fn reconsider_all(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        self.write(move |connection| {
            decide::reconsider(connection, mail, &authenticity, items, now).map_err(failure)
        })
        .await
    }

    async fn announce(&self, item: Item, now: Timestamp) -> Result<Decision, StoreError> {
        self.write(move |connection| decide::announce(connection, item, now).map_err(failure))
            .await
    }

    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError> {
        self.read(move |connection| silence::unsilenced(connection, now, limit))
            .await
    }

    fn room(&self) -> Option<Room> {
        self.path.as_deref().and_then(concern::room)
    }
}
