//! What each client may take of the server: connections at a time, and mails a minute.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Limits;

const MINUTE: Duration = Duration::from_mins(1);

/// The clients that are connected or sent mail of late.
pub(super) struct Clients {
    known: Arc<Mutex<HashMap<IpAddr, Client>>>,
    connections: usize,
    /// How long one mail counts.
    interval: Duration,
}

struct Client {
    connections: usize,
    /// Until when its mails count; a minute ahead at most.
    busy_until: Instant,
}

impl Client {
    fn is_idle(&self, now: Instant) -> bool {
        self.connections == 0 && self.busy_until <= now
    }
}

impl Clients {
    pub(super) fn new(limits: &Limits) -> Self {
        let interval = MINUTE / limits.client_mails.get();
        Self { known: Arc::default(), connections: limits.client_connections, interval }
    }

    /// A place for one more connection, held until it is dropped; none where the client has as many as it may.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let address = network(peer);
        let mut known = lock(&self.known);
        let client = known.entry(address).or_insert_with(|| Client { connections: 0, busy_until: Instant::now() });
        if client.connections >= self.connections {
            return None;
        }
        client.connections += 1;
        Some(Place { address, known: Arc::clone(&self.known) })
    }

    /// Whether the client may send one more mail now. One that is let through counts.
    pub(super) fn may_send(&self, peer: IpAddr, now: Instant) -> bool {
        let mut known = lock(&self.known);
        let client = known.entry(network(peer)).or_insert(Client { connections: 0, busy_until: now });
        let until = client.busy_until.max(now) + self.interval;
        let allowed = until <= now + MINUTE;
        if allowed {
            client.busy_until = until;
        }
        allowed
    }

    /// Forgets who is gone, and has sent nothing for so long that all is allowed again.
    pub(super) fn forget(&self, now: Instant) {
        lock(&self.known).retain(|_, client| !client.is_idle(now));
    }
}

/// A connection's place.
pub(super) struct Place {
    address: IpAddr,
    known: Arc<Mutex<HashMap<IpAddr, Client>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = lock(&self.known);
        if let Some(client) = known.get_mut(&self.address) {
            client.connections -= 1;
            if client.is_idle(Instant::now()) {
                known.remove(&self.address);
            }
        }
    }
}

fn lock(known: &Mutex<HashMap<IpAddr, Client>>) -> MutexGuard<'_, HashMap<IpAddr, Client>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who has one address of IPv6 has the 2^64 of its network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_once_it_is_left() {
        let clients = Clients::new(&Limits { client_connections: 2, ..Limits::default() });
        let (one, two) = (clients.enter(at("192.0.2.1")), clients.enter(at("::ffff:192.0.2.1")));
        assert!(one.is_some() && two.is_some());
        assert!(clients.enter(at("192.0.2.1")).is_none());
        assert!(clients.enter(at("192.0.2.2")).is_some());
        drop(one);
        assert!(clients.enter(at("192.0.2.1")).is_some());
        drop(two);
        assert!(lock(&clients.known).is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_client() {
        let clients = Clients::new(&Limits { client_mails: std::num::NonZeroU32::MIN, ..Limits::default() });
        let now = Instant::now();
        assert!(clients.may_send(at("2001:db8::1"), now));
        assert!(!clients.may_send(at("2001:db8::ffff:1"), now));
        assert!(clients.may_send(at("2001:db8:0:1::1"), now));
    }

    #[test]
    fn mails_are_counted_by_the_minute_and_forgotten_after_it() {
        let limits = Limits { client_mails: std::num::NonZeroU32::new(3).unwrap(), ..Limits::default() };
        let (clients, peer) = (Clients::new(&limits), at("192.0.2.1"));
        let now = Instant::now();
        assert_eq!([(); 5].map(|()| clients.may_send(peer, now)), [true, true, true, false, false]);
        let later = now + Duration::from_secs(20);
        assert_eq!([(); 2].map(|()| clients.may_send(peer, later)), [true, false], "20 s are worth one mail");
        clients.forget(later);
        assert!(!clients.may_send(peer, later), "who sent of late is not forgotten");
        clients.forget(later + MINUTE);
        assert!(lock(&clients.known).is_empty());
    }
}
