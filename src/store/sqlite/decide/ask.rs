//! What is known of an incident when a mail about it is decided.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::{
    held,
    row::{json_at, optional_time_at, state, target, time_at},
    silence,
};
use crate::{
    incident::{Known, State},
    label::Labels,
    store::{
        HOUR, Heard, Memory, Mutes, RECURRENCE, Subject, Told, hour,
        kept::{doubtful, last_sent, micros, unproven},
    },
};

/// Returns the incident's number, if it exists, and what is known about it.
pub(super) fn recall(
    connection: &Connection,
    subject: &Subject,
    mutes: &Mutes,
    now: Timestamp,
) -> rusqlite::Result<(Option<i64>, Memory)> {
    let marked = if subject.verified {
        0
    } else {
        marked(connection, subject, now)?
    };

    let memory = Memory {
        recurrence_28d: recurrence(connection, subject, now)?,
        marked,
        silences: silence::active(connection, now)?,
        ..Memory::default()
    };

    let Some(Found {
        number,
        state,
        opened_at,
        heard_at,
        labels,
    }) = find(connection, subject)?
    else {
        return Ok((None, memory));
    };

    let (first_heard, applied_before) = applied(connection, number, subject)?
        .map_or((None, false), |(heard, counts)| (Some(heard), counts));
    held::release(connection, Some(number), mutes, now)?;

    let (told, held) = told(connection, number, state.episode)?;
    let known = Known {
        state: Some(state),
        applied_before,
    };

    Ok((
        Some(number),
        Memory {
            known,
            labels,
            opened_at: Some(opened_at),
            heard_at: Some(heard_at),
            told,
            held,
            silenced: silence::held(connection, number)?,
            first_heard,
            ..memory
        },
    ))
}

/// An incident's row.
struct Found {
    number: i64,
    state: State,
    opened_at: Timestamp,
    heard_at: Timestamp,
    labels: Labels,
}

fn find(connection: &Connection, subject: &Subject) -> rusqlite::Result<Option<Found>> {
    connection
        .prepare_cached(
            "SELECT id, phase, status, newest, verified, untold, episode, told, opened_at, heard_at,
                    labels
             FROM incidents
             WHERE incident_id = ?1 AND kind = ?2",
        )?
        .query_row([&subject.incident_id, subject.kind.as_str()], |row| {
            Ok(Found {
                number: row.get("id")?,
                state: state(row)?,
                opened_at: time_at(row, "opened_at")?,
                heard_at: time_at(row, "heard_at")?,
                labels: json_at(row, "labels")?,
            })
        })
        .optional()
}

/// Returns the mail that had the same status and time before, and whether it proves as much as this
/// one.
fn applied(
    connection: &Connection,
    incident: i64,
    subject: &Subject,
) -> rusqlite::Result<Option<(Heard, bool)>> {
    let (from, to) = subject.known_at();
    connection
        .prepare_cached(
            "SELECT ingress, at, verified >= ?5 AS counts FROM applied
             WHERE incident = ?1 AND status = ?2 AND time BETWEEN ?3 AND ?4
             ORDER BY verified DESC LIMIT 1",
        )?
        .query_row(
            params![incident, subject.status, from, to, subject.verified],
            |row| {
                let heard = Heard {
                    ingress: row.get("ingress")?,
                    at: time_at(row, "at")?,
                };
                Ok((heard, row.get("counts")?))
            },
        )
        .optional()
}

/// Returns the number of openings of the subject's series in the last 28 days.
fn recurrence(connection: &Connection, subject: &Subject, now: Timestamp) -> rusqlite::Result<u64> {
    let since = hour(now.saturating_sub(RECURRENCE).unwrap_or(now));
    connection
        .prepare_cached(
            "SELECT coalesce(sum(count), 0) FROM openings
             WHERE app_key = ?1 AND metric = ?2 AND hour > ?3",
        )?
        .query_row(
            params![subject.series.of, subject.series.what, since],
            |row| row.get::<_, i64>(0),
        )
        .map(i64::unsigned_abs)
}

/// Returns the number of unverified triggers of an ingress and a profile that notified somebody in
/// the last hour.
fn marked(connection: &Connection, subject: &Subject, now: Timestamp) -> rusqlite::Result<u64> {
    let an_hour_ago = micros(now.saturating_sub(HOUR).unwrap_or(now));
    connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM mails
                     WHERE marked = 1 AND decided_at > ?1 AND decided_at <= ?2 AND ingress = ?3
                       AND coalesce(profile, 'atlassian-sli') = ?4)
                  + (SELECT count(*) FROM mail_items JOIN mails ON mails.id = mail
                     WHERE mail_items.marked = 1 AND mail_items.decided_at > ?1
                       AND mail_items.decided_at <= ?2
                       AND ingress = ?3 AND coalesce(mail_items.profile, 'atlassian-sli') = ?4)",
        )?
        .query_row(
            params![an_hour_ago, micros(now), subject.ingress, &*subject.profile],
            |row| row.get::<_, i64>(0),
        )
        .map(i64::unsigned_abs)
}

/// Returns who was or will be notified of this episode (pending deliveries count), and whose page
/// is still held.
fn told(
    connection: &Connection,
    incident: i64,
    episode: i64,
) -> rusqlite::Result<(Vec<Told>, Vec<Told>)> {
    let found: Vec<Told> = connection
        .prepare_cached(concat!(
            "SELECT receiver, integration, alias,
                        CASE WHEN min(state = 'held') FILTER (WHERE action = 'trigger')
                          THEN max(held_until) FILTER (WHERE action = 'trigger') END AS held_until,
                        ",
            doubtful!(),
            " AS doubtful
                 FROM deliveries
                 WHERE incident = ?1 AND episode = ?2 AND action IN ('trigger', 'resolve')
                   AND state <> 'discarded'
                 GROUP BY receiver, integration, alias
                 HAVING max(action = 'trigger')
                 ORDER BY min(id) FILTER (WHERE action = 'trigger')"
        ))?
        .query_map(params![incident, episode], |row| {
            Ok(Told {
                target: target(row)?,
                alias: row.get("alias")?,
                held_until: optional_time_at(row, "held_until")?,
                doubtful: row.get("doubtful")?,
            })
        })?
        .collect::<Result<_, _>>()?;

    Ok(found
        .into_iter()
        .partition(|told| told.held_until.is_none()))
}
