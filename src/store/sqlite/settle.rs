//! The third commit: how an attempt ended and what is next, and the escalation of late deliveries
//! to their fallback.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    lane::advance,
    owe::owe,
    row::{json, json_at, target},
};
use crate::{
    delivery::{DeliveryId, Notification, Target},
    store::{
        Attempt, Escalated, Fallback, NewDelivery, Next, Settled, Settlement,
        kept::{micros, opened_unproven, signed},
        naming::of_destination,
    },
};

pub(super) fn settle(
    connection: &Connection,
    id: DeliveryId,
    lease: i64,
    settlement: &Settlement,
) -> rusqlite::Result<Settled> {
    if !write_next(connection, id, lease, settlement)? {
        return Ok(Settled::Lost);
    }

    if let Some(attempt) = &settlement.attempt {
        record_attempt(connection, id, attempt)?;
    }

    if matches!(settlement.next, Next::Dead { .. }) && take_fallback(connection, id)? {
        let opening = opening_of(connection, id)?;
        for delivery in &settlement.fallback {
            owe_unless_known(connection, opening, delivery, Knows::Told, settlement.at)?;
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

/// Writes what is next for the delivery. Returns whether the lease was still held.
fn write_next(
    connection: &Connection,
    id: DeliveryId,
    lease: i64,
    settlement: &Settlement,
) -> rusqlite::Result<bool> {
    let at = micros(settlement.at);

    let written = match &settlement.next {
        Next::Delivered { receipt } => connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'delivered', settled_at = ?3, next_at = NULL,
                   lease = NULL, detail = ?4
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, at, receipt])?,
        Next::Dead { reason, retry } => connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'dead', settled_at = ?3, next_at = NULL,
                   lease = NULL, detail = ?4, step = ?5,
                        failures = failures + 1
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, at, reason, json(retry)?])?,
        Next::Again {
            step,
            at: next_at,
            failures,
        } => {
            let attempt = settlement.attempt.as_ref();
            let detail = attempt.map(|attempt| attempt.detail.as_str());
            let (next_at, step) = (micros(*next_at), json(step)?);
            connection
                .prepare_cached(
                    "UPDATE deliveries SET lease = NULL, next_at = ?3, step = ?4, failures = ?5,
                       detail = coalesce(?6, detail)
                     WHERE id = ?1 AND lease = ?2",
                )?
                .execute(params![id, lease, next_at, step, failures, detail])?
        }
    };

    Ok(written > 0)
}

fn record_attempt(
    connection: &Connection,
    id: DeliveryId,
    attempt: &Attempt,
) -> rusqlite::Result<()> {
    let Attempt {
        at,
        took_ms,
        result,
        detail,
    } = attempt;

    connection
        .prepare_cached(
            "INSERT INTO attempts (delivery, at, took_ms, result, detail)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![id, micros(*at), signed(*took_ms), result, detail])
        .map(drop)
}

fn opening_of(connection: &Connection, id: DeliveryId) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached("SELECT incident, episode FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Returns whether the fallback is to be notified now: once per delivery, and only while the
/// incident is still open.
fn take_fallback(connection: &Connection, id: DeliveryId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(concat!(
            "UPDATE deliveries SET fallback_at = NULL WHERE id = ?1 AND fallback_at IS NOT NULL
             RETURNING EXISTS (SELECT 1 FROM incidents WHERE incidents.id = deliveries.incident
                               AND incidents.episode = deliveries.episode
                               AND (phase = 'firing' OR ",
            opened_unproven!(),
            "))"
        ))?
        .query_row([id], |row| row.get(0))
        .optional()
        .map(|still_open| still_open.unwrap_or(false))
}

/// The receivers that count as knowing of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knows {
    /// Receivers that were told of it, or are about to be.
    Told,
    /// Also receivers that are told when a mute or a silence ends.
    OrWill,
}

/// Adds a delivery to another receiver, unless that receiver already knows of the episode. Thus two
/// integrations of a receiver, or receivers that are each other's fallback, notify it only once.
pub(super) fn owe_unless_known(
    connection: &Connection,
    (incident, episode): (i64, i64),
    delivery: &NewDelivery,
    knows: Knows,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let is_known = connection
        .prepare_cached(concat!(
            "SELECT 1 FROM deliveries WHERE incident = ?1 AND episode = ?2 AND action = 'trigger'
               AND (state IN ('pending', 'delivered', 'dead') OR ?5 AND state = 'held') AND ",
            of_destination!("?3", "?4")
        ))?
        .exists(params![
            incident,
            episode,
            delivery.target.receiver,
            delivery.target.integration,
            knows == Knows::OrWill
        ])?;

    if !is_known {
        owe(connection, incident, episode, delivery, now)?;
    }

    Ok(())
}

pub(super) fn escalate(
    connection: &Connection,
    now: Timestamp,
    fallback: &Fallback,
) -> rusqlite::Result<Vec<Escalated>> {
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

    for (delivery, target, notification) in late {
        if take_fallback(connection, delivery)? {
            let opening = opening_of(connection, delivery)?;
            for owed in fallback(&target, &notification) {
                owe_unless_known(connection, opening, &owed, Knows::Told, now)?;
            }
            escalated.push(Escalated {
                delivery,
                target,
                notification,
            });
        }
    }

    Ok(escalated)
}
