//! Now: the open incidents, who knows of them, and whether the bridge itself can be trusted.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Answer, address,
    frame::View,
    incidents::{Row, rows},
    trust::Trust,
    when::{When, span},
    words::{count, integration},
};
use crate::{
    canary::Standing,
    label::severity,
    message::Outcome,
    store::{Backlog, Kind},
    web::{
        Admin,
        form::Fields,
        list::Walk,
        problem::Problem,
        views::{
            conditions::{self, Ingress, Integration, Profile, Receiver},
            incidents::{self, Incident, IncidentQuery, IncidentState},
            mails,
        },
        who::Who,
    },
};

/// How many open incidents are shown. The rest has a list of its own.
const SHOWN: u32 = 100;
/// The limit up to which mails are counted.
const COUNTED: u32 = 100;
const A_WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Serialize)]
struct Data {
    now: Now,
}

#[derive(Serialize)]
struct Now {
    title: String,
    heading: String,
    announce: String,
    facts: String,
    open: Vec<Row>,
    rest: bool,
    piles: Vec<Pile>,
    /// Whether anything waits for a person, which is then shown above a long list of open
    /// incidents.
    waits: bool,
    ingresses: Vec<Health>,
    receivers: Vec<Health>,
    profiles: Vec<Health>,
    first: Option<First>,
}

/// A number of things that wait for a person.
#[derive(Serialize)]
struct Pile {
    name: &'static str,
    count: String,
    href: &'static str,
    bad: bool,
}

/// The condition of an ingress, a receiver or a profile.
#[derive(Serialize)]
struct Health {
    kind: &'static str,
    word: &'static str,
    name: String,
    integration: Option<String>,
    last: Option<When>,
    owed: Option<String>,
    detail: Option<String>,
    href: String,
}

/// Instructions for sending a first mail.
#[derive(Debug, Serialize)]
pub struct First {
    commands: Vec<String>,
    /// Whether the first mail has arrived, so that only its resolve is left to send.
    is_open: bool,
}

/// The id of the incident that the first mail opens.
const FIRST: &str = "FIRST";

impl First {
    /// Returns both commands, which post to the first ingress that accepts posts.
    pub fn of(admin: &Admin) -> Self {
        Self {
            commands: admin.first_mail.iter().flatten().cloned().collect(),
            is_open: false,
        }
    }

    /// Returns the commands that are still to be run: none once there was another incident, or the
    /// first one is over.
    async fn left(admin: &Admin, nothing_came: bool) -> Result<Option<Self>, Problem> {
        if nothing_came {
            return Ok(Some(Self::of(admin)));
        }
        let two = Walk {
            limit: Some(2),
            cursor: None,
        };
        let all = incidents::list(admin, &IncidentQuery::default(), &two).await?;
        let is_open = match all.items.as_slice() {
            [one] => one.row.incident_id == FIRST && one.state == IncidentState::Open,
            _ => false,
        };
        let ends = admin.first_mail.iter().map(|[_, ends]| ends.clone());
        Ok(is_open.then(|| Self {
            commands: ends.collect(),
            is_open,
        }))
    }
}

pub async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let backlogs = admin.browse.backlogs().await?;
    let trust = Trust::by(&admin, &backlogs);
    let data = Data {
        now: Now::of(&admin, backlogs).await?,
    };
    Ok(View::new(&admin, &who, "Now", &fields).with(&trust, "now.html", data))
}

