//! Silences: added and expired by people, read with every decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use tokio_postgres::Row;

use super::{
    connection::{Database, Flight},
    row::{at, text, time_at},
};
use crate::{
    silence::{Plan, Silence, SilenceId},
    store::{
        StoreError,
        kept::{micros, time},
        refusal::not_expired,
    },
};

/// One of those that a mail is decided by, as the question about an incident gathers them.
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
        let Active { id, matchers, starts_at, ends_at, author, comment, created_at } = active;
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

const ADD: &str = "
INSERT INTO silences (matchers, starts_at, ends_at, author, comment, created_at) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *";

pub(super) async fn add(database: &Database, plan: &Plan, now: Timestamp) -> Result<Silence, StoreError> {
    let matchers = plan.matchers.join("\n");
    let (matchers, author, comment) = (text(&matchers), text(&plan.author), text(&plan.comment));
    let (starts_at, ends_at, now) = (micros(plan.starts_at), micros(plan.ends_at), micros(now));
    let rows = database.query(ADD, &[&matchers, &starts_at, &ends_at, &author, &comment, &now]).await?;
    rows.first().map_or_else(|| Err(StoreError::Failed("the silence was not added".into())), silence_row)
}

const LIST: &str = "SELECT * FROM silences WHERE ends_at > $1 ORDER BY ends_at, id LIMIT $2";
const LIST_EXPIRED: &str = "SELECT * FROM silences WHERE ends_at <= $1 ORDER BY ends_at DESC, id DESC LIMIT $2";

pub(super) async fn list(
    database: &Database,
    expired: bool,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Silence>, StoreError> {
    let statement = if expired { LIST_EXPIRED } else { LIST };
    database.query(statement, &[&micros(now), &i64::from(limit)]).await?.iter().map(silence_row).collect()
}

const ENDS: &str = "SELECT id, ends_at FROM silences WHERE id = ANY ($1) ORDER BY id FOR UPDATE";
/// One that was yet to begin never was.
const EXPIRE: &str = "UPDATE silences SET ends_at = $2, starts_at = least(starts_at, $2) WHERE id = ANY ($1)";

pub(super) async fn expire(database: &Database, ids: &[SilenceId], now: Timestamp) -> Result<(), StoreError> {
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight.add("BEGIN", vec![]).add(ENDS, vec![&ids]);
    let answers = transaction.send(flight).await?;
    let ends = answers[1].iter().map(|row| Ok((at(row, "id")?, time_at(row, "ends_at")?)));
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
    flight.add(EXPIRE, vec![&ids, &now]);
    transaction.commit(flight).await.map(drop)
}

fn silence_row(row: &Row) -> Result<Silence, StoreError> {
    Ok(Silence {
        id: at(row, "id")?,
        matchers: one_to_a_line(at(row, "matchers")?),
        starts_at: time_at(row, "starts_at")?,
        ends_at: time_at(row, "ends_at")?,
        author: at(row, "author")?,
        comment: at(row, "comment")?,
        created_at: time_at(row, "created_at")?,
    })
}

fn one_to_a_line(matchers: &str) -> Vec<String> {
    matchers.split('\n').map(ToOwned::to_owned).collect()
}
