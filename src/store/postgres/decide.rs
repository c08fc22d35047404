//! The second commit: what is known of an incident, and everything that follows from a mail about it.
//!
//! Two ways to the server: one asks, one writes. An advisory lock on the incident's id makes those who decide about the
//! same incident, or change its lanes, take turns, whether there is a row of it yet or not.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::{Database, Flight},
    lane::{self, Owed},
    row::{at, optional_json_at, optional_time_at, text, word_at},
};
use crate::{
    crash,
    delivery::Target,
    incident::{Known, Phase, State},
    message::MailId,
    store::{
        Decide, Decision, Kind, Memory, RECURRENCE, StoreError, Subject, Told,
        kept::{json, micros},
    },
};

const PENDING: &str = "SELECT outcome = 'pending' AS pending FROM mails WHERE id = $1 FOR NO KEY UPDATE";

/// One row, with NULLs where the incident is new. `told`: who was told of this opening, or will be whatever comes;
/// waiting to be sent counts, held by a mute does not.
const RECALL: &str = "
SELECT (SELECT count(*) FROM openings WHERE app_key = $2 AND metric = $3 AND at > $4) AS recurrence,
       phase, status, newest, verified, untold, episode,
       EXISTS (SELECT 1 FROM applied WHERE incident = incidents.id AND applied.status = $5 AND time = $6) AS applied,
       EXISTS (SELECT 1 FROM deliveries WHERE incident = incidents.id AND settled_at IS NULL) AS owing,
       (SELECT json_agg(json_build_array(receiver, integration, alias) ORDER BY first)::text FROM (
            SELECT receiver, integration, alias, min(id) AS first FROM deliveries
            WHERE incident = incidents.id AND deliveries.episode = incidents.episode AND action = 'trigger'
              AND (state IN ('pending', 'delivered', 'dead') OR (state = 'held' AND next_at <= $7))
            GROUP BY receiver, integration, alias) AS told) AS told
FROM (SELECT 1) AS one LEFT JOIN incidents ON incident_id = $1";

/// The incident's new state, where `$7` says that it has one; that the mail's status is applied; that it opens an
/// episode; and what became of the mail.
const WRITE: &str = "
WITH known AS (
    SELECT id FROM incidents WHERE incident_id = $1
), kept AS (
    INSERT INTO incidents
        (incident_id, kind, phase, status, newest, verified, untold, episode, opened_at, changed_at, labels)
    SELECT $1, $2, $3, $4, $5, $6, $8, $7, $9, $9, $10 WHERE $7::bigint IS NOT NULL
    ON CONFLICT (incident_id) DO UPDATE SET
        phase = excluded.phase, status = excluded.status, newest = excluded.newest, verified = excluded.verified,
        untold = excluded.untold, changed_at = excluded.changed_at, labels = excluded.labels, episode = excluded.episode,
        opened_at = CASE WHEN incidents.episode < excluded.episode THEN excluded.opened_at ELSE incidents.opened_at END
    RETURNING id
), incident AS (
    SELECT id FROM known UNION SELECT id FROM kept
), applied AS (
    INSERT INTO applied (incident, status, time) SELECT id, $12, $13 FROM incident WHERE $11 ON CONFLICT DO NOTHING
), opened AS (
    INSERT INTO openings (app_key, metric, at, incident) SELECT $15, $16, $9, id FROM incident WHERE $14
    ON CONFLICT DO NOTHING
)
UPDATE mails SET outcome = $18, reason = $19, labels = $10, decided_at = $9, incident = (SELECT id FROM incident)
WHERE id = $17";

