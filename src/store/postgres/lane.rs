//! Deliveries and their lanes: claiming, and whose turn is next.
//!
//! A lane holds the deliveries of one incident to one integration. Only its head has a `next_at`.
//! Settling the head gives the next one its turn. A transaction that adds to a lane, removes from
//! it or reorders it holds the incident's lock, so that no delivery is added behind a head that is
//! being settled. Claiming changes no order and needs no lock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;

use super::{
    connection::{Database, Flight},
    row::{at, claim_row, json_at, target_at, time_at},
};
use crate::{
    delivery::{DeliveryId, Target},
    store::{
        Agenda, Claim, Standing, StoreError,
        kept::{micros, receipt, receipts, standing, time},
    },
};

/// Takes an incident's turn. Until the end of the transaction, nobody else decides about the
/// incident or changes its lanes.
pub(super) const TAKE_TURN: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// Takes the turn of the incident of a delivery.
pub(super) const TAKE_TURN_OF: &str = "
SELECT pg_advisory_xact_lock(hashtextextended(incident_id, 0)), incident_id, deliveries.episode
FROM deliveries JOIN incidents ON incidents.id = incident WHERE deliveries.id = $1";

/// Discards the held deliveries of an incident for a reason, so that they are never sent.
pub(super) const DISCARD_HELD: &str = "
UPDATE deliveries SET state = 'discarded', settled_at = $2, next_at = NULL, detail = $4
WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $3)
  AND settled_at IS NULL AND state = 'held'";

/// Gives the first delivery of each of an incident's lanes its turn. If that delivery is held, it
/// becomes due for a check.
pub(super) const ADVANCE_ALL: &str = "
UPDATE deliveries SET next_at = $2
WHERE next_at IS NULL AND id = ANY (ARRAY(
    SELECT min(id) FROM deliveries
    WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $3)
      AND settled_at IS NULL
    GROUP BY receiver, integration))";

/// Gives the next delivery in the same lane its turn.
pub(super) const ADVANCE: &str = "
UPDATE deliveries SET next_at = $2
WHERE next_at IS NULL AND id = (
    SELECT min(later.id) FROM deliveries AS this CROSS JOIN LATERAL (
        SELECT id FROM deliveries
        WHERE incident = this.incident AND receiver = this.receiver
          AND integration = this.integration
          AND settled_at IS NULL OFFSET 0) AS later
    WHERE this.id = $1)";

/// Leases the heads that are due, up to a limit for each target. Those that another replica is
/// about to claim are skipped.
const CLAIM: &str = concat!(
    "
WITH due AS MATERIALIZED (
    SELECT head.id FROM unnest($1::text[], $2::text[], $3::bigint[]) AS wanted (receiver,
            integration, most)
    CROSS JOIN LATERAL (
        SELECT id FROM deliveries
        WHERE receiver = wanted.receiver AND integration = wanted.integration
          AND settled_at IS NULL AND next_at <= $4
          AND state = 'pending'
        ORDER BY next_at, id LIMIT wanted.most FOR NO KEY UPDATE SKIP LOCKED) AS head
)
UPDATE deliveries SET lease = $5, next_at = $6 WHERE id = ANY (ARRAY(SELECT id FROM due))
RETURNING id, lease, receiver, integration, alias, notification, step, failures,
          greatest(created_at, coalesce(held_until, 0), coalesce(retried_at, 0)) AS since, ",
    receipt!()
);

/// Ends the leases of a claim whose result was lost.
const UNCLAIM: &str = "
UPDATE deliveries
SET lease = NULL, next_at = $4 FROM unnest($1::text[], $2::text[]) AS wanted (receiver, integration)
WHERE deliveries.receiver = wanted.receiver AND deliveries.integration = wanted.integration
  AND settled_at IS NULL
  AND next_at = $5 AND lease = $3";

pub(super) async fn claim(
    database: &Database,
    now: Timestamp,
    lease: Duration,
    wanted: Vec<(Target, u32)>,
) -> Result<Vec<Claim>, StoreError> {
    let until = now
        .saturating_add(SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX))
        .unwrap_or(now);
    let (until, now, lease) = (micros(until), micros(now), fastrand::i64(1..));
    let receivers: Vec<_> = wanted
        .iter()
        .map(|(target, _)| target.receiver.as_str())
        .collect();

    let integrations: Vec<_> = wanted
        .iter()
        .map(|(target, _)| target.integration.as_str())
        .collect();

    let most: Vec<_> = wanted.iter().map(|(_, most)| i64::from(*most)).collect();
    let claimed = database
        .query(
            CLAIM,
            &[&receivers, &integrations, &most, &now, &lease, &until],
        )
        .await;

    match claimed {
        Ok(rows) => {
            let mut claims = rows.iter().map(claim_row).collect::<Result<Vec<_>, _>>()?;
            claims.sort_by_key(|claim| claim.id);
            Ok(claims)
        }
        Err(error) => {
            // The claim may have been made, although nobody works on it. If possible, the
            // deliveries are released rather than left until their lease ends.
            let _ = database
                .query(UNCLAIM, &[&receivers, &integrations, &lease, &now, &until])
                .await;
            Err(error)
        }
    }
}

/// Ends every wait for another attempt, because somebody who restarts a replica has fixed
/// something. Leases stay, because they belong to other replicas.
const RELEASE: &str = "
WITH waiting AS MATERIALIZED (
    SELECT id FROM deliveries WHERE settled_at IS NULL AND next_at > $1 AND state = 'pending'
      AND lease IS NULL
    FOR NO KEY UPDATE SKIP LOCKED)
