//! Deliveries and their lanes: owed, claimed, settled, escalated, retried.
//!
//! A lane is what one integration is owed of one incident. Only its head has a `next_at`, so that
//! finding what is due costs the same however much waits behind; settling the head gives the next
//! its turn. A lease moves `next_at` to its own end: a dead worker's deliveries fall due again by
//! themselves.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::{
    delivery::{Action, DeliveryId, Notification, Step, Target},
    silence::last_to_cover,
    store::{
        Agenda, Attempt, Claim, Fallback, NewDelivery, Next, Settled, Settlement,
        kept::{micros, receipt, time},
    },
};

use super::{
    row::{json, json_at, time_at},
    silence,
};

pub(super) fn target(row: &Row<'_>) -> rusqlite::Result<Target> {
    Ok(Target {
        receiver: row.get("receiver")?,
        integration: row.get("integration")?,
    })
}

/// Adds a delivery at the end of its lane; leased, where it is the head and there is somebody to
/// send it.
pub(super) fn owe(
    connection: &Connection,
    incident: i64,
    episode: i64,
    delivery: &NewDelivery,
    now: Timestamp,
) -> rusqlite::Result<Option<Claim>> {
    let NewDelivery {
        target,
        alias,
        notification,
        held_until,
        fallback_at,
        leased_until,
    } = delivery;
    if held_until.is_none() {
        discard_superseded(connection, incident, target, now)?;
    }
    let waits = connection
        .prepare_cached(
            "SELECT 1 FROM deliveries WHERE incident = ?1 AND receiver = ?2 AND integration = ?3 AND settled_at IS NULL",
        )?
        .exists(params![incident, target.receiver, target.integration])?;
    let leased_until = leased_until.filter(|_| !waits && held_until.is_none());
    let lease = leased_until.map(|_| fastrand::i64(1..));
    let id = connection
        .prepare_cached(
            "INSERT INTO deliveries (mail, incident, episode, receiver, integration, action, alias, notification, state,
                                     step, next_at, held_until, lease, fallback_at, created_at)
             VALUES (:mail, :incident, :episode, :receiver, :integration, :action, :alias, :notification, :state,
                     :step, :next_at, :held_until, :lease, :fallback_at, :now)",
        )?
        .insert(named_params! {
            ":mail": notification.mail, ":incident": incident, ":episode": episode,
            ":receiver": target.receiver, ":integration": target.integration,
            ":action": notification.action.as_str(), ":alias": alias, ":notification": json(notification)?,
            ":state": if held_until.is_some() { "held" } else { "pending" }, ":step": json(&Step::Send)?,
            ":next_at": (!waits).then(|| micros(leased_until.or(*held_until).unwrap_or(now))),
            ":held_until": held_until.map(micros), ":lease": lease, ":fallback_at": fallback_at.map(micros),
            ":now": micros(now),
        })?;
    let Some(lease) = lease else { return Ok(None) };
    let receipt = match notification.action {
        Action::Trigger => None,
        Action::Change | Action::Resolve => connection
            .prepare_cached(concat!(
                "SELECT ",
                receipt!(),
                " FROM deliveries WHERE id = ?1"
            ))?
            .query_row([id], |row| row.get("receipt"))?,
    };
    Ok(Some(Claim::with_decision(
        delivery, id, lease, receipt, now,
    )))
}

/// What a fallback receiver is owed, unless it was told of this opening already: two integrations
/// of a receiver, or receivers that are each other's fallback, tell it once.
fn owe_fallback(
    connection: &Connection,
    incident: i64,
    episode: i64,
    delivery: &NewDelivery,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let told = connection
        .prepare_cached(
            "SELECT 1 FROM deliveries WHERE incident = ?1 AND episode = ?2 AND action = 'trigger' AND receiver = ?3
             AND integration = ?4 AND state IN ('pending', 'delivered', 'dead')",
        )?
        .exists(params![incident, episode, delivery.target.receiver, delivery.target.integration])?;
    if !told {
        owe(connection, incident, episode, delivery, now)?;
    }
    Ok(())
}

/// What is told now must not wait for the end of a mute that holds back something older: that one
/// is dropped.
fn discard_superseded(
    connection: &Connection,
    incident: i64,
    target: &Target,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'discarded', settled_at = ?4, next_at = NULL,
                    detail = 'told by a newer one that no mute holds'
             WHERE incident = ?1 AND receiver = ?2 AND integration = ?3 AND settled_at IS NULL AND state = 'held'",
        )?
        .execute(params![incident, target.receiver, target.integration, micros(now)])
        .map(|_| ())
}

