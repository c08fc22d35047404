//! Deliveries: those that are owed, that arrived, and that were given up.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, Request, State},
    response::{IntoResponse as _, Redirect},
    routing::get,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer, address,
    confirm::Question,
    done, filtered,
    frame::View,
    incident_at,
    incidents::{Choice, Further, choices, walk},
    list_before,
    plain::sentence,
    when::{When, clock, held_until},
    words,
};
use crate::{
    delivery::{DeliveryId, DeliveryState},
    store::DeliveryRow,
    web::{
        Admin,
        ask::Path,
        form::{Fields, Posted},
        views::{
            conditions,
            deliveries::{self, DeliveryQuery},
            named::named,
        },
        who::Who,
    },
};

/// The list from which a question is asked.
const LIST: &str = "/deliveries";

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/deliveries", get(page))
        .route("/deliveries/{id}", get(one))
        .route("/deliveries/{id}/retry", get(ask_retry).post(retry))
        .route("/deliveries/{id}/discard", get(ask_discard).post(discard))
}

#[derive(Serialize)]
struct Data {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    tabs: Vec<Tab>,
    state: String,
    receivers: Vec<Choice>,
    items: Vec<Row>,
    empty: &'static str,
    #[serde(flatten)]
    further: Further,
}

/// A link to one of several lists.
#[derive(Debug, Serialize)]
pub struct Tab {
    pub name: &'static str,
    pub href: String,
    pub here: bool,
}

#[derive(Serialize)]
struct Row {
    id: DeliveryId,
    kind: &'static str,
    words: String,
    incident: String,
    href: String,
    integration: String,
    detail: Option<String>,
    until: Option<String>,
    at: When,
    can_retry: bool,
    can_discard: bool,
}

impl Row {
    fn new(row: DeliveryRow, now: Timestamp) -> Self {
        let (kind, words) = words::delivery(row.state, row.action, &row.receiver, row.failures);
        let until = row.next_at.map(|at| match row.state {
            DeliveryState::Held => format!("held {}", held_until(at, row.created_at, now)),
            _ => format!("next try at {}", clock(at, now)),
        });
        Self {
            id: row.id,
            kind,
            words,
            href: place(&row),
            incident: called(&row),
            integration: words::integration(&row.integration),
            detail: row.detail,
            until,
            at: When::new(row.settled_at.unwrap_or(row.created_at), now),
            can_retry: can_retry(row.state),
            can_discard: can_discard(row.state),
        }
    }
}

fn can_retry(state: DeliveryState) -> bool {
    state == DeliveryState::Dead
}

