//! Deliveries and their lanes: owed, claimed, settled, escalated, retried.
//!
//! A lane is what one integration is owed of one incident. Only its head has a `next_at`, so that finding what is due
//! costs the same however much waits behind; settling the head gives the next its turn. A lease moves `next_at` to
//! its own end: a dead worker's deliveries fall due again by themselves.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::{
    delivery::{DeliveryId, Notification, Step, Target},
    store::{Attempt, Claim, Fallback, NewDelivery, Next, Settlement, StoreError},
};

use super::{
    failure,
    row::{json, json_at, micros, time, time_at},
};

pub(super) fn target(row: &Row<'_>) -> rusqlite::Result<Target> {
    Ok(Target { receiver: row.get("receiver")?, integration: row.get("integration")? })
}

/// Adds a delivery at the end of its lane.
pub(super) fn owe(
    connection: &Connection,
    incident: i64,
    episode: i64,
    delivery: &NewDelivery,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let NewDelivery { target, alias, notification, held_until, fallback_at } = delivery;
    let waits = connection
        .prepare_cached(
            "SELECT 1 FROM deliveries WHERE incident = ?1 AND receiver = ?2 AND integration = ?3 AND settled_at IS NULL",
        )?
        .exists(params![incident, target.receiver, target.integration])?;
    connection
        .prepare_cached(
            "INSERT INTO deliveries (mail, incident, episode, receiver, integration, action, alias, notification, state,
                                     step, next_at, held_until, fallback_at, created_at)
             VALUES (:mail, :incident, :episode, :receiver, :integration, :action, :alias, :notification, :state,
                     :step, :next_at, :held_until, :fallback_at, :now)",
        )?
        .execute(named_params! {
            ":mail": notification.mail, ":incident": incident, ":episode": episode,
            ":receiver": target.receiver, ":integration": target.integration,
            ":action": notification.action.as_str(), ":alias": alias, ":notification": json(notification)?,
            ":state": if held_until.is_some() { "held" } else { "pending" }, ":step": json(&Step::Send)?,
            ":next_at": (!waits).then(|| micros(held_until.unwrap_or(now))),
            ":held_until": held_until.map(micros), ":fallback_at": fallback_at.map(micros), ":now": micros(now),
        })
        .map(|_| ())
}

/// A trigger still held when its incident is over is told to nobody.
pub(super) fn discard_held(connection: &Connection, incident: i64, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'discarded', settled_at = ?2, next_at = NULL, detail = 'resolved while held'
             WHERE incident = ?1 AND settled_at IS NULL AND state = 'held' AND (next_at IS NULL OR next_at > ?2)",
        )?
        .execute(params![incident, micros(now)])
        .map(|_| ())
}

pub(super) fn claim(
    connection: &Connection,
    now: Timestamp,
    lease: Duration,
    wanted: &[(Target, u32)],
) -> rusqlite::Result<Vec<Claim>> {
    let until = now.saturating_add(SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX)).unwrap_or(now);
    let mut statement = connection.prepare_cached(
        "UPDATE deliveries SET lease = :lease, next_at = :until, state = 'pending'
         WHERE id IN (SELECT id FROM deliveries
                      WHERE receiver = :receiver AND integration = :integration AND settled_at IS NULL
                        AND next_at <= :now ORDER BY next_at, id LIMIT :limit)
         RETURNING id, lease, receiver, integration, alias, notification, step, failures,
                   max(created_at, coalesce(held_until, 0)) AS since",
    )?;
    let mut claims = Vec::new();
    for (target, limit) in wanted {
        let rows = statement.query_map(
            named_params! {
                ":lease": fastrand::i64(1..), ":until": micros(until), ":now": micros(now), ":limit": limit,
                ":receiver": target.receiver, ":integration": target.integration,
            },
            |row| {
                Ok(Claim {
                    id: row.get("id")?,
                    lease: row.get("lease")?,
                    target: self::target(row)?,
                    alias: row.get("alias")?,
                    notification: json_at(row, "notification")?,
                    step: json_at(row, "step")?,
                    failures: row.get("failures")?,
                    since: time_at(row, "since")?,
                })
            },
        )?;
        for row in rows {
            claims.push(row?);
        }
    }
    Ok(claims)
}

pub(super) fn release_leases(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE deliveries SET lease = NULL, next_at = ?1 WHERE settled_at IS NULL AND lease IS NOT NULL",
            [micros(now)],
        )
        .map(|_| ())
}

