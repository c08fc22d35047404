//! The API that pages, commands and other programs use, described by its own code.

use std::sync::{Arc, LazyLock};

use axum::{
    Json, Router,
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{any, get},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{Admin, problem::Problem};

mod conditions;
mod deliveries;
mod events;
mod incidents;
mod mails;
mod objectives;
mod silences;
mod trials;

/// The path that all others begin with.
pub const BASE: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "alertbridge",
        description = "What came, who was told, and what can be done about it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Document;

/// The bearer token of `admin.token_file`.
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

fn described() -> OpenApiRouter<Arc<Admin>> {
    let paths = OpenApiRouter::new()
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::show))
        .routes(routes!(incidents::resolve))
        .routes(routes!(mails::list))
        .routes(routes!(mails::show))
        .routes(routes!(mails::raw))
        .routes(routes!(mails::release))
        .routes(routes!(mails::discard))
        .routes(routes!(mails::discard_all))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::retry))
        .routes(routes!(deliveries::discard))
        .routes(routes!(silences::list, silences::add))
        .routes(routes!(silences::show, silences::expire))
        .routes(routes!(silences::preview))
        .routes(routes!(conditions::ingresses))
        .routes(routes!(conditions::receivers))
        .routes(routes!(conditions::test))
        .routes(routes!(conditions::profiles))
        .routes(routes!(conditions::audit))
        .routes(routes!(trials::explain))
        .routes(routes!(trials::routes))
        .routes(routes!(trials::diff))
        .routes(routes!(objectives::list))
        .routes(routes!(events::list));

    OpenApiRouter::with_openapi(Document::openapi()).nest(BASE, paths)
}

/// The document that describes it, in version 3.1 of its language.
pub fn document() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// Whether a method does something at a path of the document.
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

/// The API's paths, and its document.
pub fn router() -> Router<Arc<Admin>> {
    let (paths, document) = described().split_for_parts();
    let document = Arc::new(serde_json::to_string(&document).unwrap_or_default());
    paths
        .route(
            &format!("{BASE}/openapi.json"),
            get(move || {
                let document = (*document).clone();
                async { ([(CONTENT_TYPE, "application/json")], document).into_response() }
            }),
        )
        .route(&format!("{BASE}/{{*rest}}"), any(nothing))
        .method_not_allowed_fallback(not_so)
}

async fn nothing() -> Problem {
    Problem::not_found("there is nothing here: /api/v1/openapi.json names what there is")
}

async fn not_so() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this is not done with what is here: /api/v1/openapi.json says what is",
    )
}

/// An answer, or why there is none.
type Answer<T> = Result<Json<T>, Problem>;

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

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
}
