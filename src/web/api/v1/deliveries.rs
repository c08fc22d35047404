//! The API's `deliveries`.

use std::sync::Arc;

use axum::extract::State;

use super::Answer;
use crate::{
    delivery::DeliveryId,
    store::DeliveryRow,
    web::{
        Admin,
        ask::{Path, Query},
        json::Json,
        list::{List, Walk},
        problem::Problem,
        views::deliveries::{self, Acted, DeliveryQuery},
        who::Operator,
    },
};

/// Lists the deliveries that are owed, done or given up, the newest first.
#[utoipa::path(
    get, path = "/deliveries", tag = "deliveries",
    params(DeliveryQuery, Walk),
    responses(
        (status = 200, body = List<DeliveryRow>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<DeliveryQuery>,
    Query(walk): Query<Walk>,
) -> Answer<List<DeliveryRow>> {
    Ok(Json(deliveries::list(&admin, &query, &walk).await?))
}

/// Retries a dead delivery.
#[utoipa::path(
    post, path = "/deliveries/{id}/retry", tag = "deliveries",
    params(
        ("id" = DeliveryId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Acted),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn retry(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Path(id): Path<DeliveryId>,
) -> Answer<Acted> {
    Ok(Json(deliveries::retry(&admin, &who, id).await?))
}

/// Gives up a delivery, so that it is neither sent nor sent again.
#[utoipa::path(
    post, path = "/deliveries/{id}/discard", tag = "deliveries",
    params(
        ("id" = DeliveryId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A request repeated with the \
            same key is done once"),
    ),
    responses(
        (status = 200, body = Acted),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn discard(
    State(admin): State<Arc<Admin>>,
    Operator(who): Operator,
    Path(id): Path<DeliveryId>,
) -> Answer<Acted> {
    Ok(Json(deliveries::discard(&admin, &who, id).await?))
}
