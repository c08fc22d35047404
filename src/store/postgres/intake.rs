//! The implementation of [`Intake`] for PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    crash,
    message::{Authenticity, Bookmark, MailId, Message},
    store::{Decision, Intake, Item, Room, StoreError, StoredMail, Unsilenced, kept::pack},
};

use super::{Postgres, Turns, decide, mail, record, recorder::Recorder, silence};

#[async_trait]
impl Intake for Postgres {
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError> {
        let packed = mails.into_iter().map(pack).collect::<Result<Vec<_>, _>>()?;
        let Some(bookmark) = bookmark else {
            let recorder = self
                .recorder
                .get_or_init(|| Recorder::start(&self.database, self.holder, self.hold));
            let mails = recorder.record(packed).await;
            return self.fullness.note(mails, Instant::now());
        };

        crash::point("commit");

        let recorded = record::record(
            &self.database,
            self.holder,
            self.hold,
            &packed,
            Some(&bookmark),
        );

        self.fullness.note(recorded.await, Instant::now())
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError> {
        record::bookmark(&self.database, mailbox).await
    }

    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        mail::undecided(&self.database, self.holder, self.hold, after, limit).await
    }

    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError> {
        mail::ahead(&self.database, self.holder, mail).await
    }

    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError> {
        mail::undecided_among(&self.database, &mails).await
    }

    async fn decide_all(
        &self,
        mail: MailId,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let _turns = self.take(Turns::of_all(&items)).await;
        let decisions = decide::decide(&self.database, mail, items, now).await?;
        self.ring_for(decisions.iter().flatten());
        Ok(decisions)
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        mail::due(&self.database, now, limit).await
    }

    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        mail::let_out(&self.database, limit).await
    }

    async fn reconsider_all(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let _turns = self.take(Turns::of_all(&items)).await;
        let decisions = decide::reconsider(&self.database, mail, &authenticity, items, now).await?;
        self.ring_for(decisions.iter().flatten());
        Ok(decisions)
    }

    async fn announce(&self, item: Item, now: Timestamp) -> Result<Decision, StoreError> {
        let _turns = self.take(Turns::of(item.subject.iter())).await;
        let decision = decide::announce(&self.database, item, now).await?;
        self.ring_for(std::iter::once(&decision));
        Ok(decision)
    }

    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError> {
        silence::unsilenced(&self.database, now, limit).await
    }

    /// Returns the free space. The database's server watches its own disk, so that only the fact
    /// that it is full is known here.
    fn room(&self) -> Option<Room> {
        self.fullness.room(Instant::now())
    }
}
