//! The properties that a schema knows, so that others can be reported: drift shows before it causes
//! harm.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::reason::cut;

/// The maximum number of additions that are reported.
const MAX_ADDITIONS: usize = 20;

/// The depth to which a schema's nested `properties` are followed.
const MAX_DEPTH: usize = 8;

/// The `properties` of an object in a schema, and of those within.
#[derive(Debug, Default)]
pub(super) struct Properties(HashMap<String, Self>);

impl Properties {
    /// Reads the `properties` of a schema.
    ///
    /// What it says by other means (`$ref`, `allOf`) is not followed: where there are no
    /// `properties`, nothing is reported.
    pub fn of(schema: &Value) -> Self {
        Self::nested(schema, MAX_DEPTH)
    }

    fn nested(schema: &Value, depth: usize) -> Self {
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .filter(|_| depth > 0);

        Self(
            properties
                .into_iter()
                .flatten()
                .map(|(key, schema)| (key.clone(), Self::nested(schema, depth - 1)))
                .collect(),
        )
    }

    /// Returns JSON pointers (RFC 6901) to what an alert contains beyond these properties, at most
    /// 20 of at most 200 characters.
    pub fn additions(&self, json: &Value) -> Vec<String> {
        let mut additions = Vec::new();
        if let Value::Object(object) = json {
            self.collect(object, "", &mut additions);
        }
        additions
    }

    fn collect(&self, object: &Map<String, Value>, parent: &str, additions: &mut Vec<String>) {
        if self.0.is_empty() {
            return;
        }

        for (key, value) in object {
            if additions.len() == MAX_ADDITIONS {
                return;
            }
            match (self.0.get(key), value) {
                (None, _) => additions.push(cut(&pointer(parent, key))),
                (Some(known), Value::Object(inner)) => {
                    known.collect(inner, &pointer(parent, key), additions);
                }
                _ => {}
            }
        }
    }
}

/// Extends a JSON pointer by a key, in which `~` and `/` are escaped (RFC 6901, 3).
fn pointer(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}
