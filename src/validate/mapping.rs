//! Maps JSON to [`SliAlert`], whatever schema it has passed: the built-in one, a team's own, or
//! `true`.

use jiff::Timestamp;
use serde_json::Value;

use super::{SliAlert, Violation};

/// Reads the fields. A required field that is missing or of another type is a violation, whatever
/// the schema says.
pub(super) fn alert(json: Value) -> Result<SliAlert, Violation> {
    match fields(&json) {
        Ok(alert) => Ok(SliAlert { json, ..alert }),
        Err((pointer, wrong)) => Err(Violation {
            reason: format!("{pointer}: {wrong}"),
            json,
        }),
    }
}

type Wrong = (&'static str, &'static str);

fn fields(json: &Value) -> Result<SliAlert, Wrong> {
    Ok(SliAlert {
        app_key: required(json, "/appKey")?,
        app_name: text(json, "/appDetails/name")?,
        partner: text(json, "/appDetails/partnerName")?,
        incident_id: required(json, "/incidentId")?,
        status: text(json, "/incidentStatus")?.ok_or(("/incidentStatus", "is missing"))?,
        time: time(json, "/time")?,
        metric: required(json, "/metricName")?,
        unit: text(json, "/metricUnit")?,
        window_seconds: number(json, "/measurementDurationSeconds")?,
        sli_value: number(json, "/sliValue")?,
        slo_value: number(json, "/sloValue")?,
        json: Value::Null,
    })
}

/// Reads an optional or null string.
fn text(json: &Value, pointer: &'static str) -> Result<Option<String>, Wrong> {
    match json.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err((pointer, "is not a string")),
    }
}

fn required(json: &Value, pointer: &'static str) -> Result<String, Wrong> {
    match text(json, pointer)? {
        None => Err((pointer, "is missing")),
        Some(text) if text.is_empty() => Err((pointer, "is empty")),
        Some(text) => Ok(text),
    }
}

/// Reads an optional or null number.
fn number(json: &Value, pointer: &'static str) -> Result<Option<f64>, Wrong> {
    match json.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or((pointer, "is not a number")),
    }
}

/// Reads an RFC 3339 time with its offset.
fn time(json: &Value, pointer: &'static str) -> Result<Timestamp, Wrong> {
    required(json, pointer)?.parse().map_err(|_| {
        (
            pointer,
            "is not an RFC 3339 time with an offset, like 2022-03-24T15:40:00Z",
        )
    })
}
