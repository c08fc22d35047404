//! Deliveries held by a mute or a silence. When it ends they are due, unless another one holds
//! them. Some are never sent.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{
    lane::advance,
    row::{json_at, target, time_at},
    settle::{Knows, owe_unless_known},
    silence,
};
use crate::{
    delivery::DeliveryId,
    store::{Held, Mutes, NewDelivery, PASSED_ON, Turn, kept::micros},
};

/// The number of deliveries that are checked in one transaction.
const AT_ONCE: u32 = 100;

/// Makes the deliveries pending whose hold ends now, of one incident or of all.
///
/// A delivery that a silence covers or a mute still holds stays held until that ends. If the routes
/// lead elsewhere by now, others are told instead. If a silence has ended that held the incident's
/// newest page, that page is told first, because it may replace them. Returns whether there may be
/// more.
pub(super) fn release(
    connection: &Connection,
    incident: Option<i64>,
    mutes: &Mutes,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let ripe = ripe(connection, incident, now)?;
    if ripe.is_empty() {
        return Ok(false);
    }
    turn_all(connection, &ripe, mutes, now)?;

    Ok(ripe.len() >= AT_ONCE as usize)
}

/// Returns the pages whose hold ends now.
fn ripe(
    connection: &Connection,
    incident: Option<i64>,
    now: Timestamp,
) -> rusqlite::Result<Vec<Held>> {
    let found = |row: &Row<'_>| {
        Ok(Held {
            id: row.get("id")?,
            target: target(row)?,
            page: json_at(row, "notification")?,
            until: time_at(row, "held_until")?,
        })
    };

    match incident {
        Some(incident) => connection
            .prepare_cached(
                "SELECT id, receiver, integration, notification, held_until FROM deliveries
                 WHERE incident = ?1 AND settled_at IS NULL AND state = 'held' AND next_at <= ?2
                   AND NOT EXISTS (SELECT 1 FROM silenced WHERE incident = ?1 AND until <= ?2)",
            )?
            .query_map(params![incident, micros(now)], found)?
            .collect(),
        None => connection
            .prepare_cached(
                "SELECT id, receiver, integration, notification, held_until FROM deliveries
                 WHERE state = 'held' AND next_at <= ?1
                   AND NOT EXISTS (SELECT 1 FROM silenced
                                   WHERE incident = deliveries.incident AND until <= ?1)
                 ORDER BY next_at LIMIT ?2",
            )?
            .query_map(params![micros(now), AT_ONCE], found)?
            .collect(),
    }
}

/// Makes each ripe page due now, holds it further, or passes it on to others.
fn turn_all(
    connection: &Connection,
    ripe: &[Held],
    mutes: &Mutes,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let silences = silence::active(connection, now)?;

    for held in ripe {
        match held.turn(&silences, mutes, now) {
            Turn::PassedOn(others) => pass_on(connection, held.id, &others, now)?,
            Turn::HeldOn { silence, until } => connection
                .prepare_cached(
                    "UPDATE deliveries SET fallback_at = fallback_at + (?3 - held_until),
                       held_until = ?3, next_at = ?3,
                            silence = ?2
                     WHERE id = ?1",
                )?
                .execute(params![held.id, silence, micros(until)])
                .map(drop)?,
            Turn::Told => connection
                .prepare_cached(
                    "UPDATE deliveries SET state = 'pending', next_at = ?2,
                            held_until = min(held_until, ?2),
                            fallback_at = fallback_at - max(held_until - ?2, 0)
                     WHERE id = ?1",
                )?
                .execute(params![held.id, micros(now)])
                .map(drop)?,
        }
    }

    Ok(())
}

/// Discards a held page, and owes others a page in its place.
fn pass_on(
    connection: &Connection,
    id: DeliveryId,
    others: &[NewDelivery],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (incident, episode) = connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'discarded', settled_at = ?2, next_at = NULL, detail = ?3
             WHERE id = ?1 RETURNING incident, episode",
        )?
        .query_row(params![id, micros(now), PASSED_ON], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    for other in others {
        owe_unless_known(connection, (incident, episode), other, Knows::OrWill, now)?;
    }
    advance(connection, id, now).map(drop)
}

/// Makes every held delivery due for a check, because other mutes may be in force.
pub(super) fn look_at_all(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE deliveries SET next_at = ?1 WHERE state = 'held' AND next_at > ?1",
            [micros(now)],
        )
        .map(|_| ())
}

/// Discards the held deliveries of an incident for a reason, so that they are never sent. The
/// deliveries behind them get their turn.
pub(super) fn discard(
    connection: &Connection,
    incident: i64,
    why: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let discarded: Vec<DeliveryId> = connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'discarded', settled_at = ?2, next_at = NULL, detail = ?3
             WHERE incident = ?1 AND settled_at IS NULL AND state = 'held' RETURNING id",
        )?
        .query_map(params![incident, micros(now), why], |row| row.get(0))?
        .collect::<Result<_, _>>()?;

    discarded
        .into_iter()
        .try_for_each(|id| advance(connection, id, now).map(|_| ()))
}
