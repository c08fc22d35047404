//! A mail at its second commit: its subject, the decision about it, and the commit that writes
//! that. Trials (`explain`, `replay`) use this code just as real mail does.

use std::sync::Arc;

use jiff::Timestamp;

use super::{reading::Reading, rules::Rules};
use crate::store::{Decide, Decision, Intake, Item, StoreError, StoredMail, Subject, Unsilenced};

/// A mail that was read, the rules for its decision, and the time of it.
pub struct Case {
    pub rules: Arc<Rules>,
    pub reading: Arc<Reading>,
    pub mail: Arc<StoredMail>,
    pub now: Timestamp,
}

impl Case {
    /// Decides everything that was found in the mail, in one commit. `around` wraps each conclusion
    /// and may act before and after it. Returns `None` if the mail is already decided, or waits.
    pub async fn decide(
        &self,
        store: &dyn Intake,
        around: impl Fn(Decide) -> Decide,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let items = self.items(around);
        store.decide_all(self.mail.id, items, self.now).await
    }

    /// The same for a mail that is due to be checked again.
    pub(super) async fn reconsider(
        &self,
        store: &dyn Intake,
        around: impl Fn(Decide) -> Decide,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let items = self.items(around);
        let (mail, authenticity) = (self.mail.id, self.mail.authenticity.clone());
        store
            .reconsider_all(mail, authenticity, items, self.now)
            .await
    }

    /// For each thing found, what the store must know, and the conclusion from what it knows.
    fn items(&self, around: impl Fn(Decide) -> Decide) -> Vec<Item> {
        let item = |place: usize| {
            let (rules, reading) = (Arc::clone(&self.rules), Arc::clone(&self.reading));
            let (mail, now) = (Arc::clone(&self.mail), self.now);
            let conclude = move |memory: &_| {
                rules.conclude(&reading, &reading.findings[place], &mail, memory, now)
            };
            Item {
                subject: self.subject(place),
                decide: around(Box::new(conclude)),
            }
        };

        (0..self.reading.findings.len()).map(item).collect()
    }

    fn subject(&self, place: usize) -> Option<Subject> {
        let finding = self.reading.findings.get(place)?;
        self.rules
            .subject(&self.reading, finding, &self.mail, self.now)
    }

    /// The incident with a page held by a silence, which must be sent first; `None` if the mail is
    /// decided.
    pub(super) fn silenced(&self, decisions: &[Decision]) -> Option<Unsilenced> {
        let place = decisions.iter().position(Decision::waits_for_silenced)?;
        self.subject(place).as_ref().map(Unsilenced::of)
    }
}

/// Sends the page of an incident that a silence held, at its end; `around` as in [`Case::decide`].
pub async fn unsilence(
    store: &dyn Intake,
    rules: Arc<Rules>,
    incident: &Unsilenced,
    now: Timestamp,
    around: impl FnOnce(Decide) -> Decide,
) -> Result<Decision, StoreError> {
    let conclude = move |memory: &_| rules.unsilence(memory, now);
    store
        .announce(incident.subject(), now, around(Box::new(conclude)))
        .await
}

/// Decides a mail. If that panics, the mail becomes an alert that could not be read: somebody is
/// notified, and no other mail waits.
pub(super) async fn decide_catching_panics<F>(
    reading: Reading,
    mail: StoredMail,
    decide: impl Fn(Reading, StoredMail) -> F,
) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    match decide(reading, mail.clone()).await {
        Err(StoreError::Panicked) => {
            let fault = "this program has a fault: deciding the mail panicked";
            let reading = Reading::unreadable(&mail.message, fault);
            decide(reading, mail).await
        }
        decided => decided,
    }
}
