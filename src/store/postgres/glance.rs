//! A summary of the store: what arrived lately, what is owed, and whether anything has changed.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::Database,
    row::{at, optional_time_at, time_at, unsigned_at},
};
use crate::{
    message::Outcome,
    store::{Backlog, Lately, Pulse, StoreError, Taken, kept::micros},
};

const LATELY: &str = "
SELECT ingress, profile, outcome = 'unparsed' AS unparsed, count(*) AS mails,
       max(arrived_at) AS last
FROM (SELECT ingress, profile, outcome, arrived_at FROM mails ORDER BY id DESC LIMIT $1) AS newest
GROUP BY 1, 2, 3";

pub(super) async fn lately(database: &Database, most: u32) -> Result<Vec<Lately>, StoreError> {
    let rows = database.query(LATELY, &[&i64::from(most)]).await?;
    let lately = |row: &Row| {
        Ok(Lately {
            ingress: at(row, "ingress")?,
            profile: at(row, "profile")?,
            unparsed: at(row, "unparsed")?,
            mails: unsigned_at(row, "mails")?,
            last: time_at(row, "last")?,
        })
    };
    rows.iter().map(lately).collect()
}

const TAKEN: &str = "
SELECT receiver, integration, max(settled_at) AS at
FROM (SELECT receiver, integration, state, settled_at FROM deliveries
      ORDER BY id DESC LIMIT $1) AS newest
WHERE state = 'delivered' GROUP BY 1, 2";

pub(super) async fn taken(database: &Database, most: u32) -> Result<Vec<Taken>, StoreError> {
    let rows = database.query(TAKEN, &[&i64::from(most)]).await?;
    let taken = |row: &Row| {
        Ok(Taken {
            receiver: at(row, "receiver")?,
            integration: at(row, "integration")?,
            at: time_at(row, "at")?,
        })
    };
    rows.iter().map(taken).collect()
}

macro_rules! count {
    ($word:literal) => {
        concat!(
            "SELECT count(*) AS mails FROM
                 (SELECT arrived_at FROM mails WHERE outcome = '",
            $word,
            "' ORDER BY id DESC LIMIT $1) AS newest
             WHERE arrived_at >= $2"
        )
    };
}

pub(super) async fn count_mails(
    database: &Database,
    outcome: Outcome,
    (since, most): (Timestamp, u32),
) -> Result<u64, StoreError> {
    // The outcome is written out so that the planner sees which index has these mails.
    let statement = match outcome {
        Outcome::Pending => count!("pending"),
        Outcome::Opened => count!("opened"),
        Outcome::Reopened => count!("reopened"),
        Outcome::Resolved => count!("resolved"),
        Outcome::Updated => count!("updated"),
        Outcome::Changed => count!("changed"),
        Outcome::Unparsed => count!("unparsed"),
        Outcome::Duplicate => count!("duplicate"),
        Outcome::Stale => count!("stale"),
        Outcome::Expired => count!("expired"),
        Outcome::Silenced => count!("silenced"),
        Outcome::Quarantined => count!("quarantined"),
        Outcome::Ignored => count!("ignored"),
    };
    let rows = database
        .query(statement, &[&i64::from(most), &micros(since)])
        .await?;
    rows.first().map_or(Ok(0), |row| unsigned_at(row, "mails"))
}

pub(super) async fn backlogs(database: &Database) -> Result<Vec<Backlog>, StoreError> {
    let rows = database.query(BACKLOGS, &[]).await?;
    rows.iter().map(backlog_row).collect()
}

const BACKLOGS: &str = "
SELECT receiver, integration, pending, held, dead, oldest,
       (SELECT detail FROM deliveries AS one WHERE one.id = failed) AS failure
FROM (SELECT receiver, integration,
       count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'held') AS held,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       min(created_at) FILTER (WHERE state = 'pending') AS oldest,
       max(id) FILTER (WHERE failures > 0) AS failed
FROM (SELECT id, receiver, integration, state, failures, created_at FROM deliveries
      WHERE settled_at IS NULL
      UNION ALL
      SELECT id, receiver, integration, state, failures, created_at FROM deliveries
      WHERE state = 'dead') AS owed
GROUP BY receiver, integration) AS lanes ORDER BY receiver, integration";

fn backlog_row(row: &Row) -> Result<Backlog, StoreError> {
    Ok(Backlog {
        receiver: at(row, "receiver")?,
        integration: at(row, "integration")?,
        pending: unsigned_at(row, "pending")?,
        held: unsigned_at(row, "held")?,
        dead: unsigned_at(row, "dead")?,
        oldest_pending: optional_time_at(row, "oldest")?,
        failure: at(row, "failure")?,
    })
}

pub(super) async fn pulse(database: &Database) -> Result<Pulse, StoreError> {
    let rows = database.query(PULSE, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(Pulse::default());
    };
    Ok(Pulse {
        mails: at(row, "mails")?,
        incidents: at(row, "incidents")?,
        deliveries: at(row, "deliveries")?,
        silences: at(row, "silences")?,
        deeds: at(row, "deeds")?,
    })
}

const PULSE: &str = "
SELECT (SELECT coalesce(max(id), 0) FROM mails) AS mails,
       (SELECT coalesce(max(changed_at), 0) FROM incidents) AS incidents,
       (SELECT coalesce(max(id), 0) FROM attempts)
           + (SELECT coalesce(max(id), 0) FROM deliveries) AS deliveries,
       (SELECT coalesce(max(id), 0) FROM silences) AS silences,
       (SELECT coalesce(max(id), 0) FROM deeds) AS deeds";