/// Makes pending what is held until now, of one incident or of all; what a silence covers stays
/// held until the last that does ends.
pub(super) fn release_held(
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
                "SELECT id, notification FROM deliveries WHERE state = 'held' AND next_at <= ?1 ORDER BY next_at LIMIT 100",
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
                    "UPDATE deliveries SET fallback_at = fallback_at + (?3 - held_until), held_until = ?3, next_at = ?3,
                            silence = ?2
                     WHERE id = ?1",
                )?
                .execute(params![id, silence.id, micros(silence.ends_at)])?,
            None => connection
                .prepare_cached("UPDATE deliveries SET state = 'pending', next_at = ?2 WHERE id = ?1")?
                .execute(params![id, micros(now)])?,
        };
    }
    Ok(())
}

/// What is still held of an incident is told to nobody any more, for this reason. What waits behind
/// it gets its turn.
pub(super) fn discard_held(
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

pub(super) fn claim(
    connection: &Connection,
    now: Timestamp,
    lease: Duration,
    wanted: &[(Target, u32)],
) -> rusqlite::Result<Vec<Claim>> {
    let until = now
        .saturating_add(SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX))
        .unwrap_or(now);
    let mut statement = connection.prepare_cached(concat!(
        "UPDATE deliveries SET lease = :lease, next_at = :until
         WHERE id IN (SELECT id FROM deliveries
                      WHERE receiver = :receiver AND integration = :integration AND settled_at IS NULL
                        AND next_at <= :now AND state = 'pending' ORDER BY next_at, id LIMIT :limit)
         RETURNING id, lease, receiver, integration, alias, notification, step, failures,
                   max(created_at, coalesce(held_until, 0), coalesce(retried_at, 0)) AS since, ",
        receipt!(),
    ))?;
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
                    receipt: row.get("receipt")?,
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

/// Ends every lease, and every wait for another attempt: who starts the bridge again has mended
/// something.
pub(super) fn release_leases(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE deliveries SET lease = NULL, next_at = min(next_at, ?1)
         WHERE settled_at IS NULL AND next_at IS NOT NULL AND state = 'pending' AND (lease IS NOT NULL OR next_at > ?1)",
        [micros(now)],
    )?;
    rejuvenate(connection, now)
}

/// After the clock was set back: nothing waits for a time that was near then and is far now.
pub(super) fn bring_forward(
    connection: &Connection,
    now: Timestamp,
    lease: Duration,
) -> rusqlite::Result<()> {
    let leased_until = now
        .saturating_add(SignedDuration::try_from(lease).unwrap_or_default())
        .unwrap_or(now);
    connection.execute(
        "UPDATE deliveries SET next_at = min(next_at, CASE WHEN lease IS NULL THEN ?1 ELSE ?2 END)
         WHERE settled_at IS NULL AND next_at > ?1 AND state = 'pending'",
        [micros(now), micros(leased_until)],
    )?;
    rejuvenate(connection, now)
}

/// What was created in the future was created now: patience and fallback count from here.
fn rejuvenate(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE deliveries SET fallback_at = fallback_at - (created_at - ?1), created_at = ?1
         WHERE settled_at IS NULL AND created_at > ?1 AND held_until IS NULL",
        [micros(now)],
    )?;
    connection
        .execute(
            "UPDATE deliveries SET retried_at = ?1 WHERE settled_at IS NULL AND retried_at > ?1",
            [micros(now)],
        )
        .map(|_| ())
}

