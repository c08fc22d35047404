//! What stands between a request and what it asks for: it is signed in, its body is bounded, and
//! what it does it does on purpose.

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

/// How long the body of a request may take.
const BODY: Duration = Duration::from_secs(30);
/// A body is no larger than this,
const LARGEST: usize = 1 << 20;
/// but for mails, which an ingress takes up to this size.
const LARGEST_MAIL: usize = 10 << 20;

/// What is filled in is kept over a sign-in up to this size, in an address.
const LARGEST_QUESTION: usize = 4 << 10;

/// Where a request came from.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// Whether the cookies of a request travel over TLS alone.
#[derive(Clone, Copy)]
pub(super) struct Secure(pub bool);

/// What a request has done: the next page says so, once.
#[derive(Clone)]
pub(super) struct Done(pub Cow<'static, str>);

/// Lets through who is known, and says to everybody else how to sign in.
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
        // A page of ours that is read now may act later.
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

/// A program is told what it lacks; a person is led to the sign-in and back: from what they wanted
/// to do to the page where they had filled it in.
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

/// The question that a form of one of our pages answers, with what was filled in besides: it is
/// asked at the address that its answer is sent to.
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

/// Whether a person reads the answer.
pub(super) fn wants_a_page(request: &Request) -> bool {
    let accepts = request.headers().get(ACCEPT);
    let accepts = accepts.and_then(|accepts| accepts.to_str().ok());
    !request.uri().path().starts_with("/api/")
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// Any page that a person looks at can have their browser send a request here, with the cookies it
/// holds for us. Ours can be told by what they alone could read: the token.
async fn on_purpose(who: &Who, request: &mut Request) -> Result<(), Problem> {
    let refused = |why: &str| Err(Problem::new(StatusCode::FORBIDDEN, why));
    match who.known {
        // No browser adds these by itself.
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
                 that passes on what its own page sends needs the bearer token of admin.token_file",
            );
        }
        return refused(
            "the request lacks the token of the page that it should come from: reload that page \
             and try again",
        );
    }

    Ok(())
}

/// A field of a form, whose body is left as it is.
async fn field(request: &mut Request, name: &str) -> Result<Option<String>, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let body = std::mem::take(request.body_mut());
    let body = whole(body, LARGEST_MAIL).await?;
    *request.body_mut() = Body::from(body.clone());

    let posted = Posted::read(kind.as_ref(), body).await?;
    Ok(posted.fields.get(name).map(ToOwned::to_owned))
}

/// Reads the body before anything is done: it is neither larger nor slower than it may be.
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

/// A body that is read whole, in time.
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

/// What every answer says to a browser: nothing but our own is loaded or run, and nobody frames us.
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
        // A page may say something stricter of itself.
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }

    response
}
