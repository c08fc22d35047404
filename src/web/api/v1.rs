//! The API that pages, commands and other programs use, described by an OpenAPI document made from
//! its code.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    http::{Method, StatusCode, header::CONTENT_TYPE},
    middleware::from_fn,
    routing::{any, get, post},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::super::{Admin, json::Json, problem::Problem};

mod asked;
mod conditions;
mod deliveries;
mod events;
mod incidents;
mod mails;
mod objectives;
mod silences;
mod trials;

/// The prefix of every path of the API.
pub const BASE: &str = "/api/v1";

/// The output of [`document`], generated in advance rather than at every start.
const DOCUMENT: &str = include_str!("../../../schema/openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "alertbridge",
        description = "What arrived, who was notified, and what can be done about it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Document;

#[derive(OpenApi)]
#[openapi(paths(
    incidents::list,
    incidents::show,
    incidents::resolve,
    mails::list,
    mails::show,
    mails::raw,
    mails::release,
    mails::discard,
    mails::discard_all,
    deliveries::list,
    deliveries::retry,
    deliveries::discard,
    silences::list,
    silences::add,
    silences::show,
    silences::expire,
    silences::preview,
    conditions::ingresses,
    conditions::receivers,
    conditions::test,
    conditions::profiles,
    conditions::audit,
    trials::explain,
    trials::draft,
    trials::routes,
    trials::diff,
    objectives::list,
    objectives::senders,
    events::list,
))]
struct Paths;

/// Adds the bearer token of `admin.token_file` to the document.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Returns the OpenAPI 3.1 document that describes the API.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi().nest(BASE, Paths::openapi())
}

/// Decides whether a method acts, rather than reads, at a path of the document.
pub fn acts(method: &Method, path: &str) -> bool {
    static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(document);
    DOCUMENT
        .paths
        .paths
        .get(path)
        .is_some_and(|item| match *method {
            Method::POST => item.post.is_some(),
            Method::DELETE => item.delete.is_some(),
            _ => false,
        })
}

/// Returns the routes of the API and of its document.
pub fn router() -> Router<Arc<Admin>> {
    let paths = Router::new()
        .route("/incidents", get(incidents::list))
        .route("/incidents/{id}", get(incidents::show))
        .route("/incidents/{id}/resolve", post(incidents::resolve))
        .route("/mails", get(mails::list))
        .route("/mails/{id}", get(mails::show))
        .route("/mails/{id}/raw", get(mails::raw))
        .route("/mails/{id}/release", post(mails::release))
        .route("/mails/{id}/discard", post(mails::discard))
        .route("/mails/discard", post(mails::discard_all))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}/retry", post(deliveries::retry))
        .route("/deliveries/{id}/discard", post(deliveries::discard))
        .route("/silences", get(silences::list).post(silences::add))
        .route(
            "/silences/{id}",
            get(silences::show).delete(silences::expire),
        )
        .route("/silences/preview", post(silences::preview))
        .route("/ingresses", get(conditions::ingresses))
        .route("/receivers", get(conditions::receivers))
        .route("/receivers/{name}/test", post(conditions::test))
        .route("/profiles", get(conditions::profiles))
        .route("/audit", get(conditions::audit))
        .route("/explain", post(trials::explain))
        .route("/profiles/draft", post(trials::draft))
        .route("/routes/test", post(trials::routes))
        .route("/replay/diff", post(trials::diff))
        .route("/objectives", get(objectives::list))
        .route("/senders", get(objectives::senders))
        .route("/events", get(events::list))
        .route(
            "/openapi.json",
            get(async || ([(CONTENT_TYPE, "application/json")], DOCUMENT)),
        );

    Router::new()
        .nest(BASE, paths.layer(from_fn(asked::as_described)))
        .route(&format!("{BASE}/{{*rest}}"), any(nothing))
        .method_not_allowed_fallback(not_so)
}

async fn nothing() -> Problem {
    Problem::not_found("there is nothing here: /api/v1/openapi.json lists every path")
}

async fn not_so() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this method is not allowed here: /api/v1/openapi.json lists those that are",
    )
}

/// An answer, or the problem that prevents it.
type Answer<T> = Result<Json<T>, Problem>;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, env, fs, path::Path};

    use super::*;

    #[test]
    fn the_document_in_the_repository_is_the_programs_own() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/openapi.json");
        let own = document().to_pretty_json().unwrap() + "\n";
        if env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&path, &own).unwrap();
        }
        assert!(
            fs::read_to_string(path).unwrap_or_default() == own,
            "write it with: UPDATE_EXPECTED=1 cargo test --lib the_document_in"
        );
    }

    #[test]
    fn it_is_described_in_the_newest_version_and_every_path_stands_below_its_base() {
        let document = serde_json::to_value(document()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() > 15, "{paths:?}");
        assert!(paths.keys().all(|path| path.starts_with("/api/v1/")));
    }

    #[test]
    fn what_is_described_is_what_there_is() {
        let document = serde_json::to_value(document()).unwrap();
        let described = document["paths"].as_object().unwrap().keys();
        let own = ["openapi.json", "{*rest}"].map(|path| format!("{BASE}/{path}"));
        let expected: BTreeSet<_> = described.chain(&own).map(String::as_str).collect();

        let debug = format!("{:?}", router());
        let texts = debug.split('"');
        let routed: BTreeSet<_> = texts.filter(|text| text.starts_with(BASE)).collect();
        assert_eq!(routed, expected);
    }
}
