//! Retention: deletes what has ended and is old, in steps so small that no page waits for one.
//!
//! An incident's history is deleted as a whole: first its mails, once it has ended and all of them
//! are old, then its deliveries, and finally its identity, on which the detection of late copies
//! depends. The caller keeps the position of a sweep, so that rows that must stay are passed once
//! per sweep, however many there are.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::store::{
    Horizon, Pruned, RECURRENCE, Sweep, hour,
    kept::{micros, time},
};

/// The bytes of mail after which a step ends.
const MOST_BYTES: i64 = 8 << 20;
/// Free pages are returned to the file system while they exceed both one in `SPARE_SHARE` of the
/// file's pages and `SPARE_PAGES`. Below that, new mail fills them.
const SPARE_SHARE: i64 = 4;
const SPARE_PAGES: i64 = 4096;
/// The number of pages returned in one step: 1 MiB.
const PAGES_PER_STEP: i64 = 256;

/// The condition that an incident has ended, or is an alert that could not be read, which has no
/// end.
const ENDED: &str = "(phase = 'resolved' OR kind = 'unparsed')";
/// The condition that nothing of an incident is pending, is held by a silence, or waits for a
/// person.
const NOTHING_OWED: &str =
    "NOT EXISTS (SELECT 1 FROM deliveries WHERE incident = incidents.id AND settled_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE incident = incidents.id AND state = 'dead')
    AND NOT EXISTS (SELECT 1 FROM silenced WHERE incident = incidents.id)";

/// Takes one step, which examines at most `limit` rows.
pub(super) fn step(
    connection: &Connection,
    horizon: Horizon,
    from: Sweep,
    limit: u32,
) -> rusqlite::Result<Pruned> {
    match from {
        Sweep::Mails { arrived_at, id } => mails(connection, horizon, (arrived_at, id), limit),
        Sweep::Incidents { changed_at, id } => {
            incidents(connection, horizon, (changed_at, id), limit)
        }
        Sweep::Space => space(connection),
    }
}

/// Deletes mails that are decided, not quarantined, and either about no incident or about incidents
/// that have ended and have nothing pending.
fn mails(
    connection: &Connection,
    horizon: Horizon,
    (arrived_at, after): (Timestamp, i64),
    limit: u32,
) -> rusqlite::Result<Pruned> {
    let before = micros(horizon.mails);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT mails.id, arrived_at, size, outcome NOT IN ('pending', 'quarantined')
           AND check_at IS NULL AND (incident IS NULL OR EXISTS (
                SELECT 1 FROM incidents WHERE incidents.id = mails.incident AND changed_at < ?3
                  AND {ENDED}
                   AND {NOTHING_OWED}))
                AND NOT EXISTS (SELECT 1 FROM mail_items
                                JOIN incidents ON incidents.id = mail_items.incident
                                WHERE mail_items.mail = mails.id
                                  AND NOT (changed_at < ?3 AND {ENDED} AND {NOTHING_OWED}))
         FROM mails WHERE (arrived_at, mails.id) > (?1, ?2) AND arrived_at < ?3
         ORDER BY arrived_at, mails.id LIMIT ?4"
    ))?;

    let looked_at = statement
        .query_map(params![micros(arrived_at), after, before, limit], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, bool>(3)?,
            ))
        })?
        .collect::<Result<Vec<_>, _>>()?;

    let mut delete = connection.prepare_cached("DELETE FROM mails WHERE id = ?1")?;
    let (mut deleted, mut bytes) = (0, 0);
    let mut next = (looked_at.len() < limit as usize).then_some(Sweep::FIRST_INCIDENT);

    for (id, arrived_at, size, doomed) in looked_at {
        if doomed {
            deleted += delete.execute([id])?;
            bytes += size;
        }
        let here = Sweep::Mails {
            arrived_at: time(arrived_at),
            id,
        };
        if bytes >= MOST_BYTES {
            return Ok(Pruned {
                deleted,
                next: Some(here),
            });
        }
        if next != Some(Sweep::FIRST_INCIDENT) {
            next = Some(here);
        }
    }

    Ok(Pruned { deleted, next })
}

