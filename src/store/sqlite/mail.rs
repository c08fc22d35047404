//! Mails as they came: recorded, read back.

use std::cell::RefCell;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::{
    delivery::sha256_hex,
    message::{Authenticity, Bookmark, MailId, Message, Release},
    store::{StoreError, StoredMail},
};

use super::{
    failure,
    row::{json, json_at, micros, optional_json_at, time_at, unsigned_at},
};

/// Fast rather than small: what HTML mail has to give, level 1 takes nearly all of.
const COMPRESSION: i32 = 1;
/// No check is put off further.
const FARTHEST_CHECK: SignedDuration = SignedDuration::from_hours(1);
/// No mail is larger unpacked: bounds what a damaged store can make us allocate.
const LARGEST: usize = 256 << 20;

thread_local! {
    /// A context costs more to make than a mail to compress.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// A mail ready to be written: what takes time is done before the writer's turn.
pub(super) struct Packed {
    message: Message,
    authenticity: String,
    envelope: Option<String>,
    sha256: String,
    body: Vec<u8>,
}

pub(super) fn pack((message, authenticity): (Message, Authenticity)) -> Result<Packed, StoreError> {
    let body = COMPRESSOR.with_borrow_mut(|slot| -> std::io::Result<_> {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(zstd::bulk::Compressor::new(COMPRESSION)?),
        };
        compressor.compress(&message.raw)
    });
    Ok(Packed {
        authenticity: json(&authenticity).map_err(failure)?,
        envelope: message.envelope.as_ref().map(json).transpose().map_err(failure)?,
        sha256: sha256_hex(&message.raw),
        body: body.map_err(|error| StoreError::Failed(format!("a mail could not be compressed: {error}")))?,
        message,
    })
}

pub(super) fn record(
    connection: &Connection,
    mails: &[Packed],
    bookmark: Option<&Bookmark>,
) -> rusqlite::Result<Vec<MailId>> {
    let mut head = connection.prepare_cached(
        "INSERT INTO mails (ingress, arrived_at, size, cut_from, sha256, envelope, authenticity)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut body = connection.prepare_cached("INSERT INTO bodies (mail, raw) VALUES (?1, ?2)")?;
    let mut ids = Vec::with_capacity(mails.len());
    for Packed { message, authenticity, envelope, sha256, body: raw } in mails {
        let id = head.insert(params![
            message.ingress,
            micros(message.arrived_at),
            i64::try_from(message.raw.len()).unwrap_or(i64::MAX),
            message.cut_from.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
            sha256,
            envelope,
            authenticity,
        ])?;
        body.execute(params![id, raw])?;
        ids.push(id);
    }
    if let Some(Bookmark { mailbox, uid_validity, last_uid }) = bookmark {
        connection
            .prepare_cached(
                "INSERT INTO bookmarks (mailbox, uid_validity, last_uid) VALUES (?1, ?2, ?3)
                 ON CONFLICT (mailbox) DO UPDATE SET uid_validity = ?2, last_uid = ?3",
            )?
            .execute(params![mailbox, uid_validity, last_uid])?;
    }
    Ok(ids)
}

pub(super) fn bookmark(connection: &Connection, mailbox: &str) -> rusqlite::Result<Option<Bookmark>> {
    connection
        .prepare_cached("SELECT uid_validity, last_uid FROM bookmarks WHERE mailbox = ?1")?
        .query_row([mailbox], |row| {
            Ok(Bookmark { mailbox: mailbox.to_owned(), uid_validity: row.get(0)?, last_uid: row.get(1)? })
        })
        .optional()
}

pub(super) fn undecided(connection: &Connection, after: MailId, limit: u32) -> rusqlite::Result<Vec<StoredMail>> {
    connection
        .prepare_cached(
            "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
             WHERE outcome = 'pending' AND check_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2",
        )?
        .query_map(params![after, limit], stored_mail)?
        .collect()
}

/// What is to be looked at again: by now, or at a time so far off that the clock must have been set back.
pub(super) fn due(connection: &Connection, now: Timestamp, limit: u32) -> rusqlite::Result<Vec<StoredMail>> {
    let absurd = now.saturating_add(FARTHEST_CHECK).unwrap_or(now);
    connection
        .prepare_cached(
            "SELECT * FROM (SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
                            WHERE check_at <= ?1 ORDER BY check_at LIMIT ?3)
             UNION ALL
             SELECT * FROM (SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
                            WHERE check_at > ?2 ORDER BY check_at LIMIT ?3)
             LIMIT ?3",
        )?
        .query_map(params![micros(now), micros(absurd), limit], stored_mail)?
        .collect()
}

