//! The implementation of [`Ledger`] for PostgreSQL.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;

use super::{
    Postgres,
    row::{at, text, time_at},
};
use crate::store::{
    Answer, Answered, Deed, DeedRow, Ledger, SCANNED, Session, Span, StoreError, Stretch,
    kept::micros,
    ledger::{ANSWER_OVERDUE, ANSWERS_KEPT, DEEDS_KEPT},
};

const FORGET_DEEDS: &str =
    "DELETE FROM deeds WHERE id = ANY (ARRAY(SELECT id FROM deeds WHERE at < $1))";

const BEGIN_DEED: &str =
    "INSERT INTO deeds (at, by, via, action, subject) VALUES ($1, $2, $3, $4, $5) RETURNING id";

const DEEDS: &str = "SELECT * FROM deeds WHERE id < $1 ORDER BY id DESC LIMIT $2";

const FORGET_ANSWERS: &str = "
DELETE FROM answers WHERE key = ANY (ARRAY(SELECT key FROM answers WHERE at < $1))";

/// Reserves a key, also from a process that reserved it and has not answered in time, because that
/// process has crashed.
const TAKE_KEY: &str = "
INSERT INTO answers (key, request, at) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET at = excluded.at, request = excluded.request
WHERE answers.status IS NULL AND answers.at < $4
RETURNING key";

const ANSWER: &str = "SELECT request, status, content_type, body FROM answers WHERE key = $1";

const BEGIN_SESSION: &str = "
INSERT INTO sessions (id, name, role, how, stamp, begun_at, ends_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)";

#[async_trait]
impl Ledger for Postgres {
    async fn begin_deed(&self, deed: Deed) -> Result<i64, StoreError> {
        self.database
            .query(FORGET_DEEDS, &[&ago(deed.at, DEEDS_KEPT)])
            .await?;
        let rows = self
            .database
            .query(
                BEGIN_DEED,
                &[
                    &micros(deed.at),
                    &text(&deed.by),
                    &text(&deed.via),
                    &text(&deed.action),
                    &text(&deed.subject),
                ],
            )
            .await?;
        rows.first().map_or_else(
            || Err(StoreError::Failed("the action was not recorded".into())),
            |row| at(row, "id"),
        )
    }

    async fn end_deed(&self, id: i64, outcome: String) -> Result<(), StoreError> {
        self.database
            .query(
                "UPDATE deeds SET outcome = $2 WHERE id = $1",
                &[&id, &text(&outcome)],
            )
            .await
            .map(drop)
    }

    async fn browse_deeds(&self, span: Span) -> Result<Stretch<DeedRow>, StoreError> {
        let limit = span.limit.min(SCANNED);
        let rows = self
            .database
            .query(DEEDS, &[&span.before, &i64::from(limit)])
            .await?;
        let items = rows.iter().map(deed_row).collect::<Result<Vec<_>, _>>()?;

        let full = items.len() == limit as usize;
        let next = items.last().filter(|_| full).map(|last| last.id);

        Ok(Stretch { items, next })
    }

    async fn answered(
        &self,
        key: String,
        request: String,
        now: Timestamp,
    ) -> Result<Answered, StoreError> {
        let key = text(&key);
        self.database
            .query(FORGET_ANSWERS, &[&ago(now, ANSWERS_KEPT)])
            .await?;

        let overdue = ago(now, ANSWER_OVERDUE);
        let taken = self
            .database
            .query(TAKE_KEY, &[&key, &request, &micros(now), &overdue])
            .await?;
        if !taken.is_empty() {
            return Ok(Answered::NotYet);
        }

        let found = self.database.query(ANSWER, &[&key]).await?;
        let Some(row) = found.first() else {
            return Ok(Answered::UnderWay);
        };
        if at::<&str>(row, "request")? != request {
            return Ok(Answered::Another);
        }
        let Some(status) = at::<Option<i64>>(row, "status")? else {
            return Ok(Answered::UnderWay);
        };

        Ok(Answered::Given(Answer {
            status: u16::try_from(status).unwrap_or(500),
            content_type: at(row, "content_type")?,
            body: at(row, "body")?,
        }))
    }

    async fn keep_answer(&self, key: String, answer: Option<Answer>) -> Result<(), StoreError> {
        let key = text(&key);
        match answer {
            Some(answer) => self
                .database
                .query(
                    "UPDATE answers SET status = $2, content_type = $3, body = $4 WHERE key = $1",
                    &[
                        &key,
                        &i64::from(answer.status),
                        &text(&answer.content_type),
                        &text(&answer.body),
                    ],
                )
                .await
                .map(drop),
            None => self
                .database
                .query("DELETE FROM answers WHERE key = $1", &[&key])
                .await
                .map(drop),
        }
    }

    async fn begin_session(&self, session: Session) -> Result<(), StoreError> {
        let (begun_at, ends_at) = (micros(session.begun_at), micros(session.ends_at));
        self.database
            .query(
                "DELETE FROM sessions
                 WHERE id = ANY (ARRAY(SELECT id FROM sessions WHERE ends_at <= $1))",
                &[&begun_at],
            )
            .await?;
        self.database
            .query(
                BEGIN_SESSION,
                &[
                    &session.id,
                    &text(&session.name),
                    &session.role,
                    &session.how,
                    &session.stamp,
                    &begun_at,
                    &ends_at,
                ],
            )
            .await
            .map(drop)
    }

    async fn session(&self, id: String, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let rows = self
            .database
            .query(
                "SELECT * FROM sessions WHERE id = $1 AND ends_at > $2",
                &[&id, &micros(now)],
            )
            .await?;
        rows.first().map(session_row).transpose()
    }

    async fn end_session(&self, id: String) -> Result<(), StoreError> {
        self.database
            .query("DELETE FROM sessions WHERE id = $1", &[&id])
            .await
            .map(drop)
    }
}

/// Returns the time `long` before `now`, as it is stored.
fn ago(now: Timestamp, long: SignedDuration) -> i64 {
    micros(now.saturating_sub(long).unwrap_or(Timestamp::MIN))
}

pub(super) fn deed_row(row: &Row) -> Result<DeedRow, StoreError> {
    Ok(DeedRow {
        id: at(row, "id")?,
        at: time_at(row, "at")?,
        by: at(row, "by")?,
        via: at(row, "via")?,
        action: at(row, "action")?,
        subject: at(row, "subject")?,
        outcome: at(row, "outcome")?,
    })
}

fn session_row(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: at(row, "id")?,
        name: at(row, "name")?,
        role: at(row, "role")?,
        how: at(row, "how")?,
        stamp: at(row, "stamp")?,
        begun_at: time_at(row, "begun_at")?,
        ends_at: time_at(row, "ends_at")?,
    })
}
