//! The API's `silences`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use super::Answer;
use crate::{
    silence::SilenceId,
    web::{
        Admin,
        ask::{Body, Path, Query},
        json::Json,
        list::{List, Walk},
        problem::Problem,
        views::silences::{self, ALL, NewSilence, Preview, Silence, SilenceQuery},
        who::{Operator, Who},
    },
};

/// Lists the silences, the newest first.
#[utoipa::path(
    get, path = "/silences", tag = "silences",
    params(SilenceQuery, Walk),
    responses(
        (status = 200, body = List<Silence>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<SilenceQuery>,
    Query(walk): Query<Walk>,
) -> Answer<List<Silence>> {
    Ok(Json(silences::list(&admin, &query, &walk).await?))
}

/// Returns a silence.
#[utoipa::path(
    get, path = "/silences/{id}", tag = "silences",
    params(("id" = SilenceId, Path)),
    responses(
        (status = 200, body = Silence),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(State(admin): State<Arc<Admin>>, Path(id): Path<SilenceId>) -> Answer<Silence> {
    Ok(Json(silences::show(&admin, id).await?))
}

/// Adds a silence.
#[utoipa::path(
    post, path = "/silences", tag = "silences",
    request_body = NewSilence,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 201, body = Silence),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn add(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Body(new): Body<NewSilence>,
) -> Result<(StatusCode, Json<Silence>), Problem> {
    let silence = silences::add(&admin, &who, &new).await?;
    Ok((StatusCode::CREATED, Json(silence)))
}

/// Ends a silence now.
#[utoipa::path(
    delete, path = "/silences/{id}", tag = "silences",
    params(
        ("id" = SilenceId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Silence),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn expire(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Path(id): Path<SilenceId>,
) -> Answer<Silence> {
    Ok(Json(silences::expire(&admin, &who, id).await?))
}

/// Previews which incidents a silence would cover, and which past triggers it would have covered.
///
/// Returns the open incidents that it covers, and the triggers of the last 28 days. Stores nothing.
#[utoipa::path(
    post, path = "/silences/preview", tag = "silences",
    request_body = NewSilence,
    responses(
        (status = 200, body = Preview),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn preview(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Body(new): Body<NewSilence>,
) -> Answer<Preview> {
    Ok(Json(silences::preview(&admin, &who, &new, ALL).await?))
}
