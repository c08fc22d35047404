//! Mails that were requested and not returned (wanted mails), remembered across connections: such a
//! mail never blocks those behind it, and is never forgotten.
//!
//! A mail that fails is requested again, soon at first. For a few seconds the mails behind it wait,
//! since one of them may be the end of what it begins; then it steps aside. After a few tries it is
//! announced, with what is known of it and the true reason. From then on it is looked for at every
//! rescan, for as long as it is there. If another mail is returned meanwhile, this shows that it is
//! the mail that fails, and not the server.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{fault::Fault, passed::Passed};

mod announcement;
mod kept;
mod waiting;

pub(super) use waiting::Awaited;

/// The tries after which a mail is announced, if the server returns other mails.
const TRIES: u32 = 3;
/// The first pause before a mail is requested again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause before a request that precedes the announcement.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause before an announced mail that ends the connection is requested again; the
/// pauses grow up to this.
const RAREST: Duration = Duration::from_hours(1);

/// All wanted mails of a folder.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The first and the last UID of the mails being fetched.
    in_hand: Option<(u32, u32)>,
    /// New mails up to this UID are fetched one by one.
    alone_up_to: u32,
    mails: BTreeMap<u32, Want>,
    /// The number of mails returned so far, and the latest of them.
    given: u64,
    last_given: Option<u32>,
    /// How often announced mails are looked for.
    rescan: Duration,
    pub(super) passed: Passed,
    /// How long mails have waited for earlier ones, less what was regained since, and when that was
    /// last computed.
    waited: Duration,
    reckoned: Option<Instant>,
    /// The mail that is blamed for the latest end of a connection.
    blamed: Option<u32>,
}

/// A wanted mail, that is, one that was requested and not returned.
#[derive(Debug)]
struct Want {
    tries: u32,
    due: Instant,
    /// Why the latest try failed.
    why: String,
    /// Whether the server was merely busy.
    busy: bool,
    /// Whether the latest look found that the mail is not in the folder.
    gone: bool,
    /// How many mails had been returned when this one last failed.
    given_before: u64,
    /// Whether it is shown that the mail fails and not the server: it failed again after others had
    /// been returned, or a stored mail was returned for comparison.
    proven: bool,
    /// Whether the latest try ended the connection.
    broke: bool,
    /// How many tries have ended the connection since the announcement.
    breaks: u32,
    /// Whether it was compared with another mail since it last failed.
    compared: bool,
    /// Whether the mails behind it have waited long enough.
    let_go: bool,
    /// Whether it was returned but is not stored yet.
    in_memory: bool,
    /// Whether its header was requested.
    header_asked: bool,
    /// The note that the server returns in its place.
    stand_in: Option<Bytes>,
    told: bool,
    /// Whether the store knows that it is wanted.
    kept: bool,
    since: Timestamp,
}

impl Backlog {
    pub(super) fn new(rescan: Duration) -> Self {
        Self {
            rescan,
            ..Self::default()
        }
    }

    pub(super) fn begin(&mut self, first: u32, last: u32) {
        self.in_hand = Some((first, last));
    }

    /// Notes that the mails in hand are done, successfully or not, and the connection still works.
    pub(super) fn end(&mut self) {
        self.in_hand = None;
    }

    /// Notes that the connection ended with `fault`, and blames the mail in hand. It does nothing
    /// if no mail was in hand, or if the fault cannot be a mail's. Returns whether an announced
    /// mail is to blame.
    pub(super) fn blame(&mut self, fault: &Fault, now: Timestamp) -> bool {
        self.blamed = None;
        let in_hand = self.in_hand.take();
        let Some((first, last)) = in_hand.filter(|_| fault.may_be_the_mails()) else {
            return false;
        };

        self.isolate(last);
        if first != last {
            return false;
        }

        self.blamed = Some(first);
        self.fail(first, &fault.to_string(), fault.is_busy(), now);
        let rescan = self.rescan;
        self.mails.get_mut(&first).is_some_and(|want| {
            want.broke = true;
            if want.told {
                want.breaks += 1;
                let rarer = rescan
                    .saturating_mul(1 << want.breaks.min(8))
                    .min(RAREST.max(rescan));
                want.due = Instant::now() + rarer;
            }
            want.told
        })
    }

