//! The writing of a decision's effects.

use jiff::Timestamp;
use rusqlite::{Connection, named_params, params};

use super::super::{held, owe, row::json, silence};
use crate::{
    incident::State,
    message::{MailId, Outcome},
    store::{
        Decision, Kind, Memory, Silencing, Subject, hour,
        kept::{hold, micros, signed},
    },
};

/// Writes the outcome of a mail.
pub(super) fn conclude(
    connection: &Connection,
    mail: MailId,
    decision: &Decision,
    incident: Option<i64>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let decided_at = (decision.outcome != Outcome::Pending).then(|| micros(now));
    connection
        .prepare_cached(
            "UPDATE mails SET outcome = :outcome, reason = :reason, labels = :labels,
               incident = :incident, profile = :profile, decided_at = :decided_at,
               hold = :hold, marked = :marked, owed = :owed, check_at = CASE
                 -- Released while it was being read: it is concluded again with that in mind.
                 WHEN released IS NOT NULL AND :outcome IN ('pending', 'quarantined') THEN 0
                   ELSE :check_at END
             WHERE id = :mail",
        )?
        .execute(named_params! {
            ":outcome": decision.outcome.as_str(), ":reason": decision.reason,
            ":labels": json(&decision.labels)?,
            ":incident": incident, ":decided_at": decided_at,
            ":check_at": decision.check_at.map(micros),
            ":hold": decision.hold.as_ref().map(hold), ":marked": decision.marked, ":mail": mail,
            ":owed": signed(decision.owed_under(mail)), ":profile": decision.profile.as_deref(),
        })
        .map(|_| ())
}

/// Writes the finding about a mail that has already notified somebody: its outcome stays, and its
/// pages move to the incident's current episode, so that its resolve reaches the same receivers.
pub(super) fn keep(
    connection: &Connection,
    mail: MailId,
    decision: &Decision,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE mails SET reason = coalesce(?2, reason), labels = ?3,
                           check_at = ?4 WHERE id = ?1",
        )?
        .execute(params![
            mail,
            decision.reason,
            json(&decision.labels)?,
            decision.check_at.map(micros)
        ])?;
    if let Some(state) = &decision.state {
        connection
            .prepare_cached("UPDATE deliveries SET episode = ?2 WHERE mail = ?1")?
            .execute(params![mail, state.episode])?;
    }

    Ok(())
}

/// Writes the incident's new state and the deliveries, and returns the incident's number.
pub(super) fn remember(
    connection: &Connection,
    known: Option<i64>,
    subject: &Subject,
    memory: &Memory,
    decision: &mut Decision,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    let number = match (&decision.state, known) {
        (None, Some(number)) => {
            hear(connection, number, decision)?;
            if decision.applied && !memory.known.applied_before {
                change(connection, number, now)?;
            }
            Some(number)
        }
        (None, None) => None,
        (Some(state), None) => Some(insert(connection, subject, state, decision, now)?),
        (Some(state), Some(number)) => {
            update(connection, number, state, (memory, decision), now)?;
            Some(number)
        }
    };

    let Some(number) = number else {
        return Ok(None);
    };
    if decision.applied {
        apply(connection, number, subject, now)?;
    }

    let Some(state) = decision.state.as_ref().or(memory.known.state.as_ref()) else {
        return Ok(Some(number));
    };
    if subject.kind == Kind::Incident && decision.begins_episode(memory) {
        count_opening(connection, subject, now)?;
    }

    if let Some(why) = decision.discards_held(state) {
        held::discard(connection, number, why, now)?;
    }

    if decision.silencing != Silencing::Over || memory.silenced.is_some() {
        silence::keep(connection, number, &decision.silencing)?;
    }

    for delivery in &decision.deliveries {
        let episode = Decision::episode_of(delivery, state, memory);
        decision
            .claims
            .extend(owe::owe(connection, number, episode, delivery, now)?);
    }

    Ok(Some(number))
}

/// Remembers that the status of a mail was applied, so that another mail with that status is a
/// repeat.
fn apply(
    connection: &Connection,
    incident: i64,
    subject: &Subject,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO applied (incident, status, time, verified, ingress, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET verified = max(verified, excluded.verified)",
        )?
        .execute(params![
            incident,
            subject.status,
            subject.applied_at(),
            subject.verified,
            subject.ingress,
            micros(now),
        ])
        .map(drop)
}

fn count_opening(
    connection: &Connection,
    subject: &Subject,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO openings (app_key, metric, hour, count) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT DO UPDATE SET count = count + 1",
        )?
        .execute(params![subject.series.of, subject.series.what, hour(now)])
        .map(drop)
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
             (incident_id, kind, phase, status, newest, verified, untold, episode, opened_at,
              changed_at, heard_at, labels,
              told, profile)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?13, ?10, ?11, ?12)",
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
            decision.profile.as_deref(),
            micros(decision.heard_at.unwrap_or(now)),
        ])
}

/// Records that mail about the incident arrived, even if nothing changes.
fn hear(connection: &Connection, number: i64, decision: &Decision) -> rusqlite::Result<()> {
    let Some(at) = decision.heard_at else {
        return Ok(());
    };
    connection
        .prepare_cached("UPDATE incidents SET heard_at = max(heard_at, ?2) WHERE id = ?1")?
        .execute(params![number, micros(at)])
        .map(|_| ())
}

/// Records that more was said of the incident, though its state is as it was, so that those who
/// follow it see the change.
fn change(connection: &Connection, number: i64, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE incidents SET changed_at = max(changed_at, ?2) WHERE id = ?1")?
        .execute(params![number, micros(now)])
        .map(|_| ())
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
    (memory, decision): (&Memory, &Decision),
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE incidents SET phase = ?2, status = ?3, newest = ?4, verified = ?5, untold = ?6,
                    opened_at = CASE WHEN episode < ?7 THEN ?8
                      ELSE opened_at END, episode = ?7, changed_at = ?8,
                    -- Mail that was decided later may have arrived earlier.
                    heard_at = coalesce(max(heard_at, ?11), ?8), labels = ?9, told = ?10
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
            json(&decision.labels_of_incident(memory))?,
            last_told(state)?,
            decision.heard_at.map(micros),
        ])
        .map(|_| ())
}
