//! Retention: deletes what has ended and is old, in steps so small that no page waits for one.
//!
//! The rules are those of `sqlite/prune.rs`: an incident's history is deleted as a whole. A step
//! reads first. It then takes the incidents' locks and deletes what is still past its retention,
//! because another replica may decide about an incident, or delete it, in between. Autovacuum
//! returns the space.

use jiff::Timestamp;

use super::{
    connection::{Database, Flight},
    row::{at, time_at},
};
use crate::{
    message::MailId,
    store::{
        Horizon, Pruned, RECURRENCE, StoreError, Sweep, hour,
        kept::{micros, time},
    },
};

/// The bytes of mail after which a step ends.
const MOST_BYTES: i64 = 8 << 20;

/// The condition that an incident last changed before `$before`, that it has ended or is an alert
/// that could not be read and so has no end, and that nothing of it is pending, is held by a
/// silence, or waits for a person.
macro_rules! over {
    ($before:literal, $end:literal) => {
        concat!(
            "changed_at < ",
            $before,
            " AND (phase = 'resolved' OR kind = 'unparsed')
              AND (SELECT 1 FROM deliveries WHERE incident = incidents.id AND settled_at IS NULL
                   LIMIT 1) IS NULL
              AND (SELECT 1 FROM deliveries WHERE incident = incidents.id AND state = 'dead'
                   LIMIT 1) IS NULL
              AND (SELECT 1 FROM silenced WHERE incident = incidents.id) IS NULL",
            $end
        )
    };
}
/// The condition that a mail may be deleted: it is decided, not quarantined, and about no incident
/// or only about ended ones.
macro_rules! doomed_mail {
    ($before:literal) => {
        concat!(
            "outcome NOT IN ('pending', 'quarantined') AND check_at IS NULL
               AND (mails.incident IS NULL OR coalesce((
                 SELECT true FROM incidents WHERE incidents.id = mails.incident AND ",
            over!($before, "), false))"),
            " AND (SELECT 1 FROM mail_items CROSS JOIN LATERAL (
                       SELECT coalesce((SELECT true FROM incidents
                                        WHERE incidents.id = mail_items.incident AND ",
            over!($before, "), false) AS is_over OFFSET 0) AS its"),
            " WHERE mail_items.mail = mails.id AND mail_items.incident IS NOT NULL AND NOT is_over
               LIMIT 1) IS NULL"
        )
    };
}
/// The condition that an incident has ended and has no mail left.
macro_rules! doomed_incident {
    ($before:literal) => {
        over!(
            $before,
            " AND (SELECT 1 FROM mails WHERE mails.incident = incidents.id LIMIT 1) IS NULL
              AND (SELECT 1 FROM mail_items WHERE mail_items.incident = incidents.id
                   LIMIT 1) IS NULL"
        )
    };
}

/// Takes one step, which examines at most `limit` rows.
pub(super) async fn step(
    database: &Database,
    horizon: Horizon,
    from: Sweep,
    limit: u32,
) -> Result<Pruned, StoreError> {
    match from {
        Sweep::Mails { arrived_at, id } => mails(database, horizon, (arrived_at, id), limit).await,
        Sweep::Incidents { changed_at, id } => {
            incidents(database, horizon, (changed_at, id), limit).await
        }
        Sweep::Space => Ok(Pruned {
            deleted: 0,
            next: None,
        }),
    }
}

const MAILS: &str = concat!(
    "SELECT mails.id, arrived_at, size, ",
    doomed_mail!("$3"),
    " AS doomed
     FROM mails WHERE (arrived_at, mails.id) > ($1, $2) AND arrived_at < $3
     ORDER BY arrived_at, mails.id LIMIT $4"
);
/// Takes the turns of the mails' incidents, in a fixed order, which prevents deadlocks between
/// transactions that take several.
const TAKE_TURNS_OF_MAILS: &str = "
SELECT pg_advisory_xact_lock(turn) FROM (
    SELECT DISTINCT hashtextextended(incident_id, 0) AS turn
    FROM (SELECT incident FROM mails WHERE id = ANY ($1)
          UNION SELECT incident FROM mail_items WHERE mail = ANY ($1)) AS doomed
    CROSS JOIN LATERAL (SELECT incident_id FROM incidents
                        WHERE id = doomed.incident OFFSET 0) AS its
    ORDER BY turn) AS turns";
/// Deletes mails, except those that another transaction has locked. Such a transaction may wait for
/// the turn of the mail's incident, which is held here, so that the mail is left to the next sweep.
const DELETE_MAILS: &str = concat!(
    "DELETE FROM mails WHERE id = ANY (ARRAY(
        SELECT id FROM mails WHERE id = ANY ($1) AND ",
    doomed_mail!("$2"),
    " FOR UPDATE OF mails SKIP LOCKED)) RETURNING id"
);

async fn mails(
    database: &Database,
    horizon: Horizon,
    (arrived_at, after): (Timestamp, MailId),
    limit: u32,
) -> Result<Pruned, StoreError> {
    let (from, before) = (micros(arrived_at), micros(horizon.mails));
    let looked_at = database
        .query(MAILS, &[&from, &after, &before, &i64::from(limit)])
        .await?;
    let (mut doomed, mut bytes) = (Vec::new(), 0);
    let mut next = (looked_at.len() < limit as usize).then_some(Sweep::FIRST_INCIDENT);

    for row in &looked_at {
        let id: MailId = at(row, "id")?;
        if at(row, "doomed")? {
            doomed.push(id);
            bytes += at::<i64>(row, "size")?;
        }
        let here = Sweep::Mails {
            arrived_at: time_at(row, "arrived_at")?,
            id,
        };
        if bytes >= MOST_BYTES {
            next = Some(here);
            break;
        }
        if next != Some(Sweep::FIRST_INCIDENT) {
            next = Some(here);
        }
    }

    if doomed.is_empty() {
        return Ok(Pruned { deleted: 0, next });
    }

    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(TAKE_TURNS_OF_MAILS, vec![&doomed])
        .add(DELETE_MAILS, vec![&doomed, &before]);

    let answers = transaction.commit(flight).await?;

    Ok(Pruned {
        deleted: answers[2].len(),
        next,
    })
}

const INCIDENTS: &str = concat!(
    "SELECT id, changed_at, ",
    doomed_incident!("$3"),
    " AS doomed, kind IN ('self', 'missing') AS own
     FROM incidents WHERE (changed_at, id) > ($1, $2) AND changed_at < $3
     ORDER BY changed_at, id LIMIT $4"
);
const TAKE_TURN_OF_INCIDENT: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended(incident_id, 0)) FROM incidents WHERE id = $1";
/// Deletes an incident's deliveries, as the first of three steps.
const DELETE_DELIVERIES: &str = concat!(
    "DELETE FROM deliveries WHERE id IN (
        SELECT deliveries.id FROM incidents JOIN deliveries ON incident = incidents.id
        WHERE incidents.id = $1 AND ",
    doomed_incident!("$2"),
    " LIMIT $3) RETURNING id"
);
/// Deletes the statuses applied to an incident, as the second step.
const FORGET_APPLIED: &str = concat!(
    "DELETE FROM applied USING incidents WHERE applied.incident = $1 AND incidents.id = $1
     AND (SELECT 1 FROM deliveries WHERE incident = incidents.id LIMIT 1) IS NULL AND ",
    doomed_incident!("$2")
);
/// Deletes the incident itself, as the last step.
const FORGET: &str = concat!(
    "DELETE FROM incidents WHERE id = $1
     AND (SELECT 1 FROM deliveries WHERE incident = incidents.id LIMIT 1) IS NULL AND ",
    doomed_incident!("$2"),
    " RETURNING id"
);
const FORGET_OPENINGS: &str = "DELETE FROM openings WHERE hour < $1";
const FORGET_SILENCES: &str = "DELETE FROM silences WHERE ends_at < $1";

/// Deletes the incidents that have no mail left: first their deliveries, then the incidents.
async fn incidents(
    database: &Database,
    horizon: Horizon,
    (changed_at, after): (Timestamp, i64),
    limit: u32,
) -> Result<Pruned, StoreError> {
    let (from, before) = (micros(changed_at), micros(horizon.mails));
    // The earliest possible time stands for no limit, so that incidents are kept for ever.
    let remembered = horizon
        .incidents
        .map_or(i64::MIN, |end| micros(end.min(horizon.mails)));
    let looked_at = database
        .query(INCIDENTS, &[&from, &after, &before, &i64::from(limit)])
        .await?;
    let mut here = Sweep::Incidents {
        changed_at,
        id: after,
    };

    let mut deleted = 0;

    for row in &looked_at {
        let (id, changed_at): (i64, i64) = (at(row, "id")?, at(row, "changed_at")?);
        if at(row, "doomed")? {
            // The bridge's own alarms need not be remembered, because no mail repeats them.
            let forgotten = if at(row, "own")? { before } else { remembered };
            let room = (limit as usize).saturating_sub(deleted);
            let (told, incidents) = delete(database, id, (before, forgotten), room).await?;
            deleted += told;
            if deleted >= limit as usize {
                // The next step finds out whether these were the last.
                return Ok(Pruned {
                    deleted,
                    next: Some(here),
                });
            }
            deleted += incidents;
        }
        here = Sweep::Incidents {
            changed_at: time(changed_at),
            id,
        };
    }

    if looked_at.len() == limit as usize {
        return Ok(Pruned {
            deleted,
            next: Some(here),
        });
    }

    forget_openings_and_silences(database, horizon).await?;

    Ok(Pruned {
        deleted,
        next: Some(Sweep::Space),
    })
}

/// Deletes at most `limit` deliveries of an incident that changed before `before`, and then the
/// incident, if there were fewer and it changed before `forgotten`. Returns how many deliveries and
/// incidents are gone.
async fn delete(
    database: &Database,
    incident: i64,
    (before, forgotten): (i64, i64),
    limit: usize,
) -> Result<(usize, usize), StoreError> {
    let room = i64::try_from(limit).unwrap_or(i64::MAX);
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(TAKE_TURN_OF_INCIDENT, vec![&incident])
        .add(DELETE_DELIVERIES, vec![&incident, &before, &room]);
    let deliveries = transaction.send(flight).await?[2].len();

    let mut flight = Flight::default();
    if deliveries < limit {
        flight
            .add(FORGET_APPLIED, vec![&incident, &forgotten])
            .add(FORGET, vec![&incident, &forgotten]);
    }
    let answers = transaction.commit(flight).await?;
    let incidents = if deliveries < limit {
        answers[1].len()
    } else {
        0
    };

    Ok((deliveries, incidents))
}

async fn forget_openings_and_silences(
    database: &Database,
    horizon: Horizon,
) -> Result<(), StoreError> {
    let counted = horizon
        .mails
        .saturating_sub(RECURRENCE)
        .unwrap_or(Timestamp::MIN);

    database.query(FORGET_OPENINGS, &[&hour(counted)]).await?;
    database
        .query(FORGET_SILENCES, &[&micros(horizon.mails)])
        .await
        .map(drop)
}
