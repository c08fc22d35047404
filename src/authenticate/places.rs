//! Places for questions to DNS: each door has its own, and each client at it a part of them, so
//! that neither can use up another's.

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{message::Message, settings::network::Network};

/// The share of a door's places that one client may hold: one in this many.
const PART: usize = 4;

/// The number of doors and of clients that are known.
const KEPT: u64 = 1024;

/// The places of each door, and of each client at it.
pub struct Places {
    each: usize,
    doors: Cache<String, Arc<Semaphore>>,
    clients: Cache<(String, Network), Arc<Semaphore>>,
}

/// A place, until it is dropped.
pub struct Place {
    _client: Option<OwnedSemaphorePermit>,
    _door: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// With so many concurrent questions for the mail of each ingress.
    pub fn new(each: usize) -> Self {
        Self {
            each,
            doors: Cache::new(KEPT),
            clients: Cache::new(KEPT),
        }
    }

    /// The client's own place comes first: who has none left does not stand in others' way.
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
