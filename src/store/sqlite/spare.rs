//! Mail that is kept whole only for a while: its size is added up, and the oldest is cut to its
//! header.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    failure,
    row::{time_at, unsigned_at},
};
use crate::{
    message::{MailId, head},
    store::{
        Cut, Excess, Spare, StoreError,
        kept::{compress, micros, signed, unpack},
        spare::{STEP, chosen},
    },
};

/// The condition that a mail is whole and of the kind `?1`, in the words of the index
/// `mails_spare`.
macro_rules! spare {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "CASE WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
                  WHEN outcome = 'ignored' THEN 'ignored'
                  WHEN substr(authenticity, 13, 4) = 'fail'
                    OR substr(authenticity, 13, 4) = 'none'
                    OR substr(authenticity, 13, 4) = 'temp' THEN 'unproven'
                  WHEN outcome = 'duplicate' OR outcome = 'stale' OR outcome = 'expired'
                    THEN 'repeated'
                  WHEN outcome = 'quarantined' THEN 'quarantined' END = ?1 ",
            $after
        )
    };
}

const WHOLE: &str = spare!("SELECT sum(size), max(id) FROM mails WHERE ", "AND id > ?2");

/// Returns the total bytes of the mails after the given one, and the last of those mails.
pub(super) fn whole(
    connection: &Connection,
    spare: Spare,
    after: MailId,
) -> rusqlite::Result<(u64, MailId)> {
    connection
        .prepare_cached(WHOLE)?
        .query_row(params![spare.as_str(), after], |row| {
            let (bytes, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok((bytes.map_or(0, i64::unsigned_abs), last.unwrap_or(after)))
        })
}

/// A mail, its size before the cut, and what is kept of it.
pub(super) struct Shortened {
    id: MailId,
    size: u64,
    kept: usize,
    body: Vec<u8>,
}

const OLDEST: &str = spare!(
    "SELECT id, size, arrived_at FROM mails WHERE ",
    "ORDER BY id LIMIT ?2"
);

/// Returns the oldest mails of a kind of which there is too much, shortened, and whether there may
/// be more.
pub(super) fn shortened(
    connection: &Connection,
    spare: Spare,
    excess: Excess,
) -> rusqlite::Result<(Vec<Shortened>, bool)> {
    // While nothing is too old or too much, a single row is enough to know that.
    if excess.bytes == 0 && chosen(&oldest(connection, spare, 1)?, excess).0.is_empty() {
        return Ok((Vec::new(), false));
    }

    let oldest = oldest(connection, spare, STEP)?;
    let (ids, more) = chosen(&oldest, excess);

    let mut body = connection.prepare_cached("SELECT raw FROM bodies WHERE mail = ?1")?;
    let mut shortened = Vec::with_capacity(ids.len());

    for ((id, size, _), _) in oldest.iter().zip(&ids) {
        let packed: Vec<u8> = body.query_row([id], |row| row.get(0))?;
        // Nothing can be kept of damaged bytes.
        let raw = unpack(&packed).unwrap_or_default();
        let kept = head(&raw);
        let body = compress(kept)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        shortened.push(Shortened {
            id: *id,
            size: *size,
            kept: kept.len(),
            body,
        });
    }

    Ok((shortened, more))
}

fn oldest(
    connection: &Connection,
    spare: Spare,
    limit: u32,
) -> rusqlite::Result<Vec<(MailId, u64, Timestamp)>> {
    connection
        .prepare_cached(OLDEST)?
        .query_map(params![spare.as_str(), limit], |row| {
            Ok((
                row.get("id")?,
                unsigned_at(row, "size")?,
                time_at(row, "arrived_at")?,
            ))
        })?
        .collect()
}

const CUT: &str = spare!(
    "UPDATE mails SET cut_from = coalesce(cut_from, size), size = ?3, cut_at = ?4,
            reason = coalesce(reason || '; ', '') || ?5
     WHERE id = ?2 AND ",
    ""
);

/// Stores shortened mails, unless they have changed in between.
pub(super) fn cut(
    connection: &Connection,
    spare: Spare,
    shortened: &[Shortened],
    more: bool,
    now: Timestamp,
) -> Result<Cut, StoreError> {
    let mut cut = Cut {
        more,
        ..Cut::default()
    };

    for Shortened {
        id,
        size,
        kept,
        body,
    } in shortened
    {
        let changed = connection
            .prepare_cached(CUT)
            .and_then(|mut statement| {
                statement.execute(params![
                    spare.as_str(),
                    id,
                    signed(*kept as u64),
                    micros(now),
                    spare.why_cut()
                ])
            })
            .map_err(failure)?;
        if changed == 1 {
            connection
                .prepare_cached("UPDATE bodies SET raw = ?2 WHERE mail = ?1")
                .and_then(|mut statement| statement.execute(params![id, body]))
                .map_err(failure)?;
            cut.mails += 1;
            cut.bytes += size;
        }
    }

    Ok(cut)
}
