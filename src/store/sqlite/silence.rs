//! Silences: people add and expire them, and every decision reads them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    failure,
    row::{json, json_at, silence_row, time_at, word_at},
};
use crate::{
    silence::{Plan, Silence, SilenceId},
    store::{
        Silenced, Silencing, StoreError, Unsilenced,
        kept::{micros, time},
        refusal::not_expired,
    },
};

/// Returns the silences by which a mail is decided. They are read by the index on their end, so
/// that the cost does not depend on how many have ended. The few that have not begun are skipped.
pub(super) fn active(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Silence>> {
    connection
        .prepare_cached(
            "SELECT * FROM silences WHERE ends_at > ?1 AND starts_at <= ?1 ORDER BY ends_at, id",
        )?
        .query_map([micros(now)], silence_row)?
        .collect()
}

pub(super) fn add(
    connection: &Connection,
    plan: &Plan,
    now: Timestamp,
) -> rusqlite::Result<Silence> {
    connection
        .prepare_cached(
            "INSERT INTO silences (matchers, starts_at, ends_at, author, comment, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING *",
        )?
        .query_row(
            params![
                plan.matchers.join("\n"),
                micros(plan.starts_at),
                micros(plan.ends_at),
                plan.author,
                plan.comment,
                micros(now)
            ],
            silence_row,
        )
}

pub(super) fn list(
    connection: &Connection,
    expired: bool,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<Silence>> {
    let which = if expired {
        "ends_at <= ?1 ORDER BY ends_at DESC, id DESC"
    } else {
        "ends_at > ?1 ORDER BY ends_at, id"
    };

    connection
        .prepare_cached(&format!("SELECT * FROM silences WHERE {which} LIMIT ?2"))?
        .query_map(params![micros(now), limit], silence_row)?
        .collect()
}

/// Ends silences now. A silence that has not begun yet never takes effect.
pub(super) fn expire(
    connection: &Connection,
    ids: &[SilenceId],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut expire = connection
        .prepare_cached(
            "UPDATE silences SET ends_at = ?2, starts_at = min(starts_at, ?2)
             WHERE id = ?1 AND ends_at > ?2",
        )
        .map_err(failure)?;

    for id in ids.iter().collect::<BTreeSet<_>>() {
        look_at_held(connection, *id, now).map_err(failure)?;
        if expire.execute(params![id, micros(now)]).map_err(failure)? == 0 {
            let ended = connection
                .prepare_cached("SELECT ends_at FROM silences WHERE id = ?1")
                .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
                .map_err(failure)?;
            return Err(not_expired(*id, ended.map(time)));
        }
    }

    Ok(())
}

/// Makes the pages that a silence holds due for a check, because other silences may still cover
/// them.
fn look_at_held(connection: &Connection, id: SilenceId, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE silenced SET until = min(until, ?2) WHERE silence = ?1")?
        .execute(params![id, micros(now)])?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET next_at = CASE WHEN next_at IS NOT NULL THEN ?2 END,
               held_until = ?2,
                    fallback_at = fallback_at - (held_until - ?2)
             WHERE silence = ?1 AND state = 'held' AND held_until > ?2",
        )?
        .execute(params![id, micros(now)])
        .map(|_| ())
}

/// Stores the page of an incident that a silence holds, or removes it if it is no longer held.
pub(super) fn keep(
    connection: &Connection,
    incident: i64,
    silencing: &Silencing,
) -> rusqlite::Result<()> {
    match silencing {
        Silencing::AsItIs => Ok(()),
        Silencing::Over => connection
            .prepare_cached(
                "DELETE FROM silenced
                                       WHERE incident = ?1",
            )?
            .execute([incident])
            .map(|_| ()),
        Silencing::Held(silenced) => connection
            .prepare_cached(
                "INSERT OR REPLACE INTO silenced (incident, silence, until, page)
                             VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                incident,
                silenced.silence,
                micros(silenced.until),
                json(&silenced.page)?
            ])
            .map(|_| ()),
    }
}

pub(super) fn held(connection: &Connection, incident: i64) -> rusqlite::Result<Option<Silenced>> {
    connection
        .prepare_cached("SELECT silence, until, page FROM silenced WHERE incident = ?1")?
        .query_row([incident], |row| {
            Ok(Silenced {
                silence: row.get("silence")?,
                until: time_at(row, "until")?,
                page: json_at(row, "page")?,
            })
        })
        .optional()
}

pub(super) fn unsilenced(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<Unsilenced>> {
    connection
        .prepare_cached(
            "SELECT kind, incident_id FROM silenced CROSS JOIN incidents ON incidents.id = incident
             WHERE until <= ?1 ORDER BY until LIMIT ?2",
        )?
        .query_map(params![micros(now), limit], |row| {
            Ok(Unsilenced {
                kind: word_at(row, "kind")?,
                incident_id: row.get("incident_id")?,
            })
        })?
        .collect()
}
