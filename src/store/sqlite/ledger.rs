//! The implementation of [`Ledger`] for SQLite.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Sqlite, failure, row::time_at};
use crate::store::{
    Answer, Answered, Deed, DeedRow, Ledger, SCANNED, Session, Span, StoreError, Stretch,
    kept::micros,
    ledger::{ANSWER_OVERDUE, ANSWERS_KEPT, DEEDS_KEPT},
};

#[async_trait]
impl Ledger for Sqlite {
    async fn begin_deed(&self, deed: Deed) -> Result<i64, StoreError> {
        self.write(move |connection| begin_deed(connection, &deed).map_err(failure))
            .await
    }

    async fn end_deed(&self, id: i64, outcome: String) -> Result<(), StoreError> {
        self.write(move |connection| {
            run(
                connection,
                "UPDATE deeds SET outcome = ?2 WHERE id = ?1",
                params![id, outcome],
            )
        })
        .await
    }

    async fn browse_deeds(&self, span: Span) -> Result<Stretch<DeedRow>, StoreError> {
        self.read(move |connection| deeds(connection, span)).await
    }

    async fn answered(
        &self,
        key: String,
        request: String,
        now: Timestamp,
    ) -> Result<Answered, StoreError> {
        self.write(move |connection| answered(connection, &key, &request, now).map_err(failure))
            .await
    }

    async fn keep_answer(&self, key: String, answer: Option<Answer>) -> Result<(), StoreError> {
        self.write(move |connection| match answer {
            Some(answer) => run(
                connection,
                "UPDATE answers SET status = ?2, content_type = ?3, body = ?4 WHERE key = ?1",
                params![key, answer.status, answer.content_type, answer.body],
            ),
            None => run(connection, "DELETE FROM answers WHERE key = ?1", [key]),
        })
        .await
    }

    async fn begin_session(&self, session: Session) -> Result<(), StoreError> {
        self.write(move |connection| {
            run(
                connection,
                "DELETE FROM sessions WHERE ends_at <= ?1",
                [micros(session.begun_at)],
            )?;
            run(
                connection,
                "INSERT INTO sessions (id, name, role, how, stamp, begun_at, ends_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    session.id,
                    session.name,
                    session.role,
                    session.how,
                    session.stamp,
                    micros(session.begun_at),
                    micros(session.ends_at)
                ],
            )
        })
        .await
    }

    async fn session(&self, id: String, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM sessions WHERE id = ?1 AND ends_at > ?2")?
                .query_row(params![id, micros(now)], session_row)
                .optional()
        })
        .await
    }

    async fn end_session(&self, id: String) -> Result<(), StoreError> {
        self.write(move |connection| run(connection, "DELETE FROM sessions WHERE id = ?1", [id]))
            .await
    }
}

fn run(
    connection: &Connection,
    statement: &str,
    parameters: impl rusqlite::Params,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute(parameters))
        .map(drop)
        .map_err(failure)
}

/// Returns the time `long` before `now`, as it is stored.
fn ago(now: Timestamp, long: SignedDuration) -> i64 {
    micros(now.saturating_sub(long).unwrap_or(Timestamp::MIN))
}

fn begin_deed(connection: &Connection, deed: &Deed) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("DELETE FROM deeds WHERE at < ?1")?
        .execute([ago(deed.at, DEEDS_KEPT)])?;
    connection
        .prepare_cached(
            "INSERT INTO deeds (at, by, via, action, subject) VALUES (?1, ?2, ?3, ?4, ?5)
             RETURNING id",
        )?
        .query_row(
            params![
                micros(deed.at),
                deed.by,
                deed.via,
                deed.action,
                deed.subject
            ],
            |row| row.get(0),
        )
}

fn deeds(connection: &Connection, span: Span) -> rusqlite::Result<Stretch<DeedRow>> {
    let limit = span.limit.min(SCANNED);
    let items: Vec<DeedRow> = connection
        .prepare_cached("SELECT * FROM deeds WHERE id < ?1 ORDER BY id DESC LIMIT ?2")?
        .query_map([span.before, i64::from(limit)], deed_row)?
        .collect::<Result<_, _>>()?;

    let full = items.len() == limit as usize;
    let next = items.last().filter(|_| full).map(|last| last.id);

    Ok(Stretch { items, next })
}

pub(super) fn deed_row(row: &Row<'_>) -> rusqlite::Result<DeedRow> {
    Ok(DeedRow {
        id: row.get("id")?,
        at: time_at(row, "at")?,
        by: row.get("by")?,
        via: row.get("via")?,
        action: row.get("action")?,
        subject: row.get("subject")?,
        outcome: row.get("outcome")?,
    })
}

fn answered(
    connection: &Connection,
    key: &str,
    request: &str,
    now: Timestamp,
) -> rusqlite::Result<Answered> {
    connection
        .prepare_cached(
            "DELETE FROM answers WHERE at < ?1 OR key = ?2 AND status IS NULL AND at < ?3",
        )?
        .execute(params![
            ago(now, ANSWERS_KEPT),
            key,
            ago(now, ANSWER_OVERDUE)
        ])?;
    let taken = connection
        .prepare_cached(
            "INSERT INTO answers (key, request, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![key, request, micros(now)])?;

    if taken == 1 {
        return Ok(Answered::NotYet);
    }

    connection
        .prepare_cached("SELECT request, status, content_type, body FROM answers WHERE key = ?1")?
        .query_row([key], |row| {
            if row.get_ref("request")?.as_str()? != request {
                return Ok(Answered::Another);
            }
            let Some(status) = row.get("status")? else {
                return Ok(Answered::UnderWay);
            };
            Ok(Answered::Given(Answer {
                status,
                content_type: row.get("content_type")?,
                body: row.get("body")?,
            }))
        })
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        name: row.get("name")?,
        role: row.get("role")?,
        how: row.get("how")?,
        stamp: row.get("stamp")?,
        begun_at: time_at(row, "begun_at")?,
        ends_at: time_at(row, "ends_at")?,
    })
}