/// Lets a mail act that is held, or waits for its authenticity.
pub(super) fn release(connection: &Connection, id: MailId, release: &Release) -> Result<(), StoreError> {
    let released = connection
        .prepare_cached(
            "UPDATE mails SET outcome = 'pending', decided_at = NULL, hold = NULL, check_at = 0, released = ?2
             WHERE id = ?1 AND cut_from IS NULL
               AND (outcome = 'quarantined' OR outcome = 'pending' AND check_at IS NOT NULL AND released IS NULL)",
        )
        .and_then(|mut statement| statement.execute(params![id, json(release)?]))
        .map_err(failure)?;
    if released == 1 {
        return Ok(());
    }
    let found: Option<(String, Option<i64>)> = connection
        .prepare_cached("SELECT outcome, cut_from FROM mails WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failure)?;
    Err(StoreError::Refused(match found {
        Some((outcome, Some(size))) if outcome == "quarantined" => format!(
            "mail {id} was {size} bytes, over the size limit, and only its header was kept: raise max_message_size and \
             send the mail again, or `alertbridge mails discard {id}`"
        ),
        Some((outcome, _)) => format!("mail {id} is {outcome}, not quarantined"),
        None => format!("there is no mail {id}"),
    }))
}

pub(super) fn stored(
    connection: &Connection,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: (Timestamp, MailId),
    limit: u32,
) -> rusqlite::Result<Vec<StoredMail>> {
    connection
        .prepare_cached(
            "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
             WHERE (arrived_at, id) > (:at, :id) AND arrived_at >= :since AND arrived_at < :until
             ORDER BY arrived_at, id LIMIT :limit",
        )?
        .query_map(
            named_params! {
                ":at": micros(after.0), ":id": after.1,
                ":since": since.map_or(i64::MIN, micros), ":until": until.map_or(i64::MAX, micros), ":limit": limit,
            },
            stored_mail,
        )?
        .collect()
}

/// A row of `mails.*, raw`.
pub(super) fn stored_mail(row: &Row<'_>) -> rusqlite::Result<StoredMail> {
    let packed = row.get_ref("raw")?.as_blob()?;
    let raw = unpack(packed)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error)))?;
    Ok(StoredMail {
        id: row.get("id")?,
        message: Message {
            ingress: row.get("ingress")?,
            arrived_at: time_at(row, "arrived_at")?,
            raw: Bytes::from(raw),
            cut_from: row.get::<_, Option<i64>>("cut_from")?.map(i64::unsigned_abs),
            envelope: optional_json_at(row, "envelope")?,
        },
        authenticity: json_at(row, "authenticity")?,
        checks: row.get("checks")?,
        released: optional_json_at(row, "released")?,
    })
}

/// The bytes as they came.
pub(super) fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::decompress(packed, capacity(packed))
}

/// The unpacked size as the frame declares it.
fn capacity(packed: &[u8]) -> usize {
    zstd::zstd_safe::get_frame_content_size(packed)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(LARGEST)
        .min(LARGEST)
}

pub(super) fn discard(connection: &Connection, id: MailId, now: Timestamp) -> Result<(), StoreError> {
    let discarded = connection
        .prepare_cached(
            "UPDATE mails SET outcome = 'ignored', reason = 'discarded from the quarantine by a person', decided_at = ?2,
                    hold = NULL, check_at = NULL
             WHERE id = ?1 AND outcome = 'quarantined'",
        )
        .and_then(|mut statement| statement.execute(params![id, micros(now)]))
        .map_err(failure)?;
    if discarded == 1 { Ok(()) } else { Err(StoreError::Refused(format!("mail {id} is not in the quarantine"))) }
}

/// For lists: the bytes' size as they came.
pub(super) fn size_at(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, Option<i64>>("cut_from")?.map_or_else(|| unsigned_at(row, "size"), |size| Ok(size.unsigned_abs()))
}
