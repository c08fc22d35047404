//! The pipeline that takes a mail from acceptance to decision.
//!
//! A mail is accepted (stored), then concluded (decided). It is reconsidered if it could not be
//! checked or if a person released it from the quarantine.
//!
//! The sender is acknowledged after [`Pipeline::accept`]. The decision follows at once. Whatever is
//! interrupted in between is picked up from the store, which alone remembers what is undecided.
//!
//! Supporting modules hold mail between its two commits ([`in_hand`]) and schedule each mail:
//! [`run`] for new mail, [`again`] for mail that is due to be checked again, [`mod@unsilence`] for
//! pages that silences held. The logic that derives a decision from a mail is pure: [`Rules`].

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::watch::Receiver;

use crate::{
    authenticate::Authenticator,
    canary,
    clock::Clock,
    crash,
    deliver::Deliverer,
    ingress::{Inbox, Refused},
    message::{Authenticity, Bookmark, MailId, Message},
    store::{Intake, StoreError, StoredMail, Unsilenced},
    telemetry,
};

mod again;
mod ahead;
mod alert;
mod anew;
mod apart;
mod by_hand;
mod canaries;
mod case;
mod change;
mod conclude;
mod declared;
mod finding;
mod follow;
mod in_hand;
mod labels;
mod mutes;
mod order;
mod quiet;
mod quota;
mod reading;
mod reason;
mod room;
mod rules;
mod run;
mod sight;
mod sli;
mod slots;
pub mod standing;
mod tell;
#[cfg(test)]
mod tests;
mod told_one;
mod treatment;
mod unsilence;

use ahead::Ahead;
#[cfg(test)]
pub(crate) use apart::AT_ONCE;
pub use by_hand::resolve_by_hand;
use canaries::Canaries;
pub use case::{Case, end_quiet, unsilence};
pub use finding::Finding;
use in_hand::InHand;
pub use labels::{Said, labels_of};
pub use order::in_order;
pub use quota::Quota;
pub use reading::Reading;
pub use rules::Rules;
pub use sight::Sight;
pub use sli::SliReader;
use slots::Slots;
pub use treatment::{Expect, Treatment};

/// The part of the configuration that governs mail: how it is judged, read and decided.
///
/// A reload replaces it as a whole.
pub struct InForce {
    pub authenticator: Authenticator,
    pub rules: Arc<Rules>,
    pub canary: Option<canary::Settings>,
}

/// Accepts and decides mail.
pub struct Pipeline {
    store: Arc<dyn Intake>,
    in_force: Receiver<Arc<InForce>>,
    clock: Clock,
    in_hand: InHand,
    ahead: Ahead,
    deliverer: Arc<Deliverer>,
    canaries: Option<Canaries>,
    /// The remaining quotas for mail that strangers send.
    pub quota: Arc<Quota>,
}

