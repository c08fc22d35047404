//! Objectives: how long they were breached, and how much of the error budget that leaves. Pure.
//!
//! A breach lasts from its trigger's time to its resolve's; an open one lasts to the time of
//! measuring. It is cut at the edges of the window, and time in which breaches overlap counts once.
//! Time within announced maintenance is a breach that spends nothing, because Atlassian does not
//! count it.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    label::{Labels, Matcher},
    settings::{Duration, Problem},
};

/// The window of Atlassian's objectives.
const WINDOW: Duration = Duration::from_secs(28 * 24 * 3600);

/// An objective by which error budgets are measured, in place of the alerts' own (`objectives[]`).
/// The first entry whose matchers match an alert applies to it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Objective")]
pub struct Settings {
    /// The matchers of the alerts to which the objective applies, as in a route. If empty, it
    /// applies to all alerts.
    #[serde(default)]
    pub matchers: Vec<String>,
    /// The objective in percent, between 0 and 100, such as 99.9. The default is the alert's own.
    #[serde(default)]
    pub slo: Option<f64>,
    /// The period over which the error budget is measured, longer than 0s. The default is 28d.
    #[serde(default = "usual")]
    pub window: Duration,
}

fn usual() -> Duration {
    WINDOW
}

impl Settings {
    /// Returns the problems of the setting, whose path is `key`.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        for (place, matcher) in self.matchers.iter().enumerate() {
            if let Err(error) = Matcher::parse_list(matcher) {
                found.push(Problem::new(
                    format!("{key}.matchers[{place}]"),
                    format!("`{matcher}` is not a valid matcher: {error}"),
                    "write it like `app_key=\"com.example.app\"`",
                ));
            }
        }

        if self.slo.is_some_and(|slo| !(slo > 0.0 && slo < 100.0)) {
            found.push(Problem::new(
                format!("{key}.slo"),
                "an objective lies between 0 and 100 percent",
                "write it in percent: `slo: 99.9`",
            ));
        }

        if self.window.is_zero() {
            found.push(Problem::new(
                format!("{key}.window"),
                "nothing can be measured in a window of length zero",
                "write it like `window: 28d`",
            ));
        }

        found
    }

    fn is_about(&self, labels: &Labels) -> bool {
        let matchers = self.matchers.iter().map(|text| Matcher::parse_list(text));
        matchers
            .flatten()
            .flatten()
            .all(|matcher| matcher.holds(labels))
    }
}

/// Returns the target for an alert with these labels: the objective as a fraction, and the window.
///
/// The first matching setting applies, else the alert's own objective, else the one that Atlassian
/// publishes for its SLI.
pub fn target(settings: &[Settings], labels: &Labels) -> (f64, Duration) {
    let own = || {
        let label = labels.get("slo_value").and_then(|slo| slo.parse().ok());
        label.filter(|slo| *slo > 0.0 && *slo <= 100.0)
    };
    let published = || match labels.get("sli").map(String::as_str) {
        Some("iframe_load") => 95.0,
        Some("installation_callback" | "webhook_delivery") => 99.0,
        _ => 99.9,
    };

    let set = settings.iter().find(|one| one.is_about(labels));
    let slo: f64 = set
        .and_then(|one| one.slo)
        .or_else(own)
        .unwrap_or_else(published);

    (slo / 100.0, set.map_or(WINDOW, |one| one.window))
}

/// A period that includes its beginning and excludes its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    /// Returns the overlap of two periods.
    fn within(self, other: Self) -> Option<Self> {
        let common = Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        };
        (common.from < common.to).then_some(common)
    }
}

/// A period during which an objective was missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The trigger's time.
    pub from: Timestamp,
    /// The resolve's time; `None` while it is open.
    pub to: Option<Timestamp>,
    /// The times at which silences that cover it were active.
    pub silenced: Vec<Span>,
}

/// Returns the breaches in an alert's statuses, in order. `true` means firing.
pub fn breaches(mut said: Vec<(Timestamp, bool)>, silenced: &[Span]) -> Vec<Breach> {
    // Of statuses at the same time, the resolve comes last, so that there was a breach.
    said.sort_by_key(|(at, on)| (*at, !on));

    let mut found: Vec<Breach> = Vec::new();
    for (at, on) in said {
        match found.last_mut().filter(|breach| breach.to.is_none()) {
            None if on => found.push(Breach {
                from: at,
                to: None,
                silenced: silenced.to_vec(),
            }),
            Some(open) if !on => open.to = Some(at),
            _ => {}
        }
    }

    found
}

