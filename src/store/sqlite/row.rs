//! Conversions between Rust's types and SQLite's (see `kept`), and from each row to the value that
//! it holds.

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    delivery::Target,
    incident::{Phase, State},
    label::title_of,
    message::Message,
    silence::Silence,
    store::{
        Attempt, Claim, DeliveryRow, IncidentRow, Kind, MailRow, StoredMail,
        kept::{time, unpack},
        look::Reason,
    },
};

pub(super) fn time_at(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(time)
}

pub(super) fn optional_time_at(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)
        .map(|micros| micros.map(time))
}

/// Reads a count or size, which SQLite stores as a signed integer.
pub(super) fn unsigned_at(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

pub(super) fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

pub(super) fn json_at<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(broken)
}

/// Reads JSON like [`json_at`], from a column that may be NULL.
pub(super) fn optional_json_at<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    row.get_ref(column)?
        .as_str_or_null()?
        .map(|text| serde_json::from_str(text).map_err(broken))
        .transpose()
}

/// Reads a variant of an enumeration, as serde writes it.
pub(super) fn word_at<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    serde_json::from_value(serde_json::Value::String(word)).map_err(broken)
}

fn broken(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}

pub(super) fn target(row: &Row<'_>) -> rusqlite::Result<Target> {
    Ok(Target {
        receiver: row.get("receiver")?,
        integration: row.get("integration")?,
    })
}

/// Reads a row of `mails.*, raw`.
pub(super) fn stored_mail(row: &Row<'_>) -> rusqlite::Result<StoredMail> {
    let packed = row.get_ref("raw")?.as_blob()?;
    let raw = unpack(packed).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error))
    })?;
    Ok(StoredMail {
        id: row.get("id")?,
        message: Message {
            ingress: row.get("ingress")?,
            arrived_at: time_at(row, "arrived_at")?,
            raw: Bytes::from(raw),
            cut_from: row
                .get::<_, Option<i64>>("cut_from")?
                .map(i64::unsigned_abs),
            withheld: row.get("withheld")?,
            envelope: optional_json_at(row, "envelope")?,
        },
        authenticity: json_at(row, "authenticity")?,
        checks: row.get("checks")?,
        released: optional_json_at(row, "released")?,
        decided_at: optional_time_at(row, "decided_at")?,
        cut_at: optional_time_at(row, "cut_at")?,
    })
}

pub(super) fn incident_row(row: &Row<'_>) -> rusqlite::Result<IncidentRow> {
    let kind: Kind = word_at(row, "kind")?;
    let phase: Phase = word_at(row, "phase")?;
    Ok(IncidentRow {
        incident_id: row.get("incident_id")?,
        kind,
        phase: kind.looked_at(phase),
        can_end: kind.can_be_ended() && phase == Phase::Firing,
        status: row.get("status")?,
        newest: optional_time_at(row, "newest")?,
        episode: row.get("episode")?,
        opened_at: time_at(row, "opened_at")?,
        changed_at: time_at(row, "changed_at")?,
        labels: json_at(row, "labels")?,
    })
}

pub(super) fn mail_row(row: &Row<'_>) -> rusqlite::Result<MailRow> {
    Ok(MailRow {
        id: row.get("id")?,
        ingress: row.get("ingress")?,
        arrived_at: time_at(row, "arrived_at")?,
        size: size_at(row)?,
        outcome: word_at(row, "outcome")?,
        reason: row.get("reason")?,
        profile: row.get("profile")?,
        item: row.get("item")?,
        incident_id: row.get("incident_id")?,
        sha256: row.get("sha256")?,
        authenticity: json_at(row, "authenticity")?,
        labels: optional_json_at(row, "labels")?.unwrap_or_default(),
        cut_at: optional_time_at(row, "cut_at")?,
        // A release from the quarantine stores zero, which means that the mail is due at once.
        check_at: optional_time_at(row, "check_at")?.filter(|at| *at > Timestamp::UNIX_EPOCH),
        released: optional_json_at(row, "released")?,
    })
}

pub(super) fn delivery_row(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: row.get("id")?,
        incident_id: row.get("incident_id")?,
        title: title_of(&json_at(row, "incident_labels")?).map(ToOwned::to_owned),
        receiver: row.get("receiver")?,
        integration: row.get("integration")?,
        action: word_at(row, "action")?,
        alias: row.get("alias")?,
        state: word_at(row, "state")?,
        failures: row.get("failures")?,
        created_at: time_at(row, "created_at")?,
        next_at: optional_time_at(row, "next_at")?,
        settled_at: optional_time_at(row, "settled_at")?,
        detail: row.get("detail")?,
        mail: row.get("mail")?,
        reason: json_at::<Reason>(row, "notification")
            .ok()
            .and_then(|of| of.reason),
    })
}

pub(super) fn attempt_row(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        at: time_at(row, "at")?,
        took_ms: unsigned_at(row, "took_ms")?,
        result: row.get("result")?,
        detail: row.get("detail")?,
    })
}

/// Returns the original size of the mail, for lists.
fn size_at(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, Option<i64>>("cut_from")?
        .map_or_else(|| unsigned_at(row, "size"), |size| Ok(size.unsigned_abs()))
}

/// Reads a claimed delivery.
pub(super) fn claim_row(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        id: row.get("id")?,
        lease: row.get("lease")?,
        target: target(row)?,
        alias: row.get("alias")?,
        notification: json_at(row, "notification")?,
        step: json_at(row, "step")?,
        receipt: row.get("receipt")?,
        failures: row.get("failures")?,
        since: time_at(row, "since")?,
    })
}

pub(super) fn silence_row(row: &Row<'_>) -> rusqlite::Result<Silence> {
    Ok(Silence {
        id: row.get("id")?,
        matchers: row
            .get_ref("matchers")?
            .as_str()?
            .split('\n')
            .map(ToOwned::to_owned)
            .collect(),
        starts_at: time_at(row, "starts_at")?,
        ends_at: time_at(row, "ends_at")?,
        author: row.get("author")?,
        comment: row.get("comment")?,
        created_at: time_at(row, "created_at")?,
    })
}

/// Reads the state of an incident.
pub(super) fn state(row: &Row<'_>) -> rusqlite::Result<State> {
    Ok(State {
        phase: word_at(row, "phase")?,
        status: row.get("status")?,
        newest: optional_time_at(row, "newest")?,
        verified: row.get("verified")?,
        untold: row.get("untold")?,
        episode: row.get("episode")?,
        told: optional_json_at(row, "told")?.unwrap_or_default(),
    })
}