/// A step through the index for each target: DISTINCT would read all that is owed.
pub(super) fn owed_targets(connection: &Connection) -> rusqlite::Result<Vec<Target>> {
    let mut next = connection.prepare_cached(
        "SELECT receiver, integration FROM deliveries
         WHERE settled_at IS NULL AND next_at IS NOT NULL AND (receiver, integration) > (?1, ?2)
         ORDER BY receiver, integration LIMIT 1",
    )?;
    let mut targets: Vec<Target> = Vec::new();
    loop {
        let (receiver, integration) =
            targets.last().map_or(("", ""), |last| (last.receiver.as_str(), last.integration.as_str()));
        let Some(found) = next.query_row([receiver, integration], target).optional()? else { return Ok(targets) };
        targets.push(found);
    }
}

/// False where the lease was lost: then nothing is written.
pub(super) fn settle(
    connection: &Connection,
    id: DeliveryId,
    lease: i64,
    settlement: &Settlement,
) -> rusqlite::Result<bool> {
    let at = micros(settlement.at);
    let detail = settlement.attempt.as_ref().map(|attempt| attempt.detail.as_str());
    let written = match &settlement.next {
        Next::Delivered { receipt } => connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'delivered', settled_at = ?3, next_at = NULL, lease = NULL, detail = ?4
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, at, receipt])?,
        Next::Dead { reason } => connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'dead', settled_at = ?3, next_at = NULL, lease = NULL, detail = ?4
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, at, reason])?,
        Next::Again { step, at: next_at, failures } => connection
            .prepare_cached(
                "UPDATE deliveries SET lease = NULL, next_at = ?3, step = ?4, failures = ?5, detail = coalesce(?6, detail)
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, micros(*next_at), json(step)?, failures, detail])?,
    };
    if written == 0 {
        return Ok(false);
    }
    if let Some(Attempt { at, took_ms, result, detail }) = &settlement.attempt {
        connection
            .prepare_cached("INSERT INTO attempts (delivery, at, took_ms, result, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![id, micros(*at), i64::try_from(*took_ms).unwrap_or(i64::MAX), result, detail])?;
    }
    if matches!(settlement.next, Next::Dead { .. }) && take_fallback(connection, id)? {
        let (incident, episode) = lane_of(connection, id)?;
        for delivery in &settlement.fallback {
            owe(connection, incident, episode, delivery, settlement.at)?;
        }
    }
    if !matches!(settlement.next, Next::Again { .. }) {
        advance(connection, id, settlement.at)?;
    }
    Ok(true)
}

/// Gives the next delivery in the lane of `id` its turn.
fn advance(connection: &Connection, id: DeliveryId, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET next_at = coalesce(held_until, ?2)
             WHERE next_at IS NULL AND id = (
                 SELECT min(later.id) FROM deliveries AS this JOIN deliveries AS later
                     USING (incident, receiver, integration)
                 WHERE this.id = ?1 AND later.settled_at IS NULL)",
        )?
        .execute(params![id, micros(now)])
        .map(|_| ())
}

fn lane_of(connection: &Connection, id: DeliveryId) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached("SELECT incident, episode FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Whether the fallback is to be told now: once per delivery, and while the incident it is about is still open.
fn take_fallback(connection: &Connection, id: DeliveryId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET fallback_at = NULL WHERE id = ?1 AND fallback_at IS NOT NULL
             RETURNING EXISTS (SELECT 1 FROM incidents WHERE incidents.id = deliveries.incident
                               AND phase = 'firing' AND incidents.episode = deliveries.episode)",
        )?
        .query_row([id], |row| row.get(0))
        .optional()
        .map(|still_open| still_open.unwrap_or(false))
}

pub(super) fn next_due(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    // One probe of the index for each target, however much is owed.
    let mut earliest: Option<i64> = connection
        .prepare_cached("SELECT min(fallback_at) FROM deliveries WHERE settled_at IS NULL AND fallback_at IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    let mut first = connection.prepare_cached(
        "SELECT min(next_at) FROM deliveries
         WHERE receiver = ?1 AND integration = ?2 AND settled_at IS NULL AND next_at IS NOT NULL",
    )?;
    for target in owed_targets(connection)? {
        let due: Option<i64> = first.query_row([target.receiver, target.integration], |row| row.get(0))?;
        earliest = earliest.into_iter().chain(due).min();
    }
    Ok(earliest.map(time))
}

pub(super) fn escalate(connection: &Connection, now: Timestamp, fallback: &Fallback) -> rusqlite::Result<Vec<Target>> {
    let late: Vec<(DeliveryId, Target, Notification)> = connection
        .prepare_cached(
            "SELECT id, receiver, integration, notification FROM deliveries
             WHERE settled_at IS NULL AND fallback_at <= ?1 ORDER BY fallback_at LIMIT 100",
        )?
        .query_map([micros(now)], |row| Ok((row.get("id")?, target(row)?, json_at(row, "notification")?)))?
        .collect::<Result<_, _>>()?;
    let mut escalated = Vec::new();
    for (id, target, notification) in late {
        if take_fallback(connection, id)? {
            let (incident, episode) = lane_of(connection, id)?;
            for delivery in fallback(&target, &notification) {
                owe(connection, incident, episode, &delivery, now)?;
            }
            escalated.push(target);
        }
    }
    Ok(escalated)
}

