//! The API's `incidents`.

use std::sync::Arc;

use axum::extract::State;

use super::Answer;
use crate::web::{
    Admin,
    ask::{Path, Query},
    json::Json,
    list::{List, Walk},
    problem::Problem,
    views::incidents::{self, Incident, IncidentQuery, Story},
    who::Operator,
};

/// Lists the incidents, the newest first.
#[utoipa::path(
    get, path = "/incidents", tag = "incidents",
    params(IncidentQuery, Walk),
    responses(
        (status = 200, body = List<Incident>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<IncidentQuery>,
    Query(walk): Query<Walk>,
) -> Answer<List<Incident>> {
    Ok(Json(incidents::list(&admin, &query, &walk).await?))
}

/// Returns an incident with its whole timeline, in order.
#[utoipa::path(
    get, path = "/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "The incident's id, percent-encoded")),
    responses(
        (status = 200, body = Story),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer<Story> {
    Ok(Json(incidents::show(&admin, &id).await?))
}

/// Closes an incident that no mail will close.
///
/// The receivers that were told of its trigger are told that it is over, and who closed it.
#[utoipa::path(
    post, path = "/incidents/{id}/resolve", tag = "incidents",
    params(
        ("id" = String, Path, description = "The incident's id, percent-encoded"),
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Story),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn resolve(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Path(id): Path<String>,
) -> Answer<Story> {
    Ok(Json(incidents::resolve(&admin, &who, &id).await?))
}
