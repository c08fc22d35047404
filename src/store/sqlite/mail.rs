//! Mails as they came: recorded, read back.

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::{
    message::{Bookmark, MailId, Message, Release, Wanted},
    store::{
        FARTHEST_CHECK, READ_BACK, StoreError, StoredMail,
        kept::{Packed, micros, signed, unpack},
        refusal::{not_quarantined, not_released},
    },
};

use super::{
    failure,
    row::{json, json_at, optional_json_at, time_at, unsigned_at},
};

pub(super) fn record(
    connection: &Connection,
    mails: &[Packed],
    bookmark: Option<&Bookmark>,
) -> rusqlite::Result<Vec<MailId>> {
    let mut head = connection.prepare_cached(
        "INSERT INTO mails (ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, withheld)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut body = connection.prepare_cached("INSERT INTO bodies (mail, raw) VALUES (?1, ?2)")?;
    let mut ids = Vec::with_capacity(mails.len());
    for Packed {
        message,
        authenticity,
        envelope,
        sha256,
        body: raw,
    } in mails
    {
        let id = head.insert(params![
            message.ingress,
            micros(message.arrived_at),
            signed(message.raw.len() as u64),
            message.cut_from.map(signed),
            sha256,
            envelope,
            authenticity,
            message.withheld,
        ])?;
        body.execute(params![id, raw])?;
        ids.push(id);
    }
    if let Some(bookmark) = bookmark {
        remember(connection, bookmark)?;
    }
    Ok(ids)
}

fn remember(connection: &Connection, bookmark: &Bookmark) -> rusqlite::Result<()> {
    let Bookmark {
        mailbox,
        uid_validity,
        last_uid,
        wanted,
        given,
        rewound,
    } = bookmark;
    connection
        .prepare_cached(
            "INSERT INTO bookmarks (mailbox, uid_validity, last_uid) VALUES (?1, ?2, ?3)
             ON CONFLICT (mailbox) DO UPDATE SET uid_validity = ?2, last_uid = ?3",
        )?
        .execute(params![mailbox, uid_validity, last_uid])?;
    connection
        .prepare_cached(
            "DELETE FROM wanted_mails WHERE mailbox = ?1 AND (uid_validity <> ?2 OR ?3)",
        )?
        .execute(params![mailbox, uid_validity, rewound])?;
    for Wanted { uid, since, told } in wanted {
        connection
            .prepare_cached(
                "INSERT INTO wanted_mails (mailbox, uid_validity, uid, since, told) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET told = max(told, excluded.told)",
            )?
            .execute(params![mailbox, uid_validity, uid, micros(*since), told])?;
    }
    for uid in given {
        connection
            .prepare_cached(
                "DELETE FROM wanted_mails WHERE mailbox = ?1 AND uid_validity = ?2 AND uid = ?3",
            )?
            .execute(params![mailbox, uid_validity, uid])?;
    }
    Ok(())
}

pub(super) fn bookmark(
    connection: &Connection,
    mailbox: &str,
) -> rusqlite::Result<Option<Bookmark>> {
    let bookmark = connection
        .prepare_cached("SELECT uid_validity, last_uid FROM bookmarks WHERE mailbox = ?1")?
        .query_row([mailbox], |row| {
            Ok(Bookmark::at(mailbox, row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some(mut bookmark) = bookmark else {
        return Ok(None);
    };
    bookmark.wanted = connection
        .prepare_cached(
            "SELECT uid, since, told FROM wanted_mails WHERE mailbox = ?1 AND uid_validity = ?2 ORDER BY uid",
        )?
        .query_map(params![mailbox, bookmark.uid_validity], |row| {
            Ok(Wanted { uid: row.get(0)?, since: time_at(row, "since")?, told: row.get(2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(bookmark))
}

pub(super) fn undecided(
    connection: &Connection,
    after: MailId,
    limit: u32,
) -> rusqlite::Result<Vec<StoredMail>> {
    let mut statement = connection.prepare_cached(
        "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
         WHERE outcome = 'pending' AND check_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2",
    )?;
    up_to_read_back(
        statement
            .query_map(params![after, limit], stored_mail)?
            .filter(is_whole),
    )
}

pub(super) fn undecided_among(
    connection: &Connection,
    mails: &[MailId],
) -> rusqlite::Result<Vec<StoredMail>> {
    let mut statement = connection.prepare_cached(
        "SELECT mails.*, raw FROM json_each(?1) AS given JOIN mails ON id = given.value JOIN bodies ON mail = id
         WHERE outcome = 'pending' AND check_at IS NULL ORDER BY id",
    )?;
    up_to_read_back(
        statement
            .query_map([json(&mails)?], stored_mail)?
            .filter(is_whole),
    )
}

/// A mail whose bytes are damaged cannot be decided; it must not keep the others waiting. `store
/// check` tells of it.
fn is_whole(mail: &rusqlite::Result<StoredMail>) -> bool {
    match mail {
        Err(error @ rusqlite::Error::FromSqlConversionFailure(..)) => {
            tracing::warn!(%error, "an undecided mail is damaged, and is passed over");
            false
        }
        _ => true,
    }
}

/// The first of them that have [`READ_BACK`] bytes together.
fn up_to_read_back(
    mails: impl Iterator<Item = rusqlite::Result<StoredMail>>,
) -> rusqlite::Result<Vec<StoredMail>> {
    let mut bytes = 0;
    mails
        .take_while(|mail| {
            let before = bytes;
            bytes += mail
                .as_ref()
                .map_or(0, |mail| mail.message.raw.len() as u64);
            before < READ_BACK
        })
        .collect()
}

/// What is to be looked at again: by now, or at a time so far off that the clock must have been set
/// back.
pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<StoredMail>> {
    let absurd = now.saturating_add(FARTHEST_CHECK).unwrap_or(now);
    connection
        .prepare_cached(
            "SELECT * FROM (SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
                            WHERE check_at <= ?1 ORDER BY check_at, id LIMIT ?3)
             UNION ALL
             SELECT * FROM (SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
                            WHERE check_at > ?2 ORDER BY check_at LIMIT ?3)
             LIMIT ?3",
        )?
        .query_map(params![micros(now), micros(absurd), limit], stored_mail)?
        .collect()
}

/// What a person let out of the quarantine since it was looked at last.
pub(super) fn let_out(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<StoredMail>> {
    connection
        .prepare_cached(
            "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE check_at = 0 ORDER BY id LIMIT ?1",
        )?
        .query_map([limit], stored_mail)?
        .collect()
}

/// Lets a mail act that is held, or waits for its authenticity.
pub(super) fn release(
    connection: &Connection,
    id: MailId,
    release: &Release,
) -> Result<(), StoreError> {
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
    let found: Option<(String, Option<i64>, bool)> = connection
        .prepare_cached("SELECT outcome, cut_from, cut_at IS NOT NULL FROM mails WHERE id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()
        })
        .map_err(failure)?;
    Err(not_released(
        id,
        found
            .as_ref()
            .map(|(outcome, size, cut)| (outcome.as_str(), *size, *cut)),
    ))
}

pub(super) fn stored(
    connection: &Connection,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: (Timestamp, MailId),
    limit: u32,
) -> rusqlite::Result<Vec<StoredMail>> {
    let mut statement = connection.prepare_cached(
        "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
         WHERE (arrived_at, id) > (:at, :id) AND arrived_at >= :since AND arrived_at < :until
         ORDER BY arrived_at, id LIMIT :limit",
    )?;
    let mails = statement.query_map(
        named_params! {
            ":at": micros(after.0), ":id": after.1,
            ":since": since.map_or(i64::MIN, micros), ":until": until.map_or(i64::MAX, micros), ":limit": limit,
        },
        stored_mail,
    )?;
    up_to_read_back(mails)
}

/// A row of `mails.*, raw`.
pub(super) fn stored_mail(row: &Row<'_>) -> rusqlite::Result<StoredMail> {
    let packed = row.get_ref("raw")?.as_blob()?;
    let raw = unpack(packed).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
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
    })
}

const DISCARD: &str = "
UPDATE mails SET outcome = 'ignored', reason = 'discarded from the quarantine by a person', decided_at = ?2, hold = NULL,
       check_at = NULL
WHERE id = ?1 AND outcome = 'quarantined'";

pub(super) fn discard(
    connection: &Connection,
    id: MailId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let discarded = connection
        .prepare_cached(DISCARD)
        .and_then(|mut statement| statement.execute(params![id, micros(now)]))
        .map_err(failure)?;
    if discarded == 1 {
        Ok(())
    } else {
        Err(not_quarantined(id))
    }
}

/// As [`discard`], for many: those that still are in the quarantine.
pub(super) fn discard_all(
    connection: &Connection,
    ids: &[MailId],
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let mut discard = connection.prepare_cached(DISCARD)?;
    ids.iter().try_fold(0, |discarded, id| {
        Ok(discarded + discard.execute(params![id, micros(now)])? as u64)
    })
}

pub(super) fn quarantined(
    connection: &Connection,
    after: MailId,
    limit: u32,
) -> rusqlite::Result<Vec<StoredMail>> {
    let mut statement = connection.prepare_cached(
        "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id
         WHERE outcome = 'quarantined' AND id > ?1 ORDER BY id LIMIT ?2",
    )?;
    up_to_read_back(statement.query_map(params![after, limit], stored_mail)?)
}

/// For lists: the bytes' size as they came.
pub(super) fn size_at(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, Option<i64>>("cut_from")?
        .map_or_else(|| unsigned_at(row, "size"), |size| Ok(size.unsigned_abs()))
}
