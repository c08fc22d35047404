//! The implementation of [`Browse`] for PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    Postgres,
    connection::Parameter,
    course, expected, glance,
    look::{delivery_list, mail_list},
    mail,
    row::{at, delivery_row, incident_row, mail_row, silence_row, text, word_at},
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

/// Selects the lowest id and the number of the rows of a table that a stretch examines. An index
/// leads to the rows.
macro_rules! scan {
    ($table:literal, $indexed:expr) => {
        concat!(
            "SELECT coalesce(min(id), 0) AS first, count(*) AS scanned FROM
                 (SELECT id FROM ",
            $table,
            " WHERE id < $1 ",
            $indexed,
            " ORDER BY id DESC LIMIT $2) AS scanned"
        )
    };
}

macro_rules! incidents {
    ($indexed:literal) => {
        concat!(
            "SELECT * FROM incidents WHERE id < $1 AND id >= $2 ",
            $indexed,
            " AND kind <> 'unparsed'
               AND ($4::text IS NULL OR phase = $4)
               AND ($5::text IS NULL OR strpos(labels, $5) > 0)
               AND ($6::text IS NULL OR profile = $6)
               AND ($7::text IS NULL OR (SELECT 1 FROM deliveries
                    WHERE incident = incidents.id AND receiver = $7 LIMIT 1) IS NOT NULL)
               AND ($8::text IS NULL OR labels ILIKE $8 OR status ILIKE $8 OR incident_id ILIKE $8)
             ORDER BY id DESC LIMIT $3"
        )
    };
}

macro_rules! mails {
    ($indexed:expr) => {
        mail_list!(concat!(
            "WHERE mails.id < $1 AND mails.id >= $2 ",
            $indexed,
            " AND ($4::text IS NULL OR outcome = $4)
               AND ($5::text IS NULL OR mails.profile = $5)
               AND ($6::text IS NULL OR ingress = $6)
               AND ($7::text IS NULL OR mails.labels ILIKE $7 OR reason ILIKE $7
                    OR incidents.incident_id ILIKE $7
                    OR EXISTS (
                        SELECT 1 FROM mail_items
                        LEFT JOIN incidents AS its ON its.id = mail_items.incident
                        WHERE mail_items.mail = mails.id
                          AND (mail_items.labels ILIKE $7 OR mail_items.reason ILIKE $7
                               OR its.incident_id ILIKE $7)))
               AND ($8::text IS NULL OR strpos(coalesce(mails.labels, ''), $8) = 0)
             ORDER BY mails.id DESC LIMIT $3"
        ))
    };
}

/// Chooses the statements by which an index leads to the mails with an outcome. There is no such
/// index for an outcome that most mails have.
macro_rules! led_to {
    ($outcome:expr, $($rare:ident $word:literal),*) => {
        match $outcome {
            None | Some(Outcome::Pending | Outcome::Opened | Outcome::Resolved) => {
                (scan!("mails", ""), mails!(""))
            }
            $(Some(Outcome::$rare) => (
                scan!("mails", concat!("AND outcome = '", $word, "'")),
                mails!(concat!("AND outcome = '", $word, "'")),
            ),)*
        }
    };
}

macro_rules! deliveries {
    ($indexed:literal) => {
        delivery_list!(concat!(
            "WHERE deliveries.id < $1 AND deliveries.id >= $2 ",
            $indexed,
            " AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR receiver = $5)
             ORDER BY deliveries.id DESC LIMIT $3"
        ))
    };
}

#[async_trait]
impl Browse for Postgres {
    async fn browse_incidents(
        &self,
        filter: IncidentFilter,
        span: Span,
    ) -> Result<Stretch<(i64, IncidentRow)>, StoreError> {
        let (bounds, read) = match filter.phase {
            Some(Phase::Firing) => (
                scan!("incidents", "AND phase = 'firing'"),
                incidents!("AND phase = 'firing'"),
            ),
            _ => (scan!("incidents", ""), incidents!("")),
        };

        let phase = filter.phase.map(Phase::as_str);
        let severity = filter.severity.as_deref();
        let severity = severity.map(|severity| kept_text(&label("severity", severity)));
        let profile = filter.profile.as_deref().map(kept_text);
        let receiver = filter.receiver.as_deref().map(kept_text);
        let words = filter
            .text
            .as_deref()
            .map(|words| kept_text(&pattern(words)));

        self.stretch(
            bounds,
            read,
            span,
            &[&phase, &severity, &profile, &receiver, &words],
            |row| Ok((at(row, "id")?, incident_row(row)?)),
        )
        .await
    }

    async fn browse_mails(
        &self,
        filter: MailFilter,
        span: Span,
    ) -> Result<Stretch<MailRow>, StoreError> {
        let (bounds, read) = led_to!(filter.outcome,
            Reopened "reopened", Updated "updated", Changed "changed", Unparsed "unparsed",
            Duplicate "duplicate", Stale "stale", Expired "expired", Silenced "silenced",
            Quarantined "quarantined", Ignored "ignored");

        let outcome = filter.outcome.map(Outcome::as_str);
        let profile = filter.profile.as_deref().map(kept_text);
        let ingress = filter.ingress.as_deref().map(kept_text);
        let words = filter
            .text
            .as_deref()
            .map(|words| kept_text(&pattern(words)));

        let without = filter.without_kind.map(|kind| label("kind", kind));

        self.stretch(
            bounds,
            read,
            span,
            &[&outcome, &profile, &ingress, &words, &without],
            mail_row,
        )
        .await
    }

    async fn heads(&self, ids: Vec<MailId>) -> Result<Vec<(MailId, Vec<u8>)>, StoreError> {
        mail::heads(&self.database, &ids).await
    }

    async fn browse_deliveries(
        &self,
        filter: DeliveryFilter,
        span: Span,
    ) -> Result<Stretch<DeliveryRow>, StoreError> {
        let (bounds, read) = match filter.state {
            Some(DeliveryState::Pending | DeliveryState::Held) => (
                scan!("deliveries", "AND settled_at IS NULL"),
                deliveries!("AND settled_at IS NULL"),
            ),
            Some(DeliveryState::Dead) => (
                scan!("deliveries", "AND state = 'dead'"),
                deliveries!("AND state = 'dead'"),
            ),
            _ => (scan!("deliveries", ""), deliveries!("")),
        };

        let state = filter.state.map(DeliveryState::as_str);
        let receiver = filter.receiver.as_deref().map(kept_text);

        self.stretch(bounds, read, span, &[&state, &receiver], delivery_row)
            .await
    }

    async fn browse_silences(&self, span: Span) -> Result<Stretch<Silence>, StoreError> {
        self.stretch(
            scan!("silences", ""),
            "SELECT * FROM silences WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3",
            span,
            &[],
            silence_row,
        )
        .await
    }

    async fn silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError> {
        let rows = self
            .database
            .query("SELECT * FROM silences WHERE id = $1", &[&id])
            .await?;
        rows.first().map(silence_row).transpose()
    }

    async fn told(&self, incidents: Vec<i64>) -> Result<Vec<ToldRow>, StoreError> {
        let rows = self.database.query(TOLD, &[&incidents]).await?;
        rows.iter().map(told_row).collect()
    }

    async fn courses(&self, of: Courses, limit: u32) -> Result<Vec<Course>, StoreError> {
        course::courses(&self.database, of, limit).await
    }

    async fn lately(&self, most: u32) -> Result<Vec<Lately>, StoreError> {
        glance::lately(&self.database, most).await
    }

    async fn taken(&self, most: u32) -> Result<Vec<Taken>, StoreError> {
        glance::taken(&self.database, most).await
    }

    async fn count_mails(
        &self,
        outcome: Outcome,
        since: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        glance::count_mails(&self.database, outcome, (since, most)).await
    }

    async fn backlogs(&self) -> Result<Vec<Backlog>, StoreError> {
        glance::backlogs(&self.database).await
    }

    async fn missing_mail(&self) -> Result<Vec<Arc<str>>, StoreError> {
        let all = expected::expected_mail(&self.database).await?;
        Ok(ExpectedMail::missing(all))
    }

    async fn pulse(&self) -> Result<Pulse, StoreError> {
        glance::pulse(&self.database).await
    }
}

impl Postgres {
    /// Reads the matching rows among those that are examined.
    async fn stretch<T>(
        &self,
        bounds: &'static str,
        statement: &'static str,
        span: Span,
        filter: &[Parameter<'_>],
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Stretch<T>, StoreError> {
        let looked_through = self
            .database
            .query(bounds, &[&span.before, &i64::from(SCANNED)])
            .await?;
        let (from, goes_on) = match looked_through.first() {
            Some(row) => (
                at::<i64>(row, "first")?,
                at::<i64>(row, "scanned")? == i64::from(SCANNED),
            ),
            None => (0, false),
        };

        let limit = i64::from(span.limit);
        let parameters: Vec<Parameter<'_>> = [&span.before as Parameter<'_>, &from, &limit]
            .into_iter()
            .chain(filter.iter().copied())
            .collect();
        let rows = self.database.query(statement, &parameters).await?;

        let last = rows.last().map(|row| at::<i64>(row, "id")).transpose()?;
        let items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let next = if items.len() == span.limit as usize {
            last
        } else {
            goes_on.then_some(from)
        };

        Ok(Stretch { items, next })
    }
}

/// Converts text like [`text`], for a search.
fn kept_text(words: &str) -> String {
    text(words).into_owned()
}

const TOLD: &str = "
SELECT deliveries.* FROM incidents CROSS JOIN LATERAL (
    SELECT id, incident, receiver, integration, action, state, failures, detail FROM deliveries
    WHERE incident = incidents.id AND episode = incidents.episode OFFSET 0) AS deliveries
WHERE incidents.id = ANY ($1) ORDER BY deliveries.id";

fn told_row(row: &Row) -> Result<ToldRow, StoreError> {
    Ok(ToldRow {
        incident: at(row, "incident")?,
        delivery: at(row, "id")?,
        receiver: at(row, "receiver")?,
        integration: at(row, "integration")?,
        action: word_at(row, "action")?,
        state: word_at(row, "state")?,
        failures: u32::try_from(at::<i64>(row, "failures")?).unwrap_or(u32::MAX),
        detail: at(row, "detail")?,
    })
}
