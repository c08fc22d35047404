//! The implementation of [`Browse`] for SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, named_params};

use super::{
    Sqlite, course, expected, glance,
    look::{DELIVERY, MAIL},
    mail,
    row::{delivery_row, incident_row, mail_row, silence_row, word_at},
};
use crate::{
    delivery::DeliveryState,
    incident::Phase,
    message::{MailId, Outcome},
    silence::{Silence, SilenceId},
    store::{
        Backlog, Browse, Course, Courses, DeliveryFilter, DeliveryRow, ExpectedMail,
        IncidentFilter, IncidentRow, Lately, MailFilter, MailRow, Pulse, SCANNED, Span, StoreError,
        Stretch, Taken, ToldRow,
        kept::{label, pattern},
    },
};

#[async_trait]
impl Browse for Sqlite {
    async fn browse_incidents(
        &self,
        filter: IncidentFilter,
        span: Span,
    ) -> Result<Stretch<(i64, IncidentRow)>, StoreError> {
        self.read(move |connection| incidents(connection, &filter, span))
            .await
    }

    async fn browse_mails(
        &self,
        filter: MailFilter,
        span: Span,
    ) -> Result<Stretch<MailRow>, StoreError> {
        self.read(move |connection| mails(connection, &filter, span))
            .await
    }

    async fn heads(&self, ids: Vec<MailId>) -> Result<Vec<(MailId, Vec<u8>)>, StoreError> {
        self.read(move |connection| mail::heads(connection, &ids))
            .await
    }

    async fn browse_deliveries(
        &self,
        filter: DeliveryFilter,
        span: Span,
    ) -> Result<Stretch<DeliveryRow>, StoreError> {
        self.read(move |connection| deliveries(connection, &filter, span))
            .await
    }

    async fn browse_silences(&self, span: Span) -> Result<Stretch<Silence>, StoreError> {
        self.read(move |connection| silences(connection, span))
            .await
    }

    async fn silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM silences WHERE id = ?1")?
                .query_row([id], silence_row)
                .optional()
        })
        .await
    }

    async fn told(&self, incidents: Vec<i64>) -> Result<Vec<ToldRow>, StoreError> {
        self.read(move |connection| told(connection, &incidents))
            .await
    }

    async fn courses(&self, of: Courses, limit: u32) -> Result<Vec<Course>, StoreError> {
        self.read(move |connection| course::courses(connection, of, limit))
            .await
    }

    async fn lately(&self, most: u32) -> Result<Vec<Lately>, StoreError> {
        self.read(move |connection| glance::lately(connection, most))
            .await
    }

    async fn taken(&self, most: u32) -> Result<Vec<Taken>, StoreError> {
        self.read(move |connection| glance::taken(connection, most))
            .await
    }

    async fn count_mails(
        &self,
        outcome: Outcome,
        since: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        self.read(move |connection| glance::count_mails(connection, outcome, (since, most)))
            .await
    }

    async fn backlogs(&self) -> Result<Vec<Backlog>, StoreError> {
        self.read(glance::backlogs).await
    }

    async fn missing_mail(&self) -> Result<Vec<Arc<str>>, StoreError> {
        let all = self.read(expected::expected_mail).await?;
        Ok(ExpectedMail::missing(all))
    }

    async fn pulse(&self) -> Result<Pulse, StoreError> {
        self.read(glance::pulse).await
    }
}

/// Returns the lowest id among the rows of a table that a stretch examines, and whether there may
/// be more. An index leads to the rows.
fn scan(
    connection: &Connection,
    (table, number): (&str, &str),
    indexed: &str,
    span: Span,
) -> rusqlite::Result<(i64, bool)> {
    connection
        .prepare_cached(&format!(
            "SELECT coalesce(min(id), 0), count(*) FROM
                 (SELECT id FROM {table} WHERE {number} < ?1 {indexed}
                  ORDER BY {number} DESC LIMIT ?2)"
        ))?
        .query_row([span.before, i64::from(SCANNED)], |row| {
            Ok((row.get(0)?, row.get::<_, u32>(1)? == SCANNED))
        })
}

/// Reads the matching rows among those that are examined.
fn stretch<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
    limit: u32,
    (from, goes_on): (i64, bool),
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Stretch<T>> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(parameters)?;
    let (mut items, mut last) = (Vec::new(), None);

    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>("id")?);
        items.push(read(row)?);
    }

    let next = if items.len() == limit as usize {
        last
    } else {
        goes_on.then_some(from)
    };

    Ok(Stretch { items, next })
}

