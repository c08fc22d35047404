//! A summary of the store: what arrived lately, what is owed, and whether anything has changed.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    mail::led_to,
    row::{optional_time_at, time_at, unsigned_at},
};
use crate::{
    message::Outcome,
    store::{Backlog, Lately, Pulse, Taken, kept::micros},
};

pub(super) fn lately(connection: &Connection, most: u32) -> rusqlite::Result<Vec<Lately>> {
    connection
        .prepare_cached(
            "SELECT ingress, profile, outcome = 'unparsed' AS unparsed, count(*) AS mails,
                    max(arrived_at) AS last
             FROM (SELECT ingress, profile, outcome, arrived_at FROM mails
                   ORDER BY id DESC LIMIT ?1)
             GROUP BY 1, 2, 3",
        )?
        .query_map([most], |row| {
            Ok(Lately {
                ingress: row.get("ingress")?,
                profile: row.get("profile")?,
                unparsed: row.get("unparsed")?,
                mails: unsigned_at(row, "mails")?,
                last: time_at(row, "last")?,
            })
        })?
        .collect()
}

pub(super) fn taken(connection: &Connection, most: u32) -> rusqlite::Result<Vec<Taken>> {
    connection
        .prepare_cached(
            "SELECT receiver, integration, max(settled_at) AS at
             FROM (SELECT receiver, integration, state, settled_at FROM deliveries
                   ORDER BY id DESC LIMIT ?1)
             WHERE state = 'delivered' GROUP BY 1, 2",
        )?
        .query_map([most], |row| {
            Ok(Taken {
                receiver: row.get("receiver")?,
                integration: row.get("integration")?,
                at: time_at(row, "at")?,
            })
        })?
        .collect()
}

pub(super) fn count_mails(
    connection: &Connection,
    outcome: Outcome,
    (since, most): (Timestamp, u32),
) -> rusqlite::Result<u64> {
    let which = match &*led_to(Some(outcome)) {
        "" => format!("AND outcome = '{}'", outcome.as_str()),
        led => led.to_owned(),
    };
    connection
        .prepare_cached(&format!(
            "SELECT count(*) AS mails FROM
                 (SELECT arrived_at FROM mails WHERE TRUE {which} ORDER BY id DESC LIMIT ?1)
             WHERE arrived_at >= ?2"
        ))?
        .query_row((most, micros(since)), |row| unsigned_at(row, "mails"))
}

pub(super) fn backlogs(connection: &Connection) -> rusqlite::Result<Vec<Backlog>> {
    connection
        .prepare_cached(
            "SELECT *, (SELECT detail FROM deliveries WHERE id = failed) AS failure FROM (
             SELECT receiver, integration,
                    sum(state = 'pending') AS pending, sum(state = 'held') AS held,
                    sum(state = 'dead') AS dead,
                    min(CASE WHEN state = 'pending' THEN created_at END) AS oldest,
                    max(CASE WHEN failures > 0 THEN id END) AS failed
             FROM (SELECT id, receiver, integration, state, failures, created_at FROM deliveries
                   WHERE settled_at IS NULL
                   UNION ALL
                   SELECT id, receiver, integration, state, failures, created_at FROM deliveries
                   WHERE state = 'dead') AS owed
             GROUP BY receiver, integration) ORDER BY receiver, integration",
        )?
        .query_map([], |row| {
            Ok(Backlog {
                receiver: row.get("receiver")?,
                integration: row.get("integration")?,
                pending: unsigned_at(row, "pending")?,
                held: unsigned_at(row, "held")?,
                dead: unsigned_at(row, "dead")?,
                oldest_pending: optional_time_at(row, "oldest")?,
                failure: row.get("failure")?,
            })
        })?
        .collect()
}

pub(super) fn pulse(connection: &Connection) -> rusqlite::Result<Pulse> {
    connection
        .prepare_cached(
            "SELECT (SELECT coalesce(max(id), 0) FROM mails),
                    (SELECT coalesce(max(changed_at), 0) FROM incidents),
                    (SELECT coalesce(max(id), 0) FROM attempts)
                        + (SELECT coalesce(max(id), 0) FROM deliveries),
                    (SELECT coalesce(max(id), 0) FROM silences),
                    (SELECT coalesce(max(id), 0) FROM deeds)",
        )?
        .query_row([], |row| {
            Ok(Pulse {
                mails: row.get(0)?,
                incidents: row.get(1)?,
                deliveries: row.get(2)?,
                silences: row.get(3)?,
                deeds: row.get(4)?,
            })
        })
}
