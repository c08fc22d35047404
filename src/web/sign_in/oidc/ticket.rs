//! The ticket, which binds a sign-in to the browser that began it.
//!
//! The browser holds one key. Everything that passes through the provider is derived from that key:
//! what returns with the browser (`state`), what the provider's token repeats (`nonce`), and what
//! proves that the client that redeems the code has asked for it (the PKCE verifier). So nothing is
//! kept here, and any replica can finish what another began.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};

use crate::delivery::sha256_hex;

/// How long a sign-in at the provider may take.
pub const GOOD_FOR: SignedDuration = SignedDuration::from_mins(10);
/// The longest path, in bytes, to return to. A longer one is dropped, because providers bound the
/// length of an address.
const LONGEST_PATH: usize = 512;

/// A sign-in under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    key: String,
    state: String,
    next: String,
}

impl Ticket {
    /// Creates a ticket for the browser that holds `key`; the sign-in ends at the path `next`.
    /// `salt` tells two sign-ins of one browser apart.
    pub fn new(key: &str, salt: &str, next: &str, now: Timestamp) -> Self {
        let next = if next.len() > LONGEST_PATH { "/" } else { next };
        let path = BASE64_URL_SAFE_NO_PAD.encode(next);
        let body = format!("{}.{salt}.{path}", now.as_second());
        Self {
            key: key.to_owned(),
            state: format!("{body}.{}", derived(key, "state", &body)),
            next: next.to_owned(),
        }
    }

    /// Reads the ticket that a browser with `key` brings back. Returns `None` if the sign-in began
    /// in another browser, or too long ago.
    pub fn read(key: &str, state: &str, now: Timestamp) -> Option<Self> {
        let (body, mac) = state.rsplit_once('.')?;
        let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&hmac_key(key), &text("state", body), &mac).ok()?;

        let mut parts = body.split('.');
        let (begun_at, _salt, path) = (parts.next()?, parts.next()?, parts.next()?);
        let begun_at = Timestamp::from_second(begun_at.parse().ok()?).ok()?;
        if now.duration_since(begun_at) > GOOD_FOR {
            return None;
        }

        let next = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(path).ok()?).ok()?;
        Some(Self {
            key: key.to_owned(),
            state: state.to_owned(),
            next,
        })
    }

    pub fn state(&self) -> &str {
        &self.state
    }

    pub fn nonce(&self) -> String {
        derived(&self.key, "nonce", &self.state)
    }

    pub fn verifier(&self) -> String {
        derived(&self.key, "verifier", &self.state)
    }

    /// Returns the id under which a finished sign-in is remembered.
    pub fn id(&self) -> String {
        sha256_hex(self.state.as_bytes())
    }

    /// Returns the path at which the sign-in ends.
    pub fn next(&self) -> &str {
        &self.next
    }
}

/// Derives 43 characters of base64, the least that PKCE requires.
fn derived(key: &str, what: &str, of: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&hmac_key(key), &text(what, of)))
}

fn hmac_key(key: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())
}

fn text(what: &str, of: &str) -> Vec<u8> {
    format!("{what}:{of}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_the_browser_that_began_comes_back_and_in_time() {
        let ticket = Ticket::new("key", "salt", "/incidents?state=open", at(1000));
        let state = ticket.state();
        assert_eq!(Ticket::read("key", state, at(1600)), Some(ticket.clone()));
        assert_eq!(Ticket::read("key", state, at(1601)), None, "too late");
        assert_eq!(Ticket::read("another", state, at(1000)), None);

        let other = Ticket::new("key", "other salt", "/", at(1000));
        let spliced = other.state().rsplit_once('.').unwrap().0.to_owned()
            + "."
            + state.rsplit_once('.').unwrap().1;
        for forged in [
            "",
            ".",
            "1000.salt.Lw",
            &spliced,
            &state[1..],
            &format!("{state}A"),
        ] {
            assert_eq!(Ticket::read("key", forged, at(1000)), None, "{forged}");
        }
    }

    #[test]
    fn every_secret_of_a_sign_in_is_its_own() {
        let one = Ticket::new("key", "a", "/", at(1000));
        let another = Ticket::new("key", "b", "/", at(1000));
        let mut secrets = Vec::new();
        for ticket in [&one, &another] {
            secrets.extend([ticket.nonce(), ticket.verifier(), ticket.id()]);
            assert!((43..=128).contains(&ticket.verifier().len()));
        }
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 6);
    }

    #[test]
    fn a_path_that_no_address_holds_is_forgotten() {
        let long = format!("/{}", "x".repeat(LONGEST_PATH));
        assert_eq!(Ticket::new("key", "salt", &long, at(1000)).next(), "/");
    }
}
