//! The pages for people, rendered here from the same [`views`](super::views) as the API.
//!
//! Each page is plain HTML that works without a script. `frame` renders what surrounds every page,
//! the templates are in `templates/`, and `plain` makes every text that they print safe.

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

/// The response with a page, or the problem that prevents it.
type Answer = Result<Response, Problem>;

/// Returns the routes of the pages that require a sign-in.
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

/// Returns the routes that require no sign-in.
pub(super) fn assets() -> Router<Arc<Admin>> {
    asset::router()
}

/// Shows a problem to a person as a page.
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

/// Returns the page that a person came from when they met a problem.
///
/// A form that asks a question has the same address as its answer, so it leads back to its subject.
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

/// Returns the address of the list, with its filter, from which a person came to a question about
/// one of its rows. The question's own `back` field says so if the question was asked before;
/// otherwise the browser does.
fn list_before(admin: &Admin, request: &Request, list: &str) -> String {
    let asked = Fields::from_query(request.uri().query().unwrap_or_default());
    let page = asked.get("back").map(ToOwned::to_owned);
    let page = page.or_else(|| admin.hosts.came_from(request));
    filtered(page.as_deref(), list)
}

/// Returns `page` without its `done` field if it is an address of the list with a query; otherwise
/// the list itself.
fn filtered(page: Option<&str>, list: &str) -> String {
    let query = page.and_then(|page| page.strip_prefix(list)?.strip_prefix('?'));
    let query = query.map(|query| Fields::from_query(query).with("done", ""));
    match query.filter(|query| !query.is_empty()) {
        Some(query) => format!("{list}?{query}"),
        None => list.to_owned(),
    }
}

/// Redirects a person who has done something to a page that says so.
fn done(path: &str, word: impl Into<Cow<'static, str>>) -> Response {
    let word = word.into();
    let between = if path.contains('?') { '&' } else { '?' };
    let to = Redirect::to(&format!("{path}{between}done={word}"));
    (Extension(Done(word)), to).into_response()
}

/// Returns an address with a query.
fn address(path: &str, query: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    format!("{path}?{query}")
}
