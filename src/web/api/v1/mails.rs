//! The API's `mails`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::Answer;
use crate::{
    message::MailId,
    web::{
        Admin,
        ask::{Body, Path, Query},
        json::Json,
        list::{List, Walk},
        problem::Problem,
        views::mails::{self, DiscardFilter, Discarded, ListedMail, Mail, MailQuery},
        who::Operator,
    },
};

/// Lists the stored mails, the newest first.
#[utoipa::path(
    get, path = "/mails", tag = "mails",
    params(MailQuery, Walk),
    responses(
        (status = 200, body = List<ListedMail>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<MailQuery>,
    Query(walk): Query<Walk>,
) -> Answer<List<ListedMail>> {
    Ok(Json(mails::list(&admin, &query, &walk).await?))
}

/// Returns a mail: its origin and its outcome.
#[utoipa::path(
    get, path = "/mails/{id}", tag = "mails",
    params(("id" = MailId, Path)),
    responses(
        (status = 200, body = Mail),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(State(admin): State<Arc<Admin>>, Path(id): Path<MailId>) -> Answer<Mail> {
    Ok(Json(mails::show(&admin, id).await?))
}

/// Returns the mail itself, byte for byte.
#[utoipa::path(
    get, path = "/mails/{id}/raw", tag = "mails",
    params(("id" = MailId, Path)),
    responses(
        (status = 200, body = String, content_type = "message/rfc822"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn raw(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<MailId>,
) -> Result<Response, Problem> {
    let raw = mails::raw(&admin, id).await?;
    // A mail is always a download, and never shown as a page of this listener.
    let headers = [
        (CONTENT_TYPE, "message/rfc822".to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{id}.eml\""),
        ),
    ];
    Ok((headers, raw).into_response())
}

/// Releases a mail from the quarantine, so that it is decided as genuine.
#[utoipa::path(
    post, path = "/mails/{id}/release", tag = "mails",
    params(
        ("id" = MailId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Mail),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn release(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Path(id): Path<MailId>,
) -> Answer<Mail> {
    Ok(Json(mails::release(&admin, &who, id).await?))
}

/// Discards a mail from the quarantine for good.
#[utoipa::path(
    post, path = "/mails/{id}/discard", tag = "mails",
    params(
        ("id" = MailId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Mail),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn discard(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Path(id): Path<MailId>,
) -> Answer<Mail> {
    Ok(Json(mails::discard(&admin, &who, id).await?))
}

/// Discards all mails that match a filter from the quarantine for good.
#[utoipa::path(
    post, path = "/mails/discard", tag = "mails",
    request_body = DiscardFilter,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Discarded),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn discard_all(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Body(filter): Body<DiscardFilter>,
) -> Answer<Discarded> {
    Ok(Json(mails::discard_all(&admin, &who, &filter).await?))
}
