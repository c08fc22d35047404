//! The DNS queries of one mail.
//!
//! A sender chooses the names that are queried, and may choose names that nobody answers for. So
//! each query for a key that is not known takes a place of the ingress and of the client by which
//! the mail came (see [`super::places`]). Waiting for a place does not count towards the time limit
//! of a mail, and is bounded by itself.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mail_auth::common::verify::DomainKey;
use tokio::time::timeout;

use super::{
    dns::{Dns, NoKey},
    places::Place,
};
use crate::message::Message;

/// How long a mail waits for places in all.
const PATIENCE: Duration = Duration::from_secs(20);

/// The DNS queries of one mail, made one after the other.
pub struct Questions<'a> {
    pub dns: &'a Dns,
    message: &'a Message,
    waits: Mutex<Waits>,
}

/// How long a mail has waited for places in total, and since when it has been waiting for the
/// current one.
#[derive(Default)]
struct Waits {
    before: Duration,
    since: Option<Instant>,
}

impl<'a> Questions<'a> {
    pub fn of(message: &'a Message, dns: &'a Dns) -> Self {
        Self {
            dns,
            message,
            waits: Mutex::default(),
        }
    }

    /// Returns the key at a name that must speak for `domain`, which is configured.
    pub async fn key(&self, name: &str, domain: &str) -> Result<Arc<DomainKey>, NoKey> {
        let _place = self.place(name, domain).await?;
        self.dns.key(name, domain).await
    }

    /// Returns the key at a name that a stranger chose.
    pub async fn strangers_key(&self, name: &str) -> Result<Arc<DomainKey>, NoKey> {
        let _place = self.place(name, "").await?;
        self.dns.strangers_key(name).await
    }

    /// Returns the result of the work, or `None` if it takes longer than `bound`. The time spent
    /// waiting for places does not count.
    pub async fn within<T>(&self, bound: Duration, work: impl Future<Output = T>) -> Option<T> {
        let begun = Instant::now();
        let mut work = pin!(work);
        loop {
            let left = (bound + self.waited()).checked_sub(begun.elapsed())?;
            if let Ok(done) = timeout(left, &mut work).await {
                return Some(done);
            }
        }
    }

    /// Takes a place for a query; `None` if the answer is known. `domain` is empty for a stranger's
    /// name.
    async fn place(&self, name: &str, domain: &str) -> Result<Option<Place>, NoKey> {
        if self.dns.knows(name, domain) {
            return Ok(None);
        }

        let left = PATIENCE.saturating_sub(self.waited());
        self.lock().since = Some(Instant::now());
        let places = if domain.is_empty() {
            &self.dns.strangers
        } else {
            &self.dns.places
        };
        let place = timeout(left, places.take(self.message)).await.ok();
        let waited = self.waited();
        *self.lock() = Waits {
            before: waited,
            since: None,
        };

        // Other mail may have looked up the key meanwhile.
        if place.is_some() || self.dns.knows(name, domain) {
            return Ok(place);
        }

        Err(NoKey::Unfit(format!(
            "a key that could not be looked up within {} s ({name}): other mail that came the same \
             way asks for too many",
            PATIENCE.as_secs()
        )))
    }

    fn waited(&self) -> Duration {
        let waits = self.lock();
        waits.before + waits.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
