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
        let (what, href) = match deed.action.as_str() {
            "incidents.resolve" => ("resolved incident", Some(incident_at(&deed.subject))),
            "mails.release" => ("released mail", Some(format!("/mails/{}", deed.subject))),
            "mails.discard" if number => {
                ("discarded mail", Some(format!("/mails/{}", deed.subject)))
            }
            "mails.discard" => ("discarded", None),
            "deliveries.retry" => ("sent again page", None),
            "deliveries.discard" => ("discarded page", None),
            "silences.add" => ("silenced", Some("/silences?state=all".to_owned())),
            "silences.expire" => ("ended silence", Some(format!("/silences/{}", deed.subject))),
            "receivers.test" => ("sent a test page to", None),
            other => (other, None),
        };
        let (kind, outcome) = match deed.outcome.as_deref() {
            Some("done") => ("good", "done".to_owned()),
            Some(why) => ("bad", why.to_owned()),
            None => ("wait", "begun, and nobody knows what came of it".to_owned()),
        };
        Self {
            what: what.to_owned(),
            href,
            via: match deed.via.as_str() {
                "command" => "by a command",
                "api" => "over the API",
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
