//! What the store knows of an incident when a mail about it is decided.

use jiff::{SignedDuration, Timestamp};

use super::Silenced;
use crate::{delivery::Target, incident::Known, message::Outcome, silence::Silence};

/// What the store knows when a mail is decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub known: Known,
    /// Who was told of the current episode's trigger, or is about to be: whom a resolve goes to.
    pub told: Vec<Told>,
    /// Whose page of it a mute still holds.
    pub held: Vec<Told>,
    /// When the incident was last heard of.
    pub heard_at: Option<Timestamp>,
    /// Its page that a silence holds.
    pub silenced: Option<Silenced>,
    /// Verified openings of incidents of the same app and metric in the 28 days before.
    pub recurrence_28d: u64,
    /// Where and when the same status and time were first heard.
    pub first_heard: Option<Heard>,
    /// Unverified triggers of the same ingress told in the hour before; 0 to a verified one, which
    /// no limit holds.
    pub marked: u64,
    /// What became of this mail when it was decided before it could be checked, where somebody was
    /// told: once is enough.
    pub told_before: Option<Outcome>,
    /// Those that are active now, the first to end first.
    pub silences: Vec<Silence>,
}

impl Memory {
    /// Whether the silence has ended that holds a page of it, which nobody was told yet.
    pub(crate) fn owes_what_was_silenced(&self, now: Timestamp) -> bool {
        let held = self.silenced.as_ref();
        held.is_some_and(|silenced| silenced.until <= now)
    }
}

/// Which ingress brought something, and when that was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub ingress: String,
    pub at: Timestamp,
}

/// One integration that was told of a trigger, by the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub target: Target,
    /// Under which trigger and resolve meet.
    pub alias: String,
}

/// The window of Atlassian's objectives, over which openings are counted.
pub(crate) const RECURRENCE: SignedDuration = SignedDuration::from_hours(28 * 24);

/// The window of `max_per_hour`.
pub(super) const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The hour since the epoch: openings are counted by the hour, so that their sum costs the same
/// however many there are.
pub(crate) fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}