pub(super) fn incidents(
    connection: &Connection,
    filter: &IncidentFilter,
    span: Span,
) -> rusqlite::Result<Stretch<(i64, IncidentRow)>> {
    let indexed = match filter.phase {
        Some(Phase::Firing) => "AND phase = 'firing'",
        _ => "",
    };
    let scanned = scan(connection, ("incidents", "id"), indexed, span)?;
    stretch(
        connection,
        &format!(
            "SELECT * FROM incidents WHERE id < :before AND id >= :from {indexed}
               AND kind <> 'unparsed'
               AND (:phase IS NULL OR phase = :phase)
               AND (:severity IS NULL OR instr(labels, :severity) > 0)
               AND (:profile IS NULL OR profile = :profile)
               AND (:receiver IS NULL OR EXISTS (
                    SELECT 1 FROM deliveries WHERE incident = incidents.id
                      AND receiver = :receiver))
               AND (:text IS NULL OR labels LIKE :text ESCAPE '\\' OR status LIKE :text ESCAPE '\\'
                    OR incident_id LIKE :text ESCAPE '\\')
             ORDER BY id DESC LIMIT :limit"
        ),
        named_params! {
            ":before": span.before,
            ":from": scanned.0,
            ":phase": filter.phase.map(Phase::as_str),
            ":severity": filter.severity.as_deref().map(|severity| label("severity", severity)),
            ":profile": filter.profile,
            ":receiver": filter.receiver,
            ":text": filter.text.as_deref().map(pattern),
            ":limit": span.limit,
        },
        span.limit,
        scanned,
        |row| Ok((row.get("id")?, incident_row(row)?)),
    )
}

pub(super) fn mails(
    connection: &Connection,
    filter: &MailFilter,
    span: Span,
) -> rusqlite::Result<Stretch<MailRow>> {
    let indexed = mail::led_to(filter.outcome);
    let scanned = scan(connection, ("mails", "id"), &indexed, span)?;
    stretch(
        connection,
        &format!(
            "{MAIL} WHERE mails.id < :before AND mails.id >= :from {indexed}
               AND (:outcome IS NULL OR outcome = :outcome)
               AND (:profile IS NULL OR mails.profile = :profile)
               AND (:ingress IS NULL OR ingress = :ingress)
               AND (:text IS NULL OR mails.labels LIKE :text ESCAPE '\\'
                    OR reason LIKE :text ESCAPE '\\'
                    OR incidents.incident_id LIKE :text ESCAPE '\\'
                    OR EXISTS (
                        SELECT 1 FROM mail_items
                        LEFT JOIN incidents AS its ON its.id = mail_items.incident
                        WHERE mail_items.mail = mails.id
                          AND (mail_items.labels LIKE :text ESCAPE '\\'
                               OR mail_items.reason LIKE :text ESCAPE '\\'
                               OR its.incident_id LIKE :text ESCAPE '\\')))
               AND (:without IS NULL OR coalesce(instr(mails.labels, :without), 0) = 0)
             ORDER BY mails.id DESC LIMIT :limit"
        ),
        named_params! {
            ":before": span.before,
            ":from": scanned.0,
            ":outcome": filter.outcome.map(Outcome::as_str),
            ":profile": filter.profile,
            ":ingress": filter.ingress,
            ":text": filter.text.as_deref().map(pattern),
            ":without": filter.without_kind.map(|kind| label("kind", kind)),
            ":limit": span.limit,
        },
        span.limit,
        scanned,
        mail_row,
    )
}

pub(super) fn deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
    span: Span,
) -> rusqlite::Result<Stretch<DeliveryRow>> {
    // Few deliveries are pending, held or dead. They are found by an index of such rows and then
    // sorted, rather than searched for among all deliveries in order of their numbers.
    let (indexed, number) = match filter.state {
        Some(DeliveryState::Pending | DeliveryState::Held) => ("AND settled_at IS NULL", "+id"),
        Some(DeliveryState::Dead) => ("AND state = 'dead'", "+id"),
        _ => ("", "id"),
    };
    let scanned = scan(connection, ("deliveries", number), indexed, span)?;
    let number = number.replace("id", "deliveries.id");
    stretch(
        connection,
        &format!(
            "{DELIVERY} WHERE {number} < :before AND {number} >= :from {indexed}
               AND (:state IS NULL OR state = :state)
               AND (:receiver IS NULL OR receiver = :receiver)
             ORDER BY {number} DESC LIMIT :limit"
        ),
        named_params! {
            ":before": span.before,
            ":from": scanned.0,
            ":state": filter.state.map(DeliveryState::as_str),
            ":receiver": filter.receiver,
            ":limit": span.limit,
        },
        span.limit,
        scanned,
        delivery_row,
    )
}

fn silences(connection: &Connection, span: Span) -> rusqlite::Result<Stretch<Silence>> {
    let scanned = scan(connection, ("silences", "id"), "", span)?;
    stretch(
        connection,
        "SELECT * FROM silences WHERE id < ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3",
        [span.before, scanned.0, i64::from(span.limit)],
        span.limit,
        scanned,
        silence_row,
    )
}

pub(super) fn told(connection: &Connection, incidents: &[i64]) -> rusqlite::Result<Vec<ToldRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT deliveries.* FROM incidents JOIN deliveries
             ON deliveries.incident = incidents.id AND deliveries.episode = incidents.episode
         WHERE incidents.id = ?1 ORDER BY deliveries.id",
    )?;

    let mut told = Vec::new();
    for incident in incidents {
        for row in statement.query_map([incident], |row| {
            Ok(ToldRow {
                incident: *incident,
                delivery: row.get("id")?,
                receiver: row.get("receiver")?,
                integration: row.get("integration")?,
                action: word_at(row, "action")?,
                state: word_at(row, "state")?,
                failures: row.get("failures")?,
                detail: row.get("detail")?,
            })
        })? {
            told.push(row?);
        }
    }

    Ok(told)
}