impl Now {
    async fn of(admin: &Admin, backlogs: Vec<Backlog>) -> Result<Self, Problem> {
        let now = admin.clock.now();
        let walk = Walk {
            limit: Some(SHOWN),
            cursor: None,
        };
        let query = IncidentQuery {
            state: Some(IncidentState::Open),
            ..IncidentQuery::default()
        };
        let mut open = incidents::list(admin, &query, &walk).await?;
        open.items.sort_by_key(|one| {
            let rank = severity::rank(&one.severity);
            (
                std::cmp::Reverse(rank),
                std::cmp::Reverse(one.row.opened_at),
            )
        });

        let lately = conditions::lately(admin).await?;
        let ingresses = conditions::ingresses_by(admin, &lately).items;
        let receivers = conditions::receivers_by(admin, backlogs).await?.items;
        let profiles = conditions::profiles_by(admin, &lately).await?.items;
        let heading = heading(&open.items, open.next.is_some());

        let piles = piles(admin, &open.items, &receivers, &profiles).await?;
        let facts = facts(&ingresses, &receivers, &admin.canary.borrow(), now);
        Ok(Self {
            title: match open.items.len() {
                0 => "Now".to_owned(),
                number => format!("{number} open"),
            },
            announce: heading.clone(),
            heading,
            facts,
            rest: open.next.is_some(),
            waits: piles.iter().any(|pile| pile.count != "0"),
            piles,
            open: rows(admin, &open.items).await?,
            ingresses: ingresses.into_iter().map(|one| way_in(one, now)).collect(),
            receivers: receivers
                .into_iter()
                .flat_map(|one| told(one, now))
                .collect(),
            profiles: profiles.into_iter().map(|one| read(one, now)).collect(),
            first: First::left(admin, lately.is_empty()).await?,
        })
    }
}

fn heading(open: &[Incident], more: bool) -> String {
    let critical = open
        .iter()
        .filter(|one| severity::rank(&one.severity) >= 4)
        .count();
    let number = open.len() as u64;
    let plus = if more { "More than " } else { "" };
    match (number, critical as u64) {
        (0, _) => "Nothing is open".to_owned(),
        (1, 1) => "1 open incident, critical".to_owned(),
        (_, 0) => format!("{plus}{}", count(number, "open incident", "open incidents")),
        (_, critical) => format!("{plus}{number} open incidents, {critical} critical"),
    }
}

/// Describes the evidence that all is well.
fn facts(
    ingresses: &[Ingress],
    receivers: &[Receiver],
    canary: &Standing,
    now: Timestamp,
) -> String {
    let ago = |at: Timestamp| format!("{} ago", span(now.duration_since(at)));
    let mail = ingresses.iter().filter_map(|one| one.last_mail).max();
    let told = receivers.iter().flat_map(|one| &one.integrations);
    let told = told.filter_map(|one| one.last_success).max();

    let mail = mail.map_or("No mail has come yet".to_owned(), |at| {
        format!("The last mail came {}", ago(at))
    });
    let told = told.map_or("no page has been sent yet".to_owned(), |at| {
        format!("the last page arrived {}", ago(at))
    });
    let canary = match canary {
        Standing::Well(flight) => flight.completed_at().map_or_else(String::new, |at| {
            format!(" the last canary came through {};", ago(at))
        }),
        Standing::Unknown | Standing::Missing(_) => String::new(),
    };
    format!("{mail}; {told};{canary} nothing is owed late.")
}

async fn piles(
    admin: &Admin,
    open: &[Incident],
    receivers: &[Receiver],
    profiles: &[Profile],
) -> Result<Vec<Pile>, Problem> {
    let some = async |outcome, since| {
        let found = mails::count(admin, outcome, since, COUNTED).await?;
        let plus = if found >= u64::from(COUNTED) { "+" } else { "" };
        Ok::<_, Problem>(format!("{found}{plus}"))
    };
    // Somebody was told of each mail that could not be read, so those older than a week are no
    // news.
    let a_week_ago = admin.clock.now().saturating_sub(A_WEEK);
    let a_week_ago = a_week_ago.unwrap_or(Timestamp::MIN);
    // An incident that was closed by hand does not mean that its missing mail has arrived, so the
    // profiles are counted.
    let missing = profiles.iter().filter(|one| one.missing).count();
    let reported = open.iter().filter(|one| one.row.kind == Kind::Missing);
    let is_open = reported.count() >= missing;
    let untold = open.iter().filter(|one| one.told.is_empty()).count();
    let dead: u64 = receivers
        .iter()
        .flat_map(|one| &one.integrations)
        .map(|one| one.dead)
        .sum();

    let pile = |[one, many]: [&'static str; 2], count: String, href, bad| Pile {
        name: if count == "1" { one } else { many },
        count,
        href,
        bad,
    };
    Ok(vec![
        pile(
            ["page did not arrive", "pages did not arrive"],
            dead.to_string(),
            "/deliveries?state=dead",
            true,
        ),
        pile(
            ["in the quarantine"; 2],
            some(Outcome::Quarantined, Timestamp::MIN).await?,
            "/mails?outcome=quarantined",
            true,
        ),
        pile(
            [
                "alert could not be read in 7 days",
                "alerts could not be read in 7 days",
            ],
            some(Outcome::Unparsed, a_week_ago).await?,
            "/mails?outcome=unparsed",
            true,
        ),
        pile(
            ["open, nobody told"; 2],
            untold.to_string(),
            "/incidents?state=open",
            false,
        ),
        pile(
            ["expected mail is missing", "expected mails are missing"],
            missing.to_string(),
            if is_open {
                "/incidents?state=open&q=missing"
            } else {
                "/profiles"
            },
            false,
        ),
    ])
}

