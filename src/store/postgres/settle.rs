//! The third commit: how an attempt ended and what is next, and the escalation of late deliveries
//! to their fallback.

use std::borrow::Cow;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::{Database, Flight, Transaction},
    lane::{ADVANCE, TAKE_TURN_OF},
    owe::Owed,
    row::{at, json_at, target_at, text},
};
use crate::{
    crash,
    delivery::{DeliveryId, Notification, Target},
    store::{
        Attempt, Escalated, Fallback, NewDelivery, Next, Settled, Settlement, StoreError,
        kept::{json, micros, opened_unproven, signed},
        naming::of_destination,
    },
};

/// Ends a delivery and records its last attempt, if the lease is still held.
const END: &str = "
WITH settled AS (
    UPDATE deliveries SET state = $3, settled_at = $4, next_at = NULL, lease = NULL, detail = $5,
           step = coalesce($10, step),
           failures = failures + CASE WHEN $3 = 'dead' THEN 1 ELSE 0 END
    WHERE id = $1 AND lease = $2 RETURNING id
), tried AS (
    INSERT INTO attempts (delivery, at, took_ms, result, detail)
    SELECT id, $6, $7, $8, $9 FROM settled WHERE $6::bigint IS NOT NULL
)
SELECT id FROM settled";
/// Ends a delivery like `END`, and also gives the next delivery in the lane its turn, because
/// nobody else has to be notified first. Returns whether there is a next one.
const END_AND_ADVANCE: &str = "
WITH settled AS (
    UPDATE deliveries SET state = $3, settled_at = $4, next_at = NULL, lease = NULL, detail = $5,
           step = coalesce($10, step),
           failures = failures + CASE WHEN $3 = 'dead' THEN 1 ELSE 0 END,
           fallback_at = CASE WHEN $3 = 'dead' THEN NULL ELSE fallback_at END
    WHERE id = $1 AND lease = $2 RETURNING id, incident, receiver, integration
), tried AS (
    INSERT INTO attempts (delivery, at, took_ms, result, detail)
    SELECT id, $6, $7, $8, $9 FROM settled WHERE $6::bigint IS NOT NULL
), next AS (
    UPDATE deliveries SET next_at = $4
    WHERE next_at IS NULL AND id = (
        SELECT min(later.id) FROM settled CROSS JOIN LATERAL (
            SELECT id FROM deliveries
            WHERE incident = settled.incident AND receiver = settled.receiver
              AND integration = settled.integration
              AND id <> settled.id AND settled_at IS NULL OFFSET 0) AS later) RETURNING id
)
SELECT id, (SELECT id FROM next) IS NOT NULL AS advanced FROM settled";
/// Makes a delivery due for another attempt and records the last one, if the lease is still held.
const AGAIN: &str = "
WITH settled AS (
    UPDATE deliveries SET lease = NULL, next_at = $3, step = $4, failures = $5,
      detail = coalesce($9, detail)
    WHERE id = $1 AND lease = $2 RETURNING id
), tried AS (
    INSERT INTO attempts (delivery, at, took_ms, result, detail)
    SELECT id, $6, $7, $8, $9 FROM settled WHERE $6::bigint IS NOT NULL
)
SELECT id FROM settled";
/// Selects the evidence that an attempt was recorded.
const TRIED: &str = "SELECT 1 FROM attempts WHERE delivery = $1 AND at = $2 AND took_ms = $3";

/// An attempt, as parameters of the statements.
struct Tried<'a> {
    at: Option<i64>,
    took_ms: Option<i64>,
    result: Option<Cow<'a, str>>,
    detail: Option<Cow<'a, str>>,
}

impl<'a> Tried<'a> {
    fn new(attempt: Option<&'a Attempt>) -> Self {
        Self {
            at: attempt.map(|attempt| micros(attempt.at)),
            took_ms: attempt.map(|attempt| signed(attempt.took_ms)),
            result: attempt.map(|attempt| text(&attempt.result)),
            detail: attempt.map(|attempt| text(&attempt.detail)),
        }
    }
}