/// Accepts mail: judges it, stores it and hands it over to be decided.
#[async_trait]
impl Inbox for Pipeline {
    async fn accept(
        &self,
        mails: Vec<Message>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, Refused> {
        let mails = self.with_room_for_alerts(mails, bookmark.is_some())?;
        let arrived = self.clock.now();
        let mails = self.judge(mails).await;
        let judged = self.clock.now();
        let mails = self.within_quota(mails, bookmark.is_some()).await;

        let recording = self.in_hand.begin();
        let stored = self.record(mails, bookmark).await?;
        telemetry::mails_accepted(&stored, [arrived, judged, self.clock.now()]);
        self.canaries_arrived(&stored, [arrived, judged]).await;
        let ids = stored.iter().map(|mail| mail.id).collect();

        recording.take(stored).await;
        Ok(ids)
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, Refused> {
        self.store
            .bookmark(mailbox)
            .await
            .map_err(|error| Refused::Failed(error.to_string()))
    }
}

impl Pipeline {
    /// Judges the authenticity of each mail.
    ///
    /// The verdict is stored with the mail, because keys rotate and a replay must not ask DNS
    /// again. All mails are judged concurrently, so that a batch takes no longer than its slowest
    /// mail, which is bounded.
    async fn judge(&self, mails: Vec<Message>) -> Vec<(Message, Authenticity)> {
        let in_force = self.in_force();
        let judged = join_all(mails.iter().map(|mail| in_force.authenticator.judge(mail))).await;

        mails.into_iter().zip(judged).collect()
    }

    /// Makes the first commit: stores the mails and their verdicts.
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<StoredMail>, Refused> {
        let ids = self.store.record(mails.clone(), bookmark).await;
        let ids = ids.map_err(|error| {
            telemetry::store_failed("mail was refused", &error);
            Refused::Failed(error.to_string())
        })?;

        crash::point("recorded");

        let stored = |(id, (message, authenticity))| StoredMail {
            id,
            message,
            authenticity,
            checks: 0,
            released: None,
            decided_at: None,
            cut_at: None,
        };

        Ok(ids.into_iter().zip(mails).map(stored).collect())
    }

    /// Makes the second commit: stores what follows from a mail that was read.
    ///
    /// If a silence that held a page of its incident has ended, that page is told first.
    async fn conclude(&self, reading: Reading, mail: StoredMail) -> Result<(), StoreError> {
        if let Some(canary) = self.canary(&mail.message) {
            return self.conclude_canary(canary, &mail).await;
        }

        let (reading, mail) = (Arc::new(taken(reading, &mail)), Arc::new(mail));
        while let Some(silenced) = self.conclude_unless_silenced(&reading, &mail).await? {
            self.unsilence(&silenced).await?;
        }
        Ok(())
    }

    /// Decides the mail, unless a silence that held a page of its incident has ended.
    ///
    /// In that case the mail stays undecided and the incident is returned, so that the page can be
    /// told first.
    async fn conclude_unless_silenced(
        &self,
        reading: &Arc<Reading>,
        mail: &Arc<StoredMail>,
    ) -> Result<Option<Unsilenced>, StoreError> {
        let case = self.case(Arc::clone(reading), Arc::clone(mail));

        let (slots, reserve) = Slots::reserved(&self.deliverer);
        let Some(decisions) = case.decide(&*self.store, reserve).await? else {
            return Ok(None);
        };

        if let Some(silenced) = case.silenced(&decisions) {
            return Ok(Some(silenced));
        }

        crash::point("decided");

        self.quota.keep(mail, &decisions);
        telemetry::mail_decided(mail, &decisions, [case.now, self.clock.now()]);
        for (decision, finding) in decisions.into_iter().zip(&reading.findings) {
            telemetry::drifted(mail.id, finding.drift());
            if let Some(first) = &decision.late {
                telemetry::mail_late(mail.id, &mail.message.ingress, first, case.now);
            }
            self.deliverer.begin(decision, slots.next());
        }

        Ok(None)
    }

    /// Makes the second commit for a mail that was due to be checked again.
    async fn reconsider(&self, reading: Reading, mail: StoredMail) -> Result<(), StoreError> {
        let case = self.case(Arc::new(taken(reading, &mail)), Arc::new(mail));

        let (slots, reserve) = Slots::reserved(&self.deliverer);
        let Some(decisions) = case.reconsider(&*self.store, reserve).await? else {
            return Ok(());
        };

        if let Some(silenced) = case.silenced(&decisions) {
            // The mail stays undecided, or due, and is decided after the page that the silence
            // held.
            return self.unsilence(&silenced).await;
        }

        crash::point("reconsidered");

        telemetry::mail_looked_at_again(&case.mail, &decisions, [case.now, self.clock.now()]);
        for decision in decisions {
            self.deliverer.begin(decision, slots.next());
        }

        Ok(())
    }

    /// Builds the case from the rules in force now, not from those in force when the mail was read,
    /// so that its deliveries are owed to receivers that exist.
    fn case(&self, reading: Arc<Reading>, mail: Arc<StoredMail>) -> Case {
        Case {
            now: self.clock.now(),
            rules: Arc::clone(&self.in_force().rules),
            reading,
            mail,
        }
    }

    /// Returns the configuration in force.
    ///
    /// It is read once for each thing that is judged, read or decided, so that the whole of it
    /// follows the same configuration.
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    pub fn new(
        store: Arc<dyn Intake>,
        in_force: Receiver<Arc<InForce>>,
        clock: Clock,
        deliverer: Arc<Deliverer>,
    ) -> Self {
        Self {
            store,
            in_force,
            clock,
            in_hand: InHand::default(),
            ahead: Ahead::default(),
            deliverer,
            canaries: None,
            quota: Arc::default(),
        }
    }
}

/// Returns the part of a reading that is decided: all of it, unless the mail is unproven and was
/// not released.
fn taken(reading: Reading, mail: &StoredMail) -> Reading {
    if mail.released.is_some() || !mail.authenticity.is_unproven() {
        return reading;
    }
    reading.of_anybody(&mail.message)
}
