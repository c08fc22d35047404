//! What all listeners together may use of the machine: places for connections, and memory for mails
//! in progress.
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

use super::{
    budget::Budget,
    descriptors,
    network::{NETWORKS_OF_A_SITE, Network, Site},
    place::{Patience, Place, Standing, Stress},
};

/// Connections of all listeners.
const CONNECTIONS: usize = 512;
/// The places that every listener has for itself, whatever the others hold.
const OWN: usize = 16;
/// A client that has been silent for less does not lose its place to a newcomer that holds as many.
const FIRST_WORDS: Duration = Duration::from_millis(500);

/// The bounds of all listeners; a clone shares them.
#[derive(Clone)]
pub struct Capacity {
    crowd: Arc<Crowd>,
    pub budget: Budget,
}

impl Capacity {
    /// As many connections as the file descriptors allow, and the memory budget.
    pub fn new(descriptors: usize, budget: Budget) -> Self {
        let most = CONNECTIONS.min(descriptors::for_clients(descriptors));
        Self {
            crowd: Arc::new(Crowd {
                most,
                known: Mutex::default(),
            }),
            budget,
        }
    }

    /// A place at a listener, or why there is none.
    pub(super) fn enter(
        &self,
        door: &Doorway,
        peer: IpAddr,
        most: Option<usize>,
    ) -> Result<Place, TooMany> {
        let (number, standing) = self.crowd.enter(door, peer, most, Instant::now())?;
        Ok(Place {
            number,
            standing,
            crowd: Arc::clone(&self.crowd),
        })
    }

    /// A place for a connection that no listener has accepted.
    pub(in crate::ingress) fn outside(&self, peer: IpAddr) -> Result<Place, TooMany> {
        self.enter(
            &Doorway {
                address: SocketAddr::from(([0; 4], 0)),
                most: usize::MAX,
            },
            peer,
            None,
        )
    }

    /// Takes the places of clients that are slower than the capacity allows.
    pub(super) fn sweep(&self, door: &Doorway, patience: Patience) {
        self.crowd
            .sweep(door, patience, self.budget.taken(), Instant::now());
    }

    /// Takes the place of the client that has made no progress for the longest time.
    pub(super) fn make_room(&self) {
        let mut known = self.crowd.lock();
        if let Some(number) = known.longest_waiting(Instant::now(), Duration::ZERO, |_| true) {
            known.displace(number);
        }
    }
}

impl Default for Capacity {
    /// As in a process of its own.
    fn default() -> Self {
        Self::new(usize::MAX, Budget::default())
    }
}

/// One listener among the others.
pub(super) struct Doorway {
    pub(super) address: SocketAddr,
    /// The most connections at it.
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
    /// For the metrics.
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
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(
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

    fn sweep(&self, door: &Doorway, patience: Patience, memory: f64, now: Instant) {
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

    /// The listeners that hold more than their own places.
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

    /// Whether a client holds as many places as it may, not counting one.
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

    /// Whose place a newcomer gets: that of the client that holds the most, if that is many more
    /// than the newcomer would; else that of the client that has made no progress for the longest
    /// time, unless that is only a moment.
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

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 25);
    const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8026);

    fn crowd(most: usize) -> Capacity {
        Capacity {
            crowd: Arc::new(Crowd {
                most,
                known: Mutex::default(),
            }),
            budget: Budget::default(),
        }
    }

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn door(address: SocketAddr) -> Doorway {
        Doorway { address, most: 256 }
    }

    #[test]
    fn a_client_has_so_many_places_and_a_site_of_ipv6_four_times_as_many() {
        let capacity = crowd(100);
        let enter = |address: &str| capacity.enter(&door(HERE), at(address), Some(2));
        let held: Vec<_> = ["192.0.2.1", "::ffff:192.0.2.1"]
            .map(enter)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(enter("192.0.2.1").err(), Some(TooMany::OfClient));
        assert!(
            enter("192.0.2.2").is_ok()
                && capacity.enter(&door(HERE), at("192.0.2.1"), None).is_ok()
        );
        drop(held);
        assert!(
            enter("192.0.2.1").is_ok(),
            "a place is free again once it is left"
        );
        let networks = ["0", "100", "200", "300"].map(|network| format!("2001:db8:0:{network}::1"));
        let held: Vec<_> = networks
            .iter()
            .chain(&networks)
            .map(|address| enter(address).unwrap())
            .collect();
        assert_eq!(enter("2001:db8:0:ff::1").err(), Some(TooMany::OfClient));
        assert_eq!(enter("2001:db8:0:400::1").err(), Some(TooMany::OfClient));
        assert!(enter("2001:db8:1::1").is_ok());
        drop(held);
    }

