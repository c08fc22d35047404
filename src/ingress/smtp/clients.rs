//! What each client may take of the server: connections at a time, and mails a minute.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Limits;

/// The clients that are connected or sent mail of late.
pub(super) struct Clients {
    connected: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
    mails: DefaultKeyedRateLimiter<IpAddr>,
}

impl Clients {
    pub(super) fn new(limits: &Limits) -> Self {
        let mails = RateLimiter::keyed(Quota::per_minute(limits.client_mails));
        Self { connected: Arc::default(), most: limits.client_connections, mails }
    }

    /// A place for one more connection, held until it is dropped; none where the client has as many as it may.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let client = network(peer);
        let mut connected = lock(&self.connected);
        let count = connected.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { client, connected: Arc::clone(&self.connected) })
    }

    /// Whether the client may send one more mail now. Asking counts.
    pub(super) fn may_send(&self, peer: IpAddr) -> bool {
        self.mails.check_key(&network(peer)).is_ok()
    }

    /// Forgets who has sent nothing for so long that all is allowed again.
    pub(super) fn forget(&self) {
        self.mails.retain_recent();
        self.mails.shrink_to_fit();
    }
}

/// A connection's place.
pub(super) struct Place {
    client: IpAddr,
    connected: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connected = lock(&self.connected);
        if let Some(count) = connected.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                connected.remove(&self.client);
            }
        }
    }
}

fn lock(connected: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    connected.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(lock(&clients.connected).is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_client() {
        let clients = Clients::new(&Limits { client_mails: std::num::NonZeroU32::MIN, ..Limits::default() });
        assert!(clients.may_send(at("2001:db8::1")));
        assert!(!clients.may_send(at("2001:db8::ffff:1")));
        assert!(clients.may_send(at("2001:db8:0:1::1")));
        clients.forget();
        assert!(!clients.may_send(at("2001:db8::1")), "who sent of late is not forgotten");
    }
}