    /// Notes that a mail was requested and not returned.
    pub(super) fn fail(&mut self, uid: u32, why: &str, busy: bool, now: Timestamp) {
        let (given, rescan) = (self.given, self.rescan);
        let want = self
            .mails
            .entry(uid)
            .or_insert_with(|| Want::new(now, given));

        // A mail that failed because the server was busy had no fair try before this one.
        if want.busy && !busy && !want.proven && given > want.given_before {
            want.tries = 0;
        }

        want.tries += 1;
        want.proven |= given > want.given_before;
        want.given_before = given;
        (want.gone, want.broke, want.busy) = (false, false, busy);
        want.compared = false;
        why.clone_into(&mut want.why);

        let growing = FIRST_PAUSE
            .saturating_mul(1 << (want.tries - 1).min(16))
            .min(LONGEST_PAUSE);

        want.due = Instant::now() + if want.told { rescan } else { growing };
    }

    /// Notes that a mail is no longer in the folder.
    pub(super) fn miss(&mut self, uid: u32, now: Timestamp) {
        self.fail(
            uid,
            "it was announced, but disappeared from the folder before it could be read",
            false,
            now,
        );

        if let Some(want) = self.mails.get_mut(&uid) {
            want.gone = true;
        }
    }

    /// Notes that a scan begins: what the one before had in memory is gone.
    pub(super) fn nothing_in_memory(&mut self) {
        self.mails
            .values_mut()
            .for_each(|want| want.in_memory = false);
    }

    /// Forgets a mail that was returned and is stored, or that is no longer wanted.
    pub(super) fn forget(&mut self, uid: u32) {
        self.mails.remove(&uid);
    }

    /// Forgets all mails, because UIDs have a new meaning.
    pub(super) fn clear(&mut self) {
        *self = Self {
            given: self.given,
            rescan: self.rescan,
            ..Self::default()
        };
    }

    pub(super) fn was_given(&mut self, uid: u32) {
        self.given += 1;
        self.last_given = Some(uid);
        if let Some(want) = self.mails.get_mut(&uid) {
            want.in_memory = true;
        }
    }

    pub(super) fn given(&self) -> u64 {
        self.given
    }

    pub(super) fn last_given(&self) -> Option<u32> {
        self.last_given
    }

    /// Notes that a mail that is already stored was returned, which shows that the server works.
    pub(super) fn prove(&mut self, uid: u32) {
        if let Some(want) = self.mails.get_mut(&uid) {
            want.proven = true;
        }
    }

    /// Returns why the server seems to return nothing: the fault of a mail that is not announced
    /// yet and has failed since the last one that was returned.
    pub(super) fn stuck(&self) -> Option<&str> {
        let stuck = |want: &&Want| {
            !want.told && !want.gone && !want.proven && want.given_before == self.given
        };
        self.mails
            .values()
            .find(stuck)
            .map(|want| want.why.as_str())
    }

    pub(super) fn is_wanted(&self, uid: u32) -> bool {
        self.mails.contains_key(&uid)
    }

    pub(super) fn is_suspect(&self, uid: u32) -> bool {
        uid <= self.alone_up_to
    }

    pub(super) fn isolate(&mut self, last: u32) {
        self.alone_up_to = self.alone_up_to.max(last);
    }

    /// Returns the mails to request now, the most urgent first; at most `told_at_most` announced
    /// ones.
    pub(super) fn due(&self, told_at_most: usize) -> Vec<u32> {
        let now = Instant::now();
        let due = |told: bool| {
            let due = move |(_, want): &(&u32, &Want)| want.told == told && want.due <= now;
            self.mails.iter().filter(due).map(|(uid, _)| *uid)
        };
        due(false).chain(due(true).take(told_at_most)).collect()
    }

    /// Returns the mails up to `up_to` to request now that are not announced, and whose latest try
    /// did not end the connection.
    pub(super) fn due_harmless(&self, up_to: u32) -> Vec<u32> {
        let now = Instant::now();
        let due = self.mails.range(..=up_to);
        due.filter(|(_, want)| !want.told && !want.broke && want.due <= now)
            .map(|(uid, _)| *uid)
            .collect()
    }

    /// Returns the time at which the next mail is to be requested.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.mails.values().map(|want| want.due).min()
    }

    /// Returns whether another request would only end the connection again.
    pub(super) fn broke(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.broke)
    }

    /// Returns whether to omit a mail's attributes from the next request. It is unknown which of
    /// them broke the connection, so every other try omits them.
    pub(super) fn ask_plainly(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.tries % 2 == 1)
    }
}

impl Want {
    fn new(since: Timestamp, given_before: u64) -> Self {
        Self {
            tries: 0,
            due: Instant::now(),
            why: String::new(),
            busy: false,
            gone: false,
            given_before,
            proven: false,
            broke: false,
            breaks: 0,
            compared: false,
            let_go: false,
            in_memory: false,
            header_asked: false,
            stand_in: None,
            told: false,
            kept: false,
            since,
        }
    }
}

#[cfg(test)]
mod tests;
