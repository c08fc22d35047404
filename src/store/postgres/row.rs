//! Between Rust's types and PostgreSQL's: see `kept`.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio_postgres::{Row, types::FromSql};

use super::connection::failure;
use crate::{
    delivery::Target,
    message::Message,
    store::{
        StoreError, StoredMail,
        kept::{time, unpack},
    },
};

/// Text as PostgreSQL takes it: of all characters it has no NUL. What people read shows a sign in
/// its stead; what things are known by holds none (see `extract`).
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{2400}"))
    } else {
        Cow::Borrowed(text)
    }
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

/// A count or size, which the database keeps signed.
pub(super) fn unsigned_at(row: &Row, column: &str) -> Result<u64, StoreError> {
    at(row, column).map(i64::unsigned_abs)
}

pub(super) fn json_at<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    serde_json::from_str(at(row, column)?).map_err(|error| broken(column, &error))
}

/// As [`json_at`], for a column that may be NULL.
pub(super) fn optional_json_at<T: DeserializeOwned>(
    row: &Row,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = at(row, column)?;
    text.map(|text| serde_json::from_str(text).map_err(|error| broken(column, &error)))
        .transpose()
}

/// A word of a closed set, as serde writes it.
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

/// A row of `mails.*, raw`.
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
    })
}

fn broken(column: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Failed(format!("{column} cannot be read: {error}"))
}
