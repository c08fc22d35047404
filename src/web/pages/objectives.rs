//! Objectives: how long each was breached, and what is left of its error budget.

use std::{cmp::Reverse, sync::Arc};

use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Answer, address,
    chart::{Budget, Strip},
    frame::View,
    incident_at,
    incidents::{Choice, choices},
    when::{When, span},
    words::{count, times},
};
use crate::{
    objective::Ladder,
    web::{
        Admin,
        form::Fields,
        problem::Problem,
        views::objectives::{self, Measured, Objective, ObjectiveQuery, Period},
        who::Who,
    },
};

/// How many breaches are listed in words. The drawing shows all.
const TOLD: usize = 20;

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/objectives", get(page))
        .route("/objectives.csv", get(evidence))
}

#[derive(Serialize)]
struct Data {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    apps: Vec<Choice>,
    slis: Vec<Choice>,
    /// The end of the window, if one was requested.
    at: String,
    until: When,
    items: Vec<Row>,
    /// Whether there are objectives that the filter may have excluded.
    has_others: bool,
    evidence: String,
    /// A link to the same window that stays valid.
    lasting: String,
    senders: Vec<Sender>,
}

/// One objective.
#[derive(Serialize)]
struct Row {
    anchor: String,
    name: String,
    app_key: String,
    sli: String,
    slo: String,
    kind: &'static str,
    verdict: &'static str,
    ladder: [Step; 3],
    breached: String,
    announced: Option<String>,
    budget: String,
    drawn: Budget,
    recurrence: String,
    strip: Strip,
    words: String,
    from: When,
    to: When,
    breaches: Vec<Breach>,
    earlier: usize,
    incidents: String,
    evidence: String,
}

/// A step of the escalation ladder.
#[derive(Serialize)]
struct Step {
    name: &'static str,
    what: &'static str,
    reached: bool,
    here: bool,
}

/// A time in which the objective was breached.
#[derive(Serialize)]
struct Breach {
    from: When,
    to: When,
    length: String,
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let asked = asked(&fields, admin.clock.now())?;
    let now = admin.clock.now();
    let at = asked.at.unwrap_or(now);

    // All objectives are measured, because the filter offers each of them.
    let everything = ObjectiveQuery {
        at: asked.at,
        ..ObjectiveQuery::default()
    };
    let Measured {
        objectives: all,
        senders,
    } = objectives::measured(&admin, &everything).await?;
    let names = |of: fn(&Objective) -> &String| {
        let mut names: Vec<_> = all.iter().map(of).filter(|name| !name.is_empty()).collect();
        names.sort();
        names.dedup();
        names.into_iter().cloned().collect::<Vec<_>>()
    };
    let apps = choices(&fields, "app", names(|one| &one.app_key));
    let slis = choices(&fields, "sli", names(|one| &one.sli));

    let has_others = !all.is_empty();
    let wanted = |one: &Objective| {
        asked.app.as_ref().is_none_or(|app| *app == one.app_key)
            && asked.sli.as_ref().is_none_or(|sli| *sli == one.sli)
    };
    let mut found: Vec<_> = all.into_iter().filter(wanted).collect();
    found.sort_by_key(|one| (Reverse(one.ladder), Reverse(one.breach_seconds)));

    let lasting = fields.with("at", &format!("{at:.0}"));
    let listed = Listed {
        apps,
        slis,
        at: fields.text("at"),
        until: When::new(at, now),
        has_others,
        evidence: format!("/objectives.csv?{lasting}"),
        lasting: format!("/objectives?{lasting}"),
        items: found
            .into_iter()
            .enumerate()
            .map(|(place, one)| Row::new(place, one, at, now))
            .collect(),
        senders: senders.into_iter().map(Sender::from).collect(),
    };
    let view = View::new(&admin, &who, "Objectives", &fields);
    view.page("objectives.html", Data { list: listed }).await
}

/// Returns the table as evidence for a vendor.
async fn evidence(State(admin): State<Arc<Admin>>, _: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let found = objectives::list(&admin, &asked(&fields, admin.clock.now())?).await?;
    Ok(objectives::file(&found.items))
}

fn asked(fields: &Fields, now: Timestamp) -> Result<ObjectiveQuery, Problem> {
    fields.only(&["app", "sli", "at"])?;
    let text = |name| fields.get(name).map(ToOwned::to_owned);
    Ok(ObjectiveQuery {
        app: text("app"),
        sli: text("sli"),
        at: fields.time("at", now)?,
    })
}

