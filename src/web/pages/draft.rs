//! A profile drafted from a stored mail: the document, and how it reads the mails.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::IntoResponse as _,
    routing::get,
};
use serde::Serialize;

use super::{Answer, address, frame::View};
use crate::{
    message::MailId,
    web::{
        Admin,
        form::Fields,
        problem::Problem,
        views::profiles::{self, DraftFrom},
        who::Who,
        workbench::{self, Meaning, Read},
    },
};

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/profiles/draft", get(page))
        .route("/profiles/draft.yaml", get(file))
}

#[derive(Serialize)]
struct Data {
    mail: String,
    closing: String,
    error: Option<String>,
    draft: Option<Draft>,
}

#[derive(Serialize)]
struct Draft {
    document: String,
    file_href: String,
    mails: Vec<Tried>,
    doubts: Vec<String>,
}

/// The result of reading one of the mails with the draft.
#[derive(Serialize)]
struct Tried {
    which: &'static str,
    id: MailId,
    kind: &'static str,
    words: &'static str,
    read: Option<Read>,
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let mut data = Data {
        mail: fields.text("mail"),
        closing: fields.text("closing"),
        error: None,
        draft: None,
    };
    match made(&admin, &fields).await {
        Ok(None) => {}
        Ok(Some((from, draft))) => data.draft = Some(Draft::new(from, draft)),
        Err(problem) => data.error = Some(problem.detail),
    }
    View::new(&admin, &who, "Profiles", &fields)
        .page("draft.html", data)
        .await
}

/// Returns the draft alone, as a file for the configuration.
async fn file(State(admin): State<Arc<Admin>>, _: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let missing =
        || Problem::bad("`mail` is missing: give the number of the mail that opens an alert");
    let (_, draft) = made(&admin, &fields).await?.ok_or_else(missing)?;
    let headers = [
        (CONTENT_TYPE, "application/yaml; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"profile.yaml\""),
    ];
    Ok((headers, draft.document).into_response())
}

/// Drafts the profile, or returns `None` if no mail is named.
async fn made(
    admin: &Admin,
    fields: &Fields,
) -> Result<Option<(DraftFrom, workbench::Draft)>, Problem> {
    let Some(opening) = fields.number("mail")? else {
        return Ok(None);
    };
    let from = DraftFrom {
        opening,
        closing: fields.number("closing")?,
    };
    Ok(Some((from, profiles::draft(admin, from).await?)))
}

impl Draft {
    fn new(from: DraftFrom, draft: workbench::Draft) -> Self {
        let opening = from.opening.to_string();
        let closing = from.closing.map(|id| id.to_string()).unwrap_or_default();
        let query = [("mail", &*opening), ("closing", &*closing)];
        let ids = [
            ("opening mail", Some(from.opening)),
            ("closing mail", from.closing),
        ];
        let mails = ids.into_iter().filter_map(|(which, id)| Some((which, id?)));
        Self {
            file_href: address("/profiles/draft.yaml", &query),
            mails: mails
                .zip(draft.read)
                .map(|((which, id), read)| Tried::new(which, id, read))
                .collect(),
            doubts: draft.doubts,
            document: draft.document,
        }
    }
}

impl Tried {
    fn new(which: &'static str, id: MailId, read: Option<Read>) -> Self {
        let (kind, words) = match read.as_ref().map(|read| read.meaning) {
            Some(Meaning::Trigger) => ("on", "opens an incident"),
            Some(Meaning::Resolve) => ("good", "says that it is over"),
            Some(Meaning::Update) => ("wait", "updates an open incident"),
            None => ("bad", "cannot be read"),
        };
        Self {
            which,
            id,
            kind,
            words,
            read,
        }
    }
}
