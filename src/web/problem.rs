//! The answer to a request that cannot be fulfilled: problem details (RFC 9457).

use axum::{
    body::to_bytes,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Json;
use crate::{store::StoreError, telemetry};

/// The media type of problem details.
const KIND: &str = "application/problem+json";

/// The longest body, in bytes, from which a problem is read back.
const LONGEST: usize = 64 << 10;

/// The reason why a request was not fulfilled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The type of the problem: `about:blank`, which says no more than the status.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: String,
    pub title: String,
    pub status: u16,
    /// What is wrong and, if known, how to fix it.
    pub detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }

    /// Creates the problem of a request that is not understood.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Creates the problem of a request that is understood but cannot be fulfilled.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// Decides whether a response holds a problem.
    pub fn is_in(response: &Response) -> bool {
        let kind = response.headers().get(CONTENT_TYPE);
        kind.is_some_and(|kind| kind == KIND)
    }

    /// Reads the problem from a response.
    pub async fn from_response(response: Response) -> Self {
        let status = response.status();
        let told = to_bytes(response.into_body(), LONGEST).await;
        let told = told
            .ok()
            .and_then(|told| serde_json::from_slice(&told).ok());
        told.unwrap_or_else(|| Self::new(status, "the problem cannot be described"))
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Missing(_) => StatusCode::NOT_FOUND,
            StoreError::Refused(_) => StatusCode::CONFLICT,
            _ => {
                telemetry::store_failed("a request could not be answered", &error);
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(&self)).into_response();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
        response
    }
}
