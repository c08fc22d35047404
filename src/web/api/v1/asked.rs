//! Checks query parameters against the API's document. Unknown ones are refused, because a filter
//! that is not understood would answer with everything.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};
use jiff::Timestamp;
use serde_json::Value;

use super::DOCUMENT;
use crate::web::{
    ask::{either, unfit, unknown},
    problem::Problem,
};

/// The query parameters of each operation, by its path and its method in lower case.
static OPERATIONS: LazyLock<BTreeMap<(String, String), Vec<Parameter>>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, item)| {
        let item = item.as_object().into_iter().flatten();
        item.map(move |(method, operation)| (path, method, operation))
    });
    operations
        .map(|(path, method, operation)| {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let asked = parameters.filter(|one| one["in"] == "query");
            let asked = asked.map(|one| Parameter::of(one, &document));
            ((path.clone(), method.clone()), asked.collect())
        })
        .collect()
});

struct Parameter {
    name: String,
    takes: Takes,
}

enum Takes {
    Text,
    Words(Vec<String>),
    Number { least: u64, most: u64 },
    Switch,
    Time,
}

impl Parameter {
    fn of(described: &Value, document: &Value) -> Self {
        let schema = &described["schema"];
        let named = schema["$ref"].as_str().and_then(|at| at.strip_prefix('#'));
        let schema = named.and_then(|at| document.pointer(at)).unwrap_or(schema);
        let words = schema["enum"].as_array();

        let takes = match (schema["type"].as_str(), schema["format"].as_str()) {
            _ if let Some(words) = words => {
                let words = words.iter().filter_map(Value::as_str);
                Takes::Words(words.map(ToOwned::to_owned).collect())
            }
            (Some("integer"), _) => Takes::Number {
                least: schema["minimum"].as_u64().unwrap_or(0),
                most: schema["maximum"].as_u64().unwrap_or(u64::MAX),
            },
            (Some("boolean"), _) => Takes::Switch,
            (_, Some("date-time")) => Takes::Time,
            _ => Takes::Text,
        };
        Self {
            name: described["name"].as_str().unwrap_or_default().to_owned(),
            takes,
        }
    }

    fn check(&self, value: &str) -> Result<(), Problem> {
        let (fits, takes) = match &self.takes {
            Takes::Text => return Ok(()),
            Takes::Words(words) => {
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                (words.contains(&value), either(&words))
            }
            Takes::Number { least, most } => (
                value
                    .parse()
                    .is_ok_and(|number| (*least..=*most).contains(&number)),
                format!("a number from {least} to {most}"),
            ),
            Takes::Switch => (
                ["true", "false"].contains(&value),
                "true or false".to_owned(),
            ),
            Takes::Time => (
                value.parse::<Timestamp>().is_ok(),
                "a time such as 2026-03-01T03:00:00Z".to_owned(),
            ),
        };
        if fits {
            return Ok(());
        }
        Err(unfit(&self.name, &takes, value))
    }
}

/// Lets a request through if all its query parameters are described.
pub async fn as_described(
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let method = match *request.method() {
        Method::HEAD => "get".to_owned(),
        ref method => method.as_str().to_lowercase(),
    };
    let query = request.uri().query().unwrap_or_default();
    if let Some(parameters) = OPERATIONS.get(&(path.as_str().to_owned(), method)) {
        check(parameters, query)?;
    }

    Ok(next.run(request).await)
}

fn check(parameters: &[Parameter], query: &str) -> Result<(), Problem> {
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let Some(parameter) = parameters.iter().find(|one| one.name == name) else {
            let known: Vec<_> = parameters.iter().map(|one| one.name.as_str()).collect();
            return Err(unknown(&name, &known));
        };
        parameter.check(&value)?;
    }
    Ok(())
}
