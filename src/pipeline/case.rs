//! A mail at its second commit: its subject, the decision that follows from it, and the commit that
//! writes that decision.
//!
//! Trial runs (`explain`, `replay`) use the same code as real mail.

use std::sync::Arc;

use jiff::Timestamp;

use super::{reading::Reading, rules::Rules};
use crate::store::{
    Decide, Decision, IncidentRow, Intake, Item, Kind, StoreError, StoredMail, Subject, Unsilenced,
};

/// A mail that was read, the rules by which it is decided, and the time of the decision.
pub struct Case {
    pub rules: Arc<Rules>,
    pub reading: Arc<Reading>,
    pub mail: Arc<StoredMail>,
    pub now: Timestamp,
}

impl Case {
    /// Decides everything that was found in the mail, in one commit.
    ///
    /// `around` wraps each conclusion and may act before and after it. Returns `None` if the mail
    /// is already decided, or waits.
    pub async fn decide(
        &self,
        store: &dyn Intake,
        around: impl Fn(Decide) -> Decide,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let items = self.items(around);
        store.decide_all(self.mail.id, items, self.now).await
    }

    /// Decides everything again that was found in a mail that is due to be checked again.
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

    /// Returns an item for each thing that was found: its subject, and the conclusion to draw from
    /// what the store knows.
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
                mutes: self.rules.mutes(),
            }
        };

        (0..self.reading.findings.len()).map(item).collect()
    }

    fn subject(&self, place: usize) -> Option<Subject> {
        let finding = self.reading.findings.get(place)?;
        self.rules
            .subject(&self.reading, finding, &self.mail, self.now)
    }

    /// Returns the incident whose page, held by a silence, must be told first; `None` if the mail
    /// is decided.
    pub(super) fn silenced(&self, decisions: &[Decision]) -> Option<Unsilenced> {
        let place = decisions.iter().position(Decision::waits_for_silenced)?;
        self.subject(place).as_ref().map(Unsilenced::of)
    }
}

/// Tells the page of an incident that a silence held until its end; `around` is as in
/// [`Case::decide`].
pub async fn unsilence(
    store: &dyn Intake,
    rules: Arc<Rules>,
    incident: &Unsilenced,
    now: Timestamp,
    around: impl FnOnce(Decide) -> Decide,
) -> Result<Decision, StoreError> {
    let mutes = rules.mutes();
    let conclude = around(Box::new(move |memory: &_| rules.unsilence(memory, now)));
    let item = Item::about(incident.subject(), conclude, mutes);
    store.announce(item, now).await
}

/// Ends an incident of a profile that received no more mail.
pub async fn end_quiet(
    store: &dyn Intake,
    rules: Arc<Rules>,
    profile: Arc<str>,
    incident: IncidentRow,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    let of_incident = Unsilenced {
        kind: Kind::Incident,
        incident_id: incident.incident_id.clone(),
    };
    let mutes = rules.mutes();
    let conclude = Box::new(move |memory: &_| rules.end_quiet(&profile, &incident, memory, now));
    let item = Item::about(of_incident.subject(), conclude, mutes);
    store.announce(item, now).await
}

/// Decides a mail and catches a panic.
///
/// If the decision panics, the mail becomes an alert that could not be read, so that somebody is
/// told and no other mail waits.
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
