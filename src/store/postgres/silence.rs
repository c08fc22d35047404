//! Silences: people add and expire them, and every decision reads them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    connection::{Database, Flight},
    row::{at, one_to_a_line, silence_row, text, time_at, word_at},
};
use crate::{
    silence::{Plan, Silence, SilenceId},
    store::{
        Silenced, StoreError, Unsilenced,
        kept::{micros, time},
        refusal::not_expired,
    },
};

/// A silence by which a mail is decided, as the query about an incident collects them.
#[derive(Deserialize)]
pub(super) struct Active {
    id: SilenceId,
    matchers: String,
    starts_at: i64,
    ends_at: i64,
    author: String,
    comment: String,
    created_at: i64,
}

impl From<Active> for Silence {
    fn from(active: Active) -> Self {
        let Active {
            id,
            matchers,
            starts_at,
            ends_at,
            author,
            comment,
            created_at,
        } = active;

        Self {
            id,
            matchers: one_to_a_line(&matchers),
            starts_at: time(starts_at),
            ends_at: time(ends_at),
            author,
            comment,
            created_at: time(created_at),
        }
    }
}

/// A page that a silence holds, as the query about an incident finds it.
#[derive(Deserialize)]
pub(super) struct Held {
    silence: SilenceId,
    until: i64,
    page: String,
}

impl Held {
    pub(super) fn read(self) -> Result<Silenced, StoreError> {
        let page = serde_json::from_str(&self.page).map_err(|error| {
            StoreError::Failed(format!("a page that is held cannot be read: {error}"))
        })?;
        Ok(Silenced {
            silence: self.silence,
            until: time(self.until),
            page,
        })
    }
}

/// Stores a page that a silence holds. The silence's row is locked because the page is released
/// with its silence, which a person may be expiring at this moment: that transaction waits for this
/// one, or this one for it.
pub(super) const HOLD: &str = "
INSERT INTO silenced (incident, silence, until, page)
SELECT incidents.id, silences.id, silences.ends_at, $4 FROM incidents CROSS JOIN silences
WHERE incident_id = $1 AND kind = $2 AND silences.id = $3 FOR SHARE OF silences
ON CONFLICT (incident) DO UPDATE SET silence = excluded.silence, until = excluded.until,
  page = excluded.page";

pub(super) const HOLD_NO_MORE: &str = "
DELETE FROM silenced WHERE incident = (SELECT id FROM incidents
                                       WHERE incident_id = $1 AND kind = $2)";

const UNSILENCED: &str = "
SELECT kind, incident_id FROM (SELECT incident, until FROM silenced WHERE until <= $1
                               ORDER BY until LIMIT $2) AS ended
JOIN incidents ON incidents.id = incident ORDER BY until";

pub(super) async fn unsilenced(
    database: &Database,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Unsilenced>, StoreError> {
    let rows = database
        .query(UNSILENCED, &[&micros(now), &i64::from(limit)])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Unsilenced {
                kind: word_at(row, "kind")?,
                incident_id: at(row, "incident_id")?,
            })
        })
        .collect()
}

const ADD: &str = "
INSERT INTO silences (matchers, starts_at, ends_at, author, comment, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *";

pub(super) async fn add(
    database: &Database,
    plan: &Plan,
    now: Timestamp,
) -> Result<Silence, StoreError> {
    let matchers = plan.matchers.join("\n");
    let (matchers, author, comment) = (text(&matchers), text(&plan.author), text(&plan.comment));
    let (starts_at, ends_at, now) = (micros(plan.starts_at), micros(plan.ends_at), micros(now));
    let rows = database
        .query(
            ADD,
            &[&matchers, &starts_at, &ends_at, &author, &comment, &now],
        )
        .await?;

    rows.first().map_or_else(
        || Err(StoreError::Failed("the silence was not added".into())),
        silence_row,
    )
}

const LIST: &str = "SELECT * FROM silences WHERE ends_at > $1 ORDER BY ends_at, id LIMIT $2";

const LIST_EXPIRED: &str =
    "SELECT * FROM silences WHERE ends_at <= $1 ORDER BY ends_at DESC, id DESC LIMIT $2";

pub(super) async fn list(
    database: &Database,
    expired: bool,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Silence>, StoreError> {
    let statement = if expired { LIST_EXPIRED } else { LIST };
    database
        .query(statement, &[&micros(now), &i64::from(limit)])
        .await?
        .iter()
        .map(silence_row)
        .collect()
}

const ENDS: &str = "SELECT id, ends_at FROM silences WHERE id = ANY ($1) ORDER BY id FOR UPDATE";

/// Ends silences. A silence that has not begun yet never takes effect.
const EXPIRE: &str =
    "UPDATE silences SET ends_at = $2, starts_at = least(starts_at, $2) WHERE id = ANY ($1)";

/// Makes the pages that silences hold due for a check, because other silences may still cover them.
const LOOK_AT_PAGES: &str = "UPDATE silenced SET until = least(until, $2) WHERE silence = ANY ($1)";

const LOOK_AT_HELD: &str = "
UPDATE deliveries SET next_at = CASE WHEN next_at IS NOT NULL THEN $2::bigint END, held_until = $2,
       fallback_at = fallback_at - (held_until - $2)
WHERE id = ANY (ARRAY(
    SELECT id FROM deliveries WHERE silence = ANY ($1) AND state = 'held' AND held_until > $2
    ORDER BY id FOR NO KEY UPDATE))";

pub(super) async fn expire(
    database: &Database,
    ids: &[SilenceId],
    now: Timestamp,
) -> Result<(), StoreError> {
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight.add("BEGIN", vec![]).add(ENDS, vec![&ids]);

    let answers = transaction.send(flight).await?;
    let ends = answers[1]
        .iter()
        .map(|row| Ok((at(row, "id")?, time_at(row, "ends_at")?)));
    let ends = ends.collect::<Result<BTreeMap<SilenceId, Timestamp>, StoreError>>()?;

    for id in ids {
        let ended = ends.get(id).copied();
        if ended.is_none_or(|at| at <= now) {
            transaction.undo().await?;
            return Err(not_expired(*id, ended));
        }
    }

    let now = micros(now);
    let mut flight = Flight::default();
    flight
        .add(EXPIRE, vec![&ids, &now])
        .add(LOOK_AT_PAGES, vec![&ids, &now])
        .add(LOOK_AT_HELD, vec![&ids, &now]);

    transaction.commit(flight).await.map(drop)
}
