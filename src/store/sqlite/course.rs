//! The courses of incidents, from which objectives are measured.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::row::{json_at, optional_time_at, time_at, word_at};
use crate::{
    label::Labels,
    store::{Course, Courses, kept::micros},
};

pub(super) fn courses(
    connection: &Connection,
    of: Courses,
    limit: u32,
) -> rusqlite::Result<Vec<Course>> {
    let (which, at, after) = match of {
        Courses::Changed { since, after } => (
            "changed_at >= ?1 AND (changed_at > ?1 OR id > ?2) ORDER BY changed_at, id",
            since,
            after,
        ),
        Courses::Open { before, after } => (
            "phase = 'firing' AND changed_at < ?1 AND id > ?2 ORDER BY id",
            before,
            after,
        ),
    };

    // An index leads to the rows, and incidents of other kinds are skipped here.
    connection
        .prepare_cached(&format!(
            "SELECT id, incident_id, labels, phase, changed_at FROM incidents
             WHERE kind = 'incident' AND {which} LIMIT ?3"
        ))?
        .query_map((micros(at), after, limit), |row| course(connection, row))?
        .collect()
}

fn course(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Course> {
    let number = row.get("id")?;
    let labels: Labels = json_at(row, "labels")?;
    let has_app = labels.get("app_key").is_some_and(|app| !app.is_empty());
    let (said, heard, ended_at) = if has_app {
        (said(connection, number)?, Vec::new(), None)
    } else {
        let ended_at = ended_at(connection, number)?;
        (Vec::new(), heard(connection, number)?, ended_at)
    };

    Ok(Course {
        number,
        incident_id: row.get("incident_id")?,
        phase: word_at(row, "phase")?,
        changed_at: time_at(row, "changed_at")?,
        labels,
        said,
        heard,
        ended_at,
    })
}

fn said(connection: &Connection, incident: i64) -> rusqlite::Result<Vec<(Timestamp, String)>> {
    connection
        .prepare_cached("SELECT time, status FROM applied WHERE incident = ?1")?
        .query_map([incident], |row| {
            Ok((time_at(row, "time")?, row.get("status")?))
        })?
        .collect()
}

fn heard(connection: &Connection, incident: i64) -> rusqlite::Result<Vec<(Timestamp, bool)>> {
    connection
        .prepare_cached(
            "SELECT arrived_at, coalesce(instr(labels, '\"state\":\"resolved\"'), 0) = 0 AS is_on
             FROM mails
             WHERE incident = ?1 AND outcome IN
                 ('opened', 'reopened', 'resolved', 'updated', 'changed', 'silenced', 'expired')
             UNION ALL
             SELECT arrived_at, coalesce(instr(mail_items.labels, '\"state\":\"resolved\"'), 0) = 0
             FROM mail_items JOIN mails ON mails.id = mail
             WHERE mail_items.incident = ?1 AND mail_items.outcome IN
                 ('opened', 'reopened', 'resolved', 'updated', 'changed', 'silenced', 'expired')",
        )?
        .query_map([incident], |row| {
            Ok((time_at(row, "arrived_at")?, row.get("is_on")?))
        })?
        .collect()
}

fn ended_at(connection: &Connection, incident: i64) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached(
            "SELECT min(created_at) AS ended_at FROM deliveries
             WHERE incident = ?1 AND action = 'resolve'
               AND episode = (SELECT episode FROM incidents WHERE id = ?1)",
        )?
        .query_row([incident], |row| optional_time_at(row, "ended_at"))
}
