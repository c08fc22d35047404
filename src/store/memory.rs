//! What the store knows of an incident when a mail about it is decided.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::Silenced;
use crate::{delivery::Target, incident::Known, label::Labels, message::Outcome, silence::Silence};

/// What the store knows about an incident when a mail is decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub known: Known,
    /// The labels of the incident as they stand; none if it is new.
    pub labels: Labels,
    /// Who was, or is about to be, notified of the current episode's trigger: a resolve goes to
    /// them.
    pub told: Vec<Told>,
    /// Whose page a mute still holds.
    pub held: Vec<Told>,
    /// When its current episode began.
    pub opened_at: Option<Timestamp>,
    /// When the last mail about the incident arrived.
    pub heard_at: Option<Timestamp>,
    /// The page of the incident that a silence holds.
    pub silenced: Option<Silenced>,
    /// The number of verified openings of incidents of the same app and metric in the last 28 days.
    pub recurrence_28d: u64,
    /// When and where the same status and time first arrived.
    pub first_heard: Option<Heard>,
    /// The number of unverified triggers of the same ingress that notified somebody in the last
    /// hour; 0 for a verified trigger, which no limit applies to.
    pub marked: u64,
    /// The outcome of this mail when it was decided before it could be checked, if it notified
    /// somebody: it must not do so twice.
    pub told_before: Option<Outcome>,
    /// The silences that are active now, the first to end first.
    pub silences: Vec<Silence>,
}

/// How far ahead a sender's clock may be and still tell the order of its mails: one may overtake
/// another, and few clocks are right to the second.
const SLIGHTLY_AHEAD: SignedDuration = SignedDuration::from_mins(1);

impl Memory {
    /// The same, with the newest time no later than the last arrival: a sender's clock may have
    /// been ahead, and none of its mails would be news once it is right again.
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

    /// Whether somebody was told of the current episode, or a page about it is held for them.
    pub(crate) fn is_told(&self) -> bool {
        !self.told.is_empty() || !self.held.is_empty()
    }

    /// Whether the incident's own opening is among those that are counted: it may be longer ago.
    pub(crate) fn counts_its_own(&self, now: Timestamp) -> bool {
        let since = hour(now.saturating_sub(RECURRENCE).unwrap_or(now));
        self.opened_at.is_some_and(|at| hour(at) > since)
    }

    /// Whether a silence has ended that holds a page of the incident which nobody has received yet.
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

/// An integration that was notified of a trigger, by the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub target: Target,
    /// The key under which trigger and resolve meet.
    pub alias: String,
    /// Until when its page is held; `None` if it is not.
    pub held_until: Option<Timestamp>,
}

/// The window of Atlassian's objectives, over which openings are counted.
pub(crate) const RECURRENCE: SignedDuration = SignedDuration::from_hours(28 * 24);

/// The window of `max_per_hour`.
pub(super) const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The hour since the epoch. Openings are counted by the hour, so that their sum costs the same
/// however many there are.
pub(crate) fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}
