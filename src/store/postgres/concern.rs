//! The bridge's own troubles that the store knows about. Each query is a few probes of a narrow
//! index, however much is held.

use super::{
    connection::{Database, Flight},
    row::{at, time_at},
};
use crate::store::{Alarm, Concerns, DEAD_LETTERS, Died, StoreError, UNEXPECTED_APP, kept::time};

/// The most entries of a list. A page names no more, and an attacker could make the list long.
const A_FEW: i64 = 20;
/// The number of dead letters at which the count stops.
const MANY: i64 = 1000;

/// Selects the receivers of the dead letters. If there are too many, those of the newest incidents
/// count.
const DIED: &str = "
SELECT receiver, count(*) AS pages, min(settled_at) AS first, max(settled_at) AS last
FROM (SELECT receiver, settled_at FROM deliveries
      WHERE state = 'dead' AND incident IS DISTINCT FROM
        (SELECT id FROM incidents WHERE incident_id = $1 AND kind = 'self')
      ORDER BY incident DESC LIMIT $2) AS dead
GROUP BY receiver ORDER BY receiver COLLATE \"C\"";
/// Selects some open incidents with a held resolve. The query alternates between the next open
/// incident and the next incident with a held resolve. A thousand resolves held for one incident
/// therefore cost as much as one, and those of ended incidents cost as little as incidents without
/// any.
const HELD_RESOLVES: &str = "
WITH RECURSIVE step (held, open) AS (
    SELECT 0::bigint, 0::bigint
    UNION ALL
    SELECT later.incident, later.id FROM step CROSS JOIN LATERAL (
        SELECT next.incident, firing.id FROM (
            (SELECT incident FROM mails
             WHERE hold = 'resolve' AND incident IS NOT NULL
               AND incident >= step.open + (step.held = step.open)::int
             ORDER BY incident LIMIT 1)
            UNION ALL
            (SELECT incident FROM mail_items
             WHERE hold = 'resolve' AND incident IS NOT NULL
               AND incident >= step.open + (step.held = step.open)::int
             ORDER BY incident LIMIT 1)
            ORDER BY incident LIMIT 1) AS next
        CROSS JOIN LATERAL (
            SELECT id FROM incidents WHERE phase = 'firing' AND id >= next.incident
            ORDER BY id LIMIT 1) AS firing
    ) AS later
)
SELECT incident_id FROM step JOIN incidents ON id = open WHERE held = open LIMIT $1";
const FLOODED_AT: &str = "
(SELECT decided_at AS at FROM mails WHERE hold = 'flood' ORDER BY decided_at DESC LIMIT 1)
UNION ALL
(SELECT decided_at AS at FROM mail_items WHERE hold = 'flood' ORDER BY decided_at DESC LIMIT 1)
ORDER BY at DESC LIMIT 1";
const QUARANTINE_CUT_AT: &str = "
SELECT cut_at AS at FROM mails WHERE outcome = 'quarantined' AND cut_at IS NOT NULL
ORDER BY cut_at DESC LIMIT 1";
/// Selects the first few apps with held mail, and every app that is already reported and still has
/// held mail, so that a new app never displaces another.
const UNEXPECTED_APPS: &str = "
WITH RECURSIVE held (hold) AS (
    (SELECT hold FROM mails WHERE hold > 'app:' AND hold < 'app;' ORDER BY hold LIMIT 1)
    UNION ALL
    SELECT later.hold FROM held CROSS JOIN LATERAL (
        SELECT hold FROM mails WHERE mails.hold > held.hold AND mails.hold < 'app;'
        ORDER BY hold LIMIT 1) AS later
), first AS (
    SELECT hold FROM held LIMIT $1
), told AS (
    SELECT 'app:' || substr(incident_id, char_length($2::text) + 1) AS hold FROM incidents
    WHERE phase = 'firing' AND kind = 'self' AND starts_with(incident_id, $2::text)
)
SELECT substr(hold, 5) AS app FROM (
    SELECT hold FROM first UNION
    SELECT hold FROM told
    WHERE (SELECT 1 FROM mails WHERE mails.hold = told.hold LIMIT 1) IS NOT NULL
) AS apps ORDER BY hold";
const ALARMS: &str = "
SELECT incident_id, untold, heard_at FROM incidents
WHERE phase = 'firing' AND kind = 'self' ORDER BY id";

/// Returns all concerns but the free space, because the database's server watches its own disk.
pub(super) async fn concerns(database: &Database) -> Result<Concerns, StoreError> {
    let transaction = database.begin().await?;
    let mut flight = Flight::default();

    // The queries read one snapshot.
    flight
        .add("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", vec![])
        .add(DIED, vec![&DEAD_LETTERS, &MANY])
        .add(HELD_RESOLVES, vec![&A_FEW])
        .add(FLOODED_AT, vec![])
        .add(UNEXPECTED_APPS, vec![&A_FEW, &UNEXPECTED_APP])
        .add(ALARMS, vec![])
        .add(QUARANTINE_CUT_AT, vec![]);

    let answers = transaction.commit(flight).await?;
    let died = answers[1].iter().map(|row| {
        Ok(Died {
            receiver: at(row, "receiver")?,
            pages: at::<i64>(row, "pages")?.unsigned_abs(),
            first: time_at(row, "first")?,
            last: time_at(row, "last")?,
        })
    });
    let died = died.collect::<Result<Vec<_>, StoreError>>()?;

    let flooded_at: Option<i64> = answers[3].first().map(|row| at(row, "at")).transpose()?;
    let cut_at: Option<i64> = answers[6].first().map(|row| at(row, "at")).transpose()?;
    let alarms = answers[5].iter().map(|row| {
        Ok(Alarm {
            incident_id: at(row, "incident_id")?,
            untold: at(row, "untold")?,
            told_at: time_at(row, "heard_at")?,
        })
    });

    Ok(Concerns {
        dead: died.iter().map(|died| died.pages).sum(),
        died,
        held_resolves: answers[2]
            .iter()
            .map(|row| at(row, "incident_id"))
            .collect::<Result<_, _>>()?,
        flooded_at: flooded_at.map(time),
        unexpected_apps: answers[4]
            .iter()
            .map(|row| at(row, "app"))
            .collect::<Result<_, _>>()?,
        quarantine_cut_at: cut_at.map(time),
        room: None,
        alarms: alarms.collect::<Result<_, StoreError>>()?,
    })
}
