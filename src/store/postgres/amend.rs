//! Changes that people make to deliveries: they retry dead letters, or discard a delivery.

use jiff::Timestamp;

use super::{
    bell::RING,
    connection::{Database, Flight, Transaction},
    lane::{ADVANCE, TAKE_TURN_OF},
    row::at,
};
use crate::{
    delivery::{DeliveryId, Step},
    store::{
        StoreError,
        kept::{json, micros},
        refusal::{Revival, not_dead, not_discarded, not_sent_again},
    },
};

/// Takes the turns of the deliveries' incidents, in the order of the locks, so that two retries
/// take them in the same order.
const TAKE_TURNS_OF: &str = "
SELECT pg_advisory_xact_lock(turn) FROM (
    SELECT DISTINCT hashtextextended(incident_id, 0) AS turn
    FROM deliveries CROSS JOIN LATERAL (SELECT incident_id FROM incidents
                                        WHERE id = incident OFFSET 0) AS its
    WHERE deliveries.id = ANY ($1) ORDER BY turn) AS turns";
/// Locks the lanes of the deliveries, so that nobody claims one of their deliveries from here on. A
/// leased delivery may already be at its receiver, and nothing can be put before it any more.
const HOLD_LANES_OF: &str = "
SELECT id FROM deliveries
WHERE id = ANY (ARRAY(
    SELECT other.id FROM deliveries AS this CROSS JOIN LATERAL (
        SELECT id FROM deliveries
        WHERE incident = this.incident AND receiver = this.receiver
          AND integration = this.integration
          AND settled_at IS NULL OFFSET 0) AS other
    WHERE this.id = ANY ($1)))
ORDER BY id FOR NO KEY UPDATE";
const STATES: &str = "SELECT id, state FROM deliveries WHERE id = ANY ($1)";
/// Selects the dead deliveries of each incident together, so that a resolve is not left behind when
/// its trigger is sent.
const DEAD: &str = "
SELECT array_agg(id ORDER BY id) AS ids FROM deliveries WHERE state = 'dead' GROUP BY incident
ORDER BY min(id)";
/// Selects what may prevent a delivery from being sent again. If `$2` says that all are retried,
/// the dead resolve behind a dead trigger is sent too.
const REVIVAL: &str = "
SELECT this.action <> 'resolve' AS trigger, phase = 'firing'
  AND incidents.episode = this.episode AS open,
       (SELECT 1 FROM deliveries AS later WHERE later.incident = this.incident
               AND later.receiver = this.receiver AND later.integration = this.integration
               AND later.episode = this.episode AND later.action = 'resolve' AND later.id > this.id
               AND (later.settled_at IS NULL AND later.lease IS NULL OR $2
                    AND later.state = 'dead') LIMIT 1) IS NOT NULL AS closed_after,
       (SELECT 1 FROM deliveries AS later WHERE later.incident = this.incident
               AND later.receiver = this.receiver AND later.integration = this.integration
               AND later.episode > this.episode AND later.action = 'trigger' AND later.id > this.id
               AND (later.state = 'delivered' OR later.lease IS NOT NULL)
                 LIMIT 1) IS NOT NULL AS opened_after
FROM deliveries AS this JOIN incidents ON incidents.id = this.incident WHERE this.id = $1";
/// Makes dead deliveries pending again at their places in their lanes. The arguments are the
/// placeholders of the time and of the first step; a `WHERE` follows.
macro_rules! revived {
    ($now:literal, $step:literal) => {
        concat!(
            "
UPDATE deliveries SET state = 'pending', settled_at = NULL, failures = 0, held_until = NULL,
       retried_at = ",
            $now,
            ", step = CASE WHEN step LIKE '{\"step\":\"ends\"%' THEN step ELSE ",
            $step,
            " END,
       next_at = CASE WHEN (
           SELECT 1 FROM deliveries AS ahead
           WHERE ahead.incident = deliveries.incident AND ahead.receiver = deliveries.receiver
             AND ahead.integration = deliveries.integration AND ahead.id < deliveries.id
             AND ahead.settled_at IS NULL LIMIT 1) IS NULL THEN ",
            $now,
            "::bigint END"
        )
    };
}
pub(super) use revived;

const REVIVE: &str = concat!(revived!("$2", "$3"), " WHERE id = $1");
/// Makes the deliveries behind a revived one wait.
const WAIT_BEHIND: &str = "
UPDATE deliveries SET next_at = NULL
WHERE settled_at IS NULL AND lease IS NULL AND id > $1
  AND (incident, receiver, integration) = (SELECT incident, receiver, integration FROM deliveries
                                           WHERE id = $1)";

