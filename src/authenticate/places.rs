//! Places for DNS queries. Each ingress has its own, and each client of it a share of them, so that
//! neither can use up another's.

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{message::Message, settings::network::Network};

/// The divisor that gives the share of an ingress's places that one client may hold.
const PART: usize = 4;

/// The number of ingresses and of clients that are remembered.
const KEPT: u64 = 1024;

/// The places of each ingress, and of each client of it.
pub struct Places {
    each: usize,
    doors: Cache<String, Arc<Semaphore>>,
    clients: Cache<(String, Network), Arc<Semaphore>>,
}

/// A place, held until it is dropped.
pub struct Place {
    _client: Option<OwnedSemaphorePermit>,
    _door: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// Creates places for `each` concurrent queries for the mail of each ingress.
    pub fn new(each: usize) -> Self {
        Self {
            each,
            doors: Cache::new(KEPT),
            clients: Cache::new(KEPT),
        }
    }

    /// Takes a place. The client's own place comes first, so that a client that has none left does
    /// not block others.
    pub async fn take(&self, message: &Message) -> Place {
        let door = message.ingress.clone();
        let peer = message.envelope.as_ref().and_then(|envelope| envelope.peer);
        let client = match peer {
            Some(peer) => {
                let client = (door.clone(), Network::of(peer));
                let places = self
                    .clients
                    .get_with(client, || Arc::new(Semaphore::new(self.each / PART)));
                places.acquire_owned().await.ok()
            }
            None => None,
        };
        let places = self
            .doors
            .get_with(door, || Arc::new(Semaphore::new(self.each)));

        Place {
            _client: client,
            _door: places.acquire_owned().await.ok(),
        }
    }
}
