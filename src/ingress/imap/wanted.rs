//! Mails that were asked for and not given, remembered across connections: one never blocks those
//! behind it, nor is it forgotten.
//!
//! A mail that fails is asked for again, soon at first. For a few seconds the mails behind it wait,
//! since one of them may be the end of what it begins; then it steps aside. After a few tries it is
//! told, with what is known of it and the true reason, and from then on it is looked for at every
//! rescan for as long as it is there. That it is this mail which fails, and not the server, is
//! shown by another that was given meanwhile.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{fault::Fault, passed::Passed};
use crate::message::Wanted;

/// The tries after which a mail is announced, if the server returns other mails,
const TRIES: u32 = 3;
/// and if there is no other mail to compare it with.
const TRIES_ALONE: u32 = 6;
/// The first pause before a mail is requested again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause before it is announced.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A mail that has been gone from its folder for this long does not come back.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// An announced mail that ended the connection is requested less and less often, down to this rate.
const RAREST: Duration = Duration::from_hours(1);
/// How long mails wait, in all, for earlier ones that were not returned,
const PATIENCE: Duration = Duration::from_secs(10);
/// and the part of the time without waiting that is added to it again.
const REGAINED: u32 = 6;

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
    /// last reckoned.
    waited: Duration,
    reckoned: Option<Instant>,
    /// The mail to which the latest end of a connection was put down.
    blamed: Option<u32>,
}

/// What mails behind a wanted one wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Another request, at this time.
    Request(Instant),
    /// The announcement: it has failed often enough.
    Announcement,
}

/// A wanted mail.
#[derive(Debug)]
pub(super) struct Want {
    tries: u32,
    due: Instant,
    /// Why the latest try failed.
    why: String,
    /// Whether the server was merely busy.
    busy: bool,
    /// The latest look found that it is not in the folder.
    gone: bool,
    /// How many mails had been returned when it last failed.
    given_before: u64,
    /// Whether it failed again after others had been returned.
    proven: bool,
    /// Whether the latest try ended the connection.
    broke: bool,
    /// Tries since the announcement that ended the connection.
    breaks: u32,
    /// Whether it was compared with another mail since it last failed.
    compared: bool,
    /// Mails behind it have waited long enough.
    let_go: bool,
    /// It was returned, and is not stored yet.
    in_memory: bool,
    /// Whether its header was requested.
    header_asked: bool,
    /// The note that the server returns in its place.
    stand_in: Option<Bytes>,
    told: bool,
    /// Whether the store knows about it.
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

    /// Takes over what the store knows and this process does not.
    pub(super) fn adopt(&mut self, wanted: &[Wanted]) {
        for Wanted { uid, since, told } in wanted {
            let want = self
                .mails
                .entry(*uid)
                .or_insert_with(|| Want::new(*since, self.given));
            want.kept = true;
            want.told |= *told;
        }

        // A mail that another process has received is no longer wanted.
        self.mails
            .retain(|uid, want| !want.kept || wanted.iter().any(|wanted| wanted.uid == *uid));
    }

    pub(super) fn begin(&mut self, first: u32, last: u32) {
        self.in_hand = Some((first, last));
    }

    /// The mails in hand are done, successfully or not, and the connection still works.
    pub(super) fn end(&mut self) {
        self.in_hand = None;
    }