/// A probe of the index for each target, however much is owed: DISTINCT or a plain minimum would
/// read it all.
pub(super) fn agenda(connection: &Connection) -> rusqlite::Result<Agenda> {
    let fallback_at: Option<i64> = connection
        .prepare_cached("SELECT min(fallback_at) FROM deliveries WHERE settled_at IS NULL AND fallback_at IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    let held_until: Option<i64> = connection
        .prepare_cached(
            "SELECT min(next_at) FROM deliveries WHERE state = 'held' AND next_at IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    // Two statements: SQLite compares (receiver, integration) as a pair only after it has read all
    // of the receiver's.
    let mut beside = connection.prepare_cached(
        "SELECT receiver, integration, next_at FROM deliveries
         WHERE settled_at IS NULL AND next_at IS NOT NULL AND receiver = ?1 AND integration > ?2
         ORDER BY integration, next_at LIMIT 1",
    )?;
    let mut beyond = connection.prepare_cached(
        "SELECT receiver, integration, next_at FROM deliveries
         WHERE settled_at IS NULL AND next_at IS NOT NULL AND receiver > ?1
         ORDER BY receiver, integration, next_at LIMIT 1",
    )?;
    let found = |row: &Row<'_>| Ok((target(row)?, time_at(row, "next_at")?));
    let mut due: Vec<(Target, Timestamp)> = Vec::new();
    loop {
        let (receiver, integration) = due.last().map_or(("", ""), |(last, _)| {
            (last.receiver.as_str(), last.integration.as_str())
        });
        let next = match beside
            .query_row([receiver, integration], found)
            .optional()?
        {
            None => beyond.query_row([receiver], found).optional()?,
            next => next,
        };
        let Some(next) = next else {
            return Ok(Agenda {
                fallback_at: fallback_at.map(time),
                held_until: held_until.map(time),
                due,
            });
        };
        due.push(next);
    }
}

pub(super) fn settle(
    connection: &Connection,
    id: DeliveryId,
    lease: i64,
    settlement: &Settlement,
) -> rusqlite::Result<Settled> {
    let at = micros(settlement.at);
    let detail = settlement
        .attempt
        .as_ref()
        .map(|attempt| attempt.detail.as_str());
    let written = match &settlement.next {
        Next::Delivered { receipt } => connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'delivered', settled_at = ?3, next_at = NULL, lease = NULL, detail = ?4
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, at, receipt])?,
        Next::Dead { reason } => connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'dead', settled_at = ?3, next_at = NULL, lease = NULL, detail = ?4,
                        failures = failures + 1
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
        return Ok(Settled::Lost);
    }
    if let Some(Attempt {
        at,
        took_ms,
        result,
        detail,
    }) = &settlement.attempt
    {
        connection
            .prepare_cached("INSERT INTO attempts (delivery, at, took_ms, result, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![id, micros(*at), i64::try_from(*took_ms).unwrap_or(i64::MAX), result, detail])?;
    }
    if matches!(settlement.next, Next::Dead { .. }) && take_fallback(connection, id)? {
        let (incident, episode) = lane_of(connection, id)?;
        for delivery in &settlement.fallback {
            owe_fallback(connection, incident, episode, delivery, settlement.at)?;
        }
    }
    let advanced =
        !matches!(settlement.next, Next::Again { .. }) && advance(connection, id, settlement.at)?;
    let delivered = matches!(settlement.next, Next::Delivered { .. });
    Ok(if delivered && !advanced {
        Settled::Last
    } else {
        Settled::Onward
    })
}

/// Gives the next delivery in the lane of `id` its turn; false where there is none.
pub(super) fn advance(
    connection: &Connection,
    id: DeliveryId,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET next_at = coalesce(held_until, ?2)
             WHERE next_at IS NULL AND id = (
                 SELECT min(later.id) FROM deliveries AS this JOIN deliveries AS later
                     USING (incident, receiver, integration)
                 WHERE this.id = ?1 AND later.settled_at IS NULL)",
        )?
        .execute(params![id, micros(now)])
        .map(|advanced| advanced > 0)
}

fn lane_of(connection: &Connection, id: DeliveryId) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached("SELECT incident, episode FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Whether the fallback is to be told now: once per delivery, and while the incident it is about is
/// still open.
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

pub(super) fn escalate(
    connection: &Connection,
    now: Timestamp,
    fallback: &Fallback,
) -> rusqlite::Result<Vec<Target>> {
    let late: Vec<(DeliveryId, Target, Notification)> = connection
        .prepare_cached(
            "SELECT id, receiver, integration, notification FROM deliveries
             WHERE settled_at IS NULL AND fallback_at <= ?1 ORDER BY fallback_at LIMIT 100",
        )?
        .query_map([micros(now)], |row| {
            Ok((row.get("id")?, target(row)?, json_at(row, "notification")?))
        })?
        .collect::<Result<_, _>>()?;
    let mut escalated = Vec::new();
    for (id, target, notification) in late {
        if take_fallback(connection, id)? {
            let (incident, episode) = lane_of(connection, id)?;
            for delivery in fallback(&target, &notification) {
                owe_fallback(connection, incident, episode, &delivery, now)?;
            }
            escalated.push(target);
        }
    }
    Ok(escalated)
}