fn way_in(one: Ingress, now: Timestamp) -> Health {
    let (kind, word) = match (&one.error, one.healthy) {
        _ if one.login_refused => ("bad", "login refused"),
        (None, true) => ("good", "works"),
        (Some(_), _) => ("bad", "failing"),
        (None, false) if one.last_success.is_none() => ("wait", "not yet"),
        (None, false) => ("bad", "silent"),
    };
    let mail = one
        .last_mail
        .map(|at| format!("Last mail {} ago.", span(now.duration_since(at))));
    Health {
        kind,
        word,
        href: address("/mails", &[("ingress", &one.name)]),
        name: one.name,
        integration: Some(one.kind),
        last: one.last_success.map(|at| When::new(at, now)),
        owed: None,
        detail: one.error.or(mail),
    }
}

fn told(receiver: Receiver, now: Timestamp) -> Vec<Health> {
    let Receiver {
        name, integrations, ..
    } = receiver;
    let health = |one: Integration| {
        let (kind, word) = match () {
            () if !one.configured => ("off", "gone"),
            () if one.probe_at.is_some() => ("bad", "does not answer"),
            () if one.dead > 0 => ("bad", "pages did not arrive"),
            () if one.error.is_some() && one.pending > 0 => ("wait", "failing"),
            () => ("good", "works"),
        };
        let late = one
            .oldest_pending
            .map(|at| format!(" for {}", span(now.duration_since(at))));
        let owed = [
            (
                one.pending,
                format!("{} owed{}", one.pending, late.unwrap_or_default()),
            ),
            (one.held, format!("{} held", one.held)),
            (one.dead, format!("{} dead", one.dead)),
        ];
        let owed = owed
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(_, text)| text);
        let owed = owed.collect::<Vec<_>>().join(", ");
        let state = if one.dead > 0 { "dead" } else { "pending" };
        Health {
            kind,
            word,
            href: address("/deliveries", &[("receiver", &name), ("state", state)]),
            name: name.clone(),
            integration: Some(integration(&one.integration)),
            last: one.last_success.map(|at| When::new(at, now)),
            owed: (!owed.is_empty()).then_some(owed),
            detail: one.error,
        }
    };
    integrations.into_iter().map(health).collect()
}

fn read(one: Profile, now: Timestamp) -> Health {
    let (kind, word) = match (one.unparsed, one.last_mail) {
        _ if one.missing => ("bad", "its mail is missing"),
        (0, None) => ("off", "no mail yet"),
        (0, Some(_)) => ("good", "read"),
        (_, _) => ("bad", "not all read"),
    };
    let unread = (one.unparsed > 0).then(|| {
        format!(
            "{} could not be read.",
            count(one.unparsed, "mail", "mails")
        )
    });
    Health {
        kind,
        word,
        href: address("/mails", &[("profile", &one.name)]),
        name: one.name,
        integration: None,
        last: one.last_mail.map(|at| When::new(at, now)),
        owed: None,
        detail: unread,
    }
}
