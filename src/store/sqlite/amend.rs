//! Changes that people make to deliveries: they retry dead letters, or discard a delivery.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    delivery::{DeliveryId, Step},
    store::{
        StoreError,
        kept::micros,
        refusal::{Revival, not_dead, not_discarded, not_sent_again},
    },
};

use super::{failure, lane::advance, row::json};

pub(super) fn retry(
    connection: &Connection,
    ids: Option<&[DeliveryId]>,
    now: Timestamp,
) -> Result<Vec<DeliveryId>, StoreError> {
    let mut retried = Vec::new();
    for id in wanted(connection, ids)? {
        if let Some(why) = objection(connection, id, ids.is_none()).map_err(failure)? {
            if ids.is_none() {
                continue;
            }
            return Err(not_sent_again(id, why));
        }
        revive(connection, id, now).map_err(failure)?;
        retried.push(id);
    }

    Ok(retried)
}

/// Returns why a dead delivery must not be sent again. If all are retried, the dead resolve behind
/// a dead trigger is sent too.
fn objection(
    connection: &Connection,
    id: DeliveryId,
    all: bool,
) -> rusqlite::Result<Option<&'static str>> {
    // A leased delivery may already be at its receiver, so nothing can be put before it any more.
    connection
        .prepare_cached(
            "SELECT this.action <> 'resolve', phase = 'firing' AND incidents.episode = this.episode,
                    EXISTS (SELECT 1 FROM deliveries AS later WHERE later.incident = this.incident
                            AND later.receiver = this.receiver
                            AND later.integration = this.integration
                            AND later.episode = this.episode AND later.action = 'resolve'
                            AND later.id > this.id
                            AND (later.settled_at IS NULL AND later.lease IS NULL OR ?2
                                 AND later.state = 'dead')),
                    EXISTS (SELECT 1 FROM deliveries AS later WHERE later.incident = this.incident
                            AND later.receiver = this.receiver
                            AND later.integration = this.integration
                            AND later.episode > this.episode AND later.action = 'trigger'
                            AND later.id > this.id
                            AND (later.state = 'delivered' OR later.lease IS NOT NULL))
             FROM deliveries AS this JOIN incidents ON incidents.id = this.incident
             WHERE this.id = ?1",
        )?
        .query_row(params![id, all], |row| {
            let revival = Revival {
                trigger: row.get(0)?,
                open: row.get(1)?,
                closed_after: row.get(2)?,
                opened_after: row.get(3)?,
            };
            Ok(revival.objection())
        })
}

/// Returns the requested dead deliveries, in order, or an error if one of them is not dead.
fn wanted(
    connection: &Connection,
    ids: Option<&[DeliveryId]>,
) -> Result<Vec<DeliveryId>, StoreError> {
    let Some(ids) = ids else {
        return connection
            .prepare_cached("SELECT id FROM deliveries WHERE state = 'dead' ORDER BY id")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .map_err(failure);
    };

    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    for id in &ids {
        let state: Option<String> = connection
            .prepare_cached("SELECT state FROM deliveries WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
            .map_err(failure)?;
        if state.as_deref() != Some("dead") {
            return Err(not_dead(*id, state.as_deref()));
        }
    }

    Ok(ids)
}

/// Makes a dead delivery pending again at its place in the lane, so that the deliveries behind it
/// wait. Of a step with several ends it keeps those that are left. An earlier version has left
/// other steps in dead letters.
pub(super) fn revive(
    connection: &Connection,
    id: DeliveryId,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'pending', settled_at = NULL, failures = 0,
               retried_at = ?2, held_until = NULL,
                    step = CASE WHEN step LIKE '{\"step\":\"ends\"%' THEN step ELSE ?3 END,
                    next_at = CASE WHEN EXISTS (
                        SELECT 1 FROM deliveries AS ahead
                        WHERE ahead.incident = deliveries.incident
                          AND ahead.receiver = deliveries.receiver
                          AND ahead.integration = deliveries.integration
                          AND ahead.id < deliveries.id
                          AND ahead.settled_at IS NULL) THEN NULL ELSE ?2 END
             WHERE id = ?1",
        )?
        .execute(params![id, micros(now), json(&Step::Send)?])?;

    connection
        .prepare_cached(
            "UPDATE deliveries SET next_at = NULL
             WHERE settled_at IS NULL AND lease IS NULL AND id > ?1
               AND (incident, receiver, integration) = (SELECT incident, receiver, integration
                                                        FROM deliveries WHERE id = ?1)",
        )?
        .execute([id])
        .map(|_| ())
}

pub(super) fn discard(
    connection: &Connection,
    id: DeliveryId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let discarded = connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'discarded', settled_at = ?2, next_at = NULL,
               lease = NULL,
                    detail = 'discarded by a person'
             WHERE id = ?1 AND state IN ('pending', 'held', 'dead')
               AND (lease IS NULL OR next_at <= ?2)",
        )
        .and_then(|mut statement| statement.execute(params![id, micros(now)]))
        .map_err(failure)?;

    if discarded == 1 {
        return advance(connection, id, now).map(|_| ()).map_err(failure);
    }

    let state: Option<String> = connection
        .prepare_cached(
            "SELECT CASE WHEN lease IS NULL THEN state ELSE 'being sent' END
                         FROM deliveries WHERE id = ?1",
        )
        .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
        .map_err(failure)?;

    Err(not_discarded(id, state.as_deref()))
}
