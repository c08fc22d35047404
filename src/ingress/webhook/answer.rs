//! The answers over HTTP: 202 with the mail's number, or a sentence that says why not.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::credential::Credential;
use crate::{message::MailId, settings::SecretError};

/// The seconds after which a sender should try again if the mail could not be stored.
const COME_AGAIN: HeaderValue = HeaderValue::from_static("30");

/// Returns the answer for a mail that is stored.
pub(super) fn stored(id: MailId, status: StatusCode) -> Response {
    (status, Json(json!({ "id": id }))).into_response()
}

/// Returns the answer for a request that holds no mail, although nothing is wrong.
pub(super) fn settled() -> Response {
    (StatusCode::OK, Json(json!({}))).into_response()
}

/// Why a request yields no mail.
#[derive(Debug)]
pub(super) enum Fault {
    Refused(Refusal),
    /// The webhook's own secret cannot be read: no request can be admitted.
    Secret(SecretError),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<SecretError> for Fault {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

/// Why a request is refused. Each has one status (RFC 9110), so that senders know whether to try
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownPath,
    WrongMethod,
    /// A browser sent it on behalf of a page.
    CrossSite,
    /// The bearer token is wrong.
    Unauthorized,
    WrongPassword,
    /// The signature is missing, or is not the provider's.
    Forged,
    /// The signature is valid, but too old or from the future.
    Stale,
    /// The request was accepted before.
    Replayed,
    /// The same request is being stored.
    UnderWay,
    WrongTopic,
    /// The message is signed with SHA-1.
    WeakSignature,
    /// The webhook's own secret cannot be read: no request can be admitted.
    NoSecret,
    /// The proof of the request could not be fetched.
    NotFetched,
    /// The content type is not accepted, or does not match the body; the text says what to do.
    WrongType(&'static str),
    Encoded,
    TooLarge,
    /// The body arrived too slowly.
    TooSlow,
    /// The body ended early.
    Broken,
    Empty,
    /// The body is not what this provider posts.
    Unreadable,
    /// The request is genuine but contains no raw mail; the text says what to change at the
    /// provider.
    NoMail(&'static str),
    NotStored,
    /// The rest of the disk is reserved for alerts.
    DiskNearlyFull,
    /// Too many large mails are in progress.
    NoRoom,
    /// The connection was too slow while others had no place.
    Displaced,
}

impl Refusal {
    /// Returns the status of the refusal.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::CrossSite | Self::WrongTopic | Self::WeakSignature => StatusCode::FORBIDDEN,
            Self::Unauthorized | Self::WrongPassword | Self::Forged | Self::Stale => {
                StatusCode::UNAUTHORIZED
            }
            Self::Replayed => StatusCode::CONFLICT,
            Self::NoSecret
            | Self::NotFetched
            | Self::NotStored
            | Self::UnderWay
            | Self::NoRoom
            | Self::Displaced => StatusCode::SERVICE_UNAVAILABLE,
            Self::DiskNearlyFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::WrongType(_) | Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Empty | Self::NoMail(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// Returns the status for a provider that, on any 4xx, returns the mail to its sender or drops
    /// it. An error that can still be corrected in the provider's settings is a reason to try
    /// again.
    pub(super) fn status_where_mail_would_bounce(self) -> StatusCode {
        match self {
            Self::WrongType(_) | Self::Unreadable | Self::NoMail(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            other => other.status(),
        }
    }

    /// Returns what to mend if the request is proven to be the provider's, so that its mail is kept
    /// out by a wrong setting, here or there. A proof in the head was checked before everything
    /// else; a signature in the body may not have been.
    pub(super) fn keeps_mail_out(self, credential: &Credential) -> Option<&'static str> {
        let is_proven = match self {
            Self::NoMail(_) => !matches!(credential, Credential::None),
            Self::WrongType(_) | Self::Encoded | Self::Unreadable => is_in_head(credential),
            _ => false,
        };
        is_proven.then(|| self.sentence())
    }

    /// Returns what to change if the request is proven to be the provider's, and this one mail is
    /// refused for good, while others are taken.
    pub(super) fn refuses_mail(self, credential: &Credential) -> Option<&'static str> {
        (self == Self::TooLarge && is_in_head(credential)).then_some(
            "it is larger than ingress.http.max_body: raise that, or have the sender leave out \
             attachments",
        )
    }

    /// Returns the name of the refusal in the metrics: `wrong_password`.
    pub(super) fn reason(self) -> String {
        let name = format!("{self:?}");
        let name = name.split('(').next().unwrap_or_default();
        let spaced = name.chars().enumerate().flat_map(|(at, c)| {
            let gap = (at > 0 && c.is_ascii_uppercase()).then_some('_');
            gap.into_iter().chain([c.to_ascii_lowercase()])
        });
        spaced.collect()
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::UnknownPath => "No webhook has this path.",
            Self::WrongMethod => "Only POST is accepted here.",
            Self::CrossSite => "Requests from web pages are not accepted without a token.",
            Self::Unauthorized => "The bearer token is missing or wrong.",
            Self::WrongPassword => "The user name or the password is missing or wrong.",
            Self::Forged => "The signature is missing or wrong.",
            Self::Stale => "The signature is too old, or one of the clocks is wrong.",
            Self::Replayed => "This request has already been accepted.",
            Self::UnderWay => "This request is already being processed; send it again later.",
            Self::WrongTopic => "This is not the topic of ingress.webhook[].topic_arn.",
            Self::WeakSignature => {
                "Only SignatureVersion 2 is accepted: set the attribute of the topic to 2."
            }
            Self::NoSecret => {
                "The webhook's own secret cannot be read; its operator has been notified."
            }
            Self::NotFetched => "Amazon SNS cannot be reached to check this; send it again later.",
            Self::Encoded => {
                "The body must not be compressed: send it without Content-Encoding, and with no \
                 Transfer-Encoding but chunked."
            }
            Self::TooLarge => "The body is larger than ingress.http.max_body.",
            Self::TooSlow => "The body came too slowly.",
            Self::Broken => "The body broke off.",
            Self::Empty => "The body is empty.",
            Self::Unreadable => "The body is not what this provider posts.",
            Self::WrongType(mend) | Self::NoMail(mend) => mend,
            Self::NoRoom => "Too many large mails are in progress; send it again later.",
            Self::Displaced => {
                "The body came too slowly while there are too many connections; send it again \
                 later."
            }
            Self::NotStored => "The mail cannot be stored now; send it again later.",
            Self::DiskNearlyFull => {
                "The disk is nearly full, and this mail is not from a configured sender; send it \
                 again later."
            }
        }
    }
}

/// Returns whether the head of a request proves that it is the provider's.
fn is_in_head(credential: &Credential) -> bool {
    matches!(
        credential,
        Credential::Token(_) | Credential::BasicAuth { .. }
    )
}

/// Returns the answer for a refusal, with the status for its reader.
pub(super) fn refused(refusal: Refusal, status: StatusCode) -> Response {
    let mut response = (status, Json(json!({ "error": refusal.sentence() }))).into_response();
    let headers = response.headers_mut();

    match refusal {
        Refusal::WrongMethod => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        Refusal::Unauthorized => {
            drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        Refusal::WrongPassword => {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"alertbridge\""),
            );
        }
        // The connection closes, because the rest of the body is not waited for.
        Refusal::TooLarge
        | Refusal::TooSlow
        | Refusal::Broken
        | Refusal::NoRoom
        | Refusal::Displaced => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Refusal::Encoded => {
            drop(headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
        }
        _ => {}
    }

    if [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::INSUFFICIENT_STORAGE,
    ]
    .contains(&status)
    {
        headers.insert(RETRY_AFTER, COME_AGAIN);
    }

    response
}
