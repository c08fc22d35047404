//! The condition of the bridge, and who did what: `ingresses`, `receivers`, `profiles`, `audit`.

use std::sync::Arc;

use axum::extract::State;

use super::Answer;
use crate::{
    store::DeedRow,
    web::{
        Admin,
        ask::{Path, Query},
        json::Json,
        list::{List, Walk},
        problem::Problem,
        views::{
            audit,
            conditions::{self, Ingress, Profile, Receiver},
        },
        who::Operator,
        workbench::Tested,
    },
};

/// Lists the condition of every ingress.
#[utoipa::path(
    get, path = "/ingresses", tag = "conditions",
    responses(
        (status = 200, body = List<Ingress>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn ingresses(State(admin): State<Arc<Admin>>) -> Answer<List<Ingress>> {
    Ok(Json(conditions::ingresses(&admin).await?))
}

/// Lists the condition of every receiver: its backlog, its circuit and its errors.
#[utoipa::path(
    get, path = "/receivers", tag = "conditions",
    responses(
        (status = 200, body = List<Receiver>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn receivers(State(admin): State<Arc<Admin>>) -> Answer<List<Receiver>> {
    Ok(Json(conditions::receivers(&admin).await?))
}

/// Sends a `[TEST]` trigger and its resolve to a receiver.
///
/// Both pages are real, and reach whoever is on call. A page that cannot be delivered within 20 s
/// counts as failed.
#[utoipa::path(
    post, path = "/receivers/{name}/test", tag = "conditions",
    params(
        ("name" = String, Path, description = "The receiver's name, percent-encoded"),
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Vec<Tested>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn test(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Path(name): Path<String>,
) -> Answer<Vec<Tested>> {
    Ok(Json(conditions::test(&admin, &who, &name).await?))
}

/// Lists the condition of every profile.
#[utoipa::path(
    get, path = "/profiles", tag = "conditions",
    responses(
        (status = 200, body = List<Profile>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn profiles(State(admin): State<Arc<Admin>>) -> Answer<List<Profile>> {
    Ok(Json(conditions::profiles(&admin).await?))
}

/// Lists who did what, the newest action first.
#[utoipa::path(
    get, path = "/audit", tag = "conditions",
    params(Walk),
    responses(
        (status = 200, body = List<DeedRow>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn audit(
    State(admin): State<Arc<Admin>>,
    Query(walk): Query<Walk>,
) -> Answer<List<DeedRow>> {
    Ok(Json(audit::list(&admin, &walk).await?))
}
