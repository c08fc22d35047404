//! What the replicas share: the file, who holds which mail and mailbox, and what was found.

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

/// What the replicas share.
pub(super) struct Shared {
    pub(super) sqlite: Arc<Sqlite>,
    /// Who holds a mail that is undecided, and until when.
    pub(super) holds: Mutex<BTreeMap<MailId, (u64, Instant)>>,
    pub(super) consumers: Mutex<BTreeMap<String, (u64, Instant)>>,
    pub(super) bells: [Notify; REPLICAS],
    /// Grows with each change.
    changes: AtomicU64,
    /// What was found to be empty, at which change: most questions are asked again and again.
    nothing: Mutex<BTreeMap<&'static str, u64>>,
    /// What there is to tell, as of which change.
    concerns: Mutex<Option<(u64, Concerns)>>,
    /// What the deliveries that were claimed are about.
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

    /// Somebody else changed something: a person.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether nothing of this name was there, and nothing has changed since.
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

    /// What there is to tell.
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
