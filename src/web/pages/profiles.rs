//! Profiles: whose mail is read, and drafts of new ones.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use serde::Serialize;

use super::{Answer, address, frame::View, when::When, words::count};
use crate::web::{Admin, form::Fields, views::conditions, who::Who};

pub fn router() -> Router<Arc<Admin>> {
    Router::new().route("/profiles", get(page))
}

#[derive(Serialize)]
struct Data {
    profiles: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    kind: &'static str,
    words: String,
    last: Option<When>,
    mails_href: String,
    incidents_href: String,
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let found = conditions::profiles(&admin).await?;
    let now = admin.clock.now();
    let row = |one: conditions::Profile| {
        let (kind, words) = match (one.unparsed, one.last_mail) {
            _ if one.missing => ("bad", "its mail is missing".to_owned()),
            (0, None) => ("off", "no mail yet".to_owned()),
            (0, Some(_)) => ("good", "all its mail is read".to_owned()),
            (unread, _) => (
                "bad",
                format!("{} could not be read", count(unread, "mail", "mails")),
            ),
        };
        Row {
            kind,
            words,
            last: one.last_mail.map(|at| When::new(at, now)),
            mails_href: address("/mails", &[("profile", &one.name)]),
            incidents_href: address("/incidents", &[("profile", &one.name)]),
            name: one.name,
        }
    };
    let data = Data {
        profiles: found.items.into_iter().map(row).collect(),
    };
    View::new(&admin, &who, "Profiles", &fields)
        .page("profiles.html", data)
        .await
}