fn can_discard(state: DeliveryState) -> bool {
    matches!(
        state,
        DeliveryState::Dead | DeliveryState::Pending | DeliveryState::Held
    )
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    fields.only(&["state", "receiver", "cursor"])?;
    let state: Option<DeliveryState> = fields.word("state")?;
    let query = DeliveryQuery {
        state,
        receiver: fields.get("receiver").map(ToOwned::to_owned),
    };
    let found = deliveries::list(&admin, &query, &walk(&fields)).await?;
    let receivers = conditions::receivers(&admin).await?;

    let tab = |name, word: &str| {
        let receiver = fields.get("receiver").unwrap_or_default();
        let query: Vec<_> = [("state", word), ("receiver", receiver)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Tab {
            name,
            href: address("/deliveries", &query),
            here: fields.get("state").unwrap_or_default() == word,
        }
    };
    let now = admin.clock.now();
    let listed = Listed {
        tabs: vec![
            tab("All", ""),
            tab("Owed", "pending"),
            tab("Held", "held"),
            tab("Did not arrive", "dead"),
            tab("Arrived", "delivered"),
            tab("Discarded", "discarded"),
        ],
        state: fields.text("state"),
        receivers: choices(
            &fields,
            "receiver",
            receivers.items.into_iter().map(|one| one.name),
        ),
        empty: match state {
            Some(DeliveryState::Dead) => "Everything arrived.",
            Some(DeliveryState::Pending) => "Nothing is owed.",
            Some(DeliveryState::Held) => "Nothing is held.",
            _ => "There has been no page yet.",
        },
        further: Further::new("/deliveries", &fields, found.next.as_deref()),
        items: found
            .items
            .into_iter()
            .map(|row| Row::new(row, now))
            .collect(),
    };
    let view = View::new(&admin, &who, "Deliveries", &fields);
    view.page("deliveries.html", Data { list: listed }).await
}

/// Redirects to a delivery's place in the timeline of its incident.
async fn one(State(admin): State<Arc<Admin>>, Path(id): Path<DeliveryId>) -> Answer {
    let row = deliveries::show(&admin, id).await?;
    Ok(Redirect::to(&place(&row)).into_response())
}

fn place(row: &DeliveryRow) -> String {
    format!("{}#delivery-{}", incident_at(&row.incident_id), row.id)
}

/// Describes a page: its subject, and its state at its receiver.
fn told(row: &DeliveryRow) -> String {
    let (_, words) = words::delivery(row.state, row.action, &row.receiver, row.failures);
    let by = words::integration(&row.integration);
    let detail = row.detail.as_deref();
    let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
    format!("{}: {words} ({by}){detail}", called(row))
}

fn called(row: &DeliveryRow) -> String {
    let title = row.title.clone();
    title.unwrap_or_else(|| named(&row.incident_id).into_owned())
}

/// Creates the page that is shown in place of a question about a delivery whose state has changed
/// since.
fn moot(row: &DeliveryRow, what: &str) -> Question {
    let (_, words) = words::delivery(row.state, row.action, &row.receiver, row.failures);
    let title = format!("Page {} can no longer be {what}", row.id);
    let lines = vec![called(row), sentence(&words)];
    Question::moot(title, lines, place(row))
}

async fn ask_retry(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<DeliveryId>,
    request: Request,
) -> Answer {
    let view = View::new(&admin, &who, "Deliveries", &Fields::default());
    let back = list_before(&admin, &request, LIST);
    let row = deliveries::show(&admin, id).await?;
    if !can_retry(row.state) {
        return moot(&row, "sent again").ask(&view).await;
    }

    Question {
        title: format!("Send page {id} again?"),
        lines: vec![
            told(&row),
            "It is sent at once, and retried for as long as any other page.".to_owned(),
        ],
        action: format!("/deliveries/{id}/retry"),
        button: "Send it again",
        hidden: vec![("back", &*back).into()],
        back,
        ..Question::default()
    }
    .ask(&view)
    .await
}

async fn retry(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<DeliveryId>,
    posted: Posted,
) -> Answer {
    deliveries::retry(&admin, &who, id).await?;
    let back = filtered(posted.fields.get("back"), LIST);
    Ok(done(&back, "retried"))
}

async fn ask_discard(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<DeliveryId>,
    request: Request,
) -> Answer {
    let view = View::new(&admin, &who, "Deliveries", &Fields::default());
    let back = list_before(&admin, &request, LIST);
    let row = deliveries::show(&admin, id).await?;
    if !can_discard(row.state) {
        return moot(&row, "discarded").ask(&view).await;
    }

    Question {
        title: format!("Discard page {id}?"),
        lines: vec![told(&row), "Its receiver will never get it.".to_owned()],
        action: format!("/deliveries/{id}/discard"),
        button: "Discard it",
        danger: true,
        hidden: vec![("back", &*back).into()],
        back,
        ..Question::default()
    }
    .ask(&view)
    .await
}

async fn discard(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<DeliveryId>,
    posted: Posted,
) -> Answer {
    deliveries::discard(&admin, &who, id).await?;
    let back = filtered(posted.fields.get("back"), LIST);
    Ok(done(&back, "discarded"))
}
