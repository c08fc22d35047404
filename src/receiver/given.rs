//! Values from the environment in an integration's texts (`${NAME}`). Each may be a credential
//! wherever it occurs, even in a body, and is shown nowhere but within a receipt.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Body, Receivers, Request, redaction::Parts};
use crate::delivery::Target;

/// The shortest value, in bytes, that is hidden. A shorter one is a word or a port, and hiding it
/// would hide other text.
const SHORTEST: usize = 5;

/// The values of each integration.
pub(super) type Given = BTreeMap<Target, Vec<String>>;

impl Receivers {
    /// Returns the receivers with the values from the environment, each given with its place in the
    /// configuration.
    #[must_use]
    pub fn hiding(mut self, given: Vec<(String, String)>) -> Self {
        for (place, value) in given {
            let target = self.entries.iter().find(|(_, known)| {
                place
                    .strip_prefix(known.key.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            });
            if let Some((target, _)) = target.filter(|_| value.len() >= SHORTEST) {
                self.given.entry(target.clone()).or_default().push(value);
            }
        }
        self
    }

    /// Returns the values in an integration's texts that must not be shown.
    pub fn given(&self, target: &Target) -> impl Iterator<Item = &str> {
        self.given
            .get(target)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Returns a request without these values, for display.
    pub fn without_given(&self, target: &Target, request: Request) -> Request {
        let hidden: Vec<String> = self
            .given(target)
            .flat_map(|value| Parts::of(value).telling)
            .collect();
        if hidden.is_empty() {
            return request;
        }

        let scrub = |text: String| {
            hidden
                .iter()
                .fold(text, |text, part| text.replace(part, "<secret>"))
        };

        Request {
            method: request.method,
            url: scrub(request.url),
            headers: request
                .headers
                .into_iter()
                .map(|(name, value)| (name, scrub(value)))
                .collect(),
            body: match request.body {
                Body::Empty => Body::Empty,
                Body::Text(text) => Body::Text(scrub(text)),
                Body::Mail(mail) => Body::Mail(super::Mail {
                    text: scrub(mail.text),
                    ..mail
                }),
                Body::Json(json) => Body::Json(scrubbed(json, &scrub)),
            },
        }
    }
}

fn scrubbed(json: Value, scrub: &dyn Fn(String) -> String) -> Value {
    match json {
        Value::String(text) => Value::String(scrub(text)),
        Value::Array(items) => items
            .into_iter()
            .map(|item| scrubbed(item, scrub))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, scrubbed(value, scrub)))
            .collect(),
        other => other,
    }
}
