//! Extractors for the parts of a request. Each rejects with a problem that says what is wrong.

use axum::{
    extract::{FromRequest, FromRequestParts, Request, path::ErrorKind, rejection::PathRejection},
    http::{StatusCode, request::Parts},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::settings::nearest;

/// Creates the problem of an unknown field. It names the field that was probably meant, and all
/// that exist.
pub fn unknown(name: &str, known: &[&str]) -> Problem {
    let meant = nearest(name, known.iter().copied());
    let meant = meant.map_or_else(String::new, |meant| format!(" (did you mean `{meant}`?)"));
    let there = if known.is_empty() {
        "this path takes no parameters".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    Problem::bad(format!("there is no `{name}`{meant}; {there}"))
}

/// Creates the problem of a field whose value is not accepted.
pub fn unfit(name: &str, takes: &str, value: &str) -> Problem {
    Problem::bad(format!("`{name}` is {takes}, not `{value}`"))
}

/// Joins words into a phrase such as `open or resolved`.
pub fn either(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => {
            format!("{} or {last}", others.join(", "))
        }
        _ => words.concat(),
    }
}

/// The parameters in a path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|rejection| Problem::not_found(misplaced(&rejection)))
    }
}

/// Explains why a path leads nowhere.
fn misplaced(rejection: &PathRejection) -> String {
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return format!("the path is not valid: {rejection}");
    };
    match failure.kind() {
        // Every path parameter that is not a text is a number.
        ErrorKind::ParseError { value, .. }
        | ErrorKind::ParseErrorAtKey { value, .. }
        | ErrorKind::ParseErrorAtIndex { value, .. } => {
            format!("`{value}` is not a number: write a number in its place")
        }
        other => format!("the path is not valid: {other}"),
    }
}

/// The query string of a request.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| {
                let error = error.body_text();
                let what = error.strip_prefix("Failed to deserialize query string: ");
                Problem::bad(format!(
                    "the query is not valid: {}",
                    what.unwrap_or(&error)
                ))
            })
    }
}

/// A JSON body, regardless of its `Content-Type`.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body cannot be read: {}", error.body_text()),
            )
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::bad(format!("the body is not the expected JSON: {error}")))
    }
}
