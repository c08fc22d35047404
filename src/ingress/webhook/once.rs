//! Lets a signed request count once, for as long as its provider may repeat it.
//!
//! Accepted requests are remembered in memory until their signature is too old. After a restart, or
//! at another replica, a copy can be replayed within that time; it adds a mail to the record but no
//! page, because the stages after this recognise an alert by its content. Where the signature does
//! not cover the mail, another mail can be posted with it. So nothing in such a request may gain
//! trust because of how it came: see `covers_mail` of [`super::protocol::Kind`].

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};

use super::answer::Refusal;

/// How far the provider's clock may be ahead of this one.
const MAX_LEAD: SignedDuration = SignedDuration::from_mins(5);
/// The most requests that are remembered, each of which had a valid signature. Beyond it the oldest
/// is forgotten, because no mail may be refused merely to recognise a copy.
const MAX_REMEMBERED: usize = 1 << 18;

/// The identity of a request: a digest of what its signature covers.
type Mark = [u8; 32];

/// The latest requests.
#[derive(Clone)]
pub(super) struct Once {
    /// The age from which a signature is refused.
    max_age: SignedDuration,
    taken: Arc<Mutex<HashMap<Mark, Taken>>>,
}

struct Taken {
    signed_at: Timestamp,
    /// False while the request is in progress.
    stored: bool,
}

impl Once {
    /// Creates the memory. `max_age` must exceed the time for which the provider repeats a request
    /// as first signed.
    pub(super) fn new(max_age: SignedDuration) -> Self {
        Self {
            max_age,
            taken: Arc::default(),
        }
    }

    /// Claims a request with a valid signature. The claim is refused if the request is old or was
    /// claimed before.
    pub(super) fn claim(
        &self,
        signed: &[&[u8]],
        signed_at: Timestamp,
        now: Timestamp,
    ) -> Result<Claim, Refusal> {
        let age = now.duration_since(signed_at);
        if age >= self.max_age || age < -MAX_LEAD {
            return Err(Refusal::Stale);
        }

        let mark = mark(signed);
        let mut taken = self.lock();
        taken.retain(|_, taken| now.duration_since(taken.signed_at) < self.max_age);

        if taken.len() >= MAX_REMEMBERED && !taken.contains_key(&mark) {
            forget_oldest(&mut taken);
        }

        match taken.entry(mark) {
            Entry::Occupied(before) if before.get().stored => Err(Refusal::Replayed),
            Entry::Occupied(_) => Err(Refusal::UnderWay),
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
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in progress. If it is dropped before the mail is stored, the request may be repeated.
pub(super) struct Claim {
    once: Once,
    mark: Mark,
}

impl Claim {
    /// Notes that the mail is stored: from now on, the request is a replay.
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

fn forget_oldest(taken: &mut HashMap<Mark, Taken>) {
    let oldest = taken
        .iter()
        .filter(|(_, taken)| taken.stored)
        .min_by_key(|(_, taken)| taken.signed_at)
        .map(|(mark, _)| *mark);

    if let Some(oldest) = oldest {
        taken.remove(&oldest);
    }
}

/// Returns the digest of the parts. Each part is preceded by its length, so that no two lists of
/// parts look alike.
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
    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    #[test]
    fn a_request_is_taken_once_and_again_only_where_it_was_not_stored() {
        let once = Once::new(HOUR);
        let claim = |part: &'static [u8]| once.claim(&[part], NOW, NOW);
        let first = claim(b"a").ok().unwrap();
        assert_eq!(claim(b"a").err(), Some(Refusal::UnderWay));
        drop(first);
        claim(b"a").ok().unwrap().stored();
        assert_eq!(claim(b"a").err(), Some(Refusal::Replayed));
        assert!(claim(b"b").is_ok());
    }

    #[test]
    fn a_signature_counts_until_it_is_too_old() {
        let once = Once::new(HOUR);
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
        let later = NOW + HOUR;
        drop(once.claim(&[b"z"], later, later).ok().unwrap());
        assert!(once.lock().is_empty(), "what is too old is forgotten");
    }

    #[test]
    fn beyond_the_most_that_is_remembered_the_oldest_is_forgotten_and_nothing_refused() {
        let once = Once::new(HOUR);
        let claim = |number: usize| {
            let signed_at = if number == 0 { NOW - HOUR / 2 } else { NOW };
            once.claim(&[&number.to_be_bytes()], signed_at, NOW)
        };
        for number in 0..=MAX_REMEMBERED {
            let mark = mark(&[&number.to_be_bytes()]);
            let taken = Taken {
                signed_at: NOW,
                stored: true,
            };
            if number > 0 && number < MAX_REMEMBERED {
                once.lock().insert(mark, taken);
            } else {
                claim(number).ok().unwrap().stored();
            }
        }
        assert_eq!(once.lock().len(), MAX_REMEMBERED);
        assert_eq!(claim(1).err(), Some(Refusal::Replayed));
        assert!(claim(0).is_ok(), "the oldest");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(mark(&[b"ab", b"c"]), mark(&[b"a", b"bc"]));
    }
}
