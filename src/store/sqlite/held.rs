//! Deliveries held by a mute: they are due when it ends, unless a silence covers them, or are never
//! sent.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{lane::advance, row::json_at, silence};
use crate::{
    delivery::{DeliveryId, Notification},
    silence::last_to_cover,
    store::kept::micros,
};

/// Makes deliveries pending that were held until now, of one incident or of all. What a silence
/// covers stays held until the last covering silence ends.
pub(super) fn release(
    connection: &Connection,
    incident: Option<i64>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let found = |row: &Row<'_>| Ok((row.get("id")?, json_at(row, "notification")?));
    let ripe: Vec<(DeliveryId, Notification)> = match incident {
        Some(incident) => connection
            .prepare_cached(
                "SELECT id, notification FROM deliveries
                 WHERE incident = ?1 AND settled_at IS NULL AND state = 'held' AND next_at <= ?2",
            )?
            .query_map(params![incident, micros(now)], found)?
            .collect::<Result<_, _>>()?,
        None => connection
            .prepare_cached(
                "SELECT id, notification FROM deliveries WHERE state = 'held' AND next_at <= ?1
                 ORDER BY next_at LIMIT 100",
            )?
            .query_map([micros(now)], found)?
            .collect::<Result<_, _>>()?,
    };

    if ripe.is_empty() {
        return Ok(());
    }

    let silences = silence::active(connection, now)?;
    for (id, notification) in ripe {
        match last_to_cover(&silences, &notification.labels) {
            Some(silence) => connection
                .prepare_cached(
                    "UPDATE deliveries SET fallback_at = fallback_at + (?3 - held_until),
                       held_until = ?3, next_at = ?3,
                            silence = ?2
                     WHERE id = ?1",
                )?
                .execute(params![id, silence.id, micros(silence.ends_at)])?,
            None => connection
                .prepare_cached(
                    "UPDATE deliveries SET state = 'pending', next_at = ?2
                                 WHERE id = ?1",
                )?
                .execute(params![id, micros(now)])?,
        };
    }

    Ok(())
}

/// Held deliveries of an incident are never sent, for this reason. Deliveries behind them get their
/// turn.
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
