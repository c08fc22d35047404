//! Audit: who did what.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer,
    frame::View,
    incident_at,
    incidents::{Further, walk},
    when::When,
};
use crate::{
    store::DeedRow,
    web::{Admin, form::Fields, views::audit, who::Who},
};

#[derive(Serialize)]
struct Data {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    items: Vec<Row>,
    #[serde(flatten)]
    further: Further,
}

#[derive(Serialize)]
struct Row {
    by: String,
    via: &'static str,
    what: String,
    subject: String,
    href: Option<String>,
    kind: &'static str,
    outcome: String,
    at: When,
}

impl Row {
    fn new(deed: DeedRow, now: Timestamp) -> Self {
        let number =
            deed.subject.bytes().all(|byte| byte.is_ascii_digit()) && !deed.subject.is_empty();
        let at = |list: &str| Some(format!("{list}/{}", deed.subject)).filter(|_| number);
        let (act, acted, href) = match deed.action.as_str() {
            "incidents.resolve" => (
                "resolve incident",
                "resolved incident",
                Some(incident_at(&deed.subject)),
            ),
            "mails.release" => ("release mail", "released mail", at("/mails")),
            "mails.discard" if number => ("discard mail", "discarded mail", at("/mails")),
            "mails.discard" => ("discard", "discarded", None),
            "deliveries.retry" => ("send page again", "resent page", at("/deliveries")),
            "deliveries.discard" => ("discard page", "discarded page", at("/deliveries")),
            "silences.add" => (
                "silence",
                "silenced",
                Some("/silences?state=all".to_owned()),
            ),
            "silences.expire" => ("end silence", "ended silence", at("/silences")),
            "receivers.test" => ("send a test page to", "sent a test page to", None),
            other => (other, other, None),
        };
        let (kind, outcome) = match deed.outcome.as_deref() {
            Some("done") => ("good", "done".to_owned()),
            Some(why) => ("bad", why.to_owned()),
            None => ("wait", "begun, outcome unknown".to_owned()),
        };
        Self {
            what: if kind == "good" {
                acted.to_owned()
            } else {
                format!("tried to {act}")
            },
            href,
            via: match deed.via.as_str() {
                "command" => "by a command",
                "api" => "through the API",
                _ => "on a page",
            },
            by: deed.by,
            subject: deed.subject,
            kind,
            outcome,
            at: When::new(deed.at, now),
        }
    }
}

pub async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let found = audit::list(&admin, &walk(&fields)).await?;
    let now = admin.clock.now();
    let listed = Listed {
        further: Further::new("/audit", &fields, found.next.as_deref()),
        items: found
            .items
            .into_iter()
            .map(|deed| Row::new(deed, now))
            .collect(),
    };
    let view = View::new(&admin, &who, "Audit", &fields);
    view.page("audit.html", Data { list: listed }).await
}
