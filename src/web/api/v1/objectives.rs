//! The API's `objectives`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, header::ACCEPT},
    response::{IntoResponse, Response},
};

use super::Answer;
use crate::web::{
    Admin,
    ask::Query,
    json::Json,
    list::List,
    problem::Problem,
    views::objectives::{self, Objective, ObjectiveQuery, Sender},
};

/// Lists how much of each error budget is spent, by app and SLI.
///
/// The answer is a table if `Accept` asks for `text/csv`.
#[utoipa::path(
    get, path = "/objectives", tag = "objectives",
    params(ObjectiveQuery),
    responses(
        (status = 200, content(
            (List<Objective> = "application/json"),
            (String = "text/csv"),
        )),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    Query(query): Query<ObjectiveQuery>,
) -> Result<Response, Problem> {
    let objectives = objectives::list(&admin, &query).await?;
    let accepts = headers
        .get(ACCEPT)
        .and_then(|accepts| accepts.to_str().ok());
    if !accepts.is_some_and(|accepts| accepts.contains("text/csv")) {
        return Ok(Json(objectives).into_response());
    }

    Ok(objectives::file(&objectives.items))
}

/// Lists, by sender, how often and for how long the incidents that concern no objective were open.
#[utoipa::path(
    get, path = "/senders", tag = "objectives",
    params(ObjectiveQuery),
    responses(
        (status = 200, body = List<Sender>),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn senders(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<ObjectiveQuery>,
) -> Answer<List<Sender>> {
    Ok(Json(objectives::senders(&admin, &query).await?))
}
