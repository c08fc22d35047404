//! Mails: everything that came, and what waits in the quarantine.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer, address,
    confirm::Question,
    done,
    frame::View,
    incident_at,
    incidents::{Choice, Further, choices, walk},
    now::First,
    when::When,
    words,
};
use crate::{
    message::Outcome,
    store::MailRow,
    web::{
        Admin,
        form::{Fields, Posted},
        problem::Problem,
        views::{
            conditions,
            mails::{self, DiscardFilter, MailQuery},
            named::named,
        },
        who::Who,
    },
};

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/mails", get(page))
        .route("/mails/discard", get(ask_discard).post(discard))
}

#[derive(Serialize)]
struct Data {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    q: String,
    outcomes: Vec<Choice>,
    profiles: Vec<Choice>,
    ingresses: Vec<Choice>,
    /// Where all that are listed are discarded, where they are in the quarantine.
    discard_href: Option<String>,
    items: Vec<Row>,
    first: Option<First>,
    #[serde(flatten)]
    further: Further,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    kind: &'static str,
    outcome: &'static str,
    held: bool,
    title: String,
    incident: Option<Incident>,
    reason: Option<String>,
    ingress: String,
    proof: String,
    size: String,
    at: When,
}

#[derive(Serialize)]
struct Incident {
    href: String,
    text: String,
}

impl Row {
    fn new(mail: MailRow, now: Timestamp) -> Self {
        let title = ["title", "metric"]
            .iter()
            .find_map(|name| words::label(&mail.labels, name));
        Self {
            title: title.map_or_else(|| format!("Mail {}", mail.id), ToOwned::to_owned),
            kind: words::outcome(mail.outcome),
            outcome: mail.outcome.as_str(),
            held: mail.outcome == Outcome::Quarantined,
            incident: mail.incident_id.map(|id| Incident {
                href: incident_at(&id),
                text: named(&id).into_owned(),
            }),
            reason: mail.reason,
            ingress: mail.ingress,
            proof: words::proof(&mail.authenticity),
            size: words::size(mail.size),
            at: When::new(mail.arrived_at, now),
            id: mail.id,
        }
    }
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let outcome: Option<Outcome> = fields.word("outcome")?;
    let query = MailQuery {
        outcome,
        profile: fields.get("profile").map(ToOwned::to_owned),
        ingress: fields.get("ingress").map(ToOwned::to_owned),
        q: fields.get("q").map(ToOwned::to_owned),
    };
    let found = mails::list(&admin, &query, &walk(&fields)).await?;
    let lately = conditions::lately(&admin).await?;
    let ingresses = conditions::ingresses_by(&admin, &lately);

    // What is discarded by a filter is exactly what is listed by it.
    let by_filter =
        outcome == Some(Outcome::Quarantined) && query.profile.is_none() && query.q.is_none();
    let discard_href = by_filter.then(|| {
        address(
            "/mails/discard",
            &[("ingress", fields.get("ingress").unwrap_or_default())],
        )
    });
    let now = admin.clock.now();
    let first = lately.is_empty().then(|| First::of(&admin));

    let listed = Listed {
        q: fields.text("q"),
        outcomes: choices(
            &fields,
            "outcome",
            Outcome::NOTABLE.map(|one| one.as_str().to_owned()),
        ),
        profiles: choices(&fields, "profile", admin.workbench.profiles()),
        ingresses: choices(
            &fields,
            "ingress",
            ingresses.items.into_iter().map(|one| one.name),
        ),
        discard_href,
        further: Further::new("/mails", &fields, found.next.as_deref()),
        items: found
            .items
            .into_iter()
            .map(|mail| Row::new(mail, now))
            .collect(),
        first,
    };
    let view = View::new(&admin, &who, "Mails", &fields);
    view.page("mails.html", Data { list: listed }).await
}

async fn ask_discard(
    State(admin): State<Arc<Admin>>,
    who: Who,
    RawQuery(query): RawQuery,
) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let through = fields
        .get("ingress")
        .map(|name| format!(" that came through {name}"));
    let through = through.unwrap_or_default();
    Question {
        title: format!("Discard all mail in the quarantine{through}?"),
        lines: vec![
            "None of it is told to anybody. It stays stored, as ignored, with its reason."
                .to_owned(),
            "To discard some of it only, say of whom, or how old it is.".to_owned(),
        ],
        action: "/mails/discard".to_owned(),
        hidden: vec![("ingress", &*fields.text("ingress")).into()],
        asked: DISCARD_FIELDS.map(Into::into).to_vec(),
        button: "Discard them",
        danger: true,
        back: "/mails?outcome=quarantined".to_owned(),
    }
    .ask(&View::new(&admin, &who, "Mails", &fields))
    .await
}

/// By what else the mails to discard may be chosen: the field, what it is, and an example.
const DISCARD_FIELDS: [(&str, &str, &str); 2] = [
    ("from", "Only from", "ann@example.com or @example.com"),
    ("older", "Only older than", "7d"),
];

async fn discard(State(admin): State<Arc<Admin>>, who: Who, posted: Posted) -> Answer {
    let some = |name: &str| posted.fields.get(name).map(ToOwned::to_owned);
    let filter = DiscardFilter {
        outcome: Some(Outcome::Quarantined),
        ingress: some("ingress"),
        from: some("from"),
        older: some("older"),
    };
    let gone: Result<_, Problem> = mails::discard_all(&admin, &who, &filter).await;
    let word = if gone?.discarded == 0 {
        "nothing"
    } else {
        "discarded"
    };
    Ok(done("/mails?outcome=quarantined", word))
}