/// Lets `decide` conclude from what is known, and writes it. None where the mail is decided already.
pub(super) async fn decide(
    database: &Database,
    mail: MailId,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> Result<Option<Decision>, StoreError> {
    let at = micros(now);
    let since = micros(now.saturating_sub(RECURRENCE).unwrap_or(now));
    let subject = subject.map(Named::new);
    let transaction = database.begin().await?;
    let mut asked = Flight::default();
    asked.add("BEGIN", vec![]).add(PENDING, vec![&mail]);
    if let Some(Named { incident_id, status, app_key, metric, applied_at, .. }) = &subject {
        asked
            .add(lane::TAKE_TURN, vec![incident_id])
            .add(RECALL, vec![incident_id, app_key, metric, &since, status, applied_at, &at]);
    }
    let answers = transaction.send(asked).await?;
    let pending = answers[1].first().map(|row| row.get::<_, bool>("pending"));
    if pending != Some(true) {
        transaction.undo().await?;
        return Ok(None);
    }
    let known = answers.get(3).and_then(|rows| rows.first());
    let memory = known.map(recalled).transpose()?.unwrap_or_default();
    let owing = known.is_some_and(|row| row.get("owing"));
    // The transaction is undone by being dropped.
    let decision = catch_unwind(AssertUnwindSafe(|| decide(&memory))).map_err(|_| StoreError::Panicked)?;

    let subject = subject.as_ref();
    let state = decision.state.as_ref().or(memory.known.state.as_ref());
    let owed = match state {
        Some(state) => Owed::new(&decision.deliveries, state.episode, now)?,
        None => Owed::default(),
    };
    let (incident_id, kind) = (subject.map(|subject| &subject.incident_id), subject.map(|subject| subject.kind));
    let (status, applied_at) = (subject.map(|subject| &subject.status), subject.map(|subject| subject.applied_at));
    let (app_key, metric) = (subject.map(|subject| &subject.app_key), subject.map(|subject| &subject.metric));
    let new = decision.state.as_ref();
    let (phase, new_status) = (new.map(|state| state.phase.as_str()), new.map(|state| text(&state.status)));
    let newest = new.and_then(|state| state.newest).map(micros);
    let (verified, untold) = (new.map(|state| state.verified), new.map(|state| state.untold));
    let episode = new.map(|state| state.episode);
    let (labels, reason) = (json(&decision.labels)?, decision.reason.as_deref().map(text));
    let applied = decision.applied && state.is_some();
    let opens = kind == Some(Kind::Incident.as_str()) && decision.begins_episode(&memory);
    let outcome = decision.outcome.as_str();
    let incident: &str = subject.map_or("", |subject| &subject.incident_id);
    let mut written = Flight::default();
    written.add(
        WRITE,
        vec![
            &incident_id,
            &kind,
            &phase,
            &new_status,
            &newest,
            &verified,
            &episode,
            &untold,
            &at,
            &labels,
            &applied,
            &status,
            &applied_at,
            &opens,
            &app_key,
            &metric,
            &mail,
            &outcome,
            &reason,
        ],
    );
    if owing && state.is_some_and(|state| state.phase == Phase::Resolved) {
        written.add(lane::DISCARD_HELD, vec![&incident, &at]).add(lane::ADVANCE_ALL, vec![&incident, &at]);
    }
    if subject.is_some() {
        owed.add_to(&mut written, &incident, owing);
    }
    crash::point("commit");
    transaction.commit(written).await?;
    Ok(Some(decision))
}

/// A subject as the statements take it.
struct Named<'a> {
    incident_id: Cow<'a, str>,
    kind: &'static str,
    status: Cow<'a, str>,
    app_key: Cow<'a, str>,
    metric: Cow<'a, str>,
    applied_at: i64,
}

impl<'a> Named<'a> {
    fn new(subject: &'a Subject) -> Self {
        Self {
            incident_id: text(&subject.incident_id),
            kind: subject.kind.as_str(),
            status: text(&subject.status),
            app_key: text(&subject.app_key),
            metric: text(&subject.metric),
            applied_at: subject.applied_at(),
        }
    }
}

/// What is known, from a row of `RECALL`.
fn recalled(row: &Row) -> Result<Memory, StoreError> {
    let recurrence_28d = at::<i64>(row, "recurrence")?.unsigned_abs();
    if at::<Option<&str>>(row, "phase")?.is_none() {
        return Ok(Memory { recurrence_28d, ..Memory::default() });
    }
    let state = State {
        phase: word_at(row, "phase")?,
        status: at(row, "status")?,
        newest: optional_time_at(row, "newest")?,
        verified: at(row, "verified")?,
        untold: at(row, "untold")?,
        episode: at(row, "episode")?,
    };
    let told: Vec<(String, String, String)> = optional_json_at(row, "told")?.unwrap_or_default();
    let told =
        told.into_iter().map(|(receiver, integration, alias)| Told { target: Target { receiver, integration }, alias });
    Ok(Memory {
        known: Known { state: Some(state), applied_before: at(row, "applied")? },
        told: told.collect(),
        recurrence_28d,
    })
}
