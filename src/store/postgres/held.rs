//! Deliveries held by a mute that has ended: they are due now, unless a silence covers them.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::{Database, Flight, Transaction},
    lane::TAKE_TURN_OF,
    row::{at, json_at, silence_row},
};
use crate::{
    delivery::{DeliveryId, Notification},
    silence::{Silence, SilenceId, last_to_cover},
    store::{StoreError, kept::micros},
};

const RIPE: &str =
    "SELECT id FROM deliveries WHERE state = 'held' AND next_at <= $1 ORDER BY next_at LIMIT 100";
const RIPE_ONE: &str =
    "SELECT id, notification FROM deliveries WHERE id = $1 AND state = 'held' AND next_at <= $2";
const RIPE_OF: &str = "
SELECT id, notification FROM deliveries
WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $2)
  AND settled_at IS NULL AND state = 'held' AND next_at <= $3";
/// A transaction that expires one of them waits for this one, or this one for it.
const ACTIVE: &str = "SELECT * FROM silences WHERE ends_at > $1 AND starts_at <= $1 FOR SHARE";
const RELEASE: &str = "UPDATE deliveries SET state = 'pending', next_at = $2 WHERE id = $1";
const HOLD_ON: &str = "
UPDATE deliveries SET fallback_at = fallback_at + ($3 - held_until), held_until = $3,
  next_at = $3, silence = $2
WHERE id = $1";

/// Each incident has its own transaction: one for several would hold their locks together.
pub(super) async fn release(database: &Database, now: Timestamp) -> Result<(), StoreError> {
    let this_moment = micros(now);
    for row in database.query(RIPE, &[&this_moment]).await? {
        let id: DeliveryId = at(&row, "id")?;
        let transaction = database.begin().await?;
        let mut flight = Flight::default();
        flight
            .add("BEGIN", vec![])
            .add(TAKE_TURN_OF, vec![&id])
            .add(ACTIVE, vec![&this_moment])
            .add(RIPE_ONE, vec![&id, &this_moment]);
        let answers = transaction.send(flight).await?;
        let decided = decide(&answers[2], &answers[3], this_moment)?;
        let mut flight = Flight::default();
        add_to(&mut flight, &decided);
        transaction.commit(flight).await?;
    }

    Ok(())
}

/// The same for one incident whose turn is held.
pub(super) async fn release_of(
    transaction: &Transaction,
    incident_id: &str,
    kind: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let this_moment = micros(now);
    let mut flight = Flight::default();
    flight
        .add(ACTIVE, vec![&this_moment])
        .add(RIPE_OF, vec![&incident_id, &kind, &this_moment]);

    let answers = transaction.send(flight).await?;
    let decided = decide(&answers[0], &answers[1], this_moment)?;
    let mut flight = Flight::default();
    add_to(&mut flight, &decided);

    transaction.send(flight).await.map(drop)
}

/// Each delivery, when it is due or checked again, and the silence that keeps holding it.
type Decided = Vec<(DeliveryId, i64, Option<SilenceId>)>;

fn decide(silences: &[Row], ripe: &[Row], now: i64) -> Result<Decided, StoreError> {
    let silences = silences
        .iter()
        .map(silence_row)
        .collect::<Result<Vec<Silence>, _>>()?;

    let decided = ripe.iter().map(|row| {
        let notification: Notification = json_at(row, "notification")?;
        let silence = last_to_cover(&silences, &notification.labels);
        let due = silence.map_or(now, |silence| micros(silence.ends_at));
        Ok((at(row, "id")?, due, silence.map(|silence| silence.id)))
    });

    decided.collect()
}

fn add_to<'a>(flight: &mut Flight<'a>, decided: &'a Decided) {
    for (id, due, silence) in decided {
        match silence {
            Some(silence) => flight.add(HOLD_ON, vec![id, silence, due]),
            None => flight.add(RELEASE, vec![id, due]),
        };
    }
}
