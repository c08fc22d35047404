//! Tests that a silence delays pages and loses none.
//!
//! Whatever is held of an incident when a mail about it is silenced, by whichever silence, and
//! whoever the mail is for, each receiver is told once, in time, and of the incident as it then is.

use super::{held::configuration, *};
use crate::message::Outcome;

const APP: &str = "com.example.known";
/// The time of the second mail, in minutes after the first.
const SECOND: i64 = 10;
/// The ends of the mute and of the silence that begins before it.
const MUTED: i64 = 60;
const SILENCED: i64 = 40;

/// What became of the first mail, a warning for `night`, by the time of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Told,
    /// A mute holds its page.
    Muted,
    /// A silence of warnings has held its page from the start.
    Silenced,
    /// A mute held its page, and ended under a silence of the incident.
    MutedThenSilenced,
}

/// The status and the severity of the second mail. The severity routes it to `night` or `pager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Again,
    Worse,
    /// An unknown status, which is told again.
    Drift,
    WorseDrift,
    Resolve,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    first: First,
    second: Second,
    /// The matcher of a silence that begins before the second mail, and the minute at which it
    /// ends.
    another: Option<(&'static str, i64)>,
}

impl Second {
    fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Again => ("ANOMALOUS", "warning"),
            Self::Worse => ("ANOMALOUS", "critical"),
            Self::Drift => ("WORSE", "warning"),
            Self::WorseDrift => ("WORSE", "critical"),
            Self::Resolve => ("OK", "warning"),
        }
    }
}

impl Cell {
    fn all() -> impl Iterator<Item = Self> {
        use {First::*, Second::*};

        // The silence ends before all others, together with one of them, or after all.
        let ends = [30, SILENCED, 50, MUTED, 90];
        let others = ends.into_iter().flat_map(|end| {
            let covers = ["incident_id=a", "severity=warning", "severity=critical"];
            covers.map(|matcher| Some((matcher, end)))
        });
        let others: Vec<_> = [None].into_iter().chain(others).collect();
        let firsts = [Told, Muted, Silenced, MutedThenSilenced];
        firsts.into_iter().flat_map(move |first| {
            let others = others.clone();
            let seconds = [Again, Worse, Drift, WorseDrift, Resolve];
            seconds.into_iter().flat_map(move |second| {
                others.clone().into_iter().map(move |another| Self {
                    first,
                    second,
                    another,
                })
            })
        })
    }

    /// Returns the end of the last silence that covers a page of this severity at `from`.
    fn free(self, severity: &str, from: i64) -> i64 {
        let earlier = match self.first {
            First::Silenced => Some(("severity=warning", SILENCED)),
            First::MutedThenSilenced => Some(("incident_id=a", SILENCED)),
            First::Told | First::Muted => None,
        };
        let covers = |matcher: &str| {
            matcher == "incident_id=a" || matcher.ends_with(&format!("={severity}"))
        };
        let silences = [earlier, self.another].into_iter().flatten();
        let ends = silences.filter(|(matcher, _)| covers(matcher));
        ends.map(|(_, end)| end).fold(from, i64::max)
    }

    /// Returns the end of what held the first mail's page from the start, and the time at which
    /// that page is told if no other replaces it; `None` if nobody is owed it any more.
    fn first_told(self) -> Option<(i64, i64)> {
        let held_until = match self.first {
            First::Told => return Some((0, 0)),
            First::Muted => MUTED,
            First::MutedThenSilenced => SILENCED,
            First::Silenced => return None,
        };
        Some((held_until, self.free("warning", held_until)))
    }

