//! Lists of incidents.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer,
    frame::View,
    incident_at,
    when::{When, clock, span},
    words::{self, Severity, label},
};
use crate::{
    delivery::DeliveryState,
    label::Labels,
    silence::{self, Silence, last_to_cover},
    web::{
        Admin,
        form::Fields,
        list::Walk,
        problem::Problem,
        views::{
            conditions,
            incidents::{Incident, IncidentQuery, IncidentState, Told, list},
            named::title,
        },
        who::Who,
    },
};

/// How many silences are examined, the first to end first.
const SILENCES: u32 = 1000;
/// The fields by which the list can be filtered.
const FILTERS: [&str; 6] = ["q", "state", "severity", "profile", "receiver", "cursor"];
/// How many characters of a summary are shown, which is enough to tell two alerts apart.
const SUMMARY: usize = 200;
/// How many rows a page shows.
pub const SHOWN: u32 = 50;

pub fn router() -> Router<Arc<Admin>> {
    Router::new().route("/incidents", get(page))
}

/// An incident in a list, on one line or three.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    anchor: String,
    href: String,
    title: String,
    app: Option<String>,
    measured: Option<String>,
    recurrence: Option<String>,
    /// The summary, which tells it from others of the same title, if there are any.
    summary: Option<String>,
    pub severity: Severity,
    open: bool,
    opened: When,
    changed: When,
    age: String,
    told: Vec<ToldLine>,
    /// The reason why nobody was told.
    nobody: Option<String>,
    doubt: Option<&'static str>,
}

/// The state of the incident's delivery to one integration.
#[derive(Debug, Clone, Serialize)]
pub struct ToldLine {
    kind: &'static str,
    words: String,
    detail: String,
}

impl Row {
    /// Creates a row. If nobody was told of the incident, `silences` say why.
    fn new(incident: &Incident, silences: &[Silence], now: Timestamp) -> Self {
        let labels = &incident.row.labels;
        let open = incident.state == IncidentState::Open;
        Self {
            anchor: format!("incident-{}", incident.row.incident_id),
            href: incident_at(&incident.row.incident_id),
            title: title(&incident.row.labels, &incident.row.incident_id),
            app: whose(labels),
            measured: words::measured(labels),
            recurrence: words::recurrence(labels),
            summary: None,
            severity: Severity::new(&incident.severity),
            open,
            opened: When::new(incident.row.opened_at, now),
            changed: When::new(incident.row.changed_at, now),
            age: span(now.duration_since(incident.row.opened_at)),
            nobody: (incident.told.is_empty() && open).then(|| {
                let silence = last_to_cover(silences, labels);
                silence.map_or("nobody was told".to_owned(), |silence| {
                    format!(
                        "nobody was told: silenced until {} ({})",
                        clock(silence.ends_at, now),
                        silence.comment
                    )
                })
            }),
            told: incident.told.iter().map(ToldLine::new).collect(),
            doubt: doubt(labels),
        }
    }
}

impl ToldLine {
    fn new(told: &Told) -> Self {
        let (kind, words) = words::delivery(told.state, told.action, &told.receiver, told.failures);
        let by = words::integration(&told.integration);
        // The receipt of a delivered page is shown only on the incident's own page.
        let detail = told
            .detail
            .as_deref()
            .filter(|_| told.state != DeliveryState::Delivered);
        let detail = detail.map_or_else(|| by.clone(), |detail| format!("{by}: {detail}"));
        Self {
            kind,
            words,
            detail,
        }
    }
}

/// Returns the rows of incidents, each with the reason if nobody was told.
pub async fn rows(admin: &Admin, incidents: &[Incident]) -> Result<Vec<Row>, Problem> {
    let now = admin.clock.now();
    let is_untold = |one: &Incident| one.told.is_empty() && one.state == IncidentState::Open;
    let silences = if incidents.iter().any(is_untold) {
        admin.desk.silences(false, now, SILENCES).await?
    } else {
        Vec::new()
    };
    let hold = |one: &Silence| one.state(now) == silence::State::Active;
    let silences: Vec<_> = silences.into_iter().filter(hold).collect();

    let row = |one: &Incident| {
        let row = Row::new(one, &silences, now);
        let labels = &one.row.labels;
        let is_like = |other: &&Incident| {
            other.title == one.title && whose(&other.row.labels) == whose(labels)
        };
        let has_twin = incidents.iter().filter(is_like).nth(1).is_some();
        let summary = label(labels, "summary").filter(|_| has_twin);
        Row {
            summary: summary.map(|said| said.chars().take(SUMMARY).collect()),
            ..row
        }
    };
    Ok(incidents.iter().map(row).collect())
}

