//! Whether the bridge itself can be trusted now: its troubles at a glance.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    when::span,
    words::{count, integration},
};
use crate::{
    canary::{Stage, Standing},
    ingress::{Condition, OVERDUE},
    store::Backlog,
    web::{Admin, problem::Problem},
};

/// A pending page older than this is late.
const LATE: SignedDuration = SignedDuration::from_mins(2);

/// The summary of the bridge's state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trust {
    pub good: bool,
    /// A word or two, shown on every page.
    pill: String,
    headline: String,
    troubles: Vec<Trouble>,
}

/// A single trouble.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Trouble {
    what: String,
    detail: String,
    href: Option<String>,
    link: &'static str,
}

impl Trust {
    /// Determines the state from what is known now.
    pub async fn of(admin: &Admin) -> Result<Self, Problem> {
        Ok(Self::by(admin, &admin.browse.backlogs().await?))
    }

    /// Determines the state, given the backlogs.
    pub fn by(admin: &Admin, backlogs: &[Backlog]) -> Self {
        let now = admin.clock.now();
        let ways_in = admin.health.conditions();
        let ways_in = ways_in
            .iter()
            .filter_map(|(name, how)| way_in(name, how, now));

        let canary = canary(&admin.canary.borrow(), now);

        let circuits = admin.workbench.integrations();
        let circuits = circuits.iter().filter_map(|one| {
            let what = format!(
                "{} ({}) does not answer.",
                one.receiver,
                integration(&one.integration)
            );
            one.probe_at.map(|_| Trouble {
                what,
                detail: "What it is owed waits, and is sent as soon as it answers.".to_owned(),
                href: Some(pending(&one.receiver, "pending")),
                link: "What it is owed",
            })
        });

        let backlogs = backlogs.iter().flat_map(|backlog| owed(backlog, now));

        Self::from(
            ways_in
                .chain(canary)
                .chain(circuits)
                .chain(backlogs)
                .collect::<Vec<_>>(),
        )
    }
}

impl From<Vec<Trouble>> for Trust {
    fn from(troubles: Vec<Trouble>) -> Self {
        let many = count(troubles.len() as u64, "trouble", "troubles");
        let good = troubles.is_empty();
        Self {
            good,
            headline: if good {
                "The bridge works".to_owned()
            } else {
                format!("The bridge has {many}")
            },
            pill: if good { "works".to_owned() } else { many },
            troubles,
        }
    }
}

fn way_in(name: &str, how: &Condition, now: Timestamp) -> Option<Trouble> {
    let since = how.last_success.map(|last| now.duration_since(last));
    let overdue = since.is_none_or(|since| since > OVERDUE);
    let what = match since {
        _ if how.login_refused => format!("{name} cannot log in and receives no mail."),
        Some(since) if overdue => format!("{name} has not worked for {}.", span(since)),
        None if how.failure.is_some() => format!("{name} has not worked yet."),
        _ => return None,
    };
    Some(Trouble {
        what,
        detail: how.failure.clone().unwrap_or_default(),
        href: None,
        link: "",
    })
}

/// Describes a missing canary: an alert would get lost at the same stage.
fn canary(standing: &Standing, now: Timestamp) -> Option<Trouble> {
    let Standing::Missing(flight) = standing else {
        return None;
    };

    let what = match flight.stopped_at() {
        Some(Stage::Sent) => "could not be sent",
        Some(Stage::Arrived) => "was sent but did not arrive",
        Some(Stage::Judged) => "arrived but was not authenticated",
        Some(Stage::Read) => "arrived but was not read",
        Some(Stage::Decided) => "was read but not decided",
        Some(Stage::Delivered) => "was decided but not delivered",
        None => "came through too late",
    };
    let begun = format!("Begun {} ago.", span(now.duration_since(flight.begun_at)));
    let why = flight.failure.as_ref().map(|why| format!(" {why}"));
    Some(Trouble {
        what: format!("Canary {} {what}.", flight.number),
        detail: begun + &why.unwrap_or_default(),
        href: None,
        link: "",
    })
}

fn owed(backlog: &Backlog, now: Timestamp) -> Vec<Trouble> {
    let Backlog { receiver, .. } = backlog;
    let to = format!("{receiver} ({})", integration(&backlog.integration));
    let pages = |number| count(number, "page", "pages");
    let mut found = Vec::new();

    if backlog.dead > 0 {
        found.push(Trouble {
            what: format!("{} did not reach {to}.", pages(backlog.dead)),
            detail: backlog.failure.clone().unwrap_or_default(),
            href: Some(pending(receiver, "dead")),
            link: "Look at them",
        });
    }

    let late = backlog
        .oldest_pending
        .map(|oldest| now.duration_since(oldest));
    if let Some(late) = late.filter(|late| *late > LATE) {
        found.push(Trouble {
            what: format!(
                "{} to {to}: owed for {}.",
                pages(backlog.pending),
                span(late)
            ),
            detail: backlog.failure.clone().unwrap_or_default(),
            href: Some(pending(receiver, "pending")),
            link: "Look at them",
        });
    }

    found
}

fn pending(receiver: &str, state: &str) -> String {
    super::address("/deliveries", &[("state", state), ("receiver", receiver)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Flight;

    #[test]
    fn a_missing_canary_says_where_it_got_lost_and_another_is_no_trouble() {
        let begun_at: Timestamp = "2026-03-01T03:00:00Z".parse().unwrap();
        let now = begun_at + SignedDuration::from_mins(7);
        let mut flight = Flight {
            number: 3,
            begun_at,
            failure: Some("connection refused".to_owned()),
            ..Flight::default()
        };
        let told = |flight: &Flight| {
            let trouble = canary(&Standing::Missing(flight.clone()), now).unwrap();
            format!("{} {}", trouble.what, trouble.detail)
        };
        let expected = "Canary 3 could not be sent. Begun 7 min ago. connection refused";
        assert_eq!(told(&flight), expected);

        flight.failure = None;
        let mut said = Vec::new();
        for stage in Stage::ALL {
            flight.passed[stage as usize] = Some(now);
            said.push(told(&flight));
        }
        assert_eq!(
            said[0],
            "Canary 3 was sent but did not arrive. Begun 7 min ago."
        );
        assert_eq!(said[5], "Canary 3 came through too late. Begun 7 min ago.");

        for standing in [Standing::Unknown, Standing::Well(flight)] {
            assert_eq!(canary(&standing, now), None);
        }
    }
}
