//! The identity of a client by its address: an IPv4 address, or the IPv6 network that is assigned
//! to one customer, who has all addresses in it.

use std::net::{IpAddr, Ipv6Addr};

/// A client's own network: an IPv4 address, or the /56 that is assigned to a household or a small
/// server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

/// All networks of a site: the /48 that is assigned to a company. For IPv4 it is the address
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site(IpAddr);

/// The number of times that a site may use the limit of a network.
pub const NETWORKS_OF_A_SITE: usize = 4;

impl Network {
    pub fn of(peer: IpAddr) -> Self {
        Self(truncated(peer, 56))
    }
}

impl Site {
    pub fn of(peer: IpAddr) -> Self {
        Self(truncated(peer, 48))
    }
}

fn truncated(peer: IpAddr, prefix: u32) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - prefix))).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_to_one_customer_is_one_client() {
        for (one, other, network, site) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true, true),
            ("192.0.2.1", "192.0.2.2", false, false),
            ("2001:db8::1", "2001:db8:0:ff:ffff::1", true, true),
            ("2001:db8::1", "2001:db8:0:100::1", false, true),
            ("2001:db8::1", "2001:db8:0:ffff::1", false, true),
            ("2001:db8::1", "2001:db8:1::1", false, false),
        ] {
            let [one, other] = [one, other].map(|address| address.parse().unwrap());
            assert_eq!(
                Network::of(one) == Network::of(other),
                network,
                "{one} {other}"
            );
            assert_eq!(Site::of(one) == Site::of(other), site, "{one} {other}");
        }
    }
}