/// Returns the app of an incident, or else the profile that reads its mails.
pub fn whose(labels: &Labels) -> Option<String> {
    match (label(labels, "app_name"), label(labels, "app_key")) {
        (Some(name), Some(key)) => Some(format!("{name} · {key}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => label(labels, "profile").map(ToOwned::to_owned),
    }
}

/// Returns the mark of an alert that may not be genuine.
pub fn doubt(labels: &Labels) -> Option<&'static str> {
    match label(labels, "authenticity")? {
        "none" | "fail" => Some("UNVERIFIED"),
        "temperror" => Some("UNVERIFIED SO FAR"),
        _ => None,
    }
}

/// A choice in a filter.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    value: String,
    here: bool,
}

/// Returns the choices of a filter, with the chosen one marked.
pub fn choices(
    fields: &Fields,
    name: &str,
    known: impl IntoIterator<Item = String>,
) -> Vec<Choice> {
    let chosen = fields.get(name);
    let mut values: Vec<String> = known.into_iter().collect();
    if let Some(chosen) = chosen.filter(|chosen| !values.iter().any(|value| value == chosen)) {
        values.push(chosen.to_owned());
    }
    let choice = |value: String| Choice {
        here: chosen == Some(&value),
        value,
    };
    values.into_iter().map(choice).collect()
}

/// The links to the next part of a list and to its beginning.
#[derive(Debug, Clone, Serialize)]
pub struct Further {
    next: Option<String>,
    is_later: bool,
    newest: String,
}

impl Further {
    pub fn new(path: &str, fields: &Fields, next: Option<&str>) -> Self {
        let at = |cursor: &str| format!("{path}?{}", fields.with("cursor", cursor));
        Self {
            next: next.map(at),
            is_later: fields.get("cursor").is_some(),
            newest: at(""),
        }
    }
}

/// Returns which part of a list an address asks for.
pub fn walk(fields: &Fields) -> Walk {
    Walk {
        limit: Some(SHOWN),
        cursor: fields.get("cursor").map(ToOwned::to_owned),
    }
}

#[derive(Serialize)]
struct Data {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    q: String,
    states: Vec<Choice>,
    severities: Vec<Choice>,
    profiles: Vec<Choice>,
    receivers: Vec<Choice>,
    items: Vec<Row>,
    empty: String,
    #[serde(flatten)]
    further: Further,
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    fields.only(&FILTERS)?;
    let query = IncidentQuery {
        state: fields.word("state")?,
        severity: fields.get("severity").map(ToOwned::to_owned),
        profile: fields.get("profile").map(ToOwned::to_owned),
        receiver: fields.get("receiver").map(ToOwned::to_owned),
        q: fields.get("q").map(ToOwned::to_owned),
    };
    let found = list(&admin, &query, &walk(&fields)).await?;
    let receivers = conditions::receivers(&admin).await?;

    let receivers: Vec<_> = receivers.items.into_iter().map(|one| one.name).collect();
    let profiles = admin.workbench.profiles();
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let listed = Listed {
        q: fields.text("q"),
        states: choices(&fields, "state", words(&["open", "resolved"])),
        severities: choices(
            &fields,
            "severity",
            words(&["critical", "error", "warning", "info"]),
        ),
        items: rows(&admin, &found.items).await?,
        empty: empty(&fields, &profiles, &receivers),
        profiles: choices(&fields, "profile", profiles),
        receivers: choices(&fields, "receiver", receivers),
        further: Further::new("/incidents", &fields, found.next.as_deref()),
    };

    let view = View::new(&admin, &who, "Incidents", &fields);
    view.page("incidents.html", Data { list: listed }).await
}

/// Explains why the list is empty.
fn empty(fields: &Fields, profiles: &[String], receivers: &[String]) -> String {
    let nobody = [("profile", profiles), ("receiver", receivers)]
        .into_iter()
        .find_map(|(what, names)| {
            let asked = fields.get(what)?;
            let is_there = names.iter().any(|name| name == asked);
            (!is_there).then(|| format!("No incident matches: no {what} is called {asked}."))
        });
    nobody.unwrap_or_else(|| {
        let is_narrowed = FILTERS.iter().any(|name| fields.get(name).is_some());
        let said = if is_narrowed {
            "No incident matches."
        } else {
            "There has been no incident yet."
        };
        said.to_owned()
    })
}
