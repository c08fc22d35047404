//! The state machine over an incident: what is [`Known`], what is seen, and what follows.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Signal;
use crate::clock::in_words;

/// How far apart, by the Dates of their mails, two unreadable alerts with the same text must be for
/// both to be told. It is Alertmanager's `repeat_interval`: a storm of them pages once in this
/// time, and no outage stays unreported for longer.
pub const UNREAD: SignedDuration = SignedDuration::from_hours(4);

/// Whether an incident is firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Firing,
    Resolved,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// Returns the name of the phase for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Firing => "open",
            Self::Resolved => "resolved",
        }
    }
}

/// The state of an incident after the applied mails.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub phase: Phase,
    /// The status that led here, normalised.
    pub status: String,
    /// The newest `time` of the applied mails; `None` for the bridge's own alarms.
    pub newest: Option<Timestamp>,
    /// Whether a verified mail led here. Unverified mail never changes a verified state.
    pub verified: bool,
    /// Whether nobody was told of the trigger because it was expired or silenced. False for an
    /// incident of which somebody was told.
    pub untold: bool,
    /// The number of the episode: a resolve goes to those who were told of the *current* one.
    pub episode: i64,
    /// The values last told of the labels whose change is announced (`notify_on_change`); empty if
    /// there were none.
    pub told: Values,
}

/// The labels whose change is announced, by name.
pub type Values = BTreeMap<String, String>;

/// What the store remembers of an incident when a mail about it arrives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    pub state: Option<State>,
    /// Whether a mail of the same status and time was applied before; for a verified mail, only
    /// verified ones count. For an unreadable alert, times within [`UNREAD`] of each other are the
    /// same.
    pub applied_before: bool,
}

impl Known {
    /// Decides whether the resulting state is stored: an unverified mail never changes the state or
    /// the newest time of a verified incident.
    pub fn keeps(&self, seen: &Observation) -> bool {
        seen.verified || self.state.as_ref().is_none_or(|state| !state.verified)
    }
}

/// The part of a mail that the state machine needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub signal: Signal,
    /// The status, normalised by [`normalize_status`](super::normalize_status).
    pub status: String,
    /// The time according to the mail; `None` for the bridge's own alarms.
    pub time: Option<Timestamp>,
    /// Whether `time` is the mail's Date, which has whole seconds: of two mails in the same second,
    /// the one that arrives later is newer.
    pub by_date: bool,
    pub verified: bool,
    /// False if the mail is older than `max_age`: such a trigger is recorded, and pages nobody.
    pub fresh: bool,
    /// The values of the labels whose change is announced.
    pub values: Values,
}

/// The effect of a mail on an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// The incident is firing, and receivers are notified. The value is the new state.
    Opened(State),
    Reopened(State),
    /// An unknown status: announced like a trigger.
    Updated(State),
    /// An update of an open incident, which stays open.
    Continued(State),
    /// The incident is still firing, but differs from what was announced: for example, it is worse.
    Changed(State),
    /// The incident is over; those who were told of the trigger are told of the end.
    Resolved(State),
    /// A trigger that is too old to page. The state changes, and nobody is notified.
    Expired(State),
    /// The mail adds nothing. The newest time advances if this mail repeats the state with a newer
    /// one, unless the mail is unverified and the state verified.
    Duplicate {
        advance: Option<State>,
        reason: String,
    },
    /// The mail is older than what is known.
    Stale {
        reason: String,
    },
    /// An update of an incident that is not open.
    Ignored {
        reason: String,
    },
}

/// Decides the effect of a mail on an incident.
///
/// The effect of an unverified mail on a verified incident is announced, but its state is not
/// stored: see [`Known::keeps`].
pub fn transition(known: &Known, seen: &Observation) -> Transition {
    let Some(state) = &known.state else {
        return first(seen);
    };
    if seen.signal == Signal::Update && state.phase == Phase::Resolved {
        return no_news(seen);
    }

    // A trigger that nobody was told of counts as never announced: its next fresh copy pages, even
    // if it is a repeat.
    let owed = state.untold
        && state.phase == Phase::Firing
        && seen.fresh
        && matches!(seen.signal, Signal::Trigger | Signal::Unknown);

    // An unverified mail never stands in the way of a verified mail that confirms it.
    let confirms = seen.verified && !state.verified;

    if !owed && !confirms && changes(state, seen) {
        return Transition::Changed(next(state, seen));
    }

    if known.applied_before && !owed && !confirms {
        return duplicate(
            state,
            seen,
            "this status and time of the incident were applied before",
        );
    }

    if repeats(state, seen) && !owed && !confirms {
        return duplicate(
            state,
            seen,
            &format!("the incident is already {}", state.phase.in_words()),
        );
    }

    if let (Some(newest), Some(time)) = (state.newest, seen.time) {
        if time < newest && !confirms {
            return Transition::Stale {
                reason: format!(
                    "its time {} is older than {}, the newest applied",
                    in_words(time),
                    in_words(newest)
                ),
            };
        }
        if state.phase == Phase::Resolved
            && seen.signal != Signal::Resolve
            && time <= newest
            && !seen.by_date
            && !confirms
        {
            return Transition::Stale {
                reason: format!(
                    "its time {} is not newer than the resolve at {}: only a newer trigger reopens",
                    in_words(time),
                    in_words(newest)
                ),
            };
        }
    }

    moved(state, seen)
}

