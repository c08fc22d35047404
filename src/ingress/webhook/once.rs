//! A signed request counts once, and for an hour.
//!
//! What was taken is remembered in memory until its signature is too old. After a restart, or at
//! another replica, a copy can be replayed within that hour; it is one mail more in the record and
//! no page, because the stages after this know an alert by its content. Where the signature does
//! not cover the mail, another mail can be posted with it. So nothing that such a request holds may
//! count for having come that way: see `covers_mail` of [`super::protocol::Kind`].

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};

use super::answer::Refusal;

/// A signature of this age is refused. The first three retries of Mailgun and all of SNS's come
/// earlier.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(1);
/// How far the provider's clock may be ahead of this one.
const MAX_LEAD: SignedDuration = SignedDuration::from_mins(5);
/// The number of requests that are remembered; each had a valid signature.
const MAX_REMEMBERED: usize = 1 << 16;

/// The identity of a request: a digest of what its signature covers.
type Mark = [u8; 32];

/// The requests of the last hour.
#[derive(Clone, Default)]
pub(super) struct Once(Arc<Mutex<HashMap<Mark, Taken>>>);

struct Taken {
    signed_at: Timestamp,
    /// False while the request is in progress.
    stored: bool,
}

impl Once {
    /// Claims a request with a valid signature. It is refused if it is old or was claimed before.
    pub(super) fn claim(
        &self,
        signed: &[&[u8]],
        signed_at: Timestamp,
        now: Timestamp,
    ) -> Result<Claim, Refusal> {
        let age = now.duration_since(signed_at);
        if age >= MAX_AGE || age < -MAX_LEAD {
            return Err(Refusal::Stale);
        }

        let mark = mark(signed);
        let mut taken = self.lock();
        taken.retain(|_, taken| now.duration_since(taken.signed_at) < MAX_AGE);

        let full = taken.len() >= MAX_REMEMBERED;

        match taken.entry(mark) {
            Entry::Occupied(before) if before.get().stored => Err(Refusal::Replayed),
            Entry::Occupied(_) => Err(Refusal::UnderWay),
            Entry::Vacant(_) if full => Err(Refusal::UnderWay),
            Entry::Vacant(place) => {
                place.insert(Taken {
                    signed_at,
                    stored: false,
                });
                drop(taken);
                Ok(Claim {
                    once: self.clone(),
                    mark,
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Mark, Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in progress. If it is dropped before the mail is stored, the request may come again.
pub(super) struct Claim {
    once: Once,
    mark: Mark,
}

impl Claim {
    /// The mail is stored: from now on, the request is a replay.
    pub(super) fn stored(self) {
        if let Some(taken) = self.once.lock().get_mut(&self.mark) {
            taken.stored = true;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut taken = self.once.lock();
        if taken.get(&self.mark).is_some_and(|taken| !taken.stored) {
            taken.remove(&self.mark);
        }
    }
}

/// Each part is preceded by its length, so that no two lists of parts look alike.
fn mark(parts: &[&[u8]]) -> Mark {
    let mut all = Vec::new();
    for part in parts {
        all.extend((part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    let mut mark = Mark::default();
    mark.copy_from_slice(digest(&SHA256, &all).as_ref());
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_request_is_taken_once_and_again_only_where_it_was_not_stored() {
        let once = Once::default();
        let claim = |part: &'static [u8]| once.claim(&[part], NOW, NOW);
        let first = claim(b"a").ok().unwrap();
        assert_eq!(claim(b"a").err(), Some(Refusal::UnderWay));
        drop(first);
        claim(b"a").ok().unwrap().stored();
        assert_eq!(claim(b"a").err(), Some(Refusal::Replayed));
        assert!(claim(b"b").is_ok());
    }

    #[test]
    fn a_signature_counts_for_an_hour() {
        let once = Once::default();
        for (seconds, right) in [
            (0, true),
            (3599, true),
            (3600, false),
            (-300, true),
            (-301, false),
        ] {
            let signed_at = NOW - SignedDuration::from_secs(seconds);
            assert_eq!(
                once.claim(&[b"x"], signed_at, NOW).is_ok(),
                right,
                "{seconds} s ago"
            );
        }
        once.claim(&[b"y"], NOW, NOW).ok().unwrap().stored();
        let later = NOW + MAX_AGE;
        drop(once.claim(&[b"z"], later, later).ok().unwrap());
        assert!(once.lock().is_empty(), "what is too old is forgotten");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(mark(&[b"ab", b"c"]), mark(&[b"a", b"bc"]));
    }
}
