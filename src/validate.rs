//! Stage 4: turns JSON into Atlassian's alert, or into what is wrong with it. Home of jsonschema.
//!
//! Two checks follow each other: the schema, which `alerts.schema_file` may replace without a
//! rebuild, and the mapping to [`SliAlert`], which holds whatever the schema accepts.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use jsonschema::PatternOptions;
use serde_json::Value;

mod alert;
mod known;
mod mapping;
mod reason;

pub use alert::SliAlert;

/// The built-in schema, inferred from the single published example, as it says itself.
pub const BUILT_IN: &str = include_str!("../schema/incident-data.schema.json");

/// The maximum size of a schema file, in bytes.
const MAX_SCHEMA: u64 = 1 << 20;

/// A compiled `incident-data` schema.
#[derive(Debug)]
pub struct Validator {
    schema: jsonschema::Validator,
    known: known::Properties,
}

/// The error that JSON does not fit the schema.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Violation {
    /// The JSON pointers of the violations, at most five.
    pub reason: String,
    /// The JSON as it was.
    pub json: Value,
}

/// An alert, and the parts of its JSON that the schema does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid {
    pub alert: SliAlert,
    /// JSON pointers to additions, which are drift: accepted and reported. At most 20.
    pub unknown: Vec<String>,
}

/// A schema that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error(
        "cannot read the schema {}: {source}; name a file the bridge may read, or remove the key",
        path.display()
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the schema {} is larger than 1 MiB; name a JSON schema", path.display())]
    TooLarge { path: PathBuf },
    #[error("the schema {} is not valid JSON: {source}; correct the file", path.display())]
    NotJson {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error(
        "the schema {} is not a usable JSON schema: {what}; correct the file ($ref may only point \
         into the file itself)",
        path.display()
    )]
    NotASchema { path: PathBuf, what: String },
}

impl Validator {
    /// Compiles the built-in schema. A test ensures that this succeeds.
    pub fn built_in() -> Result<Self, SchemaError> {
        Self::compile(
            BUILT_IN.as_bytes(),
            Path::new("schema/incident-data.schema.json (built in)"),
        )
    }

    /// Compiles the schema of `alerts.schema_file`. Nothing else is read: a `$ref` out of the file
    /// is an error.
    pub fn from_file(path: &Path) -> Result<Self, SchemaError> {
        let unreadable = |source| SchemaError::Unreadable {
            path: path.to_owned(),
            source,
        };

        let mut text = Vec::new();
        File::open(path)
            .map_err(unreadable)?
            .take(MAX_SCHEMA + 1)
            .read_to_end(&mut text)
            .map_err(unreadable)?;

        if text.len() as u64 > MAX_SCHEMA {
            return Err(SchemaError::TooLarge {
                path: path.to_owned(),
            });
        }

        Self::compile(&text, path)
    }

    fn compile(text: &[u8], path: &Path) -> Result<Self, SchemaError> {
        let json: Value = serde_json::from_slice(text).map_err(|source| SchemaError::NotJson {
            path: path.to_owned(),
            source,
        })?;

        let schema = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            // This engine does not backtrack, so a pattern costs time linear in the text.
            .with_pattern_options(PatternOptions::regex())
            .build(&json)
            .map_err(|error| SchemaError::NotASchema {
                path: path.to_owned(),
                what: error.to_string(),
            })?;

        Ok(Self {
            schema,
            known: known::Properties::of(&json),
        })
    }

    /// Checks that JSON satisfies the schema. The error lists the JSON pointers of what does not.
    pub fn fits(&self, json: &Value) -> Result<(), String> {
        if self.schema.is_valid(json) {
            Ok(())
        } else {
            Err(reason::of(self.schema.iter_errors(json)))
        }
    }

