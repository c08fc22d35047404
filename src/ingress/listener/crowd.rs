//! The clients that are connected, and the listener at which each is.
//!
//! When all places are taken, a newcomer gets the place of a client that holds many more than its
//! share, or else of the client that has made no progress for the longest time. So a client that
//! speaks is served, however many stay silent.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::standing::{Patience, Standing, Stress};
use crate::settings::network::{NETWORKS_OF_A_SITE, Network, Site};

/// The places that every listener has for itself, whatever the others hold.
pub(super) const OWN: usize = 16;
/// How long a client must have been silent to lose its place to a newcomer that holds as many
/// places.
const FIRST_WORDS: Duration = Duration::from_millis(500);

/// One listener among those that share a crowd.
pub(super) struct Doorway {
    pub(super) address: SocketAddr,
    /// The most connections at this listener.
    pub(super) most: usize,
}

/// Why a connection has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// All places are taken.
    InAll,
    /// The client has as many as one client may have.
    OfClient,
}

impl TooMany {
    /// Returns the reason as the metrics name it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::InAll => "too_many",
            Self::OfClient => "too_many_of_client",
        }
    }
}

/// All connected clients.
pub(super) struct Crowd {
    most: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    here: HashMap<u64, Guest>,
    next: u64,
    /// Connections without a place that are not closed yet.
    leaving: usize,
}

struct Guest {
    door: SocketAddr,
    peer: IpAddr,
    standing: Arc<Standing>,
}

impl Crowd {
    /// Creates an empty crowd, which has room for `most` connections.
    pub(super) fn of(most: usize) -> Self {
        Self {
            most,
            known: Mutex::default(),
        }
    }

    /// Takes its place away from the client that has made no progress for the longest time.
    pub(super) fn make_room(&self, now: Instant) {
        let mut known = self.lock();
        if let Some(number) = known.longest_waiting(now, Duration::ZERO, |_| true) {
            known.displace(number);
        }
    }

    /// Returns how many connections without a place are not closed yet.
    #[cfg(test)]
    pub(super) fn leaving(&self) -> usize {
        self.lock().leaving
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(
        &self,
        door: &Doorway,
        peer: IpAddr,
        most: Option<usize>,
        now: Instant,
    ) -> Result<(u64, Arc<Standing>), TooMany> {
        let mut known = self.lock();
        if most.is_some_and(|most| known.has_enough(peer, most, None)) {
            return Err(TooMany::OfClient);
        }

        let at_door = known.at(door.address);

        // A connection that has lost its place keeps its descriptor for a moment.
        if known.here.len() + known.leaving >= self.most + self.most / 8 && at_door >= OWN {
            return Err(TooMany::InAll);
        }

        let door_is_full = at_door >= door.most;
        if door_is_full || (known.here.len() >= self.most && at_door >= OWN) {
            let crowded = if door_is_full {
                vec![door.address]
            } else {
                known.crowded()
            };
            let victim = known.whose_turn_is_over(peer, now, |guest| crowded.contains(&guest.door));
            known.displace(victim.ok_or(TooMany::InAll)?);
        }

        known.next += 1;

        let (number, standing) = (known.next, Arc::new(Standing::new(now)));
        known.here.insert(
            number,
            Guest {
                door: door.address,
                peer,
                standing: Arc::clone(&standing),
            },
        );

        Ok((number, standing))
    }

    pub(super) fn counts_for(
        &self,
        number: u64,
        client: IpAddr,
        most: Option<usize>,
    ) -> Result<(), TooMany> {
        let mut known = self.lock();
        if most.is_some_and(|most| known.has_enough(client, most, Some(number))) {
            return Err(TooMany::OfClient);
        }
        if let Some(guest) = known.here.get_mut(&number) {
            guest.peer = client;
        }
        Ok(())
    }

    pub(super) fn leave(&self, number: u64) {
        let mut known = self.lock();
        if known.here.remove(&number).is_none() {
            known.leaving = known.leaving.saturating_sub(1);
        }
    }

    pub(super) fn sweep(&self, door: &Doorway, patience: Patience, memory: f64, now: Instant) {
        let mut known = self.lock();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred connections")]
        let share = |count: usize, most: usize| count as f64 / most as f64;
        let places =
            share(known.here.len(), self.most).max(share(known.at(door.address), door.most));
        let slow = known.here.iter().filter(|(_, guest)| {
            guest.door == door.address
                && guest
                    .standing
                    .is_overdue(now, patience, Stress { places, memory })
        });

        for number in slow.map(|(number, _)| *number).collect::<Vec<_>>() {
            known.displace(number);
        }
    }
}

impl Known {
    fn at(&self, door: SocketAddr) -> usize {
        self.here
            .values()
            .filter(|guest| guest.door == door)
            .count()
    }

    /// Returns the listeners that have used up their own places.
    fn crowded(&self) -> Vec<SocketAddr> {
        let mut held: HashMap<SocketAddr, usize> = HashMap::new();
        for guest in self.here.values() {
            *held.entry(guest.door).or_default() += 1;
        }
        held.into_iter()
            .filter(|(_, count)| *count >= OWN)
            .map(|(door, _)| door)
            .collect()
    }

    /// Returns whether a client holds as many places as it may, not counting the place `beside`.
    fn has_enough(&self, peer: IpAddr, most: usize, beside: Option<u64>) -> bool {
        let others = || {
            self.here
                .iter()
                .filter(|(number, _)| beside != Some(**number))
                .map(|(_, guest)| guest.peer)
        };

        others()
            .filter(|other| Network::of(*other) == Network::of(peer))
            .count()
            >= most
            || others()
                .filter(|other| Site::of(*other) == Site::of(peer))
                .count()
                >= most.saturating_mul(NETWORKS_OF_A_SITE)
    }

    /// Returns the connection whose place a newcomer gets. It is one of the client that holds the
    /// most places, if these are many more than the newcomer would hold; or else that of the client
    /// that has made no progress for the longest time, unless that is only a moment.
    fn whose_turn_is_over(
        &self,
        newcomer: IpAddr,
        now: Instant,
        among: impl Fn(&Guest) -> bool,
    ) -> Option<u64> {
        let mut held: HashMap<Network, usize> = HashMap::new();
        for guest in self.here.values() {
            *held.entry(Network::of(guest.peer)).or_default() += 1;
        }

        let own = held
            .get(&Network::of(newcomer))
            .copied()
            .unwrap_or_default();

        let most = held
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .filter(|(_, count)| *count >= 2 * (own + 1));

        most.and_then(|(network, _)| {
            let hoards = |guest: &Guest| among(guest) && Network::of(guest.peer) == network;
            self.longest_waiting(now, Duration::ZERO, hoards)
        })
        .or_else(|| self.longest_waiting(now, FIRST_WORDS, among))
    }

    fn longest_waiting(
        &self,
        now: Instant,
        least: Duration,
        among: impl Fn(&Guest) -> bool,
    ) -> Option<u64> {
        let waiting = self.here.iter().filter(|(_, guest)| among(guest));
        let waiting =
            waiting.filter_map(|(number, guest)| Some((guest.standing.waiting(now)?, *number)));
        waiting
            .max()
            .filter(|(waiting, _)| *waiting >= least)
            .map(|(_, number)| number)
    }

    fn displace(&mut self, number: u64) {
        if let Some(guest) = self.here.remove(&number) {
            self.leaving += 1;
            guest.standing.lost.cancel();
        }
    }
}
