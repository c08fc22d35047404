//! The quarantine: mails that are held until a person releases or discards them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    failure,
    mail::up_to_read_back,
    row::{json, stored_mail},
};
use crate::{
    message::{MailId, Release},
    store::{
        StoreError, StoredMail,
        kept::micros,
        refusal::{not_quarantined, not_released},
    },
};

/// Releases a mail that is in the quarantine, or that waits for its authenticity.
pub(super) fn release(
    connection: &Connection,
    id: MailId,
    release: &Release,
) -> Result<(), StoreError> {
    let released = connection
        .prepare_cached(
            "UPDATE mails SET outcome = 'pending', decided_at = NULL, hold = NULL, check_at = 0,
               released = ?2
             WHERE id = ?1 AND cut_from IS NULL
               AND (outcome = 'quarantined' OR outcome = 'pending' AND check_at IS NOT NULL
                    AND released IS NULL)",
        )
        .and_then(|mut statement| statement.execute(params![id, json(release)?]))
        .map_err(failure)?;

    if released == 1 {
        connection
            .prepare_cached("UPDATE mail_items SET hold = NULL WHERE mail = ?1")
            .and_then(|mut statement| statement.execute([id]))
            .map_err(failure)?;
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

const DISCARD: &str = "
UPDATE mails SET outcome = 'ignored', reason = 'discarded from the quarantine by a person',
  decided_at = ?2, hold = NULL,
       check_at = NULL
WHERE id = ?1 AND outcome = 'quarantined'";

/// Discards the quarantined alerts of a mail. Pages already sent for it stay as they are.
const DISCARD_ITEMS: &str = "
UPDATE mail_items SET outcome = 'ignored', reason = 'discarded from the quarantine by a person',
  decided_at = ?2, hold = NULL
WHERE mail = ?1 AND outcome = 'quarantined'";

pub(super) fn discard(
    connection: &Connection,
    id: MailId,
    now: Timestamp,
) -> Result<(), StoreError> {
    if discard_all(connection, &[id], now).map_err(failure)? == 1 {
        Ok(())
    } else {
        Err(not_quarantined(id))
    }
}

/// Discards many mails like [`discard`], and returns how many were still in the quarantine.
pub(super) fn discard_all(
    connection: &Connection,
    ids: &[MailId],
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let mut discard = connection.prepare_cached(DISCARD)?;
    let mut discard_items = connection.prepare_cached(DISCARD_ITEMS)?;
    let mut discarded = 0;
    for id in ids {
        if discard.execute(params![id, micros(now)])? == 1 {
            discard_items.execute(params![id, micros(now)])?;
            discarded += 1;
        }
    }

    Ok(discarded)
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
