//! What a mail says of an incident, and the state machine over it.
//!
//! Pure: the store loads what is [`Known`], [`transition`] concludes, the store writes. The rules
//! are the contract's "What counts as the same".

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{clock::in_words, label::Labels, settings::Problem};

/// One alert, read and checked: what every profile makes of its mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The same for a trigger and its resolve; what an incident *is*.
    pub incident_id: String,
    /// Verbatim.
    pub status: String,
    /// What the status means, by its profile.
    pub signal: Signal,
    /// When it was seen, as the mail says.
    pub time: Timestamp,
    /// Whether `time` is the mail's Date.
    pub by_date: bool,
    /// What the mail says, for routes, rules and templates.
    pub labels: Labels,
    /// What its openings are counted under.
    pub series: Series,
    /// The app it is about, where its profile expects only some.
    pub app: Option<String>,
    /// What the mail holds, additions included.
    pub json: Value,
}

/// The profile of `alerts:`, which is built in: Atlassian's own SLI mail. Its incidents are called
/// as the mail calls them, all others' `PROFILE:KEY`.
pub const ATLASSIAN_SLI: &str = "atlassian-sli";

/// What openings are counted under for `recurrence_28d`: an app and its metric, or a profile and
/// its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    pub of: String,
    pub what: String,
}

/// What a status means (`alerts.status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    Trigger,
    Resolve,
    /// News of an open incident: told while it is open, and of no interest else.
    Update,
    /// In neither list: delivered as a trigger and reported as drift, never dropped.
    Unknown,
}

/// `alerts.status` of the configuration: which statuses open an incident and which end it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Statuses {
    pub trigger: Vec<String>,
    pub resolve: Vec<String>,
}

impl Default for Statuses {
    /// SignalFx's detector states, which the one published example's vocabulary is.
    fn default() -> Self {
        Self {
            trigger: vec!["ANOMALOUS".into()],
            resolve: ["OK", "AUTO_RESOLVED", "MANUALLY_RESOLVED", "STOPPED"]
                .map(Into::into)
                .to_vec(),
        }
    }
}

impl Statuses {
    /// What is wrong with them; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.trigger.is_empty() {
            found.push(Problem::new(
                format!("{key}.trigger"),
                "without a status nothing opens an incident",
                "add one: `trigger: [ANOMALOUS]`",
            ));
        }

        for (index, status) in self.resolve.iter().enumerate() {
            if self.signal(status) == Signal::Trigger {
                found.push(Problem::new(
                    format!("{key}.resolve[{index}]"),
                    format!("`{status}` stands in `trigger` as well"),
                    "a status either opens an incident or ends it: keep it in one list",
                ));
            }
        }

        found
    }

    /// What a status means, however it is spelt.
    pub fn signal(&self, status: &str) -> Signal {
        let status = normalize_status(status);
        let among = |list: &[String]| list.iter().any(|known| normalize_status(known) == status);

        if among(&self.trigger) {
            Signal::Trigger
        } else if among(&self.resolve) {
            Signal::Resolve
        } else {
            Signal::Unknown
        }
    }
}

/// Whether an incident is on.
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
}

/// An incident's state as the applied mails have left it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub phase: Phase,
    /// The status that led here, normalised.
    pub status: String,
    /// The newest `time` applied; none for an alert that could not be read.
    pub newest: Option<Timestamp>,
    /// Whether a verified mail led here. Unverified mail never changes a verified state.
    pub verified: bool,
    /// Whether the trigger was kept from everybody because it was expired or silenced.
    pub untold: bool,
    /// Counts the openings: a resolve goes to those told of the *current* one.
    pub episode: i64,
    /// What was last told of this one, of what a change of is told (`notify_on_change`); empty
    /// where nothing was.
    pub told: Values,
}

/// Labels by name, of those that a change of is told.
pub type Values = BTreeMap<String, String>;

/// What the store remembers of an incident when a mail about it comes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    pub state: Option<State>,
    /// Whether a mail of the same status and time was applied before; to a verified mail only
    /// verified ones count.
    pub applied_before: bool,
}