/// Decides the effect of an alert that could not be read.
///
/// No mail says that such an alert is over, so a mail with the same text reports either the same
/// trouble or the next. It is told again once [`UNREAD`] lies between it and the mail that was
/// told, or once a person has ended the incident.
pub fn unread(known: &Known, seen: &Observation) -> Transition {
    let Some(state) = &known.state else {
        return first(seen);
    };

    let is_owed = state.untold && seen.fresh;
    let confirms = seen.verified && !state.verified;
    let is_ended = state.phase == Phase::Resolved && seen.time > state.newest;
    if known.applied_before && !is_owed && !confirms && !is_ended {
        return Transition::Duplicate {
            advance: None,
            reason: format!(
                "an alert that reads the same was told within {} hours of it",
                UNREAD.as_hours()
            ),
        };
    }

    if is_owed || confirms {
        return moved(state, seen);
    }
    let over = State {
        phase: Phase::Resolved,
        ..state.clone()
    };
    moved(&over, seen)
}

/// Decides the effect of the first mail about an incident.
fn first(seen: &Observation) -> Transition {
    let state = State {
        phase: Phase::Firing,
        status: seen.status.clone(),
        newest: seen.time,
        verified: seen.verified,
        untold: false,
        episode: 1,
        told: Values::new(),
    };

    match seen.signal {
        Signal::Resolve => Transition::Resolved(State {
            phase: Phase::Resolved,
            ..state
        }),
        Signal::Update => no_news(seen),
        _ if !seen.fresh => Transition::Expired(State {
            untold: true,
            ..state
        }),
        Signal::Trigger => Transition::Opened(state),
        Signal::Unknown => Transition::Updated(state),
    }
}

fn no_news(seen: &Observation) -> Transition {
    Transition::Ignored {
        reason: format!(
            "{} updates an open incident, and this one is not open",
            seen.status
        ),
    }
}

/// Decides the effect of a mail that changes a known incident.
fn moved(state: &State, seen: &Observation) -> Transition {
    let opens = seen.signal != Signal::Resolve && state.phase == Phase::Resolved;
    let next = next(state, seen);

    match seen.signal {
        Signal::Resolve => Transition::Resolved(State {
            untold: state.untold,
            ..next
        }),
        // An open incident that was announced stays announced, however old a further mail about it
        // is.
        _ if !seen.fresh => Transition::Expired(State {
            untold: opens || state.untold,
            ..next
        }),
        Signal::Unknown => Transition::Updated(next),
        Signal::Update => Transition::Continued(next),
        Signal::Trigger if opens => Transition::Reopened(next),
        Signal::Trigger => Transition::Opened(next),
    }
}

/// Returns the state after a mail.
fn next(state: &State, seen: &Observation) -> State {
    let opens = seen.signal != Signal::Resolve && state.phase == Phase::Resolved;
    State {
        phase: if seen.signal == Signal::Resolve {
            Phase::Resolved
        } else {
            Phase::Firing
        },
        // An update does not change the phase of the incident.
        status: if seen.signal == Signal::Update {
            state.status.clone()
        } else {
            seen.status.clone()
        },
        // An unverified mail may claim a time in the next year: the newest time is counted from the
        // first verified mail.
        newest: if seen.verified && !state.verified {
            seen.time
        } else {
            seen.time.max(state.newest)
        },
        verified: seen.verified || state.verified,
        untold: false,
        episode: state.episode + i64::from(opens),
        told: if opens {
            Values::new()
        } else {
            state.told.clone()
        },
    }
}

/// Decides whether the mail repeats an open incident, is not older than what is known, and differs
/// from what was announced.
fn changes(state: &State, seen: &Observation) -> bool {
    let other = seen
        .values
        .iter()
        .any(|(name, value)| state.told.get(name).is_some_and(|told| told != value));

    let older = seen
        .time
        .zip(state.newest)
        .is_some_and(|(time, newest)| time < newest);

    other && !older && seen.fresh && state.phase == Phase::Firing && repeats(state, seen)
}

/// Decides whether the mail only repeats the present state of the incident.
fn repeats(state: &State, seen: &Observation) -> bool {
    match seen.signal {
        Signal::Trigger => state.phase == Phase::Firing,
        Signal::Resolve => state.phase == Phase::Resolved,
        Signal::Unknown => state.phase == Phase::Firing && state.status == seen.status,
        // Every update is new.
        Signal::Update => false,
    }
}

fn duplicate(state: &State, seen: &Observation, reason: &str) -> Transition {
    let newer = seen.time > state.newest && (seen.verified || !state.verified);
    Transition::Duplicate {
        advance: newer.then(|| State {
            newest: seen.time,
            ..state.clone()
        }),
        reason: reason.to_owned(),
    }
}
