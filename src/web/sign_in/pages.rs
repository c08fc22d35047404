//! `/sign-in` and `/sign-out`: a form that works without a script.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Extension, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{LOCATION, RETRY_AFTER, SET_COOKIE},
    },
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Deserialize;

use super::{Bearing, Unknown, by_password, cookie, end, identify};
use crate::web::{
    Admin,
    access::{Peer, Secure},
    ask::Query,
    pages::sign_in::SignIn,
};

/// Where the person wanted to go.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Back {
    pub(super) next: String,
    /// Non-empty if an attempted action, rather than a page, led to the sign-in.
    acted: String,
}

/// The fields of the sign-in form.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Returns `next` if it is a path on this listener, else `/`, so that no link leads from here to
/// another site.
pub(in crate::web) fn own_path(next: &str) -> &str {
    let own = next.starts_with('/')
        && !next.starts_with("//")
        && next
            .bytes()
            .all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    if own { next } else { "/" }
}

pub(in crate::web) async fn form(
    State(admin): State<Arc<Admin>>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Query(Back { next, acted }): Query<Back>,
) -> Response {
    let bearing = Bearing {
        headers: &headers,
        peer,
        secure,
    };
    // A browser that still holds a session's key was led here because the session has ended.
    let held = cookie::session(&headers, secure).is_some();
    let ended = held && matches!(identify(&admin, &bearing).await, Err(Unknown::Wrong(_)));
    let told = match (ended, acted.is_empty()) {
        (false, true) => None,
        // The browser dropped the session's cookie when the session ended.
        (false, false) => Some("Nothing was done. Sign in to continue."),
        (true, true) => Some("Your session has ended. Sign in to continue."),
        (true, false) => Some("Your session has ended; nothing was done. Sign in to continue."),
    };
    let form = SignIn {
        next: own_path(&next),
        told,
        ..SignIn::default()
    };
    form.page(&admin, StatusCode::OK)
}

pub(in crate::web) async fn sign_in(
    State(admin): State<Arc<Admin>>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Form(given): Form<Credentials>,
) -> Response {
    let next = own_path(&given.next);
    let known = cookie::known(&headers, secure);
    let credentials = (given.name.as_str(), given.password.as_str());
    match by_password(&admin, peer, credentials, known.as_deref()).await {
        Ok((key, mark)) => {
            let to = HeaderValue::try_from(next).unwrap_or(HeaderValue::from_static("/"));
            let said = AppendHeaders([
                (SET_COOKIE, cookie::give_session(&key, secure)),
                (SET_COOKIE, cookie::give_known(&mark, secure)),
                (LOCATION, to),
            ]);
            (StatusCode::SEE_OTHER, said).into_response()
        }
        Err(unknown) => {
            let problem = unknown.problem();
            let form = SignIn {
                next,
                name: &given.name,
                error: Some(&problem.detail),
                ..SignIn::default()
            };
            let mut response = form.page(&admin, problem.status());
            if let Unknown::TooMany(seconds) = unknown {
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

pub(in crate::web) async fn sign_out(
    State(admin): State<Arc<Admin>>,
    Extension(Secure(secure)): Extension<Secure>,
    headers: HeaderMap,
) -> Response {
    if let Err(problem) = end(&admin, &headers, secure).await {
        return problem.into_response();
    }
    let cookie = cookie::take_session(secure);
    let to = HeaderValue::from_static("/");
    (
        StatusCode::SEE_OTHER,
        [(SET_COOKIE, cookie), (LOCATION, to)],
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_led_elsewhere() {
        for elsewhere in [
            "",
            "//evil.test",
            "https://evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/a\r\nset-cookie: x",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(own_path("/incidents?state=open"), "/incidents?state=open");
    }
}
