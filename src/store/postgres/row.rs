//! Conversions between Rust's types and PostgreSQL's (see `kept`), and from each row to the value
//! that it holds.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio_postgres::{Row, types::FromSql};

use super::connection::failure;
use crate::{
    delivery::Target,
    incident::Phase,
    label::title_of,
    message::Message,
    silence::Silence,
    store::{
        Attempt, Claim, DeliveryRow, Event, IncidentRow, Kind, MailRow, StoreError, StoredMail,
        kept::{time, unpack},
        look::Reason,
    },
};

/// Returns text as PostgreSQL accepts it, which cannot store a NUL. In text for people, a sign
/// replaces it. Keys contain none (see `extract`).
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{2400}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Converts a duration to milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn at<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T, StoreError> {
    row.try_get(column).map_err(failure)
}

pub(super) fn time_at(row: &Row, column: &str) -> Result<Timestamp, StoreError> {
    at(row, column).map(time)
}

pub(super) fn optional_time_at(row: &Row, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(at::<Option<i64>>(row, column)?.map(time))
}

/// Reads a count or size, which the database stores as a signed integer.
pub(super) fn unsigned_at(row: &Row, column: &str) -> Result<u64, StoreError> {
    at(row, column).map(i64::unsigned_abs)
}

pub(super) fn json_at<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    serde_json::from_str(at(row, column)?).map_err(|error| broken(column, &error))
}

/// Reads JSON like [`json_at`], from a column that may be NULL.
pub(super) fn optional_json_at<T: DeserializeOwned>(
    row: &Row,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = at(row, column)?;
    text.map(|text| serde_json::from_str(text).map_err(|error| broken(column, &error)))
        .transpose()
}

/// Reads a variant of an enumeration, as serde writes it.
pub(super) fn word_at<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(at(row, column)?))
        .map_err(|error| broken(column, &error))
}

pub(super) fn target_at(row: &Row) -> Result<Target, StoreError> {
    Ok(Target {
        receiver: at(row, "receiver")?,
        integration: at(row, "integration")?,
    })
}

/// Reads a row of `mails.*, raw`.
pub(super) fn stored_mail(row: &Row) -> Result<StoredMail, StoreError> {
    let raw = unpack(at(row, "raw")?);
    Ok(StoredMail {
        id: at(row, "id")?,
        message: Message {
            ingress: at(row, "ingress")?,
            arrived_at: time_at(row, "arrived_at")?,
            raw: Bytes::from(raw.map_err(|error| {
                StoreError::Failed(format!("a mail cannot be unpacked: {error}"))
            })?),
            cut_from: at::<Option<i64>>(row, "cut_from")?.map(i64::unsigned_abs),
            withheld: at(row, "withheld")?,
            envelope: optional_json_at(row, "envelope")?,
        },
        authenticity: json_at(row, "authenticity")?,
        checks: u32::try_from(at::<i64>(row, "checks")?).unwrap_or(u32::MAX),
        released: optional_json_at(row, "released")?,
        decided_at: optional_time_at(row, "decided_at")?,
        cut_at: optional_time_at(row, "cut_at")?,
    })
}

fn broken(column: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Failed(format!("{column} cannot be read: {error}"))
}

/// Reads a claimed delivery.
pub(super) fn claim_row(row: &Row) -> Result<Claim, StoreError> {
    Ok(Claim {
        id: at(row, "id")?,
        lease: at(row, "lease")?,
        target: target_at(row)?,
        alias: at(row, "alias")?,
        notification: json_at(row, "notification")?,
        step: json_at(row, "step")?,
        receipt: at(row, "receipt")?,
        failures: u32::try_from(at::<i64>(row, "failures")?).unwrap_or(u32::MAX),
        since: time_at(row, "since")?,
    })
}

pub(super) fn incident_row(row: &Row) -> Result<IncidentRow, StoreError> {
    let kind: Kind = word_at(row, "kind")?;
    let phase: Phase = word_at(row, "phase")?;
    Ok(IncidentRow {
        incident_id: at(row, "incident_id")?,
        kind,
        phase: kind.looked_at(phase),
        can_end: kind.can_be_ended() && phase == Phase::Firing,
        status: at(row, "status")?,
        newest: optional_time_at(row, "newest")?,
        episode: at(row, "episode")?,
        opened_at: time_at(row, "opened_at")?,
        changed_at: time_at(row, "changed_at")?,
        labels: json_at(row, "labels")?,
    })
}

pub(super) fn mail_row(row: &Row) -> Result<MailRow, StoreError> {
    let cut_from: Option<i64> = at(row, "cut_from")?;
    Ok(MailRow {
        id: at(row, "id")?,
        ingress: at(row, "ingress")?,
        arrived_at: time_at(row, "arrived_at")?,
        size: cut_from.map_or_else(|| unsigned_at(row, "size"), |size| Ok(size.unsigned_abs()))?,
        outcome: word_at(row, "outcome")?,
        reason: at(row, "reason")?,
        profile: at(row, "profile")?,
        item: at(row, "item")?,
        incident_id: at(row, "incident_id")?,
        sha256: at(row, "sha256")?,
        authenticity: json_at(row, "authenticity")?,
        labels: optional_json_at(row, "labels")?.unwrap_or_default(),
        cut_at: optional_time_at(row, "cut_at")?,
        // A release from the quarantine stores zero, which means that the mail is due at once.
        check_at: optional_time_at(row, "check_at")?.filter(|at| *at > Timestamp::UNIX_EPOCH),
        released: optional_json_at(row, "released")?,
    })
}

pub(super) fn delivery_row(row: &Row) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        id: at(row, "id")?,
        incident_id: at(row, "incident_id")?,
        title: title_of(&json_at(row, "incident_labels")?).map(ToOwned::to_owned),
        receiver: at(row, "receiver")?,
        integration: at(row, "integration")?,
        action: word_at(row, "action")?,
        alias: at(row, "alias")?,
        state: word_at(row, "state")?,
        failures: u32::try_from(at::<i64>(row, "failures")?).unwrap_or(u32::MAX),
        created_at: time_at(row, "created_at")?,
        next_at: optional_time_at(row, "next_at")?,
        settled_at: optional_time_at(row, "settled_at")?,
        detail: at(row, "detail")?,
        mail: at(row, "mail")?,
        reason: json_at::<Reason>(row, "notification")
            .ok()
            .and_then(|of| of.reason),
    })
}

pub(super) fn attempt_event(row: &Row) -> Result<Event, StoreError> {
    Ok(Event::Attempt {
        delivery: at(row, "delivery")?,
        receiver: at(row, "receiver")?,
        integration: at(row, "integration")?,
        action: word_at(row, "action")?,
        attempt: Attempt {
            at: time_at(row, "at")?,
            took_ms: unsigned_at(row, "took_ms")?,
            result: at(row, "result")?,
            detail: at(row, "detail")?,
        },
    })
}

pub(super) fn silence_row(row: &Row) -> Result<Silence, StoreError> {
    Ok(Silence {
        id: at(row, "id")?,
        matchers: one_to_a_line(at(row, "matchers")?),
        starts_at: time_at(row, "starts_at")?,
        ends_at: time_at(row, "ends_at")?,
        author: at(row, "author")?,
        comment: at(row, "comment")?,
        created_at: time_at(row, "created_at")?,
    })
}

pub(super) fn one_to_a_line(matchers: &str) -> Vec<String> {
    matchers.split('\n').map(ToOwned::to_owned).collect()
}
