//! Deliveries and their lanes: claiming, and whose turn is next.
//!
//! A lane holds the deliveries of one incident to one integration. Only its head has a `next_at`,
//! so that finding due deliveries costs the same however many wait behind. Settling the head gives
//! the next one its turn. A lease moves `next_at` to its own end, so that the deliveries of a dead
//! worker become due again without further action.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::row::{claim_row, json_at, target, time_at};
use crate::{
    delivery::{DeliveryId, Target},
    store::{
        Agenda, Claim, Standing,
        kept::{micros, receipt, receipts, standing, time},
    },
};

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
                      WHERE receiver = :receiver AND integration = :integration
                        AND settled_at IS NULL
                        AND next_at <= :now AND state = 'pending' ORDER BY next_at, id LIMIT :limit)
         RETURNING id, lease, receiver, integration, alias, notification, step, failures,
                   max(created_at, coalesce(held_until, 0), coalesce(retried_at, 0)) AS since, ",
        receipt!(),
    ))?;

    let mut claims = Vec::new();

    for (target, limit) in wanted {
        let rows = statement.query_map(
            named_params! {
                ":lease": fastrand::i64(1..), ":until": micros(until), ":now": micros(now),
                ":limit": limit,
                ":receiver": target.receiver, ":integration": target.integration,
            },
            claim_row,
        )?;
        for row in rows {
            claims.push(row?);
        }
    }

    Ok(claims)
}

/// Ends every lease, and every wait for another attempt, because somebody who restarts the bridge
/// has fixed something.
pub(super) fn release_leases(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE deliveries SET lease = NULL, next_at = min(next_at, ?1)
         WHERE settled_at IS NULL AND next_at IS NOT NULL AND state = 'pending'
           AND (lease IS NOT NULL OR next_at > ?1)",
        [micros(now)],
    )?;
    rejuvenate(connection, now)
}

/// Corrects the due times after the clock was set back, so that nothing waits for a time that is
/// now in the distant future.
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

/// Treats deliveries that were created in the future as created now: the deadlines for giving up
/// and for the fallback start now.
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

/// Reads the agenda with one probe of the index for each target, however many deliveries are
/// pending. DISTINCT or a plain minimum would read them all.
pub(super) fn agenda(connection: &Connection) -> rusqlite::Result<Agenda> {
    let fallback_at: Option<i64> = connection
        .prepare_cached(
            "SELECT min(fallback_at) FROM deliveries
                         WHERE settled_at IS NULL AND fallback_at IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    let held_until: Option<i64> = connection
        .prepare_cached(
            "SELECT min(next_at) FROM deliveries WHERE state = 'held' AND next_at IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;

    // There are two statements because SQLite compares the pair (receiver, integration) only after
    // it has read all rows of the receiver.
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

pub(super) fn standing(
    connection: &Connection,
    target: &Target,
    after: i64,
    limit: u32,
) -> rusqlite::Result<Vec<Standing>> {
    connection
        .prepare_cached(standing!("?1", "?2", "?3", "?4"))?
        .query_map(
            params![target.receiver, target.integration, after, limit],
            |row| {
                Ok(Standing {
                    incident: row.get("incident")?,
                    delivery: row.get("id")?,
                    alias: row.get("alias")?,
                    notification: json_at(row, "notification")?,
                    receipt: row.get("receipt")?,
                })
            },
        )?
        .collect()
}

pub(super) fn receipts(connection: &Connection, id: DeliveryId) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(receipts!("?1"))?
        .query_map([id], |row| row.get("receipt"))?
        .collect()
}

/// Gives the next delivery in the lane of `id` its turn, and returns false if there is none. If
/// that delivery is held, it becomes due for a check.
pub(super) fn advance(
    connection: &Connection,
    id: DeliveryId,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET next_at = ?2
             WHERE next_at IS NULL AND id = (
                 SELECT min(later.id) FROM deliveries AS this JOIN deliveries AS later
                     USING (incident, receiver, integration)
                 WHERE this.id = ?1 AND later.settled_at IS NULL)",
        )?
        .execute(params![id, micros(now)])
        .map(|advanced| advanced > 0)
}