    /// The connection ended with `fault`. It does nothing if no mail was in hand, or if the fault
    /// cannot be a mail's. Returns whether an announced mail is to blame.
    pub(super) fn blame(&mut self, fault: &Fault, now: Timestamp) -> bool {
        self.blamed = None;
        match self.in_hand.take() {
            Some((first, last)) if fault.may_be_the_mails() => {
                self.alone_up_to = self.alone_up_to.max(last);
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
            _ => false,
        }
    }

    /// A mail was requested and not returned.
    pub(super) fn fail(&mut self, uid: u32, why: &str, busy: bool, now: Timestamp) {
        let (given, rescan) = (self.given, self.rescan);
        let want = self
            .mails
            .entry(uid)
            .or_insert_with(|| Want::new(now, given));

        // What failed because the server was busy had no fair try before this one.
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

    /// A mail is no longer in the folder.
    pub(super) fn miss(&mut self, uid: u32, now: Timestamp) {
        self.fail(
            uid,
            "it was announced, and was gone from the folder before it could be read",
            false,
            now,
        );

        if let Some(want) = self.mails.get_mut(&uid) {
            want.gone = true;
        }
    }

    /// The lowest mail up to `up_to` for which those behind it wait, and what they wait for.
    ///
    /// An end that is stored before its beginning would tell nobody of either, so a mail that was
    /// not returned is awaited for as long as its next tries may still bring it: they are few, and
    /// soon. If the server returns nothing at all, none is awaited, since none could overtake it.
    pub(super) fn awaited(&self, up_to: u32) -> Option<(u32, Awaited)> {
        let (all_fail, now) = (self.all_fail(), Instant::now());
        self.mails
            .range(..=up_to)
            .find_map(|(uid, want)| Some((*uid, self.awaits(want, all_fail, now)?)))
    }

    /// The lowest awaited mail to request now, or when there will be one.
    pub(super) fn next_request(&self, up_to: u32) -> Result<u32, Option<Instant>> {
        let (all_fail, now) = (self.all_fail(), Instant::now());
        let mut soonest = None;

        for (uid, want) in self.mails.range(..=up_to) {
            match self.awaits(want, all_fail, now) {
                Some(Awaited::Request(due)) if due <= now => return Ok(*uid),
                Some(Awaited::Request(due)) => {
                    soonest = Some(soonest.map_or(due, |soonest: Instant| soonest.min(due)));
                }
                _ => {}
            }
        }

        Err(soonest)
    }

    fn awaits(&self, want: &Want, all_fail: bool, now: Instant) -> Option<Awaited> {
        let others_came = self.given > want.given_before;
        if want.told || want.gone || want.let_go || want.in_memory {
            None
        } else if want.tries < TRIES {
            (others_came || !all_fail).then_some(Awaited::Request(want.due))
        } else if want.proven || (want.broke && !want.compared) {
            Some(Awaited::Announcement)
        } else if others_came {
            // The server gives mails again: this one had no fair try yet.
            Some(Awaited::Request(now))
        } else {
            (!want.compared).then_some(Awaited::Announcement)
        }
    }

    /// Whether a mail has failed often enough to be announced, and nothing was returned since.
    fn all_fail(&self) -> bool {
        self.mails.values().any(|want| {
            !want.told
                && !want.gone
                && !want.proven
                && want.tries >= TRIES
                && want.compared
                && want.given_before == self.given
        })
    }

    /// Whether the mail that ended the latest connection is awaited.
    pub(super) fn is_blamed_awaited(&self) -> bool {
        self.blamed.is_some_and(|uid| {
            let (all_fail, now) = (self.all_fail(), Instant::now());
            let want = self.mails.get(&uid);
            want.is_some_and(|want| self.awaits(want, all_fail, now).is_some())
        })
    }

    /// How long mails may still wait for earlier ones.
    pub(super) fn patience(&mut self) -> Duration {
        let now = Instant::now();
        let since = self.reckoned.replace(now);
        let regained = since.map_or(Duration::ZERO, |since| (now - since) / REGAINED);
        self.waited = self.waited.saturating_sub(regained);
        PATIENCE.saturating_sub(self.waited)
    }

    /// Mails have waited for so long.
    pub(super) fn has_waited(&mut self, span: Duration) {
        self.waited = PATIENCE.min(self.waited.saturating_add(span));
        self.reckoned = Some(Instant::now());
    }

    /// A scan begins, and what the one before had in memory is gone.
    pub(super) fn nothing_in_memory(&mut self) {
        self.mails
            .values_mut()
            .for_each(|want| want.in_memory = false);
    }

    /// Mails have waited long enough for these.
    pub(super) fn let_go(&mut self, up_to: u32) {
        for (_, want) in self.mails.range_mut(..=up_to) {
            want.let_go |= !want.told;
        }
    }

    /// What the store does not know as wanted up to `bookmark`, another process has stored.
    pub(super) fn were_read_elsewhere(&mut self, bookmark: u32) {
        self.mails.retain(|uid, want| want.kept || *uid > bookmark);
    }

    /// The store is to be told of all wanted mails again.
    pub(super) fn keep_again(&mut self) {
        self.mails.values_mut().for_each(|want| want.kept = false);
    }

    /// A mail was returned and is stored, or is no longer wanted.
    pub(super) fn forget(&mut self, uid: u32) {
        self.mails.remove(&uid);
    }

    /// UIDs have a new meaning.
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

    /// A mail that is already stored was returned: it shows that the server works.
    pub(super) fn prove(&mut self, uid: u32) {
        if let Some(want) = self.mails.get_mut(&uid) {
            want.proven = true;
        }
    }

    /// Why the server seems to return nothing: the fault of a mail that is not announced yet and
    /// has failed since the last one that was returned.
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

    /// The mails to request now, the most urgent first; at most `told_at_most` announced ones.
    pub(super) fn due(&self, told_at_most: usize) -> Vec<u32> {
        let now = Instant::now();
        let due = |told: bool| {
            let due = move |(_, want): &(&u32, &Want)| want.told == told && want.due <= now;
            self.mails.iter().filter(due).map(|(uid, _)| *uid)
        };
        due(false).chain(due(true).take(told_at_most)).collect()
    }

    /// Of those up to `up_to`, the ones that are not announced and have ended no connection.
    pub(super) fn due_harmless(&self, up_to: u32) -> Vec<u32> {
        let now = Instant::now();
        let due = self.mails.range(..=up_to);
        due.filter(|(_, want)| !want.told && !want.broke && want.due <= now)
            .map(|(uid, _)| *uid)
            .collect()
    }

    /// When the next mail is to be requested.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.mails.values().map(|want| want.due).min()
    }

    /// Whether another mail is needed to show that the server returns others.
    pub(super) fn wants_proof(&self, uid: u32) -> bool {
        self.mails
            .get(&uid)
            .is_some_and(|want| !want.told && !want.gone && !want.proven && want.tries >= TRIES)
    }

    pub(super) fn was_compared(&mut self, uid: u32) {
        if let Some(want) = self.mails.get_mut(&uid) {
            want.compared = true;
        }
    }

    /// Whether another request would only end the connection again.
    pub(super) fn broke(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.broke)
    }