/// Settles an attempt. If the connection breaks and the commit's result is unknown, this writes
/// again; if the lease is then lost, it looks for the recorded attempt.
pub(super) async fn settle(
    database: &Database,
    id: DeliveryId,
    lease: i64,
    settlement: &Settlement,
) -> Result<Settled, StoreError> {
    if let Ok(settled) = settle_once(database, id, lease, settlement).await {
        return Ok(settled);
    }

    let settled = settle_once(database, id, lease, settlement).await?;
    if settled != Settled::Lost {
        return Ok(settled);
    }

    let Tried { at, took_ms, .. } = Tried::new(settlement.attempt.as_ref());

    Ok(written(
        &database.query(TRIED, &[&id, &at, &took_ms]).await?,
    ))
}

/// Interprets the returned rows.
fn written(rows: &[Row]) -> Settled {
    if rows.is_empty() {
        Settled::Lost
    } else {
        Settled::Onward
    }
}

async fn settle_once(
    database: &Database,
    id: DeliveryId,
    lease: i64,
    settlement: &Settlement,
) -> Result<Settled, StoreError> {
    let tried = Tried::new(settlement.attempt.as_ref());
    let (state, said, retry) = match &settlement.next {
        Next::Again { step, at, failures } => {
            let next = (micros(*at), json(step)?, i64::from(*failures));
            return try_again(database, (id, lease), next, &tried).await;
        }
        Next::Delivered { receipt } => ("delivered", receipt.as_deref().map(text), None),
        Next::Dead { reason, retry } => ("dead", Some(text(reason)), Some(json(retry)?)),
    };

    let now = micros(settlement.at);
    let fallback = matches!(settlement.next, Next::Dead { .. }) && !settlement.fallback.is_empty();
    let end = if fallback { END } else { END_AND_ADVANCE };

    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(TAKE_TURN_OF, vec![&id])
        .add(
            end,
            vec![
                &id,
                &lease,
                &state,
                &now,
                &said,
                &tried.at,
                &tried.took_ms,
                &tried.result,
                &tried.detail,
                &retry,
            ],
        );

    if fallback {
        return end_with_fallback(transaction, flight, id, settlement).await;
    }

    crash::point("commit");
    let answers = transaction.commit(flight).await?;
    match answers[2].first() {
        Some(row) if state == "delivered" && !at::<bool>(row, "advanced")? => Ok(Settled::Last),
        _ => Ok(written(&answers[2])),
    }
}

/// Ends the delivery by a `flight`, owes its page to the fallback, and then gives the next delivery
/// in the lane its turn.
async fn end_with_fallback(
    transaction: Transaction,
    flight: Flight<'_>,
    id: DeliveryId,
    settlement: &Settlement,
) -> Result<Settled, StoreError> {
    let answers = transaction.send(flight).await?;
    if answers[2].is_empty() {
        transaction.undo().await?;
        return Ok(Settled::Lost);
    }

    owe_fallback(&transaction, id, &settlement.fallback, settlement.at).await?;

    let now = micros(settlement.at);
    let mut flight = Flight::default();
    flight.add(ADVANCE, vec![&id, &now]);
    crash::point("commit");
    transaction.commit(flight).await?;

    Ok(Settled::Onward)
}

/// Ends the lease and records the attempt, so that the delivery is tried again when it is due.
async fn try_again(
    database: &Database,
    (id, lease): (DeliveryId, i64),
    (next_at, step, failures): (i64, String, i64),
    Tried {
        at,
        took_ms,
        result,
        detail,
    }: &Tried<'_>,
) -> Result<Settled, StoreError> {
    crash::point("commit");
    let rows = database
        .query(
            AGAIN,
            &[
                &id, &lease, &next_at, &step, &failures, at, took_ms, result, detail,
            ],
        )
        .await?;

    Ok(written(&rows))
}

