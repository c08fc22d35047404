//! New deliveries. Each is added to its lane, and leased at once if nothing is ahead of it and this
//! process can send it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};

use super::{
    amend::revive,
    row::{json, target},
};
use crate::{
    delivery::{Action, Step, Target},
    store::{
        Claim, NewDelivery,
        kept::{micros, receipt},
        naming::of_destination,
    },
};

/// Adds a delivery to the end of its lane. The delivery is leased if it is the head of the lane and
/// this process can send it.
pub(super) fn owe(
    connection: &Connection,
    incident: i64,
    episode: i64,
    delivery: &NewDelivery,
    now: Timestamp,
) -> rusqlite::Result<Option<Claim>> {
    let NewDelivery {
        target: destination,
        alias,
        notification,
        held_until,
        fallback_at,
        leased_until,
    } = delivery;

    revive_end(connection, (incident, episode), delivery, now)?;
    let target = &lane(connection, incident, destination)?.unwrap_or_else(|| destination.clone());
    if held_until.is_none() {
        discard_superseded(connection, incident, target, now)?;
    }

    let waits = connection
        .prepare_cached(
            "SELECT 1 FROM deliveries WHERE incident = ?1 AND receiver = ?2 AND integration = ?3
               AND settled_at IS NULL",
        )?
        .exists(params![incident, target.receiver, target.integration])?;

    let leased_until = leased_until.filter(|_| !waits && held_until.is_none());
    let lease = leased_until.map(|_| fastrand::i64(1..));
    let (id, receipt) = connection
        .prepare_cached(concat!(
            "INSERT INTO deliveries (mail, incident, episode, receiver, integration, action,
                                     alias, notification, state,
                                     step, next_at, held_until, lease, fallback_at, created_at)
             VALUES (:mail, :incident, :episode, :receiver, :integration, :action, :alias,
                     :notification, :state,
                     :step, :next_at, :held_until, :lease, :fallback_at, :now)
             RETURNING id, ",
            receipt!()
        ))?
        .query_row(
            named_params! {
            ":mail": notification.mail, ":incident": incident, ":episode": episode,
            ":receiver": target.receiver, ":integration": target.integration,
            ":action": notification.action.as_str(), ":alias": alias,
            ":notification": json(notification)?,
            ":state": if held_until.is_some() { "held" } else { "pending" },
            ":step": json(&Step::Send)?,
            ":next_at": (!waits).then(|| micros(leased_until.or(*held_until).unwrap_or(now))),
            ":held_until": held_until.map(micros), ":lease": lease,
            ":fallback_at": fallback_at.map(micros),
            ":now": micros(now),
            },
            |row| Ok((row.get("id")?, row.get("receipt")?)),
        )?;

    Ok(lease.map(|lease| Claim::with_decision(delivery, id, lease, receipt, now)))
}

/// Makes the dead resolve of a trigger's destination pending again, if its vendor heard nothing
/// since. The alert of the earlier opening is still open there, and would swallow the trigger.
fn revive_end(
    connection: &Connection,
    (incident, episode): (i64, i64),
    NewDelivery {
        target: destination,
        notification,
        ..
    }: &NewDelivery,
    now: Timestamp,
) -> rusqlite::Result<()> {
    // Only an incident that was open before has an end that may be dead.
    if notification.action != Action::Trigger || episode == 1 {
        return Ok(());
    }

    let dead = connection
        .prepare_cached(concat!(
            "SELECT id FROM deliveries AS dead
             WHERE incident = ?1 AND state = 'dead' AND action = 'resolve' AND ",
            of_destination!("?2", "?3"),
            " AND NOT EXISTS (
                 SELECT 1 FROM deliveries
                 WHERE incident = ?1 AND episode > dead.episode AND state <> 'discarded' AND ",
            of_destination!("?2", "?3"),
            ") ORDER BY id DESC LIMIT 1"
        ))?
        .query_row(
            params![incident, destination.receiver, destination.integration],
            |row| row.get(0),
        )
        .optional()?;

    dead.map_or(Ok(()), |id| revive(connection, id, now))
}

/// Returns the lane in which a destination is already owed something. The lane has the name that
/// the destination had when that began, which may be a former one. Under the present name, a page
/// could overtake those that wait.
fn lane(
    connection: &Connection,
    incident: i64,
    destination: &Target,
) -> rusqlite::Result<Option<Target>> {
    // The limit keeps SQLite from looking for former names before it knows that anything is owed.
    connection
        .prepare_cached(concat!(
            "SELECT receiver, integration FROM (
                 SELECT receiver, integration, id FROM deliveries
                 WHERE incident = ?1 AND settled_at IS NULL LIMIT -1)
             WHERE ",
            of_destination!("?2", "?3"),
            " ORDER BY id DESC LIMIT 1"
        ))?
        .query_row(
            params![incident, destination.receiver, destination.integration],
            target,
        )
        .optional()
}

/// Discards held pages of the lane, because a new page must not wait for the end of a mute that
/// holds an older one.
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
             WHERE incident = ?1 AND receiver = ?2 AND integration = ?3 AND settled_at IS NULL
               AND state = 'held'",
        )?
        .execute(params![
            incident,
            target.receiver,
            target.integration,
            micros(now)
        ])
        .map(|_| ())
}