impl Known {
    /// Whether the state a mail leads to is kept: unverified mail never changes the state or clock
    /// of a verified incident.
    pub fn keeps(&self, seen: &Observation) -> bool {
        seen.verified || self.state.as_ref().is_none_or(|state| !state.verified)
    }
}

/// What one mail says, as far as the state machine cares.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub signal: Signal,
    /// Normalised by [`normalize_status`].
    pub status: String,
    /// None for an alert that could not be read.
    pub time: Option<Timestamp>,
    /// Whether `time` is the mail's Date, which counts seconds: of two mails of one second the one
    /// that came later is newer.
    pub by_date: bool,
    pub verified: bool,
    /// False where the mail is older than `max_age`: such a trigger is recorded and pages nobody.
    pub fresh: bool,
    /// What a change of is told.
    pub values: Values,
}

/// What follows from a mail.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// It is on, and receivers are to be told. The new state is the second value.
    Opened(State),
    Reopened(State),
    /// An unknown status: told as a trigger is.
    Updated(State),
    /// News of an incident that goes on.
    Continued(State),
    /// It is on as before, and not as it was told: worse, for instance.
    Changed(State),
    /// It is over; those told of the trigger are told of that.
    Resolved(State),
    /// A trigger too old to wake anybody. The state moves, and nobody is told.
    Expired(State),
    /// Known already; where a verified mail repeats the state with a newer time, the time advances.
    Duplicate {
        advance: Option<State>,
        reason: String,
    },
    /// Older than what is known.
    Stale {
        reason: String,
    },
    /// News of an incident that is not open.
    Ignored {
        reason: String,
    },
}

/// The same status however it is spelt: `manually resolved` and `MANUALLY_RESOLVED` are one.
pub fn normalize_status(status: &str) -> String {
    status
        .trim()
        .split(|c: char| c == '_' || c == '-' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
        .to_uppercase()
}

/// Decides what a mail means for an incident.
///
/// What follows from an unverified mail about a verified incident is told, and its state is not
/// kept: see [`Known::keeps`].
pub fn transition(known: &Known, seen: &Observation) -> Transition {
    let Some(state) = &known.state else {
        return first(seen);
    };
    if seen.signal == Signal::Update && state.phase == Phase::Resolved {
        return no_news(seen);
    }

    // A trigger kept from everybody counts as never told: its next fresh copy pages, repeat or not.
    let owed = state.untold
        && state.phase == Phase::Firing
        && seen.fresh
        && matches!(seen.signal, Signal::Trigger | Signal::Unknown);

    // Nothing an unverified mail did stands in the way of a verified one that confirms it.
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
            &format!("the incident is {} already", state.phase.as_str()),
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

/// A mail about an incident nobody has heard of.
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
            "{} is news of an incident, and this one is not open",
            seen.status
        ),
    }
}

/// A mail that moves a known incident.
fn moved(state: &State, seen: &Observation) -> Transition {
    let opens = seen.signal != Signal::Resolve && state.phase == Phase::Resolved;
    let next = next(state, seen);

    match seen.signal {
        Signal::Resolve => Transition::Resolved(State {
            untold: state.untold,
            ..next
        }),
        // An open incident somebody was told of stays told, however old the mail is that says more
        // of it.
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

/// The state a mail leads to.
fn next(state: &State, seen: &Observation) -> State {
    let opens = seen.signal != Signal::Resolve && state.phase == Phase::Resolved;
    State {
        phase: if seen.signal == Signal::Resolve {
            Phase::Resolved
        } else {
            Phase::Firing
        },
        // News does not change what the incident is in.
        status: if seen.signal == Signal::Update {
            state.status.clone()
        } else {
            seen.status.clone()
        },
        // An unverified mail may say it is of next year: the clock begins with the first that is
        // verified.
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

/// Whether the mail repeats an open incident, is not older than what is known, and says something
/// else than was told.
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

/// Whether the mail says no more than the state the incident is in.
fn repeats(state: &State, seen: &Observation) -> bool {
    match seen.signal {
        Signal::Trigger => state.phase == Phase::Firing,
        Signal::Resolve => state.phase == Phase::Resolved,
        Signal::Unknown => state.phase == Phase::Firing && state.status == seen.status,
        // Each is news.
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

#[cfg(test)]
mod tests;
