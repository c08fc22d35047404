//! Mails read back: undecided mails, those that are due to be checked again, and all in order of
//! arrival.

use std::io::Read as _;

use jiff::Timestamp;
use rusqlite::{Connection, Row, ffi, named_params, params};

use super::row::{json, stored_mail};
use crate::{
    message::{MailId, Outcome},
    store::{
        FARTHEST_CHECK, READ_BACK, StoredMail,
        kept::{HAS_UNDECIDED, PACKED_HEAD, micros, unpack_head},
    },
};

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
            .query_map(params![after, limit], whole_mail)?
            .filter_map(Result::transpose),
    )
}

pub(super) fn has_undecided(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(HAS_UNDECIDED)?
        .query_row([], |row| row.get(0))
}

pub(super) fn undecided_among(
    connection: &Connection,
    mails: &[MailId],
) -> rusqlite::Result<Vec<StoredMail>> {
    let mut statement = connection.prepare_cached(
        "SELECT mails.*, raw FROM json_each(?1) AS given JOIN mails ON mails.id = given.value
         JOIN bodies ON mail = mails.id
         WHERE outcome = 'pending' AND check_at IS NULL ORDER BY mails.id",
    )?;

    up_to_read_back(
        statement
            .query_map([json(&mails)?], whole_mail)?
            .filter_map(Result::transpose),
    )
}

/// Returns the beginning of each mail, which is empty for one with damaged bytes. It does not use
/// `substr`, which would first read each body whole.
pub(super) fn heads(
    connection: &Connection,
    mails: &[MailId],
) -> rusqlite::Result<Vec<(MailId, Vec<u8>)>> {
    let most = usize::try_from(PACKED_HEAD).unwrap_or(usize::MAX);
    let mut heads = Vec::with_capacity(mails.len());
    for mail in mails {
        let mut body = match connection.blob_open("main", "bodies", "raw", *mail, true) {
            Ok(body) => body,
            // There is no such row, because retention has deleted it in between.
            Err(rusqlite::Error::SqliteFailure(ffi::Error { extended_code, .. }, _))
                if extended_code == ffi::SQLITE_ERROR =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut packed = vec![0; body.len().min(most)];
        let head = match body.read_exact(&mut packed) {
            Ok(()) => unpack_head(&packed).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        heads.push((*mail, head));
    }
    Ok(heads)
}

/// Reads a mail, or returns `None` if its bytes are damaged. Such a mail cannot be decided and must
/// not block the others. `store check` reports it.
fn whole_mail(row: &Row<'_>) -> rusqlite::Result<Option<StoredMail>> {
    match stored_mail(row) {
        Err(error @ rusqlite::Error::FromSqlConversionFailure(..)) => {
            let mail: MailId = row.get("id")?;
            tracing::warn!(mail, %error, "an undecided mail is damaged and is skipped");
            Ok(None)
        }
        mail => mail.map(Some),
    }
}

/// Returns the first mails, up to [`READ_BACK`] bytes.
pub(super) fn up_to_read_back(
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

/// Returns the mails that are due to be checked again: by now, or at a time so distant that the
/// clock must have been set back.
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
        .query_map(params![micros(now), micros(absurd), limit], whole_mail)?
        .filter_map(Result::transpose)
        .collect()
}

/// Returns the mails that a person released from the quarantine and that have not been decided
/// since.
pub(super) fn let_out(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<StoredMail>> {
    connection
        .prepare_cached(
            "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE check_at = 0
             ORDER BY id LIMIT ?1",
        )?
        .query_map([limit], whole_mail)?
        .filter_map(Result::transpose)
        .collect()
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
            ":since": since.map_or(i64::MIN, micros), ":until": until.map_or(i64::MAX, micros),
            ":limit": limit,
        },
        stored_mail,
    )?;

    up_to_read_back(mails)
}

/// Returns the condition by which an index leads to the mails with an outcome. It is empty for an
/// outcome that most mails have.
pub(super) fn led_to(outcome: Option<Outcome>) -> String {
    match outcome {
        None | Some(Outcome::Pending | Outcome::Opened | Outcome::Resolved) => String::new(),
        Some(rare) => format!("AND outcome = '{}'", rare.as_str()),
    }
}
