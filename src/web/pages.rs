//! What people see: pages made here, of the same [`views`](super::views) as the API.
//!
//! Each is plain HTML that works without a script. `frame` is what is around them, the templates
//! are in `templates/`; every text they print is made safe in `plain`.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Router,
    extract::{Extension, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};

use super::{
    Admin,
    access::{Done, wants_a_page},
    form::Fields,
    problem::Problem,
    who::Who,
};
use crate::incident::page_of as incident_at;

mod asset;
mod audit;
mod chart;
mod confirm;
mod deliveries;
mod draft;
mod frame;
mod hops;
mod incident;
mod incidents;
mod mail;
mod mails;
mod now;
mod objectives;
mod once;
mod plain;
mod profiles;
mod rules;
pub mod sign_in;
mod silences;
mod trust;
mod vendor;
mod when;
mod words;

/// What a page is answered with, or why it cannot be shown.
type Answer = Result<Response, Problem>;

/// The pages of who is signed in.
pub(super) fn router(admin: &Arc<Admin>) -> Router<Arc<Admin>> {
    Router::new()
        .route("/", get(now::page))
        .merge(incidents::router())
        .merge(incident::router())
        .merge(mails::router())
        .merge(mail::router())
        .merge(deliveries::router())
        .merge(silences::router())
        .merge(objectives::router())
        .merge(rules::router())
        .merge(profiles::router())
        .merge(draft::router())
        .route("/audit", get(audit::page))
        .layer(from_fn_with_state(Arc::clone(admin), in_words))
}

/// What nobody needs to sign in for.
pub(super) fn assets() -> Router<Arc<Admin>> {
    asset::router()
}

/// To a person a problem is told as a page.
pub(super) async fn in_words(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    let is_read = wants_a_page(&request);
    let back = back(&admin, &request);
    let who = request.extensions().get::<Who>().cloned();
    let response = next.run(request).await;
    if !is_read || !Problem::is_in(&response) {
        return response;
    }

    let problem = Problem::from_response(response).await;
    frame::problem(&admin, who.as_ref(), &problem, back).await
}

/// Where somebody came from who meets a problem. A question leads to what it is about: it stands
/// at the address of its answer.
fn back(admin: &Admin, request: &Request) -> Option<String> {
    let page = admin.hosts.came_from(request)?;
    let own = request.uri().path();
    let back = match page.split('?').next() {
        Some(path) if path != own => page,
        _ if request.method().is_safe() => return None,
        _ => own.rsplit_once('/')?.0.to_owned(),
    };
    (!back.is_empty() && !back.starts_with("/sign-in")).then_some(back)
}

/// The list that somebody came from who is asked about one of its rows, as it was filtered: the
/// question says so itself once it was asked before, else the browser does.
fn list_before(admin: &Admin, request: &Request, list: &str) -> String {
    let asked = Fields::from_query(request.uri().query().unwrap_or_default());
    let page = asked.get("back").map(ToOwned::to_owned);
    let page = page.or_else(|| admin.hosts.came_from(request));
    filtered(page.as_deref(), list)
}

/// An address where it is one of a list's, without what was done there before; else the list.
fn filtered(page: Option<&str>, list: &str) -> String {
    let query = page.and_then(|page| page.strip_prefix(list)?.strip_prefix('?'));
    let query = query.map(|query| Fields::from_query(query).with("done", ""));
    match query.filter(|query| !query.is_empty()) {
        Some(query) => format!("{list}?{query}"),
        None => list.to_owned(),
    }
}

/// Where somebody is led who has done something: the page says so.
fn done(path: &str, word: impl Into<Cow<'static, str>>) -> Response {
    let word = word.into();
    let between = if path.contains('?') { '&' } else { '?' };
    let to = Redirect::to(&format!("{path}{between}done={word}"));
    (Extension(Done(word)), to).into_response()
}

/// An address with a query.
fn address(path: &str, query: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    format!("{path}?{query}")
}
