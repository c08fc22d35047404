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
    connection::{Database, Flight, Parameter},
    lane::{self, Owed},
    row::{at, optional_time_at, target_at, text, word_at},
};
use crate::{
    crash,
    incident::{Known, Phase, State},
    message::MailId,
    store::{
        Decide, Decision, Kind, Memory, RECURRENCE, StoreError, Subject, Told,
        kept::{json, micros},
    },
};

const PENDING: &str = "SELECT outcome = 'pending' AS pending FROM mails WHERE id = $1 FOR NO KEY UPDATE";

/// One row, with NULLs where the incident is new.
const RECALL: &str = "
SELECT (SELECT count(*) FROM openings WHERE app_key = $2 AND metric = $3 AND at > $4) AS recurrence,
       phase, status, newest, verified, untold, episode,
       EXISTS (SELECT 1 FROM applied WHERE incident = incidents.id AND applied.status = $5 AND time = $6) AS applied
FROM (SELECT 1) AS one LEFT JOIN incidents ON incident_id = $1";

/// Who was told of this opening, or will be whatever comes: waiting to be sent counts, held by a mute does not.
const TOLD: &str = "
SELECT receiver, integration, alias FROM deliveries JOIN incidents ON incidents.id = incident
WHERE incident_id = $1 AND deliveries.episode = incidents.episode AND action = 'trigger'
  AND (state IN ('pending', 'delivered', 'dead') OR (state = 'held' AND next_at <= $2))
GROUP BY receiver, integration, alias ORDER BY min(deliveries.id)";

const REMEMBER: &str = "
INSERT INTO incidents
    (incident_id, kind, phase, status, newest, verified, untold, episode, opened_at, changed_at, labels)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
ON CONFLICT (incident_id) DO UPDATE SET
    phase = excluded.phase, status = excluded.status, newest = excluded.newest, verified = excluded.verified,
    untold = excluded.untold, changed_at = excluded.changed_at, labels = excluded.labels, episode = excluded.episode,
    opened_at = CASE WHEN incidents.episode < excluded.episode THEN excluded.opened_at ELSE incidents.opened_at END";

const APPLY: &str = "
INSERT INTO applied (incident, status, time) SELECT id, $2, $3 FROM incidents WHERE incident_id = $1
ON CONFLICT DO NOTHING";

const OPEN: &str = "
INSERT INTO openings (app_key, metric, at, incident) SELECT $2, $3, $4, id FROM incidents WHERE incident_id = $1
ON CONFLICT DO NOTHING";

const DECIDED: &str = "
UPDATE mails SET outcome = $2, reason = $3, labels = $4, decided_at = $5,
       incident = (SELECT id FROM incidents WHERE incident_id = $6)
WHERE id = $1";

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
            .add(RECALL, vec![incident_id, app_key, metric, &since, status, applied_at])
            .add(TOLD, vec![incident_id, &at]);
    }
    let answers = transaction.send(asked).await?;
    let pending = answers[1].first().map(|row| row.get::<_, bool>("pending"));
    if pending != Some(true) {
        transaction.undo().await?;
        return Ok(None);
    }
    let memory = match &answers[..] {
        [_, _, _, known, told] => recalled(known, told)?,
        _ => Memory::default(),
    };
    // The transaction is undone by being dropped.
    let decision = catch_unwind(AssertUnwindSafe(|| decide(&memory))).map_err(|_| StoreError::Panicked)?;

    let labels = json(&decision.labels)?;
    let reason = decision.reason.as_deref().map(text);
    let outcome = decision.outcome.as_str();
    let incident_id = subject.as_ref().map(|subject| &subject.incident_id);
    let state = decision.state.as_ref().or(memory.known.state.as_ref());
    let new = decision.state.as_ref().map(Kept::new);
    let owed: Vec<Owed> = match state {
        Some(state) => decision
            .deliveries
            .iter()
            .map(|delivery| Owed::new(delivery, state.episode, now))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let mut written = Flight::default();
    if let (Some(subject), Some(state)) = (&subject, state) {
        let Named { incident_id, kind, status, app_key, metric, applied_at } = subject;
        if let Some(Kept { phase, status, newest, verified, untold, episode }) = &new {
            let known: Vec<Parameter<'_>> =
                vec![incident_id, kind, phase, status, newest, verified, untold, episode, &at, &labels];
            written.add(REMEMBER, known);
        }
        if decision.applied {
            written.add(APPLY, vec![incident_id, status, applied_at]);
        }
        if *kind == Kind::Incident.as_str() && decision.begins_episode(&memory) {
            written.add(OPEN, vec![incident_id, app_key, metric, &at]);
        }
        if state.phase == Phase::Resolved {
            written.add(lane::DISCARD_HELD, vec![incident_id, &at]).add(lane::ADVANCE_ALL, vec![incident_id, &at]);
        }
        for delivery in &owed {
            delivery.add_to(&mut written, incident_id);
        }
    }
    written.add(DECIDED, vec![&mail, &outcome, &reason, &labels, &at, &incident_id]);
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

/// A state as the statements take it.
struct Kept<'a> {
    phase: &'static str,
    status: Cow<'a, str>,
    newest: Option<i64>,
    verified: bool,
    untold: bool,
    episode: i64,
}

impl<'a> Kept<'a> {
    fn new(state: &'a State) -> Self {
        Self {
            phase: state.phase.as_str(),
            status: text(&state.status),
            newest: state.newest.map(micros),
            verified: state.verified,
            untold: state.untold,
            episode: state.episode,
        }
    }
}

fn recalled(known: &[Row], told: &[Row]) -> Result<Memory, StoreError> {
    let Some(row) = known.first() else { return Ok(Memory::default()) };
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
    let told = told.iter().map(|row| Ok(Told { target: target_at(row)?, alias: at(row, "alias")? }));
    Ok(Memory {
        known: Known { state: Some(state), applied_before: at(row, "applied")? },
        told: told.collect::<Result<_, StoreError>>()?,
        recurrence_28d,
    })
}