/// Deletes the incidents that have no mail left: first their deliveries, then the incidents.
fn incidents(
    connection: &Connection,
    horizon: Horizon,
    (changed_at, after): (Timestamp, i64),
    limit: u32,
) -> rusqlite::Result<Pruned> {
    let looked_at = candidates(connection, horizon, (changed_at, after), limit)?;
    let more = looked_at.len() == limit as usize;
    let mut here = Sweep::Incidents {
        changed_at,
        id: after,
    };
    let mut deleted = 0;

    for Candidate {
        id,
        changed_at,
        doomed,
        own,
    } in looked_at
    {
        if doomed {
            let room = limit.saturating_sub(u32::try_from(deleted).unwrap_or(u32::MAX));
            deleted += delete_deliveries(connection, id, room)?;
            if deleted >= limit as usize {
                // The next step finds out whether these were the last.
                return Ok(Pruned {
                    deleted,
                    next: Some(here),
                });
            }
            // The bridge's own alarms need not be remembered, because no mail repeats them.
            if own || horizon.incidents.is_some_and(|before| changed_at < before) {
                deleted += forget(connection, id)?;
            }
        }
        here = Sweep::Incidents { changed_at, id };
    }

    if more {
        return Ok(Pruned {
            deleted,
            next: Some(here),
        });
    }

    forget_openings_and_silences(connection, horizon)?;

    Ok(Pruned {
        deleted,
        next: Some(Sweep::Space),
    })
}

/// An incident that the sweep has reached.
struct Candidate {
    id: i64,
    changed_at: Timestamp,
    /// Whether it has ended and has no mail left and nothing pending.
    doomed: bool,
    /// Whether it is an alarm of the bridge, or reports missing mail.
    own: bool,
}

fn candidates(
    connection: &Connection,
    horizon: Horizon,
    (changed_at, after): (Timestamp, i64),
    limit: u32,
) -> rusqlite::Result<Vec<Candidate>> {
    let before = micros(horizon.mails);
    connection
        .prepare_cached(&format!(
            "SELECT id, changed_at, {ENDED} AND NOT EXISTS (SELECT 1 FROM mails
                                                            WHERE incident = incidents.id)
                    AND NOT EXISTS (SELECT 1 FROM mail_items WHERE incident = incidents.id)
                    AND {NOTHING_OWED}, kind IN ('self', 'missing')
             FROM incidents WHERE (changed_at, id) > (?1, ?2) AND changed_at < ?3
             ORDER BY changed_at, id LIMIT ?4"
        ))?
        .query_map(params![micros(changed_at), after, before, limit], |row| {
            Ok(Candidate {
                id: row.get(0)?,
                changed_at: time(row.get(1)?),
                doomed: row.get(2)?,
                own: row.get(3)?,
            })
        })?
        .collect()
}

fn delete_deliveries(
    connection: &Connection,
    incident: i64,
    limit: u32,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries
                                                 WHERE incident = ?1 LIMIT ?2)",
        )?
        .execute(params![incident, limit])
}

fn forget(connection: &Connection, incident: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM applied WHERE incident = ?1")?
        .execute([incident])?;
    connection
        .prepare_cached("DELETE FROM incidents WHERE id = ?1")?
        .execute([incident])
}

fn forget_openings_and_silences(connection: &Connection, horizon: Horizon) -> rusqlite::Result<()> {
    let counted = horizon
        .mails
        .saturating_sub(RECURRENCE)
        .unwrap_or(Timestamp::MIN);

    connection
        .prepare_cached("DELETE FROM openings WHERE hour < ?1")?
        .execute([hour(counted)])?;
    connection
        .prepare_cached("DELETE FROM silences WHERE ends_at < ?1")?
        .execute([micros(horizon.mails)])
        .map(drop)
}

/// Returns free pages to the file system if there are many.
fn space(connection: &Connection) -> rusqlite::Result<Pruned> {
    let ask = |pragma: &str| {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
    };
    let (free, all) = (ask("freelist_count")?, ask("page_count")?);

    if free <= SPARE_PAGES || free <= all / SPARE_SHARE {
        return Ok(Pruned {
            deleted: 0,
            next: None,
        });
    }

    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})"))?;
    let mut rows = vacuum.query([])?;

    while rows.next()?.is_some() {}
    drop(rows);

    // A store created with other settings keeps its free pages, so the sweep must not wait until
    // they are gone.
    let next = (ask("freelist_count")? < free).then_some(Sweep::Space);

    Ok(Pruned { deleted: 0, next })
}
