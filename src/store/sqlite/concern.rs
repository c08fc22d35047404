//! The bridge's own troubles that the store knows about. Each query is a few probes of a narrow
//! index, however much is held.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::row::time_at;
use crate::store::{Alarm, Concerns, DEAD_LETTERS, Died, Room, UNEXPECTED_APP, kept::time};

/// The most entries of a list. A page names no more, and an attacker could make the list long.
const A_FEW: u32 = 20;
/// The number of dead letters at which the count stops.
const MANY: u32 = 1000;

pub(super) fn concerns(connection: &Connection) -> rusqlite::Result<Concerns> {
    let died = died(connection)?;
    Ok(Concerns {
        dead: died.iter().map(|died| died.pages).sum(),
        died,
        held_resolves: held_resolves(connection)?,
        flooded_at: flooded_at(connection)?,
        unexpected_apps: unexpected_apps(connection)?,
        quarantine_cut_at: quarantine_cut_at(connection)?,
        room: None,
        alarms: alarms(connection)?,
    })
}

/// Returns the receivers of the dead letters. If there are too many, those of the newest incidents
/// count.
fn died(connection: &Connection) -> rusqlite::Result<Vec<Died>> {
    connection
        .prepare_cached(
            "SELECT receiver, count(*) AS pages, min(settled_at) AS first, max(settled_at) AS last
             FROM (SELECT receiver, settled_at FROM deliveries
                   WHERE state = 'dead' AND incident IS NOT
                     (SELECT id FROM incidents WHERE incident_id = ?1 AND kind = 'self')
                   ORDER BY incident DESC LIMIT ?2)
             GROUP BY receiver ORDER BY receiver",
        )?
        .query_map(params![DEAD_LETTERS, MANY], |row| {
            Ok(Died {
                receiver: row.get("receiver")?,
                pages: row.get::<_, i64>("pages")?.unsigned_abs(),
                first: time_at(row, "first")?,
                last: time_at(row, "last")?,
            })
        })?
        .collect()
}

/// Returns some open incidents with a held resolve. It alternates between the next open incident
/// and the next incident with a held resolve. A thousand resolves held for one incident therefore
/// cost as much as one, and those of ended incidents cost as little as incidents without any.
fn held_resolves(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // The indexes are named because SQLite would otherwise sort everything that is held.
    let mut held = connection.prepare_cached(
        "SELECT min(incident) FROM (
             SELECT * FROM (SELECT incident FROM mails INDEXED BY mails_held_resolves
                            WHERE hold = 'resolve' AND incident IS NOT NULL AND incident >= ?1
                            ORDER BY incident LIMIT 1)
             UNION ALL
             SELECT * FROM (SELECT incident FROM mail_items INDEXED BY mail_items_held_resolves
                            WHERE hold = 'resolve' AND incident IS NOT NULL AND incident >= ?1
                            ORDER BY incident LIMIT 1))",
    )?;

    let mut open = connection.prepare_cached(
        "SELECT id, incident_id FROM incidents INDEXED BY incidents_firing
         WHERE phase = 'firing' AND id >= ?1
         ORDER BY id LIMIT 1",
    )?;

    let mut found = Vec::new();
    let mut from = 0_i64;

    while found.len() < A_FEW as usize {
        let Some(next) = held.query_row([from], |row| row.get::<_, Option<i64>>(0))? else {
            break;
        };
        let first_open = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?));
        let Some((id, incident_id)) = open.query_row([next], first_open).optional()? else {
            break;
        };
        from = id;
        if id == next {
            found.push(incident_id);
            from += 1;
        }
    }

    Ok(found)
}

fn flooded_at(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached(
            "SELECT max(at) FROM (SELECT max(decided_at) AS at FROM mails
                                              WHERE hold = 'flood'
                                  UNION ALL SELECT max(decided_at) FROM mail_items
                                  WHERE hold = 'flood')",
        )?
        .query_row([], |row| row.get::<_, Option<i64>>(0))
        .map(|at| at.map(time))
}

fn quarantine_cut_at(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached(
            "SELECT max(cut_at) FROM mails WHERE outcome = 'quarantined' AND cut_at IS NOT NULL",
        )?
        .query_row([], |row| row.get::<_, Option<i64>>(0))
        .map(|at| at.map(time))
}

/// Returns the first few apps with held mail, and every app that is already reported and still has
/// held mail, so that a new app never displaces another.
fn unexpected_apps(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut next = connection.prepare_cached(
        "SELECT hold FROM mails WHERE hold > ?1 AND hold < 'app;' ORDER BY hold LIMIT 1",
    )?;
    let mut found: Vec<String> = Vec::new();
    let mut last = "app:".to_owned();

    while found.len() < A_FEW as usize {
        let Some(hold) = next
            .query_row([&last], |row| row.get::<_, String>(0))
            .optional()?
        else {
            break;
        };
        found.push(hold.strip_prefix("app:").unwrap_or_default().to_owned());
        last = hold;
    }

    let mut held = connection.prepare_cached("SELECT 1 FROM mails WHERE hold = ?1 LIMIT 1")?;
    for alarm in alarms(connection)? {
        let Some(app) = alarm.incident_id.strip_prefix(UNEXPECTED_APP) else {
            continue;
        };
        if !found.iter().any(|known| known == app) && held.exists([format!("app:{app}")])? {
            found.push(app.to_owned());
        }
    }

    Ok(found)
}

fn alarms(connection: &Connection) -> rusqlite::Result<Vec<Alarm>> {
    connection
        .prepare_cached(
            "SELECT incident_id, untold, heard_at FROM incidents
             WHERE phase = 'firing' AND kind = 'self' ORDER BY id",
        )?
        .query_map([], |row| {
            Ok(Alarm {
                incident_id: row.get(0)?,
                untold: row.get(1)?,
                told_at: time_at(row, "heard_at")?,
            })
        })?
        .collect()
}

/// Returns the free space of a file system, or `None` if it cannot be determined.
pub(super) fn room(path: &Path) -> Option<Room> {
    let space = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
    Some(Room {
        free: bytes(space.f_bavail),
        total: bytes(space.f_blocks),
    })
}