pub(super) async fn retry(
    database: &Database,
    holder: i64,
    ids: Option<Vec<DeliveryId>>,
    now: Timestamp,
) -> Result<Vec<DeliveryId>, StoreError> {
    if let Some(mut ids) = ids {
        ids.sort_unstable();
        ids.dedup();
        return retry_together(database, holder, &ids, false, now).await;
    }

    let mut retried = Vec::new();
    for row in database.query(DEAD, &[]).await? {
        let ids: Vec<DeliveryId> = at(&row, "ids")?;
        retried.extend(retry_together(database, holder, &ids, true, now).await?);
    }

    retried.sort_unstable();

    Ok(retried)
}

/// Retries deliveries in one transaction, and returns those that were made pending. Unless `all` is
/// set, it is an error if one of them may not be sent again.
async fn retry_together(
    database: &Database,
    holder: i64,
    ids: &[DeliveryId],
    all: bool,
    now: Timestamp,
) -> Result<Vec<DeliveryId>, StoreError> {
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(TAKE_TURNS_OF, vec![&ids])
        .add(HOLD_LANES_OF, vec![&ids])
        .add(STATES, vec![&ids]);

    let answers = transaction.send(flight).await?;
    let states = answers[3]
        .iter()
        .map(|row| Ok((at(row, "id")?, at(row, "state")?)));
    let states =
        states.collect::<Result<std::collections::BTreeMap<DeliveryId, &str>, StoreError>>()?;
    let mut retried = Vec::new();

    for id in ids {
        let state = states.get(id).copied();
        if state != Some("dead") {
            if all {
                continue;
            }
            return refuse(transaction, not_dead(*id, state)).await;
        }
        match objection(&transaction, *id, all).await? {
            None => {
                revive(&transaction, *id, now).await?;
                retried.push(*id);
            }
            Some(_) if all => {}
            Some(why) => return refuse(transaction, not_sent_again(*id, why)).await,
        }
    }

    let mut flight = Flight::default();
    flight.add(RING, vec![&holder]);
    transaction.commit(flight).await?;

    Ok(retried)
}

async fn refuse<T>(transaction: Transaction, why: StoreError) -> Result<T, StoreError> {
    transaction.undo().await?;
    Err(why)
}

async fn objection(
    transaction: &Transaction,
    id: DeliveryId,
    all: bool,
) -> Result<Option<&'static str>, StoreError> {
    let mut flight = Flight::default();
    flight.add(REVIVAL, vec![&id, &all]);

    let answers = transaction.send(flight).await?;
    let Some(row) = answers[0].first() else {
        return Ok(None);
    };
    let revival = Revival {
        trigger: at(row, "trigger")?,
        open: at(row, "open")?,
        closed_after: at(row, "closed_after")?,
        opened_after: at(row, "opened_after")?,
    };

    Ok(revival.objection())
}

async fn revive(
    transaction: &Transaction,
    id: DeliveryId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (now, step) = (micros(now), json(&Step::Send)?);
    let mut flight = Flight::default();
    flight
        .add(REVIVE, vec![&id, &now, &step])
        .add(WAIT_BEHIND, vec![&id]);
    transaction.send(flight).await.map(drop)
}

const DISCARD: &str = "
UPDATE deliveries SET state = 'discarded', settled_at = $2, next_at = NULL, lease = NULL,
  detail = 'discarded by a person'
WHERE id = $1 AND state IN ('pending', 'held', 'dead') AND (lease IS NULL OR next_at <= $2)
RETURNING id";
const STATE: &str = "
SELECT CASE WHEN lease IS NULL THEN state ELSE 'being sent' END AS state FROM deliveries
WHERE id = $1";

pub(super) async fn discard(
    database: &Database,
    holder: i64,
    id: DeliveryId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let now = micros(now);
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(TAKE_TURN_OF, vec![&id])
        .add(DISCARD, vec![&id, &now])
        .add(STATE, vec![&id]);

    let answers = transaction.send(flight).await?;
    if answers[2].is_empty() {
        let state = answers[3].first().map(|row| at(row, "state")).transpose()?;
        return refuse(transaction, not_discarded(id, state)).await;
    }

    let mut flight = Flight::default();
    flight
        .add(ADVANCE, vec![&id, &now])
        .add(RING, vec![&holder]);

    transaction.commit(flight).await.map(drop)
}
