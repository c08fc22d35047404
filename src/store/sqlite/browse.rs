//! Sqlite for browsers: see [`Browse`].

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, named_params};

use super::{
    Sqlite,
    look::{DELIVERY, MAIL},
    row::{
        delivery_row, incident_row, json_at, mail_row, optional_time_at, silence_row, time_at,
        unsigned_at, word_at,
    },
};
use crate::{
    delivery::DeliveryState,
    incident::Phase,
    message::Outcome,
    silence::{Silence, SilenceId},
    store::{
        Backlog, Browse, DeliveryFilter, DeliveryRow, IncidentFilter, IncidentRow, MailFilter,
        MailRow, Pulse, SCANNED, SaidRow, Span, StoreError, Stretch, ToldRow,
        kept::{label, micros, pattern},
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

    async fn said(&self, since: Timestamp) -> Result<Vec<SaidRow>, StoreError> {
        self.read(move |connection| said(connection, since)).await
    }

    async fn backlogs(&self) -> Result<Vec<Backlog>, StoreError> {
        self.read(backlogs).await
    }

    async fn pulse(&self) -> Result<Pulse, StoreError> {
        self.read(pulse).await
    }
}

/// The rows of a table that a stretch examines: an index leads to them.
fn scan(
    connection: &Connection,
    table: &str,
    indexed: &str,
    span: Span,
) -> rusqlite::Result<(i64, bool)> {
    connection
        .prepare_cached(&format!(
            "SELECT coalesce(min(id), 0), count(*) FROM
                 (SELECT id FROM {table} WHERE id < ?1 {indexed} ORDER BY id DESC LIMIT ?2)"
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

fn incidents(
    connection: &Connection,
    filter: &IncidentFilter,
    span: Span,
) -> rusqlite::Result<Stretch<(i64, IncidentRow)>> {
    let indexed = match filter.phase {
        Some(Phase::Firing) => "AND phase = 'firing'",
        _ => "",
    };
    let scanned = scan(connection, "incidents", indexed, span)?;
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

fn mails(
    connection: &Connection,
    filter: &MailFilter,
    span: Span,
) -> rusqlite::Result<Stretch<MailRow>> {
    let indexed = match filter.outcome {
        Some(Outcome::Quarantined) => "AND outcome = 'quarantined'",
        _ => "",
    };
    let scanned = scan(connection, "mails", indexed, span)?;
    stretch(
        connection,
        &format!(
            "{MAIL} WHERE mails.id < :before AND mails.id >= :from {indexed}
               AND (:outcome IS NULL OR outcome = :outcome)
               AND (:profile IS NULL OR mails.profile = :profile)
               AND (:ingress IS NULL OR ingress = :ingress)
               AND (:text IS NULL OR mails.labels LIKE :text ESCAPE '\\'
                    OR reason LIKE :text ESCAPE '\\'
                    OR incidents.incident_id LIKE :text ESCAPE '\\')
             ORDER BY mails.id DESC LIMIT :limit"
        ),
        named_params! {
            ":before": span.before,
            ":from": scanned.0,
            ":outcome": filter.outcome.map(Outcome::as_str),
            ":profile": filter.profile,
            ":ingress": filter.ingress,
            ":text": filter.text.as_deref().map(pattern),
            ":limit": span.limit,
        },
        span.limit,
        scanned,
        mail_row,
    )
}

fn deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
    span: Span,
) -> rusqlite::Result<Stretch<DeliveryRow>> {
    let indexed = match filter.state {
        Some(DeliveryState::Pending | DeliveryState::Held) => "AND settled_at IS NULL",
        Some(DeliveryState::Dead) => "AND state = 'dead'",
        _ => "",
    };
    let scanned = scan(connection, "deliveries", indexed, span)?;
    stretch(
        connection,
        &format!(
            "{DELIVERY} WHERE deliveries.id < :before AND deliveries.id >= :from {indexed}
               AND (:state IS NULL OR state = :state)
               AND (:receiver IS NULL OR receiver = :receiver)
             ORDER BY deliveries.id DESC LIMIT :limit"
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
    let scanned = scan(connection, "silences", "", span)?;
    stretch(
        connection,
        "SELECT * FROM silences WHERE id < ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3",
        [span.before, scanned.0, i64::from(span.limit)],
        span.limit,
        scanned,
        silence_row,
    )
}

fn told(connection: &Connection, incidents: &[i64]) -> rusqlite::Result<Vec<ToldRow>> {
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

fn said(connection: &Connection, since: Timestamp) -> rusqlite::Result<Vec<SaidRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT incidents.id, labels, applied.status AS said, time FROM incidents
             CROSS JOIN applied ON applied.incident = incidents.id
         WHERE (changed_at >= ?1 OR phase = 'firing') AND kind = 'incident'
           AND instr(labels, '\"app_key\":\"') > 0
         ORDER BY incidents.id",
    )?;
    let mut rows = statement.query([micros(since)])?;
    let (mut said, mut last) = (Vec::new(), None);

    while let Some(row) = rows.next()? {
        let incident = row.get("id")?;
        let is_first = last.replace(incident) != Some(incident);
        said.push(SaidRow {
            incident,
            labels: is_first.then(|| json_at(row, "labels")).transpose()?,
            status: row.get("said")?,
            time: time_at(row, "time")?,
        });
    }

    Ok(said)
}

fn backlogs(connection: &Connection) -> rusqlite::Result<Vec<Backlog>> {
    connection
        .prepare_cached(
            "SELECT *, (SELECT detail FROM deliveries WHERE id = failed) AS failure FROM (
             SELECT receiver, integration,
                    sum(state = 'pending') AS pending, sum(state = 'held') AS held,
                      sum(state = 'dead') AS dead,
                    min(CASE WHEN state = 'pending' THEN created_at END) AS oldest,
                    max(CASE WHEN failures > 0 THEN id END) AS failed
             FROM (SELECT id, receiver, integration, state, failures, created_at FROM deliveries
                   WHERE settled_at IS NULL
                   UNION ALL
                   SELECT id, receiver, integration, state, failures, created_at FROM deliveries
                   WHERE state = 'dead')
                   AS owed
             GROUP BY receiver, integration) ORDER BY receiver, integration",
        )?
        .query_map([], |row| {
            Ok(Backlog {
                receiver: row.get("receiver")?,
                integration: row.get("integration")?,
                pending: unsigned_at(row, "pending")?,
                held: unsigned_at(row, "held")?,
                dead: unsigned_at(row, "dead")?,
                oldest_pending: optional_time_at(row, "oldest")?,
                failure: row.get("failure")?,
            })
        })?
        .collect()
}

fn pulse(connection: &Connection) -> rusqlite::Result<Pulse> {
    connection
        .prepare_cached(
            "SELECT (SELECT coalesce(max(id), 0) FROM mails),
               (SELECT coalesce(max(changed_at), 0) FROM incidents),
                    (SELECT coalesce(max(id), 0) FROM attempts) + (SELECT coalesce(max(id), 0)
                                                                   FROM deliveries),
                    (SELECT coalesce(max(id), 0) FROM silences),
                      (SELECT coalesce(max(id), 0) FROM deeds)",
        )?
        .query_row([], |row| {
            Ok(Pulse {
                mails: row.get(0)?,
                incidents: row.get(1)?,
                deliveries: row.get(2)?,
                silences: row.get(3)?,
                deeds: row.get(4)?,
            })
        })
}
