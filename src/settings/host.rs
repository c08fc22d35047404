//! Addresses: of mail, of hosts, and to listen on.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::Problem;

/// Returns a domain as DNS has it: in ASCII and in lower case.
pub fn in_ascii(domain: &str) -> String {
    match Host::parse(domain) {
        Ok(Host::Domain(ascii)) if !domain.is_ascii() => ascii,
        _ => domain.to_ascii_lowercase(),
    }
}

pub fn is_address(text: &str) -> bool {
    text.len() <= 254
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
            !local.is_empty()
                && local.chars().all(atom)
                && (is_domain(domain) || domain == "localhost")
        })
}

pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.contains('.') && text.split('.').all(label)
}

/// Returns whether a text is a host name, possibly of the local network, or an IP address.
pub fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    text.parse::<IpAddr>().is_ok() || text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// Returns whether a web address leads to this machine. Of all names, only `localhost` does: not
/// every resolver keeps the names below it on the machine (RFC 6761, section 6.3).
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Returns the problem of an address to listen on, if it is invalid.
pub fn listen(key: &str, listen: &str) -> Option<Problem> {
    listen.parse::<SocketAddr>().is_err().then(|| {
        Problem::new(
            key,
            format!("`{listen}` is not a valid address to listen on"),
            "write an IP address and a port: `127.0.0.1:8025`, `0.0.0.0:8025` or `[::]:8025`",
        )
    })
}

/// Returns whether only this machine can reach the address. An invalid one counts as private,
/// because it is reported elsewhere.
pub fn private(listen: &str) -> bool {
    listen
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().to_canonical().is_loopback())
        || listen.parse::<SocketAddr>().is_err()
}
