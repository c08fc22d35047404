//! Alertmanager's API v2, so that amtool, karma and Grafana's data source work against the bridge.
//!
//! The names and shapes are those of its own document, every required field included. Alerts
//! come from mail alone: posting one is refused. An error is a JSON string, as Alertmanager's are.

use std::sync::Arc;

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};

use crate::web::{Admin, json::Json, problem::Problem};

mod alerts;
mod filter;
mod silences;
mod status;

/// The API's paths.
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

async fn nothing() -> Failure {
    Failure(StatusCode::NOT_FOUND, "there is nothing here".to_owned())
}

async fn not_so() -> Failure {
    let why = "alerts come from mail alone; this method is not allowed here";
    Failure(StatusCode::METHOD_NOT_ALLOWED, why.to_owned())
}

/// Why a request was not done.
pub struct Failure(StatusCode, String);

impl Failure {
    fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let status = match problem.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            // Alertmanager's document has no other word for it.
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            status => status,
        };
        Self(status, problem.detail)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Failure>;
