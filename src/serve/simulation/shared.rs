//! The state that the replicas share: the file, the holders of mails and of the mailbox, and what
//! was found in the store.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

use super::{weather::REPLICAS, world::lock};
use crate::{
    delivery::{DeliveryId, Target},
    message::MailId,
    store::{Claim, Concerns, StoreError, Upkeep, sqlite::Sqlite},
};

/// The state that the replicas share.
pub(super) struct Shared {
    pub(super) sqlite: Arc<Sqlite>,
    /// The holder of each undecided mail, and until when it holds the mail.
    pub(super) holds: Mutex<BTreeMap<MailId, (u64, Instant)>>,
    pub(super) consumers: Mutex<BTreeMap<String, (u64, Instant)>>,
    pub(super) bells: [Notify; REPLICAS],
    /// A counter that grows with each change.
    changes: AtomicU64,
    /// The queries that found nothing, and the change as of which they did. Remembering this saves
    /// work, because most queries are asked again and again.
    nothing: Mutex<BTreeMap<&'static str, u64>>,
    /// The concerns, and the change as of which they were read.
    concerns: Mutex<Option<(u64, Concerns)>>,
    /// What each claimed delivery is about.
    pub(super) about: Mutex<BTreeMap<DeliveryId, About>>,
}

/// What a delivery is about: its target, its alias and its action.
pub(super) type About = (Target, String, &'static str);
impl Shared {
    pub(super) fn new(sqlite: Sqlite) -> Self {
        Self {
            sqlite: Arc::new(sqlite),
            holds: Mutex::default(),
            consumers: Mutex::default(),
            bells: std::array::from_fn(|_| Notify::new()),
            changes: AtomicU64::new(1),
            nothing: Mutex::default(),
            concerns: Mutex::default(),
            about: Mutex::default(),
        }
    }

    /// Notes a change that was not made by a replica but by a person.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns whether the query of this name found nothing, and nothing has changed since.
    pub(super) fn is_nothing(&self, name: &'static str) -> bool {
        let now = self.changes.load(Ordering::SeqCst);
        lock(&self.nothing).get(name) == Some(&now)
    }

    pub(super) fn found(&self, name: &'static str, nothing: bool) {
        if nothing {
            let now = self.changes.load(Ordering::SeqCst);
            lock(&self.nothing).insert(name, now);
        }
    }

    /// Returns the concerns, which are read again after a change only.
    pub(super) async fn concerns(&self) -> Result<Concerns, StoreError> {
        let now = self.changes.load(Ordering::SeqCst);
        let known = lock(&self.concerns).clone();
        if let Some((_, concerns)) = known.filter(|(change, _)| *change == now) {
            return Ok(concerns);
        }
        let concerns = self.sqlite.concerns().await?;
        *lock(&self.concerns) = Some((now, concerns.clone()));
        Ok(concerns)
    }

    pub(super) fn claimed(&self, claims: &[Claim]) {
        let mut about = lock(&self.about);
        for claim in claims {
            let action = claim.notification.action.as_str();
            let what = (claim.target.clone(), claim.alias.clone(), action);
            about.insert(claim.id, what);
        }
    }
}
