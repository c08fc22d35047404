//! One process of a replica, and the requests that it has sent to vendors.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    shared::About,
    weather::Trouble,
    world::{World, lock},
};

/// A process, from its start to its end.
pub(super) struct Life {
    pub(super) replica: usize,
    /// The number of this life among all lives.
    pub(super) number: u64,
    dead: AtomicBool,
    /// The number of changes that the process may still make before it dies, or `u64::MAX` if it is
    /// not to die.
    left: AtomicU64,
    /// The requests that a vendor took and whose settlement is not written yet.
    in_flight: Mutex<Vec<Flight>>,
    landed: Mutex<Vec<Flight>>,
}

/// A request that a vendor has acted on.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) about: About,
    /// Why the request may be sent again.
    pub(super) excuse: Option<&'static str>,
}

impl Life {
    pub(super) fn new(replica: usize, number: u64) -> Self {
        Self {
            replica,
            number,
            dead: AtomicBool::new(false),
            left: AtomicU64::new(u64::MAX),
            in_flight: Mutex::default(),
            landed: Mutex::default(),
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Kills the process now, as `kill -9` does.
    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Kills the process, as `kill -9` does, just before or just after a change, once it has made
    /// `changes` more.
    pub(super) fn kill_after(&self, changes: u64) {
        self.left.store(changes, Ordering::SeqCst);
    }

    pub(super) fn step(&self) {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            self.kill();
        } else if left != u64::MAX {
            self.left.store(left - 1, Ordering::SeqCst);
        }
    }

    /// Waits until the process may continue: not while it is frozen, and never once it is dead.
    pub(super) async fn goes_on(&self, world: &World) {
        while let Some(thaw) = world.until(Trouble::Frozen(self.replica)) {
            tokio::time::sleep_until(thaw).await;
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Records that a vendor has acted on a request of this life.
    pub(super) fn flies(&self, about: About, excuse: Option<&'static str>) {
        lock(&self.in_flight).push(Flight { about, excuse });
    }

    /// Records that the request's settlement is written, or that of another attempt is.
    pub(super) fn lands(&self, about: &About, excuse: Option<&'static str>) {
        let mut in_flight = lock(&self.in_flight);
        if let Some(place) = in_flight.iter().position(|one| one.about == *about) {
            let mut one = in_flight.remove(place);
            one.excuse = one.excuse.or(excuse);
            lock(&self.landed).push(one);
        }
    }

    /// Records that the request's settlement could not be written, and is tried again while the
    /// lease lasts.
    pub(super) fn is_in_doubt(&self, about: &About) {
        let mut in_flight = lock(&self.in_flight);
        if let Some(one) = in_flight.iter_mut().find(|one| one.about == *about) {
            one.excuse = one.excuse.or(Some("it could not be recorded"));
        }
    }

    /// Returns everything that vendors acted on for this life, with the excuse for sending it
    /// again.
    pub(super) fn flights(&self) -> Vec<Flight> {
        let died = self
            .is_dead()
            .then_some("the replica died before it was recorded");
        let mut flights = lock(&self.in_flight).clone();
        for flight in &mut flights {
            flight.excuse = flight.excuse.or(died);
        }
        flights.extend(lock(&self.landed).iter().cloned());
        flights
    }
}
