//! What is answered over HTTP: 202 with the mail's number, or a sentence that says why not.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::message::MailId;

/// Seconds after which a sender should try again what could not be stored.
const COME_AGAIN: HeaderValue = HeaderValue::from_static("30");

/// The mail is stored.
pub(super) fn stored(id: MailId) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response()
}

/// Why a request is refused. Each is one status (RFC 9110), so that senders know whether to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownPath,
    WrongMethod,
    /// A browser sent it on some page's behalf.
    CrossSite,
    Unauthorized,
    /// Our own token's file cannot be read: nobody can be let in.
    NoToken,
    WrongType,
    Encoded,
    TooLarge,
    /// The body came too slowly.
    TooSlow,
    /// The body broke off.
    Broken,
    Empty,
    NotStored,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NoToken | Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
            Self::WrongType | Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Empty => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::UnknownPath => "No webhook has this path.",
            Self::WrongMethod => "Only POST is taken here.",
            Self::CrossSite => "Requests from web pages are not taken where no token is set.",
            Self::Unauthorized => "The bearer token is missing or wrong.",
            Self::NoToken => "The webhook's own token cannot be read; its operator has been told.",
            Self::WrongType => "The content type must be message/rfc822: the raw mail as the body.",
            Self::Encoded => "The body must not be compressed.",
            Self::TooLarge => "The body is larger than ingress.http.max_body.",
            Self::TooSlow => "The body came too slowly.",
            Self::Broken => "The body broke off.",
            Self::Empty => "The body is empty.",
            Self::NotStored => "The mail cannot be stored now; send it again later.",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(json!({ "error": self.sentence() }))).into_response();
        let headers = response.headers_mut();
        match self {
            Self::WrongMethod => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
            Self::Unauthorized => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::NoToken | Self::NotStored => drop(headers.insert(RETRY_AFTER, COME_AGAIN)),
            // What is left of the body is not waited for.
            Self::TooLarge | Self::TooSlow | Self::Broken => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
