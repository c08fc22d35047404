//! Silences: what is kept from being told, until when, and what a new one would keep.

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
    deliveries::Tab,
    frame::View,
    incidents::{Further, walk},
    when::{When, span},
};
use crate::{
    silence::SilenceId,
    web::{
        Admin,
        ask::Path,
        form::Fields,
        views::silences::{self, Silence, SilenceQuery, SilenceState},
        who::Who,
    },
};

mod end;
mod form;
mod keeps;
mod new;

use end::{ask_expire, expire};
use new::{make, new};

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/silences", get(page))
        .route("/silences/new", get(new).post(make))
        .route("/silences/{id}", get(one))
        .route("/silences/{id}/expire", get(ask_expire).post(expire))
}

#[derive(Serialize)]
struct Row {
    id: SilenceId,
    kind: &'static str,
    words: String,
    comment: String,
    matchers: Vec<String>,
    author: String,
    starts: When,
    ends: When,
    can_expire: bool,
    again_href: String,
}

impl Row {
    fn new(silence: Silence, now: Timestamp) -> Self {
        let (kind, words) = match silence.state {
            SilenceState::Active => (
                "on",
                format!(
                    "holds for {} more",
                    span(silence.ends_at.duration_since(now))
                ),
            ),
            SilenceState::Pending => (
                "wait",
                format!("begins in {}", span(silence.starts_at.duration_since(now))),
            ),
            SilenceState::Expired => ("off", "over".to_owned()),
        };
        let again = [
            ("matchers", silence.matchers.join("\n")),
            ("comment", silence.comment.clone()),
        ];
        let again: Vec<_> = again
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Self {
            id: silence.id,
            kind,
            words,
            again_href: address("/silences/new", &again),
            comment: silence.comment,
            matchers: silence.matchers,
            author: silence.author,
            starts: When::new(silence.starts_at, now),
            ends: When::new(silence.ends_at, now),
            can_expire: silence.state != SilenceState::Expired,
        }
    }
}

#[derive(Serialize)]
struct ListData {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    tabs: Vec<Tab>,
    items: Vec<Row>,
    empty: &'static str,
    #[serde(flatten)]
    further: Further,
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    fields.only(&["state", "cursor"])?;
    let state = fields.get("state").unwrap_or("active");
    let query = SilenceQuery {
        state: (state != "all").then(|| state.to_owned()),
    };
    let mut walk = walk(&fields);
    // Few silences have a given state, among many that do not.
    walk.limit = if query.state.is_some() {
        Some(1000)
    } else {
        walk.limit
    };
    let found = silences::list(&admin, &query, &walk).await?;

    let now = admin.clock.now();
    let tab = |name, word: &str| Tab {
        name,
        href: address("/silences", &[("state", word)]),
        here: state == word,
    };
    let listed = Listed {
        tabs: vec![
            tab("Now", "active"),
            tab("To come", "pending"),
            tab("Over", "expired"),
            tab("All", "all"),
        ],
        empty: match state {
            "active" => "Nothing is silenced now.",
            "pending" => "No silence is planned.",
            _ => "There is no such silence.",
        },
        further: Further::new("/silences", &fields, found.next.as_deref()),
        items: found
            .items
            .into_iter()
            .map(|one| Row::new(one, now))
            .collect(),
    };
    let view = View::new(&admin, &who, "Silences", &fields);
    view.page("silences.html", ListData { list: listed }).await
}

#[derive(Serialize)]
struct OneData {
    silence: Row,
}

async fn one(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<SilenceId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let silence = silences::show(&admin, id).await?;
    let now = admin.clock.now();
    let data = OneData {
        silence: Row::new(silence, now),
    };
    let view = View::new(&admin, &who, "Silences", &fields);
    view.page("silence.html", data).await
}