impl Row {
    fn new(place: usize, one: Objective, at: Timestamp, now: Timestamp) -> Self {
        let window = SignedDuration::from_secs(one.window_seconds);
        let from = at.saturating_sub(window).unwrap_or(Timestamp::MIN);
        let (kind, verdict) = match one.ladder {
            Ladder::None => ("good", "no unannounced breach"),
            Ladder::Incident => ("wait", "incident"),
            Ladder::Remediation => ("wait", "remediation"),
            Ladder::Demotion => ("bad", "demotion"),
        };

        let breached = breached(&one);
        let announced = (one.maintenance_seconds > 0).then(|| seconds(one.maintenance_seconds));
        let window = days(window);
        let words = match &announced {
            _ if one.breaches == 0 => format!("Not breached in {window}."),
            Some(part) => format!("Breached {breached} in {window}; {part} were announced."),
            None => format!("Breached {breached} in {window}."),
        };
        let told = one.spans.iter().rev().take(TOLD);

        // The link names a fixed time, so that a download tomorrow yields the same evidence.
        let at_text = format!("{at:.0}");
        let query: Vec<_> = [
            ("app", &*one.app_key),
            ("sli", &*one.sli),
            ("at", &*at_text),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();

        Self {
            anchor: format!("objective-{}", place + 1),
            ladder: steps(one.ladder),
            budget: budget(&one),
            drawn: Budget::new(one.spent),
            recurrence: recurrence(&one, &window),
            strip: Strip::new(from, at, &one.spans, &one.announced),
            from: When::new(from, now),
            to: When::new(at, now),
            breaches: told.map(|period| Breach::new(*period, now)).collect(),
            earlier: one.spans.len().saturating_sub(TOLD),
            incidents: address("/incidents", &[("q", &one.app_key)]),
            evidence: address("/objectives.csv", &query),
            name: match &*one.app_name {
                "" => one.app_key.clone(),
                name => name.to_owned(),
            },
            app_key: one.app_key,
            sli: one.sli,
            slo: one.slo.to_string(),
            kind,
            verdict,
            breached,
            announced,
            words,
        }
    }
}

impl Breach {
    fn new(period: Period, now: Timestamp) -> Self {
        Self {
            from: When::new(period.from, now),
            to: When::new(period.to, now),
            length: span(period.to.duration_since(period.from)),
        }
    }
}

/// A sender's incidents that are about no objective.
#[derive(Serialize)]
struct Sender {
    profile: String,
    words: String,
    open: Option<String>,
    most: Vec<Recurring>,
    href: String,
}

#[derive(Serialize)]
struct Recurring {
    title: String,
    href: String,
    words: String,
    open: bool,
}

impl From<objectives::Sender> for Sender {
    fn from(one: objectives::Sender) -> Self {
        let recurring = |one: objectives::Recurring| Recurring {
            href: incident_at(&one.incident_id),
            words: format!("{}, for {}", times_of(one.times), seconds(one.seconds)),
            title: one.title,
            open: one.open,
        };
        let average = one.seconds / i64::try_from(one.times.max(1)).unwrap_or(1);
        Self {
            words: format!(
                "{}, {}, for {} together, {} on average",
                count(one.incidents, "incident", "incidents"),
                times_of(one.times),
                seconds(one.seconds),
                seconds(average)
            ),
            open: (one.open > 0).then(|| format!("{} open", one.open)),
            most: one.most.into_iter().map(recurring).collect(),
            href: address("/incidents", &[("profile", &one.profile)]),
            profile: one.profile,
        }
    }
}

fn steps(reached: Ladder) -> [Step; 3] {
    let step = |step, name, what| Step {
        name,
        what,
        reached: step <= reached,
        here: step == reached,
    };
    [
        step(
            Ladder::Incident,
            "Incident",
            "a breach that was not announced",
        ),
        step(Ladder::Remediation, "Remediation", "it happened again"),
        step(
            Ladder::Demotion,
            "Demotion",
            "again, and the budget is spent",
        ),
    ]
}

/// Describes how many breaches began in a window such as `28 days`.
fn recurrence(one: &Objective, window: &str) -> String {
    match one.recurrence_28d {
        0 => format!("no breach began in the last {window}"),
        number => {
            let began = count(number, "breach", "breaches");
            format!("{began} began in the last {window}")
        }
    }
}

fn days(window: SignedDuration) -> String {
    match (window.as_hours() / 24, window.as_secs() % (24 * 3600)) {
        (days, 0) => format!("{days} days"),
        _ => span(window),
    }
}

/// Describes the breaches: `twice, for 20 min`.
fn breached(one: &Objective) -> String {
    match one.breaches {
        0 => "never".to_owned(),
        number => format!("{}, for {}", times_of(number), seconds(one.breach_seconds)),
    }
}

/// Describes the budget: `49.6% burnt: 20 min of 40 min`.
fn budget(one: &Objective) -> String {
    let counted = seconds(one.breach_seconds - one.maintenance_seconds);
    let whole = SignedDuration::try_from_secs_f64(one.budget_seconds).unwrap_or_default();
    match one.spent {
        Some(spent) => {
            let percent = (spent * 1000.0).round() / 10.0;
            format!("{percent}% spent: {counted} of {}", span(whole))
        }
        None => format!("exhausted: {counted}, and the budget is zero"),
    }
}

fn seconds(seconds: i64) -> String {
    span(SignedDuration::from_secs(seconds))
}

fn times_of(number: u64) -> String {
    u32::try_from(number).map_or_else(|_| count(number, "time", "times"), times)
}
