//! Time intervals, as Alertmanager has them (`timeinterval/timeinterval.go`).

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::Problem;

mod range;

/// A named time interval, as in Alertmanager (`time_intervals[]`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name by which routes refer to it. No other time interval may have it.
    pub name: String,
    /// The intervals of this name, which is active while any of them is.
    pub time_intervals: Vec<Interval>,
}

/// An interval, which is active while all of its fields match. An empty field always matches.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interval {
    /// The times of day. A night takes two entries: 22:00 to 24:00 and 00:00 to 06:00.
    pub times: Vec<Times>,
    /// The weekdays, or ranges of them: `monday:friday`, `sunday`. A week starts on Sunday.
    pub weekdays: Vec<String>,
    /// The days of the month, or ranges of them: `1:5`, `15`, `-3:-1`. Negative days count from the
    /// end of the month; -1 is its last day.
    pub days_of_month: Vec<String>,
    /// The months, or ranges of them, by name or number: `january:march`, `12`.
    pub months: Vec<String>,
    /// The years, or ranges of them: `2026:2027`, `2026`.
    pub years: Vec<String>,
    /// The IANA time zone, such as `Europe/Berlin`, or `Local` for the zone of the machine. The
    /// default is UTC.
    pub location: Option<String>,
}

/// A period of the day.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// The start, as `HH:MM`; it is part of the period.
    pub start_time: String,
    /// The end, as `HH:MM`, from after the start to `24:00`; it is not part of the period.
    pub end_time: String,
}

/// The intervals of one name. It is active while any of them is.
#[derive(Debug)]
pub struct Intervals {
    pub name: String,
    intervals: Vec<Compiled>,
}

/// A compiled interval. Ranges include both ends, except `times`, which are minutes of the day
/// without the last.
#[derive(Debug)]
struct Compiled {
    times: Vec<(i16, i16)>,
    weekdays: Vec<(i16, i16)>,
    days_of_month: Vec<(i16, i16)>,
    months: Vec<(i16, i16)>,
    years: Vec<(i16, i16)>,
    zone: TimeZone,
}

/// Compiles `time_intervals`, by name. Adds the problems that it finds.
pub(super) fn compile(
    settings: &[Settings],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Arc<Intervals>> {
    let mut all = BTreeMap::new();
    for (index, settings) in settings.iter().enumerate() {
        let key = format!("time_intervals[{index}]");
        if settings.name.is_empty() {
            problems.push(Problem::new(
                format!("{key}.name"),
                "the time interval has no name",
                "give it a `name`",
            ));
        }
        let intervals = settings
            .time_intervals
            .iter()
            .enumerate()
            .map(|(index, interval)| {
                interval.compile(&format!("{key}.time_intervals[{index}]"), problems)
            })
            .collect();
        let compiled = Arc::new(Intervals {
            name: settings.name.clone(),
            intervals,
        });
        if all.insert(settings.name.clone(), compiled).is_some() {
            problems.push(Problem::new(
                format!("{key}.name"),
                format!(
                    "another time interval is already called `{}`",
                    settings.name
                ),
                "give each a name of its own",
            ));
        }
    }

    all
}

impl Interval {
    fn compile(&self, key: &str, problems: &mut Vec<Problem>) -> Compiled {
        let mut ranges = |field: &str, texts: &[String], parse: range::Parse| {
            range::all(
                &format!("{key}.{field}"),
                texts.iter(),
                |text| parse(text),
                problems,
            )
        };

        let weekdays = ranges("weekdays", &self.weekdays, range::weekdays);
        let days_of_month = ranges("days_of_month", &self.days_of_month, range::days_of_month);
        let months = ranges("months", &self.months, range::months);
        let years = ranges("years", &self.years, range::years);
        let times = range::all(
            &format!("{key}.times"),
            self.times.iter(),
            range::times,
            problems,
        );

        let zone = zone(self.location.as_deref().unwrap_or_default()).unwrap_or_else(|problem| {
            problems.push(Problem {
                key: format!("{key}.location"),
                ..problem
            });
            TimeZone::UTC
        });

        Compiled {
            times,
            weekdays,
            days_of_month,
            months,
            years,
            zone,
        }
    }
}

/// Returns the zone by Go's names: an empty name is UTC, and `Local` is the machine's zone.
fn zone(name: &str) -> Result<TimeZone, Problem> {
    match name {
        "" => Ok(TimeZone::UTC),
        "Local" => TimeZone::try_system(),
        name => TimeZone::get(name),
    }
    .map_err(|_| {
        Problem::new(
            "",
            format!("this machine does not know the time zone `{name}`"),
            "write it like `Europe/Berlin`, `UTC` or `Local`; if it is correct, install the \
             package `tzdata`",
        )
    })
}

impl Intervals {
    /// Returns whether the intervals are active at a time.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.intervals.iter().any(|interval| interval.contains(at))
    }

    /// Returns the next time at which that may change. It is never later than the actual change.
    pub(super) fn next_change(&self, at: Timestamp) -> Timestamp {
        self.intervals
            .iter()
            .map(|interval| interval.next_change(at))
            .min()
            .unwrap_or(Timestamp::MAX)
    }
}

const MIDNIGHT: i16 = 24 * 60;

impl Compiled {
    fn contains(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        (self.times.is_empty()
            || self
                .times
                .iter()
                .any(|(start, end)| (*start..*end).contains(&minute)))
            && self.covers(local.date())
    }

    fn covers(&self, date: Date) -> bool {
        let holds = |ranges: &[(i16, i16)], value: i16| {
            ranges.is_empty()
                || ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&value))
        };

        holds(
            &self.weekdays,
            i16::from(date.weekday().to_sunday_zero_offset()),
        ) && holds(&self.months, i16::from(date.month()))
            && holds(&self.years, date.year())
            && self.covers_day_of_month(i16::from(date.day()), i16::from(date.days_in_month()))
    }

    fn covers_day_of_month(&self, day: i16, length: i16) -> bool {
        // The value -1 is the last day, and a range ends with its month.
        let from_start = |day: i16| if day < 0 { length + day + 1 } else { day };
        self.days_of_month.is_empty()
            || self
                .days_of_month
                .iter()
                .any(|(first, last)| (from_start(*first)..=from_start(*last)).contains(&day))
    }

    /// Returns the next time at which the interval may begin or end.
    ///
    /// Local clocks run evenly between two changes of the zone's offset, so this is the next
    /// boundary on the local clock or the change of the offset, whichever comes first.
    fn next_change(&self, at: Timestamp) -> Timestamp {
        let local = self.zone.to_datetime(at);
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let boundary = if self.covers(local.date()) {
            let ends = self.times.iter().flat_map(|(start, end)| [*start, *end]);
            ends.filter(|end| *end > minute).min().unwrap_or(MIDNIGHT)
        } else {
            MIDNIGHT
        };

        let wait = SignedDuration::from_mins(i64::from(boundary - minute))
            - SignedDuration::new(i64::from(local.second()), local.subsec_nanosecond());
        let boundary = at.checked_add(wait).unwrap_or(Timestamp::MAX);
        let shift = self
            .zone
            .following(at)
            .next()
            .map_or(Timestamp::MAX, |shift| shift.timestamp());

        boundary.min(shift)
    }
}
