//! Networks of clients, balancers and proxies.

use std::net::IpAddr;

use super::Problem;

/// The networks of `allow_from:`, `proxy_protocol:` or `proxy.from:`, in CIDR notation.
#[derive(Debug, Clone)]
pub struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// Reads the list; `key` is its path in the configuration.
    pub fn new(list: &[String], key: &str) -> Result<Self, Problem> {
        let network = |(index, text): (usize, &String)| {
            parse(text).ok_or_else(|| {
                Problem::new(
                    format!("{key}[{index}]"),
                    format!("`{text}` is not a valid network"),
                    "write an address or a network: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`",
                )
            })
        };

        list.iter()
            .enumerate()
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns whether a client may connect from an address. If no network is listed, it may
    /// connect from anywhere.
    pub fn admit(&self, peer: IpAddr) -> bool {
        self.0.is_empty() || self.name(peer)
    }

    /// Returns whether a client may connect from nearly anywhere. No organisation has a network
    /// that large for itself.
    pub fn admit_anybody(&self) -> bool {
        let is_everybodys =
            |&(network, prefix): &(IpAddr, u8)| prefix < if network.is_ipv4() { 8 } else { 7 };
        self.0.is_empty() || self.0.iter().any(is_everybodys)
    }

    /// Returns whether an address is in a listed network.
    pub fn name(&self, peer: IpAddr) -> bool {
        self.0
            .iter()
            .any(|&(network, prefix)| contains(network, prefix, peer.to_canonical()))
    }
}

fn parse(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(width), |digits| digits.parse().ok())?;
    (prefix <= width).then(|| canonical(address, prefix))
}

/// Converts an IPv4 network in the notation of IPv6 to IPv4, because clients' addresses are
/// converted in the same way.
fn canonical(network: IpAddr, prefix: u8) -> (IpAddr, u8) {
    match (network.to_canonical(), prefix.checked_sub(96)) {
        (canonical @ IpAddr::V4(_), Some(prefix)) if network.is_ipv6() => (canonical, prefix),
        _ => (network, prefix),
    }
}

fn contains(network: IpAddr, prefix: u8, peer: IpAddr) -> bool {
    // For the prefix 0, the shift by the whole width fails, and then every bit may differ.
    let differs = match (network, peer) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits())
            .checked_shr(32 - u32::from(prefix))
            .map(u128::from),
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(prefix))
        }
        _ => return false,
    };
    differs.unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_admitted_by_any_network_it_is_in() {
        let list = [
            "10.0.0.0/8",
            "192.0.2.7",
            "2001:db8::/32",
            "::ffff:198.51.100.0/120",
        ]
        .map(str::to_owned);
        let networks = Networks::new(&list, "allow_from").unwrap();
        for (peer, admitted) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.1.1", true),
            ("198.51.100.9", true),
            ("::ffff:198.51.101.9", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(networks.admit(peer.parse().unwrap()), admitted, "{peer}");
            assert_eq!(networks.name(peer.parse().unwrap()), admitted, "{peer}");
        }
        assert!(
            Networks::new(&["0.0.0.0/0".to_owned()], "")
                .unwrap()
                .admit("203.0.113.9".parse().unwrap())
        );
        let nobody = Networks::new(&[], "").unwrap();
        assert!(
            nobody.admit("203.0.113.9".parse().unwrap())
                && !nobody.name("203.0.113.9".parse().unwrap())
        );
    }

    #[test]
    fn a_network_of_nearly_everything_is_no_restriction() {
        let admit_anybody = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|&network| network.to_owned()).collect();
            Networks::new(&list, "allow_from").unwrap().admit_anybody()
        };
        for list in [
            &[][..],
            &["0.0.0.0/0"],
            &["::/0"],
            &["10.0.0.0/8", "2000::/3"],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["::ffff:0:0/96"],
        ] {
            assert!(admit_anybody(list), "{list:?}");
        }
        for list in [
            &["10.0.0.0/8"][..],
            &["fc00::/7"],
            &["192.0.2.7"],
            &["127.0.0.1", "::1"],
        ] {
            assert!(!admit_anybody(list), "{list:?}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_place() {
        for wrong in ["10.0.0.0/33", "example.com", "10.0.0.0/", "::/129", ""] {
            assert_eq!(
                Networks::new(&[wrong.to_owned()], "allow_from")
                    .unwrap_err()
                    .key,
                "allow_from[0]",
                "{wrong}"
            );
        }
    }
}
