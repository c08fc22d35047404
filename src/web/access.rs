//! The gates between a request and what it asks for: it must be signed in, its body must be
//! bounded, and an action must be intended.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::constant_time;
use axum::{
    body::{Body, to_bytes},
    extract::{Extension, Request, State},
    http::{
        HeaderValue, Method, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use super::{
    Admin,
    form::Posted,
    problem::Problem,
    sign_in::{self, Bearing, Unknown, cookie},
    who::{Known, Who},
};

/// The time allowed for the body of a request.
const BODY: Duration = Duration::from_secs(30);
/// The largest body of a request, in bytes, unless it holds a mail.
const LARGEST: usize = 1 << 20;
/// The largest body that holds a mail, in bytes: an ingress takes mails up to this size.
const LARGEST_MAIL: usize = 10 << 20;

/// The largest form, in bytes, whose fields are kept in an address during a sign-in.
const LARGEST_QUESTION: usize = 4 << 10;

/// The address that a request came from.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// Whether the cookies of a request travel over TLS alone.
#[derive(Clone, Copy)]
pub(super) struct Secure(pub bool);

/// What a request has done; the next page reports it once.
#[derive(Clone)]
pub(super) struct Done(pub Cow<'static, str>);

/// Lets signed-in requests through, and tells all others how to sign in.
pub(super) async fn signed_in(
    State(admin): State<Arc<Admin>>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(Peer(peer)): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let bearing = Bearing {
        headers: request.headers(),
        peer,
        secure,
    };
    let mut who = match sign_in::identify(&admin, &bearing).await {
        Ok(who) => who,
        Err(unknown) => return turned_away(&admin, request, &unknown).await,
    };

    if !request.method().is_safe()
        && let Err(problem) = on_purpose(&who, &mut request).await
    {
        return problem.into_response();
    }

    let mut given = Vec::new();
    if request.method() == Method::GET && wants_a_page(&request) {
        // A page that is read now may act later, so its browser needs a secret.
        if who.csrf.is_empty()
            && who.known != Known::Token
            && let Ok(key) = cookie::new_key()
        {
            who.csrf = cookie::token_of(&key);
            given.push(cookie::give_csrf(&key, secure));
        }
        who.done = cookie::done(request.headers(), secure);
        given.extend(who.done.as_ref().map(|_| cookie::take_done(secure)));
    }

    request.extensions_mut().insert(who);
    let mut response = next.run(request).await;
    let done = response.extensions().get::<Done>();
    given.extend(done.map(|Done(word)| cookie::give_done(word, secure)));
    for cookie in given {
        response.headers_mut().append(SET_COOKIE, cookie);
    }

    response
}

/// Answers a request that is not signed in.
///
/// A program is told what it lacks. A person is led to the sign-in and back; after an attempted
/// action, back to the page where they had filled in the form.
async fn turned_away(admin: &Admin, request: Request, unknown: &Unknown) -> Response {
    if wants_a_page(&request) && matches!(unknown, Unknown::Nobody | Unknown::Wrong(_)) {
        let acts = !request.method().is_safe();
        let page = acts.then(|| admin.hosts.came_from(&request)).flatten();
        let asked = request.uri().path_and_query().map(ToString::to_string);
        let question = match &page {
            Some(_) => question(request).await,
            None => None,
        };
        let back = question.or(page).or(asked);
        let back = back.unwrap_or_else(|| "/".to_owned());
        let back = utf8_percent_encode(&back, NON_ALPHANUMERIC);
        let acted = if acts { "&acted=yes" } else { "" };
        let to = HeaderValue::try_from(format!("/sign-in?next={back}{acted}"));
        let to = to.unwrap_or(HeaderValue::from_static("/sign-in"));
        return (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response();
    }

    let problem = unknown.problem();
    let mut response = problem.clone().into_response();
    if problem.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    }

    response
}

/// Returns the address that shows a posted form again, with the fields filled in: a form of ours is
/// shown at the same path to which it is posted.
async fn question(request: Request) -> Option<String> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let is_form = kind.as_ref().and_then(|kind| kind.to_str().ok());
    is_form.filter(|kind| kind.starts_with("application/x-www-form-urlencoded"))?;

    let path = request.uri().path().to_owned();
    let body = whole(request.into_body(), LARGEST_QUESTION).await.ok()?;
    let posted = Posted::read(kind.as_ref(), body).await.ok()?;
    let query = posted.fields.with("csrf", "");
    (!query.is_empty()).then(|| format!("{path}?{query}"))
}

/// Decides whether a person reads the answer.
pub(super) fn wants_a_page(request: &Request) -> bool {
    let accepts = request.headers().get(ACCEPT);
    let accepts = accepts.and_then(|accepts| accepts.to_str().ok());
    !request.uri().path().starts_with("/api/")
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// Checks that an action is intended.
///
/// Any page that a person visits can make their browser send a request here, with the cookies that
/// it holds for us. Our own pages are told apart by the token, which only they could read.
async fn on_purpose(who: &Who, request: &mut Request) -> Result<(), Problem> {
    let refused = |why: &str| Err(Problem::new(StatusCode::FORBIDDEN, why));
    match who.known {
        // No browser adds these credentials by itself.
        Known::Token => return Ok(()),
        Known::Loopback if !who.by_browser => return Ok(()),
        Known::Loopback | Known::Session | Known::Proxy => {}
    }

    let site = request.headers().get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return refused("the page that sent this belongs to another site");
    }

    let sent = match request.headers().get("x-csrf-token") {
        Some(token) => token.to_str().unwrap_or_default().to_owned(),
        None => field(request, "csrf").await?.unwrap_or_default(),
    };
    let right = constant_time::verify_slices_are_equal(sent.as_bytes(), who.csrf.as_bytes());
    if who.csrf.is_empty() || right.is_err() {
        if request.uri().path().starts_with("/api/") {
            return refused(
                "the request comes from a web page and lacks the token of one of ours: a program \
                 that forwards requests of its own pages needs the bearer token of \
                 admin.token_file",
            );
        }
        return refused("the request lacks the token of its page: reload the page and try again");
    }

    Ok(())
}

/// Reads a field of a posted form, and leaves the body in place.
async fn field(request: &mut Request, name: &str) -> Result<Option<String>, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let body = std::mem::take(request.body_mut());
    let body = whole(body, LARGEST_MAIL).await?;
    *request.body_mut() = Body::from(body.clone());

    let posted = Posted::read(kind.as_ref(), body).await?;
    Ok(posted.fields.get(name).map(ToOwned::to_owned))
}

/// Reads the whole body first, within its limits of size and time.
pub(super) async fn bounded(request: Request, next: Next) -> Response {
    let largest = match request.uri().path() {
        "/api/v1/explain" | "/rules/explain" => LARGEST_MAIL,
        _ => LARGEST,
    };

    let (parts, body) = request.into_parts();
    match whole(body, largest).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(problem) => problem.into_response(),
    }
}

/// Reads a body to its end, within `largest` bytes and the time allowed.
pub(super) async fn whole(body: Body, largest: usize) -> Result<Bytes, Problem> {
    match timeout(BODY, to_bytes(body, largest)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is cut off, or larger than {largest} bytes"),
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body took longer than {} s", BODY.as_secs()),
        )),
    }
}

/// Adds the headers that restrict browsers: they load and run only our own content, and no other
/// site may frame it.
pub(super) async fn hardened(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
        ),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        // A page may set a stricter value itself.
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }

    response
}
