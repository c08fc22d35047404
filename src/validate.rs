//! 3. JSON → incident, or what is wrong with it. Home of jsonschema.

use serde_json::Value;

use crate::incident::Incident;

/// A compiled `incident-data` schema.
pub struct Validator {}

/// The JSON does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Violation {
    /// Names the JSON pointer of every violation.
    pub reason: String,
}

/// An incident, and what in its JSON the schema does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid {
    pub incident: Incident,
    /// JSON pointers of additions: drift, welcome and reported.
    pub unknown: Vec<String>,
}

impl Validator {
    pub fn check(&self, _json: Value) -> Result<Valid, Violation> {
        todo!()
    }
}
