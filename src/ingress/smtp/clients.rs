//! Limits how many mails per minute each client may send.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Limits;
use crate::settings::network::{NETWORKS_OF_A_SITE, Network, Site};

const MINUTE: Duration = Duration::from_mins(1);

/// The clients that have recently sent mail.
pub(super) struct Clients {
    known: Mutex<Known>,
    /// How long one mail counts.
    interval: Duration,
}

/// The times at which the mails of each client stop counting; a minute ahead at most.
#[derive(Default)]
struct Known {
    networks: HashMap<Network, Instant>,
    sites: HashMap<Site, Instant>,
}

impl Clients {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            known: Mutex::default(),
            interval: MINUTE / limits.client_mails.get(),
        }
    }

    /// Returns whether the client may send one more mail now. An allowed mail counts.
    pub(super) fn may_send(&self, peer: IpAddr, now: Instant) -> bool {
        let mut known = self.lock();
        let network = known
            .networks
            .get(&Network::of(peer))
            .map_or(now, |until| now.max(*until))
            + self.interval;

        let share = self.interval / u32::try_from(NETWORKS_OF_A_SITE).unwrap_or(1);
        let site = known
            .sites
            .get(&Site::of(peer))
            .map_or(now, |until| now.max(*until))
            + share;

        let allowed = network.max(site) <= now + MINUTE;

        if allowed {
            known.networks.insert(Network::of(peer), network);
            known.sites.insert(Site::of(peer), site);
        }

        allowed
    }

    /// Forgets clients whose whole allowance is available again.
    pub(super) fn forget(&self, now: Instant) {
        let mut known = self.lock();
        known.networks.retain(|_, until| *until > now);
        known.sites.retain(|_, until| *until > now);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_client_and_a_site_as_four() {
        let clients = Clients::new(&Limits {
            client_mails: NonZeroU32::MIN,
            ..Limits::default()
        });
        let now = Instant::now();
        assert!(clients.may_send(at("2001:db8::1"), now));
        assert!(!clients.may_send(at("2001:db8:0:1::1"), now));
        for (network, allowed) in [("100", true), ("200", true), ("300", true), ("400", false)] {
            assert_eq!(
                clients.may_send(at(&format!("2001:db8:0:{network}::1")), now),
                allowed,
                "{network}"
            );
        }
        assert!(clients.may_send(at("2001:db8:1::1"), now));
    }

    #[test]
    fn mails_are_counted_by_the_minute_and_forgotten_after_it() {
        let limits = Limits {
            client_mails: NonZeroU32::new(3).unwrap(),
            ..Limits::default()
        };
        let (clients, peer) = (Clients::new(&limits), at("192.0.2.1"));
        let now = Instant::now();
        assert_eq!(
            [(); 5].map(|()| clients.may_send(peer, now)),
            [true, true, true, false, false]
        );
        let later = now + Duration::from_secs(20);
        assert_eq!(
            [(); 2].map(|()| clients.may_send(peer, later)),
            [true, false],
            "20 s are worth one mail"
        );
        clients.forget(later);
        assert!(
            !clients.may_send(peer, later),
            "who sent of late is not forgotten"
        );
        clients.forget(later + MINUTE);
        assert!(clients.lock().networks.is_empty() && clients.lock().sites.is_empty());
    }
}
