//! Deliveries held by a mute or a silence. When it ends they are due, unless another one holds
//! them.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::{Database, Flight, Transaction},
    lane::{ADVANCE, TAKE_TURN_OF},
    row::{at, json_at, silence_row, target_at, time_at},
    settle::{Knows, owe_unless_known},
};
use crate::{
    delivery::DeliveryId,
    silence::Silence,
    store::{Held, Mutes, PASSED_ON, StoreError, Turn, kept::micros},
};

/// The number of deliveries that one call releases, before anything else is done.
const AT_ONCE: i64 = 100;

/// Selects the deliveries whose hold ends now. If a silence has ended that held the incident's
/// newest page, that page is told first, because it may replace these.
const RIPE: &str = "
SELECT id FROM deliveries WHERE state = 'held' AND next_at <= $1
  AND NOT EXISTS (SELECT 1 FROM silenced WHERE incident = deliveries.incident AND until <= $1)
ORDER BY next_at LIMIT $2";
const RIPE_ONE: &str = "
SELECT id, receiver, integration, notification, held_until FROM deliveries
WHERE id = $1 AND state = 'held' AND next_at <= $2
  AND NOT EXISTS (SELECT 1 FROM silenced WHERE incident = deliveries.incident AND until <= $2)";
const RIPE_OF: &str = "
SELECT id, receiver, integration, notification, held_until FROM deliveries
WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $2)
  AND settled_at IS NULL AND state = 'held' AND next_at <= $3
  AND NOT EXISTS (SELECT 1 FROM silenced WHERE incident = deliveries.incident AND until <= $3)";
/// Selects and locks the active silences. A transaction that expires one of them waits for this
/// one, or this one for it.
const ACTIVE: &str = "SELECT * FROM silences WHERE ends_at > $1 AND starts_at <= $1 FOR SHARE";
const RELEASE: &str = "
UPDATE deliveries SET state = 'pending', next_at = $2::bigint, held_until = least(held_until, $2),
       fallback_at = fallback_at - greatest(held_until - $2, 0)
WHERE id = $1";
/// Discards a delivery because others are owed its page in place of its receiver.
const PASS_ON: &str = "
UPDATE deliveries SET state = 'discarded', settled_at = $2, next_at = NULL, detail = $3
FROM incidents WHERE deliveries.id = $1 AND incidents.id = incident
RETURNING incident_id, kind, deliveries.episode";
const HOLD_ON: &str = "
UPDATE deliveries SET fallback_at = fallback_at + ($3 - held_until), held_until = $3,
  next_at = $3, silence = $2
WHERE id = $1";

/// Makes the deliveries pending whose hold ends now, each in a transaction of its own, because one
/// for several would hold the locks of their incidents together. Returns whether there may be more.
pub(super) async fn release(
    database: &Database,
    mutes: &Mutes,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let this_moment = micros(now);
    let ripe = database.query(RIPE, &[&this_moment, &AT_ONCE]).await?;
    for row in &ripe {
        let id: DeliveryId = at(row, "id")?;
        let transaction = database.begin().await?;
        let mut flight = Flight::default();
        flight
            .add("BEGIN", vec![])
            .add(TAKE_TURN_OF, vec![&id])
            .add(ACTIVE, vec![&this_moment])
            .add(RIPE_ONE, vec![&id, &this_moment]);
        let answers = transaction.send(flight).await?;
        turn_all(&transaction, (&answers[2], &answers[3]), mutes, now).await?;
        transaction.commit(Flight::default()).await?;
    }

    Ok(i64::try_from(ripe.len()).is_ok_and(|looked_at| looked_at == AT_ONCE))
}

/// Makes the deliveries of one incident pending whose hold ends now. The caller holds the
/// incident's turn.
pub(super) async fn release_of(
    transaction: &Transaction,
    (incident_id, kind): (&str, &str),
    mutes: &Mutes,
    now: Timestamp,
) -> Result<(), StoreError> {
    let this_moment = micros(now);
    let mut flight = Flight::default();
    flight
        .add(ACTIVE, vec![&this_moment])
        .add(RIPE_OF, vec![&incident_id, &kind, &this_moment]);

    let answers = transaction.send(flight).await?;
    turn_all(transaction, (&answers[0], &answers[1]), mutes, now).await
}

/// Makes each ripe page due now, holds it further, or passes it on to others.
async fn turn_all(
    transaction: &Transaction,
    (silences, ripe): (&[Row], &[Row]),
    mutes: &Mutes,
    now: Timestamp,
) -> Result<(), StoreError> {
    let this_moment = micros(now);
    let silences = silences
        .iter()
        .map(silence_row)
        .collect::<Result<Vec<Silence>, _>>()?;

    for row in ripe {
        let held = Held {
            id: at(row, "id")?,
            target: target_at(row)?,
            page: json_at(row, "notification")?,
            until: time_at(row, "held_until")?,
        };
        let id = held.id;
        let mut flight = Flight::default();
        match held.turn(&silences, mutes, now) {
            Turn::Told => {
                flight.add(RELEASE, vec![&id, &this_moment]);
                transaction.send(flight).await?;
            }
            Turn::HeldOn { silence, until } => {
                let until = micros(until);
                flight.add(HOLD_ON, vec![&id, &silence, &until]);
                transaction.send(flight).await?;
            }
            Turn::PassedOn(others) => {
                flight.add(PASS_ON, vec![&id, &this_moment, &PASSED_ON]);
                let passed = transaction.send(flight).await?;
                if let Some(opening) = passed[0].first() {
                    owe_unless_known(transaction, opening, &others, Knows::OrWill, now).await?;
                }
                let mut flight = Flight::default();
                flight.add(ADVANCE, vec![&id, &this_moment]);
                transaction.send(flight).await?;
            }
        }
    }

    Ok(())
}

/// Makes every held delivery due for a check. The rows are locked in a fixed order, so that
/// replicas that start at once wait for each other without a deadlock.
const LOOK_AT_ALL: &str = "
UPDATE deliveries SET next_at = $1 WHERE id = ANY (ARRAY(
    SELECT id FROM deliveries WHERE state = 'held' AND next_at > $1
    ORDER BY id FOR NO KEY UPDATE))";

/// Makes every held delivery due for a check, because other mutes may be in force.
pub(super) async fn look_at_all(database: &Database, now: Timestamp) -> Result<(), StoreError> {
    database.query(LOOK_AT_ALL, &[&micros(now)]).await.map(drop)
}
