//! What the store knows about an incident when a mail about it is decided.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::Silenced;
use crate::{delivery::Target, incident::Known, label::Labels, message::Outcome, silence::Silence};

/// What the store knows about an incident when a mail about it is decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub known: Known,
    /// The present labels of the incident; empty if it is new.
    pub labels: Labels,
    /// The targets that were, or are about to be, notified of the current episode's trigger. A
    /// resolve goes to them.
    pub told: Vec<Told>,
    /// The targets whose page a mute still holds.
    pub held: Vec<Told>,
    /// When its current episode began.
    pub opened_at: Option<Timestamp>,
    /// When the last mail about the incident arrived.
    pub heard_at: Option<Timestamp>,
    /// The page of the incident that a silence holds.
    pub silenced: Option<Silenced>,
    /// The number of verified openings of incidents of the same app and metric in the last 28 days.
    pub recurrence_28d: u64,
    /// Where the first mail with the same status and time arrived, and when it was decided.
    pub first_heard: Option<Heard>,
    /// The number of unverified triggers of the same ingress and profile that notified somebody in
    /// the last hour; 0 for a verified trigger, to which no limit applies.
    pub marked: u64,
    /// The outcome of this mail when it was decided before it could be checked, if it notified
    /// somebody: it must not do so twice.
    pub told_before: Option<Outcome>,
    /// The silences that are active now, the first to end first.
    pub silences: Vec<Silence>,
}

/// How far ahead a sender's clock may be and still tell the order of its mails. One mail may
/// overtake another, and few clocks are right to the second.
const SLIGHTLY_AHEAD: SignedDuration = SignedDuration::from_mins(1);

impl Memory {
    /// Returns the same memory, with the newest time no later than the last arrival. A sender's
    /// clock may have been ahead, and then none of its mails would be news once the clock is right
    /// again.
    pub(crate) fn as_it_arrived(&self) -> Cow<'_, Self> {
        let newest = self.known.state.as_ref().and_then(|state| state.newest);
        let ahead = newest
            .zip(self.heard_at)
            .map(|(newest, heard_at)| newest.duration_since(heard_at));
        if ahead.is_none_or(|ahead| ahead <= SLIGHTLY_AHEAD) {
            return Cow::Borrowed(self);
        }

        let mut memory = self.clone();
        if let Some(state) = &mut memory.known.state {
            state.newest = self.heard_at;
        }
        Cow::Owned(memory)
    }

    /// Returns whether somebody was told of the current episode, or a page about it is held for
    /// them.
    pub(crate) fn is_told(&self) -> bool {
        !self.told.is_empty() || !self.held.is_empty()
    }

    /// Returns whether the incident's own opening is among those that are counted. It is not if it
    /// is longer ago than the window.
    pub(crate) fn counts_its_own(&self, now: Timestamp) -> bool {
        let since = hour(now.saturating_sub(RECURRENCE).unwrap_or(now));
        self.opened_at.is_some_and(|at| hour(at) > since)
    }

    /// Returns whether a silence has ended that held a page of the incident which nobody has
    /// received yet.
    pub(crate) fn owes_what_was_silenced(&self, now: Timestamp) -> bool {
        let held = self.silenced.as_ref();
        held.is_some_and(|silenced| silenced.until <= now)
    }
}

/// The ingress of a first copy, and when that copy was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub ingress: String,
    pub at: Timestamp,
}

/// An integration that the store records as notified of a trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub target: Target,
    /// The alias that a trigger and its resolve share.
    pub alias: String,
    /// Until when its page is held; `None` if the page is not held.
    pub held_until: Option<Timestamp>,
    /// Whether only unproven triggers were sent to it since the last resolve, so that the alert
    /// that its vendor has open comes from one of them.
    pub doubtful: bool,
}

/// The window over which openings are counted, which is that of Atlassian's objectives.
pub(crate) const RECURRENCE: SignedDuration = SignedDuration::from_hours(28 * 24);

/// The window of `max_per_hour`.
pub(super) const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Returns the number of the hour since the epoch. Openings are counted by the hour, so that their
/// sum costs the same however many there are.
pub(crate) fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}
