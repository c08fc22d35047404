//! One incident: what broke, who was told and whether it reached them, whether it is still open,
//! and how to end it.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use serde::Serialize;

use super::{
    Answer, address,
    frame::View,
    incident_at,
    incidents::doubt,
    mail::Body,
    when::{span, with_clocks},
    words::{Fact, Label, Severity, labels},
};
use crate::{
    delivery::DeliveryState,
    store::{DeliveryRow, Event, IncidentRow, Kind, MailRow},
    web::{
        Admin,
        ask::Path,
        form::Fields,
        problem::Problem,
        views::{
            incidents::{self, IncidentState, Story},
            named::title,
        },
        who::Who,
    },
};

mod act;
mod drawing;
mod fact;
mod like;
mod moment;
mod route;
mod told;

use act::{again, ask_again, ask_resolve, resolve};
use drawing::{Drawing, drawing};
use fact::facts;
use like::{as_lines, looks_like};
use moment::Moment;
use route::{Route, routes};
use told::Told;

/// How many moments of the timeline are shown, the newest ones.
const MOMENTS: usize = 300;

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/incidents/{id}", get(page))
        .route("/incidents/{id}/resolve", get(ask_resolve).post(resolve))
        .route("/incidents/{id}/again", get(ask_again).post(again))
}

#[derive(Serialize)]
struct Data {
    incident: Shown,
}

#[derive(Serialize)]
struct Shown {
    title: String,
    announce: String,
    href: String,
    severity: Severity,
    open: bool,
    /// What the incident is, if it is a mail that could not be read. Such an incident is neither
    /// open nor resolved.
    unread: Option<&'static str>,
    age: String,
    doubt: Option<&'static str>,
    facts: Vec<Fact>,
    silence_href: String,
    /// The label of the button that ends it by hand.
    end: Option<&'static str>,
    /// Whether a page did not arrive that can be sent again.
    again: bool,
    told: Vec<Told>,
    nobody: Option<String>,
    chart: Option<Drawing>,
    timeline: Vec<Moment>,
    earlier: usize,
    routes: Vec<Route>,
    rules_href: String,
    mail: Option<Body>,
    labels: Vec<Label>,
}

async fn page(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let story = incidents::show(&admin, &id).await?;
    let incident = Shown::of(&admin, story).await?;
    View::new(&admin, &who, "Incidents", &fields)
        .page("incident.html", Data { incident })
        .await
}

impl Shown {
    async fn of(admin: &Admin, story: Story) -> Result<Self, Problem> {
        let now = admin.clock.now();
        let Story { incident, timeline } = story;
        let (row, its) = (&incident.row, &incident.row.labels);
        let open = incident.state == IncidentState::Open;
        let deliveries = || timeline.iter().filter_map(as_delivery);
        let mails: Vec<_> = timeline.iter().filter_map(as_mail).collect();

        let told = incident.told.iter().map(|one| {
            let row = deliveries().find(|delivery| delivery.id == one.delivery);
            Told::new(one, row, deliveries(), now)
        });
        let told: Vec<_> = told.collect();

        let newest = mails.iter().map(|mail| mail.id).max();
        let mail = match newest {
            Some(id) => Body::of(admin, id).await?,
            None => None,
        };
        let moments = moment::all(admin, &timeline, now).await?;
        let earlier = moments.len().saturating_sub(MOMENTS);
        let age = span(now.duration_since(row.opened_at));
        let title = title(its, &row.incident_id);
        let unread = unread(row, &told);

        Ok(Self {
            announce: match unread {
                Some(unread) => format!("{title}: {unread}"),
                None if open => format!("{title}: open for {age}"),
                None => format!("{title}: resolved"),
            },
            title,
            href: incident_at(&row.incident_id),
            severity: Severity::new(&incident.severity),
            open,
            unread,
            end: match unread {
                None => (open && row.can_end).then_some("Resolve by hand"),
                Some(_) => (row.can_end && !told.is_empty()).then_some("Close its alerts"),
            },
            doubt: doubt(its),
            facts: facts(&incident, now),
            silence_href: address("/silences/new", &[("matchers", &looks_like(its))]),
            again: deliveries().any(|delivery| delivery.state == DeliveryState::Dead),
            nobody: mails
                .iter()
                .max_by_key(|mail| mail.id)
                .and_then(|mail| Some(with_clocks(mail.reason.as_deref()?, mail.arrived_at, now))),
            told,
            chart: drawing(&mails, its, (!open).then_some(row.changed_at), now),
            timeline: moments.into_iter().take(MOMENTS).collect(),
            earlier,
            routes: routes(admin, its, now),
            rules_href: address("/rules", &[("labels", &as_lines(its))]),
            mail,
            labels: labels(its),
            age,
        })
    }
}

/// Describes an incident that is a mail that could not be read.
fn unread(row: &IncidentRow, told: &[Told]) -> Option<&'static str> {
    let unread = if told.is_empty() {
        "a mail that could not be read"
    } else {
        "told: a mail that could not be read"
    };
    (row.kind == Kind::Unparsed).then_some(unread)
}

fn as_delivery(event: &Event) -> Option<&DeliveryRow> {
    match event {
        Event::Delivery(delivery) => Some(delivery),
        _ => None,
    }
}

fn as_mail(event: &Event) -> Option<&MailRow> {
    match event {
        Event::Mail(mail) => Some(mail),
        _ => None,
    }
}
