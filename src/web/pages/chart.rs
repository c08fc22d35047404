//! Drawings: a measured value against its objective, an error budget, and the times of breaches.
//!
//! The SVG is generated here; the stylesheet colours it, in the light and in the dark scheme. Text
//! is placed beside a drawing, where it does not shrink on a phone.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::web::views::objectives::Period;

/// The width and height of a drawing, in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// A chart of values over time against their objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// The path of the line: each value holds until the next.
    path: String,
    dots: Vec<Dot>,
    objective: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Dot {
    x: f64,
    y: f64,
}

impl Chart {
    /// Draws values in order of time, the last of which holds until `end`. Returns `None` if there
    /// are no values, or if a number is not finite.
    pub fn new(
        values: &[(Timestamp, f64)],
        objective: Option<f64>,
        end: Timestamp,
    ) -> Option<Self> {
        let &(begin, first) = values.first()?;
        let numbers = || values.iter().map(|&(_, value)| value).chain(objective);
        if !numbers().all(f64::is_finite) {
            return None;
        }

        let low = numbers().fold(first, f64::min);
        let high = numbers().fold(first, f64::max);
        // Leaves a little room above and below, even if all values are equal.
        let margin = ((high - low) * 0.12).max(high.abs().max(1.0) * 0.001);
        let (low, high) = (low - margin, high + margin);
        let y = |value: f64| round((high - value) / (high - low) * HEIGHT);

        let length = end.duration_since(begin).as_secs_f64().max(1.0);
        let x = |at: Timestamp| {
            let along = at.duration_since(begin).as_secs_f64() / length;
            round(10.0 + along.clamp(0.0, 1.0) * (WIDTH - 20.0))
        };

        let dots: Vec<_> = values
            .iter()
            .map(|&(at, value)| Dot {
                x: x(at),
                y: y(value),
            })
            .collect();
        let mut path = String::new();
        for (index, dot) in dots.iter().enumerate() {
            path += &match index {
                0 => format!("M{} {}", dot.x, dot.y),
                _ => format!("H{}V{}", dot.x, dot.y),
            };
        }
        path += &format!("H{}", x(end));

        Some(Self {
            path,
            dots,
            objective: objective.map(y),
        })
    }
}

/// The times in a window at which an objective was breached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Strip {
    /// The breaches outside announced maintenance.
    breaches: Vec<Bar>,
    announced: Vec<Bar>,
    weeks: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Bar {
    x: f64,
    width: f64,
}

/// The narrowest bar that is visible on a phone.
const NARROWEST: f64 = 6.0;

impl Strip {
    pub fn new(from: Timestamp, to: Timestamp, breaches: &[Period], announced: &[Period]) -> Self {
        let length = to.duration_since(from).as_secs_f64().max(1.0);
        let x = |at: Timestamp| {
            let along = at.duration_since(from).as_secs_f64() / length;
            along.clamp(0.0, 1.0) * WIDTH
        };
        let week = 7.0 * 24.0 * 3600.0 / length * WIDTH;
        Self {
            breaches: bars(&unannounced(breaches, announced), &x),
            announced: bars(announced, &x),
            // The weeks are counted back from the window's end. In a long window only the last
            // twelve are drawn, because more could not be told apart.
            weeks: (1..=12)
                .map(|number| WIDTH - week * f64::from(number))
                .take_while(|x| *x > 1.0)
                .map(round)
                .collect(),
        }
    }
}

/// Returns the parts of the breaches that were not announced. Both lists are in order of time, and
/// each announced part lies within one breach.
fn unannounced(breaches: &[Period], announced: &[Period]) -> Vec<Period> {
    let mut announced = announced.iter().peekable();
    let mut left = Vec::new();
    for breach in breaches {
        let mut from = breach.from;
        while let Some(part) = announced.next_if(|part| part.to <= breach.to) {
            left.extend((from < part.from).then_some(Period {
                from,
                to: part.from,
            }));
            from = part.to;
        }
        left.extend((from < breach.to).then_some(Period {
            from,
            to: breach.to,
        }));
    }
    left
}