    /// Nobody knows which of a mail's attributes broke the connection: every other try omits them.
    pub(super) fn ask_plainly(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.tries % 2 == 1)
    }

    /// Why a mail is to be announced now; `None` if it is too early, or if the server may be to
    /// blame.
    pub(super) fn to_tell(&self, uid: u32) -> Option<String> {
        let want = self.mails.get(&uid).filter(|want| !want.told)?;
        let is_only_one = self.mails.values().filter(|want| !want.told).count() == 1;
        let enough = (want.tries >= TRIES && (want.gone || want.proven))
            || (want.tries >= TRIES_ALONE && !want.busy && is_only_one);
        enough.then(|| want.why.clone())
    }

    /// Whether to request its header before the announcement: once, because that may end the
    /// connection as well.
    pub(super) fn ask_header(&mut self, uid: u32) -> bool {
        self.mails
            .get_mut(&uid)
            .is_some_and(|want| !std::mem::replace(&mut want.header_asked, true) && !want.gone)
    }

    /// It was announced, and is looked for at every rescan from now on.
    pub(super) fn told(&mut self, uid: u32) {
        if let Some(want) = self.mails.get_mut(&uid) {
            want.told = true;
            want.due = Instant::now() + self.rescan;
        }
    }

    /// A note that the server returns in place of the mail.
    pub(super) fn keep_stand_in(&mut self, uid: u32, note: Bytes) {
        if let Some(want) = self.mails.get_mut(&uid).filter(|want| !want.told) {
            want.stand_in = Some(note);
        }
    }

    pub(super) fn stand_in(&mut self, uid: u32) -> Option<Bytes> {
        self.mails.get_mut(&uid)?.stand_in.take()
    }

    pub(super) fn since(&self, uid: u32) -> Option<Timestamp> {
        self.mails.get(&uid).map(|want| want.since)
    }

    pub(super) fn is_told(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.told)
    }

    /// Whether the latest look found that a mail is not in the folder.
    pub(super) fn is_gone(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.gone)
    }

    /// Whether an announced mail has been gone long enough to give it up.
    pub(super) fn is_given_up(&self, uid: u32, now: Timestamp) -> bool {
        let over =
            |want: &Want| want.told && want.gone && now.duration_since(want.since) > GONE_AFTER;
        self.mails.get(&uid).is_some_and(over)
    }

    /// Whether the store knows that a mail is wanted.
    pub(super) fn is_kept(&self, uid: u32) -> bool {
        self.mails.get(&uid).is_some_and(|want| want.kept)
    }

    /// What the store must know once the bookmark is at `last_uid`.
    pub(super) fn to_keep(&self, last_uid: u32) -> Vec<Wanted> {
        let new = self.mails.range(..=last_uid).filter(|(_, want)| !want.kept);
        new.map(|(uid, want)| Wanted {
            uid: *uid,
            since: want.since,
            told: want.told,
        })
        .collect()
    }

    /// The store knows these now.
    pub(super) fn kept(&mut self, wanted: &[Wanted]) {
        for Wanted { uid, .. } in wanted {
            if let Some(want) = self.mails.get_mut(uid) {
                want.kept = true;
            }
        }
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
