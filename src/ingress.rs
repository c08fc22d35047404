//! 1. How mail arrives.
//!
//! An ingress is handed nothing but an [`Inbox`] and a stop signal, so it cannot skip a stage. It
//! acknowledges a mail to its sender only after [`Inbox::accept`] has returned: from then on the
//! mail survives a crash.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::message::{Bookmark, MailId, Message};

pub mod bearer;
pub mod imap;
pub mod listener;
mod settings;
pub mod smtp;
pub mod webhook;

pub use settings::Settings;

/// The entry to the pipeline for an ingress.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Stores the mails in one commit, together with the bookmark if there is one, and returns
    /// their numbers in the given order. On an error none is stored, and the sender must be asked
    /// to try again.
    async fn accept(
        &self,
        mails: Vec<Message>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, Refused>;

    /// Returns how far a mailbox has been read.
    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, Refused>;
}

/// Why a mail is not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    #[error("the mail cannot be stored: {0}")]
    Failed(String),
    /// The mail is not from a configured sender, and the rest of the disk is reserved for alerts.
    #[error(
        "the disk is nearly full, and the rest is reserved for alerts: this mail is not from a \
         configured sender"
    )]
    NoRoom,
}

/// An ingress that is ready to run. Listeners are bound before `run`, so that a port in use is an
/// error at the start.
#[async_trait]
pub trait Ingress: Send {
    /// Receives until `stop` is cancelled, then finishes the mail in hand and returns.
    async fn run(self: Box<Self>, inbox: Arc<dyn Inbox>, health: Health, stop: CancellationToken);
}

/// The time without a success after which an ingress is in trouble.
pub const OVERDUE: SignedDuration = SignedDuration::from_mins(15);

/// The condition of each ingress, for readiness, metrics and the bridge's own alarms.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Condition>>>);

/// The condition of one ingress.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    /// The time at which it last worked, that is, polled a mailbox or listened. This is not the
    /// time of its last mail.
    pub last_success: Option<Timestamp>,
    /// Why the latest attempt failed; `None` while it works.
    pub failure: Option<String>,
    /// Whether the failure is a refused login, which does not end by waiting, or a token server
    /// that stays unreachable.
    pub login_refused: bool,
    /// How many mails somebody else took away before they could be read, and when that last
    /// happened.
    pub taken_away: Option<(u64, Timestamp)>,
    /// The reason why a mail of a known client was last refused for good, and the time of that.
    pub refused: Option<(&'static str, Timestamp)>,
    /// The reason why a genuine request of the provider yielded no mail, and the time of the last
    /// such request. It is `None` again once a mail comes through.
    pub no_mail: Option<(&'static str, Timestamp)>,
    /// Whether a mail came through since the bridge started. Only webhooks record it.
    pub has_mail: bool,
}

impl Health {
    /// Records that the ingress works.
    pub fn succeeded(&self, ingress: &str, now: Timestamp) {
        crate::telemetry::ingress_succeeded(ingress, now);
        self.update(ingress, |condition| {
            condition.last_success = Some(now);
            condition.failure = None;
            condition.login_refused = false;
        });
    }

    /// Records that the ingress does not work; it keeps trying.
    pub fn failed(&self, ingress: &str, failure: &str, login_refused: bool) {
        crate::telemetry::ingress_failed(ingress, failure, login_refused);
        self.update(ingress, |condition| {
            condition.failure = Some(failure.to_owned());
            condition.login_refused = login_refused;
        });
    }

    /// Records that somebody else took a mail away before it could be read.
    pub fn taken_away(&self, ingress: &str, now: Timestamp) {
        self.update(ingress, |condition| {
            let before = condition.taken_away.map_or(0, |(mails, _)| mails);
            condition.taken_away = Some((before + 1, now));
        });
    }

    /// Records that a mail of a known client was refused for good, so that the client does not send
    /// it again.
    pub fn refused(&self, ingress: &str, why: &'static str, now: Timestamp) {
        crate::telemetry::refused_for_good(ingress, why);
        self.update(ingress, |condition| condition.refused = Some((why, now)));
    }

    /// Records that the provider proved a request to be its own, but no mail could be taken out of
    /// it.
    pub fn held_no_mail(&self, ingress: &str, why: &'static str, now: Timestamp) {
        self.update(ingress, |condition| condition.no_mail = Some((why, now)));
    }

    /// Records that a mail came through.
    pub fn held_mail(&self, ingress: &str) {
        self.update(ingress, |condition| {
            condition.no_mail = None;
            condition.has_mail = true;
        });
    }

    /// Removes an ingress that another replica runs, so that it does not concern this one.
    pub fn elsewhere(&self, ingress: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(ingress);
    }

    /// Returns the conditions of all ingresses, by name.
    pub fn conditions(&self) -> BTreeMap<String, Condition> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn update(&self, ingress: &str, change: impl FnOnce(&mut Condition)) {
        change(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(ingress.to_owned())
                .or_default(),
        );
    }
}
