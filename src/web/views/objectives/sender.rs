//! Measures how often and how long a sender's incidents were on that are about no objective.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::history::Told;
use crate::{objective::measure, settings::Duration};

/// The measured window, as long as that of objectives.
const WINDOW: Duration = Duration::from_secs(28 * 24 * 3600);
/// The maximum number of incidents that are listed by name.
const NAMED: usize = 10;

/// The incidents that a sender's mails reported within 28 days. The sender is named by the profile
/// that reads its mails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sender {
    pub profile: String,
    /// The number of incidents that were open at some time.
    pub incidents: u64,
    /// The number of times that one of them was open.
    pub times: u64,
    /// The total time for which they were open, in seconds.
    pub seconds: i64,
    /// The number of incidents that are still open.
    pub open: u64,
    /// At most ten incidents: those that were open most often, and of equally frequent ones the
    /// longest first.
    pub most: Vec<Recurring>,
}

/// One incident of a sender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recurring {
    pub incident_id: String,
    pub title: String,
    pub times: u64,
    pub seconds: i64,
    pub open: bool,
}

impl Sender {
    /// Measures a sender, or returns `None` if none of its incidents were on in the window.
    pub(super) fn of(profile: &str, incidents: &[&Told], at: Timestamp) -> Option<Self> {
        let mut its: Vec<_> = incidents
            .iter()
            .filter_map(|told| Some((*told, Course::of(told, at)?)))
            .collect();
        its.sort_by_key(|(_, course)| (course.times, course.length));

        let sum =
            |of: fn(&Course) -> u64| -> u64 { its.iter().map(|(_, course)| of(course)).sum() };
        let lengths = its.iter().map(|(_, course)| course.length);
        let length = lengths.fold(SignedDuration::ZERO, SignedDuration::saturating_add);
        let name = |(told, course): &(&Told, Course)| {
            let name = told.name.as_ref()?;
            Some(Recurring {
                incident_id: name.id.clone(),
                title: name.title.clone(),
                times: course.times,
                seconds: course.length.as_secs(),
                open: course.open,
            })
        };

        (!its.is_empty()).then(|| Self {
            profile: profile.to_owned(),
            incidents: its.len() as u64,
            times: sum(|course| course.times),
            seconds: length.as_secs(),
            open: sum(|course| u64::from(course.open)),
            most: its.iter().rev().take(NAMED).filter_map(name).collect(),
        })
    }
}

/// The course of one incident within the window.
struct Course {
    times: u64,
    length: SignedDuration,
    open: bool,
}

impl Course {
    fn of(told: &Told, at: Timestamp) -> Option<Self> {
        let breaches = told.breaches(at);
        let found = measure(&breaches, 0.0, WINDOW, at);
        (found.breaches > 0).then(|| Self {
            times: found.breaches,
            length: SignedDuration::from_secs(found.breach_seconds),
            open: breaches.iter().any(|breach| breach.to.is_none()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        incident::Phase,
        label::Labels,
        store::Course as Row,
        web::{
            views::objectives::{History, Measured, ObjectiveQuery},
            workbench::Objectives as Rules,
        },
    };

    fn row(number: i64, phase: Phase, minutes: &[(i64, bool)]) -> Row {
        let at = |minute: &i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(*minute);
        let labels = [
            ("profile", "nagios"),
            ("kind", "incident"),
            ("title", "HTTP"),
        ];
        Row {
            number,
            incident_id: format!("nagios:{number}"),
            labels: labels
                .into_iter()
                .map(|(name, value)| (name.into(), value.to_owned()))
                .collect::<Labels>(),
            phase,
            changed_at: at(&100),
            said: Vec::new(),
            heard: minutes
                .iter()
                .map(|(minute, on)| (at(minute), *on))
                .collect(),
            ended_at: None,
        }
    }

    #[test]
    fn a_sender_is_measured_by_how_often_and_how_long_its_incidents_were_on() {
        let mut history = History::default();
        // On twice, for 10 and for 20 minutes; the second time ended without a mail, at minute 100.
        history.take(&row(
            1,
            Phase::Resolved,
            &[(10, true), (20, false), (80, true)],
        ));
        // On once, with a repeat, and still on.
        history.take(&row(2, Phase::Firing, &[(90, true), (95, true)]));
        // The same incident as the store has it now: what was read before counts once.
        history.take(&row(2, Phase::Firing, &[(90, true), (95, true)]));

        let rules = Rules {
            settings: Vec::new(),
            statuses: crate::incident::Statuses::default(),
        };
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(120);
        let measured = Measured::of(&history, &rules, &ObjectiveQuery::default(), at);
        assert_eq!(measured.objectives, []);
        let [sender] = measured.senders.as_slice() else {
            panic!("{measured:?}")
        };
        assert_eq!(
            (sender.incidents, sender.times, sender.seconds, sender.open),
            (2, 3, (10 + 20 + 30) * 60, 1)
        );
        let most = sender
            .most
            .iter()
            .map(|one| (&*one.incident_id, one.times, one.open));
        assert_eq!(
            most.collect::<Vec<_>>(),
            [("nagios:1", 2, false), ("nagios:2", 1, true)]
        );
    }
}