/// Draws bars for periods in order of time. Bars that the eye cannot tell apart are merged.
fn bars(periods: &[Period], x: &impl Fn(Timestamp) -> f64) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for period in periods {
        let begin = round(x(period.from).min(WIDTH - NARROWEST));
        let end = round(x(period.to).max(begin + NARROWEST));
        match bars.last_mut() {
            Some(last) if begin <= last.x + last.width => {
                last.width = round(last.width.max(end - last.x));
            }
            _ => bars.push(Bar {
                x: begin,
                width: round(end - begin),
            }),
        }
    }
    bars
}

/// The part of an error budget that is burnt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    width: f64,
    kind: &'static str,
}

impl Budget {
    /// Draws the part that is spent. `None` stands for a budget with nothing to spend, and is drawn
    /// as burnt.
    pub fn new(spent: Option<f64>) -> Self {
        let spent = spent.unwrap_or(1.0);
        Self {
            width: round(spent.clamp(0.0, 1.0) * WIDTH),
            kind: match spent {
                _ if spent >= 1.0 => "burnt",
                _ if spent >= 0.5 => "half",
                _ => "little",
            },
        }
    }
}

/// Returns when the last value stops holding: at the incident's end, else now, but at least a
/// minute after `begin`.
pub fn end(begin: Timestamp, over: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let least = begin
        .saturating_add(SignedDuration::from_mins(1))
        .unwrap_or(now);
    over.unwrap_or(now).max(least)
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    #[test]
    fn each_value_holds_until_the_next_and_the_last_to_the_end() {
        let chart = Chart::new(&[(at(0), 60.0), (at(5), 90.0)], Some(99.0), at(10)).unwrap();
        let [first, second] = &chart.dots[..] else {
            panic!("{chart:?}")
        };
        assert_eq!((first.x, second.x), (10.0, 500.0));
        assert!(first.y > second.y, "the lower value is lower");
        assert!(
            chart.objective.unwrap() < second.y,
            "and the objective above both"
        );
        let expected = format!("M10 {}H500V{}H990", first.y, second.y);
        assert_eq!(chart.path, expected);
    }

    #[test]
    fn a_short_breach_is_seen_and_neighbours_are_one_bar_inside_the_drawing() {
        let day = 24 * 60;
        let period = |from: i64, to: i64| Period {
            from: at(from),
            to: at(to),
        };
        let periods = [
            period(7 * day, 14 * day),
            period(21 * day, 21 * day + 1),
            period(21 * day + 9, 21 * day + 10),
            period(28 * day - 1, 28 * day),
        ];
        let announced = [period(7 * day, 10 * day + day / 2)];
        let strip = Strip::new(at(0), at(28 * day), &periods, &announced);
        let bar = |x, width| Bar { x, width };
        let expected = [bar(375.0, 125.0), bar(750.0, 6.2), bar(994.0, 6.0)];
        assert_eq!(strip.breaches, expected);
        assert_eq!(strip.announced, [bar(250.0, 125.0)]);
        assert_eq!(strip.weeks, [750.0, 500.0, 250.0]);
    }

    #[test]
    fn a_budget_is_full_at_most() {
        for (spent, width, kind) in [
            (Some(0.0), 0.0, "little"),
            (Some(0.5), 500.0, "half"),
            (Some(12.0), WIDTH, "burnt"),
            (None, WIDTH, "burnt"),
        ] {
            assert_eq!(Budget::new(spent), Budget { width, kind });
        }
    }

    #[test]
    fn values_that_are_none_draw_nothing_and_equal_ones_a_line_inside() {
        assert_eq!(Chart::new(&[], Some(1.0), at(1)), None);
        assert_eq!(Chart::new(&[(at(0), f64::NAN)], None, at(1)), None);
        for value in [0.0, 100.0, -3.0, 1e300] {
            let chart = Chart::new(&[(at(0), value)], Some(value), at(0)).unwrap();
            let y = chart.dots[0].y;
            assert!(y > 0.0 && y < HEIGHT, "{value}: {y}");
        }
    }
}
