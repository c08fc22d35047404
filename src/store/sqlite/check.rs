//! The checks of `store check`: the file's pages, the references between its rows, the mails'
//! bytes, and the promises.
//!
//! They only read, each part in one snapshot, while a bridge may be running.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::{
    delivery::sha256_hex,
    store::{
        StoreError, Totals,
        audit::{Extent, Finding, MOST_FINDINGS, PROMISES, UNDER_WAY_MINUTES},
        kept::{micros, unpack},
    },
};

use super::{
    failure,
    file::{connect, known, version},
    turn::Turn,
};

/// The number of mails whose bytes are read at a time: the write-ahead log may shrink between two
/// batches.
const BATCH: i64 = 500;

/// Opens a store read-only, at this program's schema.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let _turn = Turn::wait_to_read(path);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let known = known();

    match version(&connection)? {
        found if found > known => Err(StoreError::Newer { found, known }),
        0 => Err(StoreError::Refused(format!(
            "{} is not an alertbridge store",
            path.display()
        ))),
        found if found < known => Err(StoreError::Refused(format!(
            "{} has schema version {found}, but this program uses {known}: `alertbridge store \
             migrate` migrates it",
            path.display()
        ))),
        _ => Ok(connection),
    }
}

/// Lists everything that is wrong with the store at `path`, and returns how much it holds.
/// `progress` receives the number of mails read so far and their total.
pub fn check(
    path: &Path,
    now: Timestamp,
    extent: Extent,
    mut progress: impl FnMut(u64, u64),
) -> Result<(Vec<Finding>, Totals), StoreError> {
    // A file with damaged pages is checked no further, because no query gives an answer about them.
    let damage = |what: String| Finding {
        check: "the file is intact",
        what,
    };

    let connection = match open_to_read(path) {
        Err(StoreError::Damaged(what)) => return Ok((vec![damage(what)], Totals::default())),
        connection => connection?,
    };

    let damaged: Vec<_> = pages(&connection)?.into_iter().map(damage).collect();

    if !damaged.is_empty() {
        return Ok((damaged, Totals::default()));
    }

    let mut found = Vec::new();
    let (promises, totals) = promises(&connection, now).map_err(failure)?;
    found.extend(promises);
    if extent == Extent::Everything {
        found.extend(bytes(&connection, |read| progress(read, totals.mails)).map_err(failure)?);
    }

    Ok((found, totals))
}

/// Returns the damage that SQLite detects. An error while reading is damage, too.
fn pages(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let lines = connection
        .prepare(&format!("PRAGMA integrity_check({MOST_FINDINGS})"))
        .and_then(|mut statement| {
            statement
                .query_map([], |row| row.get(0))?
                .collect::<Result<Vec<String>, _>>()
        });

    match lines {
        Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
        Err(error) => match failure(error) {
            StoreError::Damaged(what) => Ok(vec![what]),
            error => Err(error),
        },
    }
}

fn promises(connection: &Connection, now: Timestamp) -> rusqlite::Result<(Vec<Finding>, Totals)> {
    let snapshot = connection.unchecked_transaction()?;
    let mut found: Vec<Finding> = snapshot
        .prepare("PRAGMA foreign_key_check")?
        .query_map([], |row| {
            let (table, number, parent): (String, Option<i64>, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let what = format!(
                "row {} of {table} belongs to a row of {parent} that is not there",
                number.unwrap_or(0)
            );
            Ok(Finding {
                check: "rows belong together",
                what,
            })
        })?
        .take(MOST_FINDINGS)
        .collect::<Result<_, _>>()?;

    let since = now
        .saturating_sub(SignedDuration::from_mins(UNDER_WAY_MINUTES))
        .unwrap_or(now);

    for promise in PROMISES {
        let mut statement = snapshot.prepare(promise.question)?;
        if statement.parameter_count() > 0 {
            statement.raw_bind_parameter(1, micros(since))?;
        }
        let mut rows = statement.raw_query();
        for _ in 0..MOST_FINDINGS {
            let Some(row) = rows.next()? else { break };
            found.push(Finding {
                check: promise.name,
                what: row.get(0)?,
            });
        }
    }

    let count = |table: &str| {
        snapshot
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get::<_, i64>(0)
            })
            .map(i64::unsigned_abs)
    };

    let totals = Totals {
        mails: count("mails")?,
        incidents: count("incidents")?,
        deliveries: count("deliveries")?,
    };

    Ok((found, totals))
}

/// Reads every mail and checks that its bytes still match its record.
fn bytes(connection: &Connection, mut read: impl FnMut(u64)) -> rusqlite::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut after = 0;
    let mut done = 0;
    let mut batch = connection.prepare(
        "SELECT id, CASE WHEN cut_at IS NULL THEN sha256 END, raw FROM mails
         JOIN bodies ON mail = id
                  WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;

    loop {
        let last = after;
        let mut rows = batch.query([after, BATCH])?;
        while let Some(row) = rows.next()? {
            after = row.get(0)?;
            // For a mail that was cut, the hash is that of the whole mail.
            let hash = row.get_ref(1)?.as_str_or_null()?;
            let whole = unpack(row.get_ref(2)?.as_blob()?)
                .is_ok_and(|raw| hash.is_none_or(|hash| hash == sha256_hex(&raw)));
            if !whole && found.len() < MOST_FINDINGS {
                let what = format!("the bytes of mail {after} are not those that arrived");
                found.push(Finding {
                    check: "mails are unchanged",
                    what,
                });
            }
            done += 1;
        }
        read(done);
        if after == last {
            return Ok(found);
        }
    }
}

/// Returns whether nothing has ever been stored in the file.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    for table in ["mails", "incidents", "deliveries", "bookmarks", "silences"] {
        if connection
            .query_row(&format!("SELECT 1 FROM {table} LIMIT 1"), [], |_| Ok(()))
            .optional()?
            .is_some()
        {
            return Ok(false);
        }
    }

    Ok(true)
}
