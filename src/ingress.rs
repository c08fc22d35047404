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

/// Where an ingress puts mail.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Stores the mails in one commit, together with the bookmark where there is one, and returns
    /// their numbers in the order given. On an error none is stored, and the sender must be told to
    /// come again.
    async fn accept(
        &self,
        mails: Vec<Message>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, Refused>;

    /// How far a mailbox was read before.
    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, Refused>;
}

/// Why mail is not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    #[error("the mail cannot be stored: {0}")]
    Failed(String),
    /// It is no configured sender's, and what is left of the disk is kept for alerts.
    #[error(
        "the disk is nearly full, and the rest is reserved for alerts: this mail is not from a \
         configured sender"
    )]
    NoRoom,
}

/// A running way in. The listeners are bound before `run`, so that a port in use is an error at
/// start.
#[async_trait]
pub trait Ingress: Send {
    /// Receives until `stop` is cancelled, then finishes the mail in hand and returns.
    async fn run(self: Box<Self>, inbox: Arc<dyn Inbox>, health: Health, stop: CancellationToken);
}

/// An ingress without a success for so long is in trouble.
pub const OVERDUE: SignedDuration = SignedDuration::from_mins(15);

/// How each ingress fares, for readiness, metrics and the bridge's own alarms.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Condition>>>);

/// What is known of one ingress.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    /// When it last did its work: polled a mailbox, or listened. Not when mail last came.
    pub last_success: Option<Timestamp>,
    /// Why the latest attempt failed; none while all is well.
    pub failure: Option<String>,
    /// Whether the failure is a refused login, which waiting alone does not mend, or a token server
    /// that stays away.
    pub login_refused: bool,
}

impl Health {
    /// The ingress works, as of now.
    pub fn succeeded(&self, ingress: &str, now: Timestamp) {
        crate::telemetry::ingress_succeeded(ingress, now);
        self.update(ingress, |condition| {
            *condition = Condition {
                last_success: Some(now),
                failure: None,
                login_refused: false,
            };
        });
    }

    /// The ingress does not work; it goes on trying.
    pub fn failed(&self, ingress: &str, failure: &str, login_refused: bool) {
        crate::telemetry::ingress_failed(ingress, failure, login_refused);
        self.update(ingress, |condition| {
            condition.failure = Some(failure.to_owned());
            condition.login_refused = login_refused;
        });
    }

    /// Another replica does its work: it is no concern of this one.
    pub fn elsewhere(&self, ingress: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(ingress);
    }

    /// All of them, by name.
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
