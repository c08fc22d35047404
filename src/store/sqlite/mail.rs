//! Mails as they came: recorded, read back, deleted when their time is over.

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::{
    message::{Bookmark, MailId, Message},
    store::{
        StoreError, StoredMail,
        kept::{Packed, micros, signed, unpack},
        refusal::not_quarantined,
    },
};

use super::{
    failure,
    row::{json_at, optional_json_at, time_at, unsigned_at},
};

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
            signed(message.raw.len() as u64),
            message.cut_from.map(signed),
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
             WHERE outcome = 'pending' AND id > ?1 ORDER BY id LIMIT ?2",
        )?
        .query_map(params![after, limit], stored_mail)?
        .collect()
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
    })
}

pub(super) fn discard(connection: &Connection, id: MailId, now: Timestamp) -> Result<(), StoreError> {
    let discarded = connection
        .prepare_cached(
            "UPDATE mails SET outcome = 'ignored', reason = 'discarded from the quarantine by a person', decided_at = ?2
             WHERE id = ?1 AND outcome = 'quarantined'",
        )
        .and_then(|mut statement| statement.execute(params![id, micros(now)]))
        .map_err(failure)?;
    if discarded == 1 { Ok(()) } else { Err(not_quarantined(id)) }
}

/// Mails before `before` that nothing holds: decided, not quarantined, of no open incident, with nothing owed.
pub(super) fn prune(connection: &Connection, before: Timestamp, limit: u32) -> rusqlite::Result<usize> {
    let doomed: Vec<MailId> = connection
        .prepare_cached(
            "SELECT mails.id FROM mails LEFT JOIN incidents ON incidents.id = mails.incident
             WHERE arrived_at < ?1 AND outcome NOT IN ('pending', 'quarantined')
               AND NOT (coalesce(phase, '') = 'firing' AND coalesce(kind, '') = 'incident')
               AND NOT EXISTS (SELECT 1 FROM deliveries WHERE mail = mails.id AND (settled_at IS NULL OR state = 'dead'))
             ORDER BY arrived_at, mails.id LIMIT ?2",
        )?
        .query_map(params![micros(before), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut deliveries = connection.prepare_cached("DELETE FROM deliveries WHERE mail = ?1")?;
    let mut mails = connection.prepare_cached("DELETE FROM mails WHERE id = ?1")?;
    for id in &doomed {
        deliveries.execute([id])?;
        mails.execute([id])?;
    }
    Ok(doomed.len())
}

/// For lists: the bytes' size as they came.
pub(super) fn size_at(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, Option<i64>>("cut_from")?.map_or_else(|| unsigned_at(row, "size"), |size| Ok(size.unsigned_abs()))
}