/// Ends the wait for the fallback, and selects whether the fallback is to be notified now: once per
/// delivery, and only while the incident is still open.
const TAKE_FALLBACK: &str = concat!(
    "
UPDATE deliveries SET fallback_at = NULL FROM incidents
WHERE deliveries.id = $1 AND fallback_at IS NOT NULL AND incidents.id = incident
RETURNING incident_id, kind, deliveries.episode, incidents.episode = deliveries.episode
  AND (phase = 'firing' OR ",
    opened_unproven!(),
    ") AS open"
);
/// Selects whether a receiver already knows of this episode. Thus two integrations of a receiver,
/// or receivers that are each other's fallback, notify it only once.
const KNOWN: &str = concat!(
    "SELECT 1 FROM deliveries
     WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $5)
       AND episode = $2 AND action = 'trigger'
       AND (state IN ('pending', 'delivered', 'dead') OR $6 AND state = 'held') AND ",
    of_destination!("$3::text COLLATE \"C\"", "$4::text COLLATE \"C\"")
);

/// Creates the deliveries to the fallback receiver in the same transaction, except those to
/// receivers that already know of the episode. Returns false if that was done before, or if the
/// incident is over.
async fn owe_fallback(
    transaction: &Transaction,
    id: DeliveryId,
    fallback: &[NewDelivery],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut flight = Flight::default();
    flight.add(TAKE_FALLBACK, vec![&id]);

    let answers = transaction.send(flight).await?;
    let Some(row) = answers[0].first().filter(|row| row.get("open")) else {
        return Ok(false);
    };
    owe_unless_known(transaction, row, fallback, Knows::Told, now).await?;

    Ok(true)
}

/// The receivers that count as knowing of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knows {
    /// Receivers that were told of it, or are about to be.
    Told,
    /// Also receivers that are told when a mute or a silence ends.
    OrWill,
}

/// Adds deliveries to other receivers, unless these already know of the episode in the row
/// `opening`.
pub(super) async fn owe_unless_known(
    transaction: &Transaction,
    opening: &Row,
    deliveries: &[NewDelivery],
    knows: Knows,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (incident_id, kind): (&str, &str) = (at(opening, "incident_id")?, at(opening, "kind")?);
    let episode: i64 = at(opening, "episode")?;
    let or_will = knows == Knows::OrWill;

    for delivery in deliveries {
        let Target {
            receiver,
            integration,
        } = &delivery.target;
        let mut flight = Flight::default();
        flight.add(
            KNOWN,
            vec![
                &incident_id,
                &episode,
                receiver,
                integration,
                &kind,
                &or_will,
            ],
        );
        if transaction.send(flight).await?[0].is_empty() {
            let owed = Owed::new([(delivery, episode)], true, now)?;
            let mut flight = Flight::default();
            owed.add_to(&mut flight, (&incident_id, &kind));
            transaction.send(flight).await?;
        }
    }

    Ok(())
}

const LATE: &str = "
SELECT id, receiver, integration, notification FROM deliveries
WHERE state IN ('pending', 'held') AND fallback_at <= $1 ORDER BY fallback_at LIMIT 100";

/// Escalates late triggers, each in a transaction of its own, because one for several would hold
/// the locks of their incidents together.
pub(super) async fn escalate(
    database: &Database,
    now: Timestamp,
    fallback: &Fallback,
) -> Result<Vec<Escalated>, StoreError> {
    let mut escalated = Vec::new();
    for row in database.query(LATE, &[&micros(now)]).await? {
        let delivery: DeliveryId = at(&row, "id")?;
        let (target, notification): (_, Notification) =
            (target_at(&row)?, json_at(&row, "notification")?);
        let transaction = database.begin().await?;
        let mut flight = Flight::default();
        flight
            .add("BEGIN", vec![])
            .add(TAKE_TURN_OF, vec![&delivery]);
        transaction.send(flight).await?;
        let owed = fallback(&target, &notification);
        if owe_fallback(&transaction, delivery, &owed, now).await? {
            escalated.push(Escalated {
                delivery,
                target,
                notification,
            });
        }
        transaction.commit(Flight::default()).await?;
    }

    Ok(escalated)
}
