//! One process of a replica, and what it has asked of vendors.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    shared::About,
    weather::Trouble,
    world::{World, lock},
};

/// A process: from its start to its end.
pub(super) struct Life {
    pub(super) replica: usize,
    /// Its number among all lives.
    pub(super) number: u64,
    dead: AtomicBool,
    /// What it asks for until it dies; above all numbers while it does not.
    left: AtomicU64,
    /// Requests that a vendor took and whose settlement is not written.
    in_flight: Mutex<Vec<Flight>>,
    landed: Mutex<Vec<Flight>>,
}

/// A request that a vendor has acted on.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) about: About,
    /// Why it may be sent again.
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

    /// kill -9, now.
    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// kill -9, before or after the so manyeth change from now.
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

    /// Goes on when the process does: not while it is frozen, never where it is dead.
    pub(super) async fn goes_on(&self, world: &World) {
        while let Some(thaw) = world.until(Trouble::Frozen(self.replica)) {
            tokio::time::sleep_until(thaw).await;
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// A vendor has acted on a request of this life.
    pub(super) fn flies(&self, about: About, excuse: Option<&'static str>) {
        lock(&self.in_flight).push(Flight { about, excuse });
    }

    /// Its settlement is written, or another's is.
    pub(super) fn lands(&self, about: &About, excuse: Option<&'static str>) {
        let mut in_flight = lock(&self.in_flight);
        if let Some(place) = in_flight.iter().position(|one| one.about == *about) {
            let mut one = in_flight.remove(place);
            one.excuse = one.excuse.or(excuse);
            lock(&self.landed).push(one);
        }
    }

    /// Its settlement could not be written, and is tried again while the lease lasts.
    pub(super) fn is_in_doubt(&self, about: &About) {
        let mut in_flight = lock(&self.in_flight);
        if let Some(one) = in_flight.iter_mut().find(|one| one.about == *about) {
            one.excuse = one.excuse.or(Some("it could not be recorded"));
        }
    }

    /// Everything that vendors acted on for this life, with what excuses that it is sent again.
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