pub(super) fn retry(
    connection: &Connection,
    ids: Option<&[DeliveryId]>,
    now: Timestamp,
) -> Result<Vec<DeliveryId>, StoreError> {
    let mut retried = Vec::new();
    for id in wanted(connection, ids)? {
        // Behind its incident's resolve, a trigger would open an alert that nobody closes.
        let reopens: bool = connection
            .prepare_cached(
                "SELECT action = 'trigger' AND NOT (phase = 'firing' AND incidents.episode = deliveries.episode)
                        AND NOT EXISTS (SELECT 1 FROM deliveries AS resolve
                                        WHERE resolve.incident = deliveries.incident AND resolve.receiver = deliveries.receiver
                                          AND resolve.integration = deliveries.integration
                                          AND resolve.episode = deliveries.episode AND resolve.action = 'resolve'
                                          AND resolve.id > deliveries.id AND resolve.settled_at IS NULL)
                        AND NOT (?2 AND EXISTS (SELECT 1 FROM deliveries AS resolve
                                        WHERE resolve.incident = deliveries.incident AND resolve.receiver = deliveries.receiver
                                          AND resolve.integration = deliveries.integration
                                          AND resolve.episode = deliveries.episode AND resolve.action = 'resolve'
                                          AND resolve.id > deliveries.id AND resolve.state = 'dead'))
                 FROM deliveries JOIN incidents ON incidents.id = incident WHERE deliveries.id = ?1",
            )
            .and_then(|mut statement| statement.query_row(params![id, ids.is_none()], |row| row.get(0)))
            .map_err(failure)?;
        if reopens {
            if ids.is_none() {
                continue;
            }
            return Err(StoreError::Refused(format!(
                "delivery {id} is a trigger whose incident is over: sent now, it would open an alert that nobody closes; \
                 discard it instead"
            )));
        }
        revive(connection, id, now).map_err(failure)?;
        retried.push(id);
    }
    Ok(retried)
}

/// The dead deliveries asked for, in order; one that is not dead is an error.
fn wanted(connection: &Connection, ids: Option<&[DeliveryId]>) -> Result<Vec<DeliveryId>, StoreError> {
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
        match state.as_deref() {
            Some("dead") => {}
            Some(state) => return Err(StoreError::Refused(format!("delivery {id} is {state}, not dead"))),
            None => return Err(StoreError::Refused(format!("there is no delivery {id}"))),
        }
    }
    Ok(ids)
}

/// Makes a dead delivery pending again at its place in the lane: what is behind it waits for it.
fn revive(connection: &Connection, id: DeliveryId, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'pending', settled_at = NULL, failures = 0, created_at = ?2, held_until = NULL,
                    step = ?3, next_at = CASE WHEN EXISTS (
                        SELECT 1 FROM deliveries AS ahead
                        WHERE ahead.incident = deliveries.incident AND ahead.receiver = deliveries.receiver
                          AND ahead.integration = deliveries.integration AND ahead.id < deliveries.id
                          AND ahead.settled_at IS NULL) THEN NULL ELSE ?2 END
             WHERE id = ?1",
        )?
        .execute(params![id, micros(now), json(&Step::Send)?])?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET next_at = NULL
             WHERE settled_at IS NULL AND lease IS NULL AND id > ?1
               AND (incident, receiver, integration) = (SELECT incident, receiver, integration FROM deliveries WHERE id = ?1)",
        )?
        .execute([id])
        .map(|_| ())
}

pub(super) fn discard(connection: &Connection, id: DeliveryId, now: Timestamp) -> Result<(), StoreError> {
    let discarded = connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'discarded', settled_at = ?2, next_at = NULL, lease = NULL,
                    detail = 'discarded by a person'
             WHERE id = ?1 AND state IN ('pending', 'held', 'dead') AND lease IS NULL",
        )
        .and_then(|mut statement| statement.execute(params![id, micros(now)]))
        .map_err(failure)?;
    if discarded == 1 {
        return advance(connection, id, now).map_err(failure);
    }
    let state: Option<String> = connection
        .prepare_cached("SELECT CASE WHEN lease IS NULL THEN state ELSE 'being sent' END FROM deliveries WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
        .map_err(failure)?;
    Err(StoreError::Refused(match state {
        Some(state) => format!("delivery {id} is {state}: only what is pending, held or dead can be discarded"),
        None => format!("there is no delivery {id}"),
    }))
}
