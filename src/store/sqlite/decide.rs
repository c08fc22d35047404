//! The second commit: what is known of an incident, and everything that follows from a mail about
//! it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};

use crate::{
    incident::{Known, State},
    message::{Authenticity, MailId, Outcome},
    store::{
        Decide, Decision, HOUR, Heard, Kind, Memory, RECURRENCE, Silencing, Subject, Told, hour,
        kept::{hold, micros, signed},
    },
};

use super::{
    lane,
    row::{json, optional_json_at, optional_time_at, time_at, word_at},
    silence,
};

/// Lets `decide` conclude from what is known, and writes it. None where the mail is decided
/// already, or waits.
pub(super) fn decide(
    connection: &Connection,
    mail: MailId,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> rusqlite::Result<Option<Decision>> {
    let pending = connection
        .prepare_cached("SELECT outcome = 'pending' AND check_at IS NULL FROM mails WHERE id = ?1")?
        .query_row([mail], |row| row.get(0))
        .optional()?;
    if pending != Some(true) {
        return Ok(None);
    }
    let (decision, incident) = follow(connection, subject, None, now, decide)?;
    conclude(connection, mail, &decision, incident, now)?;
    Ok(Some(decision))
}

/// The same for a mail that was due to be looked at again. None where it is not any more.
pub(super) fn reconsider(
    connection: &Connection,
    mail: MailId,
    authenticity: &Authenticity,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> rusqlite::Result<Option<Decision>> {
    let due: Option<(Outcome, bool)> = connection
        .prepare_cached(
            "UPDATE mails SET authenticity = ?2, check_at = NULL, checks = checks + 1
             WHERE id = ?1 AND check_at IS NOT NULL
             RETURNING outcome, outcome <> 'pending' AND EXISTS (SELECT 1 FROM deliveries WHERE mail = mails.id) AS told",
        )?
        .query_row(params![mail, json(authenticity)?], |row| Ok((word_at(row, "outcome")?, row.get("told")?)))
        .optional()?;
    let Some((outcome, told)) = due else {
        return Ok(None);
    };
    let told_before = told.then_some(outcome);
    let (decision, incident) = follow(connection, subject, told_before, now, decide)?;
    if told {
        keep(connection, mail, &decision)?;
    } else {
        conclude(connection, mail, &decision, incident, now)?;
    }
    Ok(Some(decision))
}

/// The same for what the bridge tells of itself.
pub(super) fn announce(
    connection: &Connection,
    subject: &Subject,
    now: Timestamp,
    decide: Decide,
) -> rusqlite::Result<Decision> {
    follow(connection, Some(subject), None, now, decide).map(|(decision, _)| decision)
}

/// Lets `decide` conclude, and writes what follows for the incident; returns its number.
fn follow(
    connection: &Connection,
    subject: Option<&Subject>,
    told_before: Option<Outcome>,
    now: Timestamp,
    decide: Decide,
) -> rusqlite::Result<(Decision, Option<i64>)> {
    let (number, memory) = match subject {
        Some(subject) => recall(connection, subject, now)?,
        None => (None, Memory::default()),
    };
    let memory = Memory {
        told_before,
        ..memory
    };
    let mut decision = decide(&memory);
    let incident = match subject {
        Some(subject) => remember(connection, number, subject, &memory, &mut decision, now)?,
        None => None,
    };
    Ok((decision, incident))
}

/// Writes what became of a mail.
fn conclude(
    connection: &Connection,
    mail: MailId,
    decision: &Decision,
    incident: Option<i64>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let decided_at = (decision.outcome != Outcome::Pending).then(|| micros(now));
    connection
        .prepare_cached(
            "UPDATE mails SET outcome = :outcome, reason = :reason, labels = :labels, incident = :incident,
             decided_at = :decided_at, hold = :hold, marked = :marked, owed = :owed, check_at = CASE
                 -- Let through while it was looked at: what was concluded without that is concluded anew.
                 WHEN released IS NOT NULL AND :outcome IN ('pending', 'quarantined') THEN 0 ELSE :check_at END
             WHERE id = :mail",
        )?
        .execute(named_params! {
            ":outcome": decision.outcome.as_str(), ":reason": decision.reason, ":labels": json(&decision.labels)?,
            ":incident": incident, ":decided_at": decided_at, ":check_at": decision.check_at.map(micros),
            ":hold": decision.hold.as_ref().map(hold), ":marked": decision.marked, ":mail": mail,
            ":owed": signed(decision.owed_under(mail)),
        })
        .map(|_| ())
}

/// Writes what was found of a mail that somebody was told of: its outcome stays, and what was told
/// belongs to the incident's opening of now, so that its resolve reaches them.
fn keep(connection: &Connection, mail: MailId, decision: &Decision) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE mails SET reason = coalesce(?2, reason), labels = ?3, check_at = ?4 WHERE id = ?1")?
        .execute(params![mail, decision.reason, json(&decision.labels)?, decision.check_at.map(micros)])?;
    if let Some(state) = &decision.state {
        connection
            .prepare_cached("UPDATE deliveries SET episode = ?2 WHERE mail = ?1")?
            .execute(params![mail, state.episode])?;
    }
    Ok(())
}

/// The incident's number, where it has one, and what is known of it.
fn recall(
    connection: &Connection,
    subject: &Subject,
    now: Timestamp,
) -> rusqlite::Result<(Option<i64>, Memory)> {
    let recurrence_28d = connection
        .prepare_cached(
            "SELECT coalesce(sum(count), 0) FROM openings WHERE app_key = ?1 AND metric = ?2 AND hour > ?3",
        )?
        .query_row(
            params![subject.app_key, subject.metric, hour(now.saturating_sub(RECURRENCE).unwrap_or(now))],
            |row| row.get::<_, i64>(0),
        )?
        .unsigned_abs();
    let marked = if subject.verified {
        0
    } else {
        marked(connection, &subject.ingress, now)?
    };
    let silences = silence::active(connection, now)?;
    let memory = Memory {
        recurrence_28d,
        marked,
        silences,
        ..Memory::default()
    };
    let found = connection
        .prepare_cached(
            "SELECT id, phase, status, newest, verified, untold, episode, told FROM incidents
             WHERE incident_id = ?1 AND kind = ?2",
        )?
        .query_row([&subject.incident_id, subject.kind.as_str()], |row| {
            let state = State {
                phase: word_at(row, "phase")?,
                status: row.get("status")?,
                newest: optional_time_at(row, "newest")?,
                verified: row.get("verified")?,
                untold: row.get("untold")?,
                episode: row.get("episode")?,
                told: optional_json_at(row, "told")?.unwrap_or_default(),
            };
            Ok((row.get("id")?, state))
        })
        .optional()?;
    let Some((number, state)) = found else {
        return Ok((None, memory));
    };
    let applied = connection
        .prepare_cached(
            "SELECT ingress, at, verified >= ?4 AS counts FROM applied WHERE incident = ?1 AND status = ?2 AND time = ?3",
        )?
        .query_row(params![number, subject.status, subject.applied_at(), subject.verified], |row| {
            Ok((Heard { ingress: row.get("ingress")?, at: time_at(row, "at")? }, row.get("counts")?))
        })
        .optional()?;
    let (first_heard, applied_before) =
        applied.map_or((None, false), |(heard, counts)| (Some(heard), counts));
    lane::release_held(connection, Some(number), now)?;
    let (told, held) = told(connection, number, state.episode)?;
    let known = Known {
        state: Some(state),
        applied_before,
    };
    Ok((
        Some(number),
        Memory {
            known,
            told,
            held,
            silenced: silence::held(connection, number)?,
            first_heard,
            ..memory
        },
    ))
}

/// Unverified triggers of an ingress told in the hour before.
fn marked(connection: &Connection, ingress: &str, now: Timestamp) -> rusqlite::Result<u64> {
    let an_hour_ago = micros(now.saturating_sub(HOUR).unwrap_or(now));
    connection
        .prepare_cached(
            "SELECT count(*) FROM mails WHERE marked = 1 AND decided_at > ?1 AND decided_at <= ?2 AND ingress = ?3",
        )?
        .query_row(params![an_hour_ago, micros(now), ingress], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Who was told of this opening, or will be whatever comes, since waiting to be sent counts; and
/// whose page is still held.
fn told(
    connection: &Connection,
    incident: i64,
    episode: i64,
) -> rusqlite::Result<(Vec<Told>, Vec<Told>)> {
    let found: Vec<(Told, bool)> = connection
        .prepare_cached(
            "SELECT receiver, integration, alias, min(state = 'held') AS held FROM deliveries
             WHERE incident = ?1 AND episode = ?2 AND action = 'trigger' AND state <> 'discarded'
             GROUP BY receiver, integration, alias ORDER BY min(id)",
        )?
        .query_map(params![incident, episode], |row| {
            Ok((
                Told {
                    target: lane::target(row)?,
                    alias: row.get("alias")?,
                },
                row.get("held")?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    let (held, told): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, held)| *held);
    let whom = |found: Vec<(Told, bool)>| found.into_iter().map(|(told, _)| told).collect();
    Ok((whom(told), whom(held)))
}

/// Writes the incident's new state and the deliveries; returns the incident's number.
fn remember(
    connection: &Connection,
    known: Option<i64>,
    subject: &Subject,
    memory: &Memory,
    decision: &mut Decision,
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
    let Some(number) = number else {
        return Ok(None);
    };
    if decision.applied {
        connection
            .prepare_cached(
                "INSERT INTO applied (incident, status, time, verified, ingress, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET verified = max(verified, excluded.verified)",
            )?
            .execute(params![
                number,
                subject.status,
                subject.applied_at(),
                subject.verified,
                subject.ingress,
                micros(now),
            ])?;
    }
    let Some(state) = decision.state.as_ref().or(memory.known.state.as_ref()) else {
        return Ok(Some(number));
    };
    if subject.kind == Kind::Incident && decision.begins_episode(memory) {
        connection
            .prepare_cached(
                "INSERT INTO openings (app_key, metric, hour, count) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT DO UPDATE SET count = count + 1",
            )?
            .execute(params![subject.app_key, subject.metric, hour(now)])?;
    }
    if let Some(why) = decision.discards_held(state) {
        lane::discard_held(connection, number, why, now)?;
    }
    if decision.silencing != Silencing::Over || memory.silenced.is_some() {
        silence::keep(connection, number, &decision.silencing)?;
    }
    for delivery in &decision.deliveries {
        decision
            .claims
            .extend(lane::owe(connection, number, state.episode, delivery, now)?);
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
             (incident_id, kind, phase, status, newest, verified, untold, episode, opened_at, changed_at, labels, told)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11)",
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
            last_told(state)?,
        ])
}

fn last_told(state: &State) -> rusqlite::Result<Option<String>> {
    (!state.told.is_empty())
        .then(|| json(&state.told))
        .transpose()
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
                    labels = ?9, told = ?10
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
            last_told(state)?,
        ])
        .map(|_| ())
}