    fn expected(self) -> Vec<String> {
        let says = |minute: i64, who: &str, what: &str, severity: &str| {
            format!("{minute:>3} {who} {what} {severity}")
        };
        let (_, severity) = self.second.says();
        // Until then, silences keep the second mail from everybody, unless it is a resolve.
        let at = match self.second {
            Second::Resolve => SECOND,
            _ => self.free(severity, SECOND),
        };

        let mut told = Vec::new();
        match (self.first_told(), self.second) {
            (Some((_, 0)), Second::Resolve) => {
                told.push(says(0, "night", "trigger", "warning"));
                told.push(says(at, "night", "resolve", "warning"));
            }
            (_, Second::Resolve) => {}
            (Some((_, first)), second) if first < at || second == Second::Again => {
                told.push(says(first, "night", "trigger", "warning"));
                match second {
                    Second::Worse => told.push(says(at, "night", "change", severity)),
                    Second::Drift => told.push(says(at, "night", "trigger", severity)),
                    _ => {}
                }
            }
            // The second mail's page is told in place of the first's.
            (Some((held_until, _)), _) => {
                told.push(says(at.max(held_until), "night", "trigger", severity));
            }
            (None, _) if severity == "warning" => {
                told.push(says(at, "night", "trigger", severity));
            }
            (None, _) => {}
        }
        if severity == "critical" {
            told.push(says(at, "pager", "trigger", severity));
        }
        told.sort_unstable();
        told
    }

    /// Runs the scenario until all mutes and silences are over, and returns what was told.
    async fn live(self) -> Vec<String> {
        let sleep = match self.first {
            First::Muted => (0, MUTED),
            First::MutedThenSilenced => (0, 5),
            First::Told | First::Silenced => (1_000, 1_010),
        };
        let mut night = Night::under(&configuration(false, &[sleep]));
        let until = |minute: i64| midnight() + SignedDuration::from_mins(minute);
        let first = night.mail("a", "ANOMALOUS", "warning", APP);
        let (status, severity) = self.second.says();
        let second = night.mail("a", status, severity, APP);

        let mut told = Vec::new();
        for minute in 0..=120 {
            let now = night.now();
            match (minute, self.first, self.another) {
                (0, First::Silenced, _) => {
                    night
                        .silence("severity=warning", now, until(SILENCED))
                        .await;
                }
                (1, First::MutedThenSilenced, _) => {
                    night.silence("incident_id=a", now, until(SILENCED)).await;
                }
                (SECOND, _, Some((matcher, end))) => {
                    night.silence(matcher, now, until(end)).await;
                }
                _ => {}
            }
            match minute {
                0 => {
                    night.take(first.clone()).await;
                }
                SECOND => {
                    night.take(second.clone()).await;
                }
                _ => {}
            }
            // What one sweep makes due is told by the next.
            for _ in 0..2 {
                night.sweep().await;
                for page in night.delivered().await {
                    let (who, what) = (page.receiver, page.action.as_str());
                    told.push(format!("{minute:>3} {who} {what} {}", page.severity));
                }
            }
            night.pass(1);
        }
        told.sort_unstable();
        told
    }
}

#[tokio::test]
async fn whatever_is_held_each_is_told_once_and_of_the_incident_as_it_is() {
    let mut wrong = Vec::new();
    for cell in Cell::all() {
        let (told, expected) = (cell.live().await, cell.expected());
        if told != expected {
            wrong.push(format!(
                "{cell:?}\n  told     {told:?}\n  expected {expected:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Whoever has one signed mail can send it again and again under a silence.
///
/// Its content is kept back once, so that its copies are stored whole for a limited time only.
#[tokio::test]
async fn the_copies_of_a_mail_that_a_silence_keeps_back_are_repeats() {
    for told_before in [false, true] {
        let mut night = Night::under(&configuration(false, &[(1_000, 1_010)]));
        if told_before {
            let first = night.mail("a", "ANOMALOUS", "warning", APP);
            night.take(first).await;
            assert_eq!(night.delivered().await.len(), 1);
        }
        let end = midnight() + SignedDuration::from_mins(SILENCED);
        night.silence("incident_id=a", night.now(), end).await;

        let mut outcomes = Vec::new();
        for (status, severity) in [("ANOMALOUS", "critical"), ("WORSE", "critical")] {
            let mail = night.mail("a", status, severity, APP);
            for copy in 0..3 {
                let padded = [format!("X-Pad: {copy}\r\n").as_bytes(), &mail].concat();
                let id = night.take(padded).await;
                let (row, _) = night.store.mail(id).await.unwrap().unwrap();
                outcomes.push(row.outcome);
            }
        }
        let (kept, again) = (Outcome::Silenced, Outcome::Duplicate);
        assert_eq!(outcomes, [kept, again, again, kept, again, again]);

        night.pass(SILENCED);
        night.sweep().await;
        let told = night.delivered().await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].severity, "critical");
    }
}