    /// Checks an alert's JSON and reads the alert from it.
    pub fn check(&self, json: Value) -> Result<Valid, Violation> {
        if !self.schema.is_valid(&json) {
            let reason = reason::of(self.schema.iter_errors(&json));
            return Err(Violation { reason, json });
        }
        let unknown = self.known.additions(&json);
        mapping::alert(json).map(|alert| Valid { alert, unknown })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn published() -> Value {
        json!({
            "appKey": "com.example.appkey",
            "appDetails": { "name": "AppName", "partnerName": "Atlassian" },
            "incidentId": "FOotlQrY5ZQ", "incidentStatus": "ANOMALOUS",
            "time": "2022-03-24T15:40:00Z",
            "metricName": "Jira Installation Callback Success Rate", "metricUnit": "PERCENT",
            "measurementDurationSeconds": 86400, "sliValue": 60.0, "sloValue": 99.0
        })
    }

    fn check(json: Value) -> Result<Valid, String> {
        Validator::built_in()
            .unwrap()
            .check(json)
            .map_err(|violation| violation.reason)
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut json = published();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[key] = value;
        json
    }

    #[test]
    fn the_published_example_is_an_incident() {
        let valid = check(published()).unwrap();
        let incident = valid.alert;
        assert_eq!(incident.app_key, "com.example.appkey");
        assert_eq!(incident.app_name.as_deref(), Some("AppName"));
        assert_eq!(incident.partner.as_deref(), Some("Atlassian"));
        assert_eq!(incident.incident_id, "FOotlQrY5ZQ");
        assert_eq!(incident.status, "ANOMALOUS");
        assert_eq!(incident.time, "2022-03-24T15:40:00Z".parse().unwrap());
        assert_eq!(incident.metric, "Jira Installation Callback Success Rate");
        assert_eq!(incident.unit.as_deref(), Some("PERCENT"));
        assert_eq!(incident.window_seconds, Some(86400.0));
        assert_eq!(
            (incident.sli_value, incident.slo_value),
            (Some(60.0), Some(99.0))
        );
        assert_eq!(incident.json, published());
        assert_eq!(valid.unknown, Vec::<String>::new());
    }

    #[test]
    fn only_five_properties_are_required_and_the_rest_may_be_null() {
        let least = json!({
            "appKey": "a", "incidentId": "i", "incidentStatus": "new one", "metricName": "m",
            "time": "2022-03-24T15:40:00.5+01:00"
        });
        let incident = check(least.clone()).unwrap().alert;
        assert_eq!(
            (incident.app_name, incident.sli_value, incident.unit),
            (None, None, None)
        );
        assert_eq!(incident.time, "2022-03-24T14:40:00.5Z".parse().unwrap());
        let mut nulls = least;
        for key in [
            "appDetails",
            "metricUnit",
            "measurementDurationSeconds",
            "sliValue",
            "sloValue",
        ] {
            nulls[key] = Value::Null;
        }
        assert_eq!(check(nulls).unwrap().unknown, Vec::<String>::new());
        assert!(check(with("/appDetails/name", Value::Null)).is_ok());
    }

    #[test]
    fn violations_name_their_json_pointers() {
        for (json, pointer) in [
            (with("/sliValue", json!("60")), "/sliValue"),
            (with("/appDetails/name", json!(7)), "/appDetails/name"),
            (with("/appDetails", json!([])), "/appDetails"),
            (with("/incidentId", json!("")), "/incidentId"),
            (with("/incidentId", json!("x".repeat(256))), "/incidentId"),
            (with("/incidentId", json!(7)), "/incidentId"),
            (with("/incidentStatus", Value::Null), "/incidentStatus"),
            (with("/time", json!("yesterday")), "/time"),
            (with("/time", json!("2022-03-24T15:40:00")), "/time"),
            (with("/time", json!("2022-13-24T15:40:00Z")), "/time"),
            (with("/time", json!(1_648_136_400)), "/time"),
            (with("/metricName", json!("x".repeat(2_000))), "/metricName"),
        ] {
            let reason = check(json.clone()).expect_err(&json.to_string());
            assert!(reason.contains(&format!("{pointer}: ")), "{reason}");
            assert!(reason.len() < 300, "{reason}");
        }
        let reason = check(json!({})).unwrap_err();
        for key in [
            "appKey",
            "incidentId",
            "incidentStatus",
            "metricName",
            "time",
        ] {
            assert!(reason.contains(&format!("/{key}: is missing")), "{reason}");
        }
        assert!(check(json!([])).unwrap_err().contains("the whole: "));
    }

    #[test]
    fn a_violation_keeps_the_json() {
        let json = with("/sliValue", json!("60"));
        assert_eq!(
            Validator::built_in()
                .unwrap()
                .check(json.clone())
                .unwrap_err()
                .json,
            json
        );
    }

    #[test]
    fn additions_are_welcome_and_reported() {
        let mut json = with("/appDetails/logo", json!({ "deep": 1 }));
        json["base~Url/x"] = json!("https://example.com");
        assert_eq!(
            check(json).unwrap().unknown,
            ["/appDetails/logo", "/base~0Url~1x"]
        );
    }

    #[test]
    fn additions_are_bounded() {
        let mut json = published();
        for number in 0..1_000 {
            json[format!("{number}{}", "x".repeat(500))] = Value::Null;
        }
        let unknown = check(json).unwrap().unknown;
        assert_eq!(unknown.len(), 20);
        assert!(unknown.iter().all(|pointer| pointer.len() <= 210));
    }

    #[test]
    fn many_violations_are_bounded() {
        let mut schema = json!({ "type": "object", "properties": {} });
        let mut json = published();
        for number in 0..50 {
            schema["properties"][format!("p{number}")] = json!({ "type": "string" });
            json[format!("p{number}")] = json!(number);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.json");
        std::fs::write(&path, schema.to_string()).unwrap();
        let reason = Validator::from_file(&path)
            .unwrap()
            .check(json)
            .unwrap_err()
            .reason;
        assert_eq!(reason.matches("/p").count(), 5, "{reason}");
        assert!(reason.ends_with("; and more"), "{reason}");
    }

    #[test]
    fn a_lenient_schema_still_makes_whole_incidents_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anything.json");
        std::fs::write(&path, "true").unwrap();
        let lenient = Validator::from_file(&path).unwrap();
        let reason = |json| lenient.check(json).unwrap_err().reason;
        assert!(reason(json!({})).contains("/appKey: is missing"));
        assert!(reason(json!(7)).contains("/appKey: is missing"));
        assert!(reason(with("/incidentId", json!(""))).contains("/incidentId: is empty"));
        assert!(reason(with("/time", json!("noon"))).contains("/time: is not an RFC 3339 time"));
        assert!(reason(with("/sloValue", json!("99"))).contains("/sloValue: is not a number"));
        assert_eq!(
            lenient.check(with("/x", json!(1))).unwrap().unknown,
            Vec::<String>::new()
        );
    }

    #[test]
    fn unusable_schemas_are_refused_with_their_file_and_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.json");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let error = Validator::from_file(&path).unwrap_err().to_string();
            assert!(error.contains("schema.json"), "{error}");
            error
        };
        assert!(refused("{").contains("not valid JSON"));
        assert!(refused(r#"{"type": "objekt"}"#).contains("not a usable JSON schema"));
        assert!(
            refused(r#"{"$ref": "https://example.com/x.json"}"#).contains("into the file itself")
        );
        assert!(refused(r#"{"$ref": "file:///etc/passwd"}"#).contains("into the file itself"));
        assert!(refused(&" ".repeat(1 << 21)).contains("larger than 1 MiB"));
        std::fs::remove_file(&path).unwrap();
        assert!(
            Validator::from_file(&path)
                .unwrap_err()
                .to_string()
                .contains("cannot read")
        );
    }
}
