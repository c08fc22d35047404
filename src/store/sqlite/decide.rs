//! The second commit: what is known of an incident, and everything that follows from a mail about it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};

use crate::{
    incident::{Known, Phase, State},
    message::MailId,
    store::{Decide, Decision, Kind, Memory, RECURRENCE, Subject, Told, kept::micros},
};

use super::{
    lane,
    row::{json, optional_time_at, word_at},
};

/// Lets `decide` conclude from what is known, and writes it. None where the mail is decided already.
pub(super) fn decide(
    connection: &Connection,
    mail: MailId,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> rusqlite::Result<Option<Decision>> {
    let pending = connection
        .prepare_cached("SELECT outcome = 'pending' FROM mails WHERE id = ?1")?
        .query_row([mail], |row| row.get(0))
        .optional()?;
    if pending != Some(true) {
        return Ok(None);
    }
    let (number, memory) = match subject {
        Some(subject) => recall(connection, subject, now)?,
        None => (None, Memory::default()),
    };
    let decision = decide(&memory);
    let incident = match subject {
        Some(subject) => remember(connection, number, subject, &memory, &decision, now)?,
        None => None,
    };
    connection
        .prepare_cached(
            "UPDATE mails SET outcome = :outcome, reason = :reason, labels = :labels, incident = :incident,
             decided_at = :now WHERE id = :mail",
        )?
        .execute(named_params! {
            ":outcome": decision.outcome.as_str(), ":reason": decision.reason, ":labels": json(&decision.labels)?,
            ":incident": incident, ":now": micros(now), ":mail": mail,
        })?;
    Ok(Some(decision))
}

/// The incident's number, where it has one, and what is known of it.
fn recall(connection: &Connection, subject: &Subject, now: Timestamp) -> rusqlite::Result<(Option<i64>, Memory)> {
    let recurrence_28d = connection
        .prepare_cached("SELECT count(*) FROM openings WHERE app_key = ?1 AND metric = ?2 AND at > ?3")?
        .query_row(
            params![subject.app_key, subject.metric, micros(now.saturating_sub(RECURRENCE).unwrap_or(now))],
            |row| row.get::<_, i64>(0),
        )?
        .unsigned_abs();
    let found = connection
        .prepare_cached(
            "SELECT id, phase, status, newest, verified, untold, episode FROM incidents WHERE incident_id = ?1",
        )?
        .query_row([&subject.incident_id], |row| {
            let state = State {
                phase: word_at(row, "phase")?,
                status: row.get("status")?,
                newest: optional_time_at(row, "newest")?,
                verified: row.get("verified")?,
                untold: row.get("untold")?,
                episode: row.get("episode")?,
            };
            Ok((row.get("id")?, state))
        })
        .optional()?;
    let Some((number, state)) = found else {
        return Ok((None, Memory { recurrence_28d, ..Memory::default() }));
    };
    let applied_before = connection
        .prepare_cached("SELECT 1 FROM applied WHERE incident = ?1 AND status = ?2 AND time = ?3")?
        .exists(params![number, subject.status, subject.applied_at()])?;
    let told = told(connection, number, state.episode, now)?;
    Ok((Some(number), Memory { known: Known { state: Some(state), applied_before }, told, recurrence_28d }))
}

/// Who was told of this opening, or will be whatever comes: waiting to be sent counts, held by a mute does not.
fn told(connection: &Connection, incident: i64, episode: i64, now: Timestamp) -> rusqlite::Result<Vec<Told>> {
    connection
        .prepare_cached(
            "SELECT receiver, integration, alias FROM deliveries
             WHERE incident = ?1 AND episode = ?2 AND action = 'trigger'
               AND (state IN ('pending', 'delivered', 'dead') OR (state = 'held' AND next_at <= ?3))
             GROUP BY receiver, integration, alias ORDER BY min(id)",
        )?
        .query_map(params![incident, episode, micros(now)], |row| {
            Ok(Told { target: lane::target(row)?, alias: row.get("alias")? })
        })?
        .collect()
}

/// Writes the incident's new state and the deliveries; returns the incident's number.
fn remember(
    connection: &Connection,
    known: Option<i64>,
    subject: &Subject,
    memory: &Memory,
    decision: &Decision,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    let number = match (&decision.state, known) {
        (None, known) => known,
        (Some(state), None) => Some(insert(connection, subject, state, decision, now)?),
        (Some(state), Some(number)) => {
            update(connection, number, state, decision, now)?;
            Some(number)
        }
    };
    let Some(number) = number else { return Ok(None) };
    if decision.applied {
        connection
            .prepare_cached("INSERT INTO applied (incident, status, time) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![number, subject.status, subject.applied_at()])?;
    }
    let Some(state) = decision.state.as_ref().or(memory.known.state.as_ref()) else { return Ok(Some(number)) };
    if subject.kind == Kind::Incident && decision.begins_episode(memory) {
        connection
            .prepare_cached(
                "INSERT INTO openings (app_key, metric, at, incident) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            )?
            .execute(params![subject.app_key, subject.metric, micros(now), number])?;
    }
    if state.phase == Phase::Resolved {
        lane::discard_held(connection, number, now)?;
    }
    for delivery in &decision.deliveries {
        lane::owe(connection, number, state.episode, delivery, now)?;
    }
    Ok(Some(number))
}

fn insert(
    connection: &Connection,
    subject: &Subject,
    state: &State,
    decision: &Decision,
    now: Timestamp,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO incidents
             (incident_id, kind, phase, status, newest, verified, untold, episode, opened_at, changed_at, labels)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
        )?
        .insert(params![
            subject.incident_id,
            subject.kind.as_str(),
            state.phase.as_str(),
            state.status,
            state.newest.map(micros),
            state.verified,
            state.untold,
            state.episode,
            micros(now),
            json(&decision.labels)?,
        ])
}

fn update(
    connection: &Connection,
    number: i64,
    state: &State,
    decision: &Decision,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE incidents SET phase = ?2, status = ?3, newest = ?4, verified = ?5, untold = ?6,
                    opened_at = CASE WHEN episode < ?7 THEN ?8 ELSE opened_at END, episode = ?7, changed_at = ?8,
                    labels = ?9
             WHERE id = ?1",
        )?
        .execute(params![
            number,
            state.phase.as_str(),
            state.status,
            state.newest.map(micros),
            state.verified,
            state.untold,
            state.episode,
            micros(now),
            json(&decision.labels)?,
        ])
        .map(|_| ())
}
