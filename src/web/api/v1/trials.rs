//! Trials, which store and send nothing: `explain`, `profiles/draft`, `routes/test`, `replay/diff`.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Answer;
use crate::web::{
    Admin,
    ask::{Body, Query},
    json::Json,
    problem::Problem,
    views::{
        profiles::{self, DraftFrom},
        trials::{self, DiffQuery, ExplainQuery},
    },
    who::{Operator, Who},
    workbench::{Diff, Draft, Options, Reach},
};

/// The result of walking a mail through every stage: the first alert in it, as `explain --json`
/// prints it, and the list of all its alerts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    first: Map<String, Value>,
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
}

/// Walks a mail through every stage and returns the exact requests. Stores and sends nothing.
#[utoipa::path(
    post, path = "/explain", tag = "trials",
    request_body(content = String, content_type = "message/rfc822"),
    params(ExplainQuery),
    responses(
        (status = 200, body = Explanation),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn explain(
    State(admin): State<Arc<Admin>>,
    _: Who,
    Query(query): Query<ExplainQuery>,
    mail: Bytes,
) -> Answer<Explanation> {
    let options = Options {
        at: query.at,
        ingress: query.ingress,
        trust: query.trust,
        profile: query.profile,
    };
    let items = trials::explain(&admin, mail, options).await?;
    let first = items.first().and_then(Value::as_object).cloned();
    let mut first = first.unwrap_or_default();
    // The first alert's own `items`, which a profile's `each` found, would clash with the list of
    // alerts; that alert's entry in the list still has them.
    first.shift_remove("items");
    Ok(Json(Explanation { first, items }))
}

/// Drafts a profile from a stored mail and the mail that closes its alert, and tries it on both.
/// Stores nothing.
#[utoipa::path(
    post, path = "/profiles/draft", tag = "trials",
    request_body = DraftFrom,
    responses(
        (status = 200, body = Draft),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn draft(
    State(admin): State<Arc<Admin>>,
    _: Who,
    Body(from): Body<DraftFrom>,
) -> Answer<Draft> {
    Ok(Json(profiles::draft(&admin, from).await?))
}

/// The labels to try on the route tree.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutesTest {
    /// The labels by name. A label that is not given is empty.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The time at which the time intervals are evaluated. Without it, they are ignored.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// Returns the receivers that a set of labels reaches.
#[utoipa::path(
    post, path = "/routes/test", tag = "trials",
    request_body = RoutesTest,
    responses(
        (status = 200, body = Reach),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn routes(
    State(admin): State<Arc<Admin>>,
    _: Who,
    Body(test): Body<RoutesTest>,
) -> Answer<Reach> {
    Ok(Json(trials::reach(&admin, test.labels, test.at)))
}

/// Returns which pages another configuration would add, drop, move or change.
///
/// The stored mails of a period are taken through the configuration in force and through the one in
/// the request. Nothing is stored or sent. Only an operator may ask, because a configuration names
/// files and variables.
#[utoipa::path(
    post, path = "/replay/diff", tag = "trials",
    request_body(content = String, content_type = "application/yaml"),
    params(DiffQuery),
    responses(
        (status = 200, body = Diff),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn diff(
    State(admin): State<Arc<Admin>>,
    Operator(_): Operator,
    Query(query): Query<DiffQuery>,
    configuration: Bytes,
) -> Answer<Diff> {
    let configuration = String::from_utf8(configuration.to_vec())
        .map_err(|_| Problem::bad("the configuration is not UTF-8"))?;
    let diff = trials::diff(&admin, configuration, query.since, query.until).await?;
    Ok(Json(diff))
}
