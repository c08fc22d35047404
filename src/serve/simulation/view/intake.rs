//! The store as the pipeline sees it: mail is taken, and decided.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{EVER, View, lock};
use crate::{
    message::{Authenticity, Bookmark, MailId, Message},
    store::{Decision, Intake, Item, Room, StoreError, StoredMail, Unsilenced},
};

#[async_trait]
impl Intake for View {
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError> {
        self.changes("record", async {
            let ids = self.shared.sqlite.record(mails, bookmark).await?;
            self.hold(ids.iter().copied());
            Ok(ids)
        })
        .await
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError> {
        self.asks(self.shared.sqlite.bookmark(mailbox)).await
    }

    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        let mut found = self
            .seeks(
                "undecided",
                sqlite.undecided(after, 10_000),
                sqlite.undecided(0, 1),
            )
            .await?;
        found.retain(|mail| self.is_free_or_own(mail.id));
        found.truncate(limit as usize);
        self.hold(found.iter().map(|mail| mail.id));
        Ok(found)
    }

    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError> {
        let sqlite = &self.shared.sqlite;
        let found = self
            .seeks(
                "undecided",
                sqlite.undecided(0, 10_000),
                sqlite.undecided(0, 1),
            )
            .await?;
        let holds = lock(&self.shared.holds);
        let others = |id: &MailId| holds.get(id).is_none_or(|hold| hold.0 != self.life.number);
        Ok(found
            .into_iter()
            .map(|mail| mail.id)
            .filter(|id| *id < mail && others(id))
            .collect())
    }

    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError> {
        self.asks(self.shared.sqlite.undecided_among(mails)).await
    }

    async fn decide_all(
        &self,
        mail: MailId,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let name = format!("decide {mail}");
        self.changes(&name, async {
            let decided = self.shared.sqlite.decide_all(mail, items, now).await?;
            self.decided(decided.as_deref().unwrap_or_default());
            Ok(decided)
        })
        .await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        self.seeks("due", sqlite.due(now, limit), sqlite.due(now + EVER, 1))
            .await
    }

    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        self.seeks("let out", sqlite.let_out(limit), sqlite.let_out(1))
            .await
    }

    async fn reconsider_all(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let name = format!("reconsider {mail}");
        self.changes(&name, async {
            let again = &self.shared.sqlite;
            let decided = again.reconsider_all(mail, authenticity, items, now).await?;
            self.decided(decided.as_deref().unwrap_or_default());
            Ok(decided)
        })
        .await
    }

    async fn announce(&self, item: Item, now: Timestamp) -> Result<Decision, StoreError> {
        let subject = item.subject.as_ref();
        let name = format!("announce {}", subject.map_or("", |one| &one.incident_id));
        self.changes(&name, async {
            let decision = self.shared.sqlite.announce(item, now).await?;
            self.decided(std::slice::from_ref(&decision));
            Ok(decision)
        })
        .await
    }

    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError> {
        let sqlite = &self.shared.sqlite;
        let ever = sqlite.unsilenced(now + EVER, 1);
        self.seeks("silenced", sqlite.unsilenced(now, limit), ever)
            .await
    }

    fn room(&self) -> Option<Room> {
        None
    }
}
