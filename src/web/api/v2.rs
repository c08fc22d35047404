//! Alertmanager's API v2, so that amtool, karma and Grafana's data source work with the bridge.
//!
//! The names and shapes are those of Alertmanager's own document, every required field included.
//! Alerts come from mail alone, so posting one is refused. An error is a JSON string, as in
//! Alertmanager ([`in_its_words`]).

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{any, get},
};

use crate::web::{Admin, json::Json, problem::Problem};

mod alerts;
mod filter;
mod silences;
mod status;

/// Returns the routes of the API.
pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/v2/status", get(status::status))
        .route("/api/v2/receivers", get(status::receivers))
        .route("/api/v2/alerts", get(alerts::list))
        .route("/api/v2/alerts/groups", get(alerts::groups))
        .route("/api/v2/silences", get(silences::list).post(silences::add))
        .route(
            "/api/v2/silence/{id}",
            get(silences::show).delete(silences::expire),
        )
        .route("/api/v2/{*rest}", any(nothing))
        .method_not_allowed_fallback(not_so)
}

/// Turns every refusal of this API into a JSON string, because its clients read nothing else.
pub async fn in_its_words(request: Request, next: Next) -> Response {
    let is_ours = request.uri().path().starts_with("/api/v2/");
    let response = next.run(request).await;
    if !is_ours || !Problem::is_in(&response) {
        return response;
    }

    let problem = Problem::from_response(response).await;
    let status = match problem.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        // Alertmanager's document has no other status for these.
        StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => StatusCode::INTERNAL_SERVER_ERROR,
        status => status,
    };
    (status, Json(problem.detail)).into_response()
}

async fn nothing() -> Problem {
    Problem::not_found("there is nothing here")
}

async fn not_so() -> Problem {
    let why = "alerts come from mail alone; this method is not allowed here";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, why)
}

type Answer<T> = Result<Json<T>, Problem>;
