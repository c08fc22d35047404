//! Counts wrong attempts to sign in, by address and by name, and delays the next attempt.
//!
//! An address is delayed for long, since many names can be tried from it. A name is delayed for a
//! short time, because other people's attempts must not lock its owner out. Behind a proxy all
//! attempts come from one address, so a browser in which somebody has signed in before waits for
//! its own attempts alone.

use std::{net::IpAddr, time::Duration};

use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;

/// How many addresses, and how many names, are remembered. This bounds the memory however many a
/// guesser uses.
const REMEMBERED: u64 = 10_000;
/// How long an attempt counts.
const COUNTED: Duration = Duration::from_mins(15);
/// How many wrong attempts cost no delay.
const FREE: u32 = 5;
const LONGEST_FOR_ADDRESS: i64 = 900;
const LONGEST_FOR_NAME: i64 = 30;

/// The recent wrong attempts.
pub struct Attempts {
    by_address: Cache<IpAddr, Failed>,
    by_name: Cache<String, Failed>,
}

/// What an attempt counts against.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// The address.
    Address(IpAddr),
    /// The address, and the name that is tried from it.
    Name(IpAddr, &'a str),
    /// A browser that is known by its mark.
    Browser(&'a str),
}

impl<'a> By<'a> {
    fn counted(self) -> (Option<IpAddr>, Option<&'a str>) {
        match self {
            Self::Address(peer) => (Some(peer), None),
            Self::Name(peer, name) => (Some(peer), Some(name)),
            Self::Browser(mark) => (None, Some(mark)),
        }
    }
}

/// The number of wrong attempts in a row, and the time of the last one.
#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    last: Timestamp,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            by_address: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(COUNTED)
                .build(),
            by_name: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(COUNTED)
                .build(),
        }
    }
}

impl Failed {
    /// Returns how many seconds the next attempt has to wait.
    fn pause(self, longest: i64, now: Timestamp) -> i64 {
        let over = self.times.saturating_sub(FREE);
        if over == 0 {
            return 0;
        }
        let whole = 1_i64
            .checked_shl(over.min(20))
            .unwrap_or(longest)
            .min(longest);
        let until = self.last.saturating_add(SignedDuration::from_secs(whole));
        let left = until.unwrap_or(self.last).duration_since(now);
        left.as_secs() + i64::from(left.subsec_nanos() > 0)
    }
}

impl Attempts {
    /// Returns in how many seconds the next attempt may come, or `None` if it may come now.
    pub fn pause(&self, by: By<'_>, now: Timestamp) -> Option<u64> {
        let (peer, name) = by.counted();
        let by_address = peer.and_then(|peer| self.by_address.get(&network(peer)));
        let by_name = name.and_then(|name| self.by_name.get(&shortened(name)));
        let of_address = by_address.map_or(0, |failed| failed.pause(LONGEST_FOR_ADDRESS, now));
        let of_name = by_name.map_or(0, |failed| failed.pause(LONGEST_FOR_NAME, now));
        u64::try_from(of_address.max(of_name))
            .ok()
            .filter(|seconds| *seconds > 0)
    }

    pub fn failed(&self, by: By<'_>, now: Timestamp) {
        let (peer, name) = by.counted();
        let again = |before: Option<Failed>| Failed {
            times: before.map_or(0, |failed| failed.times).saturating_add(1),
            last: now,
        };
        if let Some(peer) = peer {
            self.by_address
                .entry(network(peer))
                .and_upsert_with(|entry| again(entry.map(moka::Entry::into_value)));
        }
        if let Some(name) = name {
            self.by_name
                .entry(shortened(name))
                .and_upsert_with(|entry| again(entry.map(moka::Entry::into_value)));
        }
    }

    pub fn succeeded(&self, by: By<'_>) {
        let (peer, name) = by.counted();
        if let Some(peer) = peer {
            self.by_address.invalidate(&network(peer));
        }
        if let Some(name) = name {
            self.by_name.invalidate(&shortened(name));
        }
    }
}

/// Shortens a name for the cache, because a guesser may send names of any length.
fn shortened(name: &str) -> String {
    name.chars().take(128).collect()
}

/// Returns the network that an address counts under. A guesser with IPv6 has a whole /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn guessing_from_one_address_takes_longer_and_longer() {
        let (attempts, peer) = (Attempts::default(), "192.0.2.1".parse().unwrap());
        let mut now = 1000;
        let mut waited = Vec::new();
        for name in 0..12 {
            let name = format!("name-{name}");
            let by = By::Name(peer, &name);
            let pause = attempts.pause(by, at(now)).unwrap_or(0);
            waited.push(pause);
            now += i64::try_from(pause).unwrap();
            attempts.failed(by, at(now));
        }
        assert_eq!(waited, [0, 0, 0, 0, 0, 0, 2, 4, 8, 16, 32, 64]);
        let other = "192.0.2.2".parse().unwrap();
        assert_eq!(attempts.pause(By::Name(other, "name-1"), at(now)), None);
        assert_eq!(attempts.pause(By::Browser("known"), at(now)), None);
    }

    #[test]
    fn a_name_is_kept_from_its_owner_for_half_a_minute_at_most() {
        let attempts = Attempts::default();
        for guess in 0..200_u8 {
            attempts.failed(By::Name([198, 51, 100, guess].into(), "ann"), at(1000));
        }
        let owner = By::Name("192.0.2.9".parse().unwrap(), "ann");
        assert_eq!(attempts.pause(owner, at(1000)), Some(30));
        assert_eq!(attempts.pause(owner, at(1030)), None);
        attempts.succeeded(owner);
        assert_eq!(attempts.pause(owner, at(1000)), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser() {
        let attempts = Attempts::default();
        for guess in 0..10_u16 {
            let peer: IpAddr = format!("2001:db8::{guess:x}").parse().unwrap();
            attempts.failed(By::Address(peer), at(1000));
        }
        for (peer, waits) in [("2001:db8::ffff", true), ("2001:db8:0:1::1", false)] {
            let by = By::Address(peer.parse().unwrap());
            assert_eq!(attempts.pause(by, at(1000)).is_some(), waits, "{peer}");
        }
    }
}
