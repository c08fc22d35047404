//! `status` and `receivers`.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::Answer;
use crate::{
    label::{Matcher, Operator},
    web::{Admin, json::Json},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    cluster: Cluster,
    version_info: Version,
    config: Configuration,
    /// The time at which the bridge was started.
    uptime: Timestamp,
}

/// The state of the cluster. Replicas share a store and do not gossip.
#[derive(Serialize)]
struct Cluster {
    status: &'static str,
    peers: [Value; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are Alertmanager's")]
struct Version {
    branch: &'static str,
    build_date: &'static str,
    build_user: &'static str,
    go_version: &'static str,
    revision: &'static str,
    version: &'static str,
}

/// The route tree and the receivers' names, in Alertmanager's format. It reveals nothing about how
/// a receiver is reached.
#[derive(Serialize)]
struct Configuration {
    original: String,
}

pub async fn status(State(admin): State<Arc<Admin>>) -> Json<Status> {
    let receivers = names(&admin)
        .into_iter()
        .map(|name| json!({ "name": name }));
    let original = json!({
        "route": route(&admin.workbench.routes()),
        "receivers": receivers.collect::<Vec<_>>(),
    });

    Json(Status {
        cluster: Cluster {
            status: "disabled",
            peers: [],
        },
        version_info: Version {
            branch: "",
            build_date: "",
            build_user: "",
            go_version: "",
            revision: "",
            version: env!("CARGO_PKG_VERSION"),
        },
        config: Configuration {
            original: original.to_string(),
        },
        uptime: admin.started_at,
    })
}

/// Returns a route as Alertmanager writes it, because its tools would otherwise reject the whole
/// configuration.
fn route(route: &Value) -> Value {
    let matchers = route["matchers"].as_array().into_iter().flatten();
    let known = matchers.filter_map(|matcher| matcher.as_str().map(known));
    let below = route["routes"].as_array().into_iter().flatten();

    json!({
        "receiver": route["receiver"],
        "matchers": known.collect::<Vec<_>>(),
        "continue": route["continue"],
        "routes": below.map(self::route).collect::<Vec<_>>(),
    })
}

/// Returns a matcher that Alertmanager knows. A comparison of numbers becomes the test that there
/// is a value, which all its matches have in common.
fn known(text: &str) -> String {
    let Ok(matcher) = Matcher::parse(text) else {
        return text.to_owned();
    };
    let (operator, value) = match matcher.operator() {
        operator @ (Operator::Equal | Operator::NotEqual) => (operator, matcher.value().to_owned()),
        operator @ (Operator::Matches | Operator::NotMatches) => {
            (operator, named_as_in_go(matcher.value()))
        }
        _ => (Operator::Matches, ".+".to_owned()),
    };
    let known = Matcher::new(matcher.name(), operator, value);
    known.map_or_else(|_| text.to_owned(), |known| known.to_string())
}

/// Rewrites the names of groups, because Go before 1.22 knows only the notation `(?P<name>`.
fn named_as_in_go(regex: &str) -> String {
    let mut parts = regex.split("(?<");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out += if out.ends_with('\\') { "(?<" } else { "(?P<" };
        out += part;
    }
    out
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Receiver {
    pub name: String,
}

pub async fn receivers(State(admin): State<Arc<Admin>>) -> Answer<Vec<Receiver>> {
    let receivers = names(&admin).into_iter().map(|name| Receiver { name });
    Ok(Json(receivers.collect()))
}

/// Returns every receiver that has integrations, or that a route leads to.
fn names(admin: &Admin) -> BTreeSet<String> {
    fn collect(route: &Value, names: &mut BTreeSet<String>) {
        names.extend(route["receiver"].as_str().map(ToOwned::to_owned));
        let below = route["routes"].as_array().into_iter().flatten();
        below.for_each(|route| collect(route, names));
    }

    let integrations = admin.workbench.integrations().into_iter();
    let now = integrations.filter(|one| !one.is_former);
    let mut names: BTreeSet<String> = now.map(|one| one.receiver).collect();
    collect(&admin.workbench.routes(), &mut names);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_is_one_that_alertmanager_knows() {
        for (ours, theirs) in [
            ("severity=\"critical\"", "severity=\"critical\""),
            ("sli_gap>=20", "sli_gap=~\".+\""),
            ("app=~\"(?<team>a|b)-x\"", "app=~\"(?P<team>a|b)-x\""),
            ("app!~\"\\\\(?<x\"", "app!~\"\\\\(?<x\""),
            ("app=\"a<b\"", "app=\"a<b\""),
        ] {
            assert_eq!(known(ours), theirs);
        }
    }
}