UPDATE deliveries SET next_at = $1 FROM waiting WHERE deliveries.id = waiting.id";

/// Corrects the due times after a clock was set back, so that nothing waits for a time that is now
/// in the distant future.
const BRING_FORWARD: &str = "
WITH waiting AS MATERIALIZED (
    SELECT id FROM deliveries WHERE settled_at IS NULL AND next_at > $1 AND state = 'pending'
    FOR NO KEY UPDATE SKIP LOCKED)
UPDATE deliveries SET next_at = least(next_at, CASE WHEN lease IS NULL THEN $1 ELSE $2 END)
FROM waiting WHERE deliveries.id = waiting.id";

/// Treats deliveries that were created in the future as created now: the deadlines for giving up
/// and for the fallback start now.
const REJUVENATE: &str = "
WITH early AS MATERIALIZED (
    SELECT id FROM deliveries WHERE settled_at IS NULL AND created_at > $1 AND held_until IS NULL
    FOR NO KEY UPDATE SKIP LOCKED)
UPDATE deliveries SET fallback_at = fallback_at - (created_at - $1), created_at = $1
FROM early WHERE deliveries.id = early.id";

/// Treats deliveries that a person retried in the future as retried now.
const RETRIED_NOW: &str = "
WITH early AS MATERIALIZED (
    SELECT id FROM deliveries WHERE settled_at IS NULL AND retried_at > $1
      FOR NO KEY UPDATE SKIP LOCKED)
UPDATE deliveries SET retried_at = $1 FROM early WHERE deliveries.id = early.id";

pub(super) async fn release_waits(database: &Database, now: Timestamp) -> Result<(), StoreError> {
    let now = micros(now);
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(RELEASE, vec![&now])
        .add(REJUVENATE, vec![&now])
        .add(RETRIED_NOW, vec![&now]);

    transaction.commit(flight).await.map(drop)
}

pub(super) async fn bring_forward(
    database: &Database,
    now: Timestamp,
    lease: Duration,
) -> Result<(), StoreError> {
    let until = now
        .saturating_add(SignedDuration::try_from(lease).unwrap_or_default())
        .unwrap_or(now);
    let (now, until) = (micros(now), micros(until));
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(BRING_FORWARD, vec![&now, &until])
        .add(REJUVENATE, vec![&now])
        .add(RETRIED_NOW, vec![&now]);

    transaction.commit(flight).await.map(drop)
}

/// Selects the next due time of each target, with one probe of the index for each, however many
/// deliveries are pending. DISTINCT would read them all.
const DUE: &str = "
WITH RECURSIVE head AS (
    (SELECT receiver, integration, next_at FROM deliveries
     WHERE settled_at IS NULL AND next_at IS NOT NULL
     ORDER BY receiver, integration, next_at LIMIT 1)
    UNION ALL
    SELECT later.* FROM head CROSS JOIN LATERAL (
        SELECT receiver, integration, next_at FROM deliveries
        WHERE settled_at IS NULL AND next_at IS NOT NULL
           AND (receiver, integration) > (head.receiver, head.integration)
        ORDER BY receiver, integration, next_at LIMIT 1) AS later
)
SELECT receiver, integration, next_at FROM head";

const NEXT_FALLBACK: &str = "
SELECT fallback_at FROM deliveries WHERE state IN ('pending', 'held') AND fallback_at IS NOT NULL
ORDER BY fallback_at LIMIT 1";

const NEXT_HELD: &str = "
SELECT next_at FROM deliveries WHERE state = 'held' AND next_at IS NOT NULL
ORDER BY next_at LIMIT 1";

pub(super) async fn agenda(database: &Database) -> Result<Agenda, StoreError> {
    let transaction = database.begin().await?;
    let mut flight = Flight::default();

    // The queries read one snapshot.
    flight
        .add("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", vec![])
        .add(DUE, vec![])
        .add(NEXT_FALLBACK, vec![])
        .add(NEXT_HELD, vec![]);

    let answers = transaction.commit(flight).await?;
    let due = answers[1]
        .iter()
        .map(|row| Ok((target_at(row)?, time_at(row, "next_at")?)));

    Ok(Agenda {
        due: due.collect::<Result<_, StoreError>>()?,
        fallback_at: answers[2]
            .first()
            .map(|row| at(row, "fallback_at").map(time))
            .transpose()?,
        held_until: answers[3]
            .first()
            .map(|row| at(row, "next_at").map(time))
            .transpose()?,
    })
}

pub(super) async fn standing(
    database: &Database,
    target: &Target,
    after: i64,
    limit: u32,
) -> Result<Vec<Standing>, StoreError> {
    let Target {
        receiver,
        integration,
    } = target;
    let limit = i64::from(limit);
    let rows = database
        .query(
            standing!("$1", "$2", "$3", "$4"),
            &[receiver, integration, &after, &limit],
        )
        .await?;

    let standing = |row: &Row| {
        Ok(Standing {
            incident: at(row, "incident")?,
            delivery: at(row, "id")?,
            alias: at(row, "alias")?,
            notification: json_at(row, "notification")?,
            receipt: at(row, "receipt")?,
        })
    };
    rows.iter().map(standing).collect()
}

pub(super) async fn receipts(
    database: &Database,
    id: DeliveryId,
) -> Result<Vec<String>, StoreError> {
    let rows = database.query(receipts!("$1"), &[&id]).await?;
    rows.iter().map(|row| at(row, "receipt")).collect()
}