    #[test]
    fn where_all_places_are_taken_who_holds_many_loses_one_to_who_holds_none() {
        let capacity = crowd(32);
        let enter = |door: &Doorway, address| capacity.enter(door, at(address), None);
        let quiet = enter(&door(HERE), "192.0.2.9").unwrap();
        let hoard: Vec<_> = (0..31)
            .map(|_| enter(&door(HERE), "192.0.2.1").unwrap())
            .collect();
        let newcomer = enter(&door(HERE), "192.0.2.2").unwrap();
        assert_eq!(
            hoard
                .iter()
                .filter(|place| place.standing.lost.is_cancelled())
                .count(),
            1
        );
        assert!(!quiet.standing.lost.is_cancelled() && !newcomer.standing.lost.is_cancelled());
        assert_eq!(
            enter(&door(HERE), "192.0.2.1").err(),
            Some(TooMany::InAll),
            "nobody has kept us waiting yet"
        );
        assert!(
            enter(&door(ADMIN), "192.0.2.1").is_ok(),
            "every door has places of its own"
        );
        let working: Vec<_> = hoard.iter().map(Place::working).collect();
        let _quiet = quiet.working();
        assert_eq!(
            enter(&door(HERE), "192.0.2.3").err(),
            Some(TooMany::InAll),
            "who is worked for keeps the place"
        );
        drop(working);
    }

    #[test]
    fn of_those_who_hold_as_many_the_one_that_keeps_us_waiting_longest_goes() {
        let (capacity, now) = (crowd(20), Instant::now());
        let door = door(HERE);
        let enter = |number: u8, after: u64| {
            capacity.crowd.enter(
                &door,
                IpAddr::from([192, 0, 2, number]),
                None,
                now + Duration::from_millis(after),
            )
        };
        let held: Vec<_> = (0..20)
            .map(|number| enter(number, u64::from(number)).unwrap().1)
            .collect();
        assert_eq!(enter(100, 400).err(), Some(TooMany::InAll));
        assert!(enter(100, 600).is_ok());
        let lost: Vec<bool> = held
            .iter()
            .map(|standing| standing.lost.is_cancelled())
            .collect();
        assert_eq!(lost.iter().position(|lost| *lost), Some(0));
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 1);
    }

    #[test]
    fn who_is_too_slow_for_the_crowd_goes_and_is_counted_until_it_has_gone() {
        let (capacity, door) = (crowd(20), door(HERE));
        let patience = Patience {
            step: Duration::from_secs(30),
            mail: Duration::from_mins(1),
        };
        let held: Vec<_> = (0..19)
            .map(|_| capacity.enter(&door, at("192.0.2.1"), None).unwrap())
            .collect();
        let sweep = |seconds| {
            capacity.crowd.sweep(
                &door,
                patience,
                0.0,
                Instant::now() + Duration::from_secs(seconds),
            );
            held.iter()
                .filter(|place| place.standing.lost.is_cancelled())
                .count()
        };
        assert_eq!((sweep(2), sweep(4)), (0, 19));
        assert_eq!(capacity.crowd.lock().leaving, 19);
        let newcomers: Vec<_> = (0..20)
            .map_while(|_| capacity.enter(&door, at("192.0.2.2"), None).ok())
            .collect();
        assert_eq!(
            newcomers.len(),
            OWN,
            "those who leave hold their descriptors"
        );
        drop((held, newcomers));
        assert_eq!(capacity.crowd.lock().leaving, 0);
    }
}