/// The step of Atlassian's escalation that follows from the breaches of a window. Atlassian names
/// the steps and publishes no numbers: this is the bridge's reading of "frequency and consistency".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ladder {
    /// There was no breach outside announced maintenance.
    None,
    /// There was one breach outside announced maintenance.
    Incident,
    /// There were several such breaches.
    Remediation,
    /// There were several such breaches, and the error budget is spent.
    Demotion,
}

impl Ladder {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Incident => "incident",
            Self::Remediation => "remediation",
            Self::Demotion => "demotion",
        }
    }
}

/// The measurement of an objective over a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The number of breaches, announced or not.
    pub breaches: u64,
    pub breach_seconds: i64,
    /// The part of the breached time that lies within announced maintenance.
    pub maintenance_seconds: i64,
    pub budget_seconds: f64,
    /// The part of the budget that is spent; 1 is all of it. `None` if there is no budget and some
    /// time was spent.
    pub spent: Option<f64>,
    pub left: Option<f64>,
    pub ladder: Ladder,
    /// The number of breaches that began in the window.
    pub recurrence: u64,
    /// The times of the breaches, cut and merged, for drawing.
    pub spans: Vec<Span>,
    /// The parts of `spans` that lie within announced maintenance.
    pub announced: Vec<Span>,
}

/// Measures breaches in the window that ends `at`.
pub fn measure(breaches: &[Breach], slo: f64, window: Duration, at: Timestamp) -> Measure {
    let from = at
        .saturating_sub(window.as_signed())
        .unwrap_or(Timestamp::MIN);
    let frame = Span { from, to: at };

    let (mut all, mut counted) = (Vec::new(), Vec::new());
    let (mut number, mut unannounced, mut began) = (0, 0, 0);
    for breach in breaches {
        let span = Span {
            from: breach.from,
            to: breach.to.unwrap_or(at),
        };
        // A breach that ends when it begins still counts.
        let is_within =
            span.from < at && span.to > from || span.from == span.to && frame.holds(span.from);
        if !is_within {
            continue;
        }

        number += 1;
        began += u64::from(frame.holds(breach.from));
        let cut = span.within(frame);
        let rest = cut.map_or_else(Vec::new, |cut| without(cut, &breach.silenced));
        let is_announced = match cut {
            Some(_) => rest.is_empty(),
            None => breach
                .silenced
                .iter()
                .any(|silence| silence.holds(span.from)),
        };
        unannounced += u64::from(!is_announced);
        all.extend(cut);
        counted.extend(rest);
    }

    let spans = union(all);
    let breach_seconds = length(&spans).as_secs();
    let counted = union(counted);
    let counted_seconds = length(&counted).as_secs();
    let budget_seconds = rounded((1.0 - slo) * window.as_signed().as_secs_f64());
    let spent = share(counted_seconds, budget_seconds);

    Measure {
        breaches: number,
        breach_seconds,
        maintenance_seconds: breach_seconds - counted_seconds,
        budget_seconds,
        spent,
        left: spent.map(|spent| rounded(1.0 - spent)),
        ladder: match unannounced {
            0 => Ladder::None,
            1 => Ladder::Incident,
            _ if spent.is_none_or(|spent| spent >= 1.0) => Ladder::Demotion,
            _ => Ladder::Remediation,
        },
        recurrence: began,
        announced: spans
            .iter()
            .flat_map(|span| without(*span, those_within(*span, &counted)))
            .collect(),
        spans,
    }
}

impl Span {
    fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

#[expect(clippy::cast_precision_loss, reason = "no window has so many seconds")]
fn share(seconds: i64, budget: f64) -> Option<f64> {
    if budget > 0.0 {
        Some(rounded(seconds as f64 / budget))
    } else {
        (seconds == 0).then_some(0.0)
    }
}

/// Rounds to six decimals, to hide the noise of binary fractions.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Merges overlapping periods, and returns them in order.
fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => joined.push(span),
        }
    }
    joined
}

/// Returns what is left of a period without others.
fn without(span: Span, others: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    let mut from = span.from;
    for other in union(
        others
            .iter()
            .filter_map(|other| other.within(span))
            .collect(),
    ) {
        if from < other.from {
            left.push(Span {
                from,
                to: other.from,
            });
        }
        from = other.to;
    }
    if from < span.to {
        left.push(Span { from, to: span.to });
    }
    left
}

/// Returns the periods of a union that overlap a given one.
fn those_within(span: Span, union: &[Span]) -> &[Span] {
    let first = union.partition_point(|one| one.to <= span.from);
    let end = union.partition_point(|one| one.from < span.to);
    union.get(first..end).unwrap_or_default()
}

fn length(spans: &[Span]) -> SignedDuration {
    let lengths = spans.iter().map(|span| span.to.duration_since(span.from));
    lengths.fold(SignedDuration::ZERO, SignedDuration::saturating_add)
}

#[cfg(test)]
mod tests;
