//! `/sign-in/oidc`, which sends a browser to the identity provider, and the path of its return.

use std::sync::Arc;

use axum::{
    extract::{Extension, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};

use super::{Brought, Oidc, Refusal, Ticket, no_randomness};
use crate::{
    telemetry,
    web::{
        Admin,
        access::{Peer, Secure},
        ask::Query,
        pages::sign_in::SignIn,
        problem::Problem,
        sign_in::{
            Login, Unknown,
            attempts::By,
            begin as begin_session, cookie,
            pages::{Back, own_path},
        },
    },
};

fn oidc(admin: &Admin) -> Option<&Oidc> {
    match &admin.sign_in.login {
        Some(Login::Oidc(oidc)) => Some(oidc),
        _ => None,
    }
}

fn nobody_by_it() -> Response {
    Problem::not_found(
        "sign-in with an identity provider is not configured: admin.login has no oidc",
    )
    .into_response()
}

/// Sends a browser to the provider.
///
/// A browser that has begun a sign-in before keeps its key, so that a second tab does not end the
/// sign-in of the first.
pub(in crate::web) async fn begin(
    State(admin): State<Arc<Admin>>,
    Extension(Secure(secure)): Extension<Secure>,
    headers: HeaderMap,
    Query(Back { next, .. }): Query<Back>,
) -> Response {
    let Some(oidc) = oidc(&admin) else {
        return nobody_by_it();
    };
    let next = own_path(&next);
    let key = cookie::ticket(&headers, secure).map_or_else(cookie::new_key, Ok);
    let begun = match key {
        Ok(key) => {
            let url = oidc.begin(&key, next, &admin.clock).await;
            url.map(|url| (key, url))
        }
        Err(_) => Err(no_randomness().into()),
    };

    match begun {
        Ok((key, url)) => {
            let cookie = cookie::give_ticket(&key, secure);
            away(url.as_str(), [cookie])
        }
        Err(refusal) => refused(&admin, next, &refusal),
    }
}

/// Receives a browser that returns from the provider, and begins its session.
pub(in crate::web) async fn callback(
    State(admin): State<Arc<Admin>>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Query(brought): Query<Brought>,
) -> Response {
    let Some(oidc) = oidc(&admin) else {
        return nobody_by_it();
    };
    let now = admin.clock.now();
    if let Some(seconds) = admin.sign_in.attempts.pause(By::Address(peer), now) {
        return refused(&admin, "/", &Unknown::TooMany(seconds).into());
    }

    let held = cookie::ticket(&headers, secure);
    match finish(&admin, oidc, held.as_deref(), brought).await {
        Ok((key, name, ticket)) => {
            admin.sign_in.attempts.succeeded(By::Name(peer, &name));
            let cookies = [
                cookie::give_session(&key, secure),
                cookie::take_ticket(secure),
            ];
            away(own_path(ticket.next()), cookies)
        }
        Err(refusal) => {
            // A forged answer that makes this bridge ask the provider counts as a wrong attempt.
            if refusal.had_the_provider_asked() {
                admin.sign_in.attempts.failed(By::Address(peer), now);
            }
            telemetry::sign_in_refused(peer, &refusal.to_string());
            refused(&admin, "/", &refusal)
        }
    }
}

async fn finish(
    admin: &Admin,
    oidc: &Oidc,
    held: Option<&str>,
    brought: Brought,
) -> Result<(String, String, Ticket), Refusal> {
    let (admitted, ticket) = oidc
        .finish(held, brought, &*admin.ledger, &admin.clock)
        .await?;
    let role = admitted.role.as_str();
    let key = begin_session(admin, &admitted.name, role, "oidc", oidc.stamp()).await?;
    Ok((key, admitted.name, ticket))
}

/// Redirects without a Referer, because the address that led here holds a code.
fn away<const N: usize>(to: &str, cookies: [HeaderValue; N]) -> Response {
    let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"));
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response();
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    response
}

fn refused(admin: &Admin, next: &str, refusal: &Refusal) -> Response {
    let form = SignIn {
        next,
        error: Some(&refusal.to_string()),
        ..SignIn::default()
    };
    let mut response = form.page(admin, refusal.status());
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Refusal::Unknown(Unknown::TooMany(seconds)) = refusal {
        headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}
