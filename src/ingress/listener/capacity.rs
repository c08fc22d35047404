//! What all listeners together may use of the machine: places for connections, and memory for mails
//! in progress.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    budget::Budget,
    crowd::{Crowd, Doorway, TooMany},
    descriptors,
    place::Place,
    standing::Patience,
};

/// The most connections of all listeners together.
const CONNECTIONS: usize = 512;

/// The bounds of all listeners. Clones share them.
#[derive(Clone)]
pub struct Capacity {
    crowd: Arc<Crowd>,
    pub budget: Budget,
}

impl Capacity {
    /// Allows as many connections as the file descriptors do, up to 512, and the memory of
    /// `budget`.
    pub fn new(descriptors: usize, budget: Budget) -> Self {
        let most = CONNECTIONS.min(descriptors::for_clients(descriptors));
        Self {
            crowd: Arc::new(Crowd::of(most)),
            budget,
        }
    }

    /// Returns a place at a listener, or why there is none.
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

    /// Returns a place for a connection that no listener has accepted.
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

    /// Takes their places away from clients that are slower than the capacity allows.
    pub(super) fn sweep(&self, door: &Doorway, patience: Patience) {
        self.crowd
            .sweep(door, patience, self.budget.taken(), Instant::now());
    }

    /// Takes its place away from the client that has made no progress for the longest time.
    pub(super) fn make_room(&self) {
        self.crowd.make_room(Instant::now());
    }
}

impl Default for Capacity {
    /// Returns the capacity of a process of its own, whose file descriptors set no limit.
    fn default() -> Self {
        Self::new(usize::MAX, Budget::default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::crowd::OWN, *};

    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 25);
    const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8026);

    fn crowd(most: usize) -> Capacity {
        Capacity {
            crowd: Arc::new(Crowd::of(most)),
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
        assert_eq!(capacity.crowd.leaving(), 19);
        let newcomers: Vec<_> = (0..20)
            .map_while(|_| capacity.enter(&door, at("192.0.2.2"), None).ok())
            .collect();
        assert_eq!(
            newcomers.len(),
            OWN,
            "those who leave hold their descriptors"
        );
        drop((held, newcomers));
        assert_eq!(capacity.crowd.leaving(), 0);
    }
}
