//! The absence of mail: quiet open incidents, and expected mail.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::row::{incident_row, time_at};
use crate::store::{Arrival, ExpectedMail, IncidentRow, kept::micros};

/// The most expected mails that are examined. A configuration has fewer.
const MANY: u32 = 10_000;

pub(super) fn quiet(
    connection: &Connection,
    profile: &str,
    until: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<IncidentRow>> {
    connection
        .prepare_cached(
            "SELECT * FROM incidents
             WHERE profile = ?1 AND heard_at <= ?2 AND phase = 'firing' AND kind = 'incident'
             ORDER BY heard_at LIMIT ?3",
        )?
        .query_map(params![profile, micros(until), limit], incident_row)?
        .collect()
}

pub(super) fn expected_mail(connection: &Connection) -> rusqlite::Result<Vec<ExpectedMail>> {
    connection
        .prepare_cached(
            "SELECT profile, key, heard_at, missing FROM expected_mail
             ORDER BY profile, key LIMIT ?1",
        )?
        .query_map([MANY], |row| {
            Ok(ExpectedMail {
                profile: row.get::<_, String>("profile")?.into(),
                key: row.get("key")?,
                heard_at: time_at(row, "heard_at")?,
                missing: row.get("missing")?,
            })
        })?
        .collect()
}

/// Records that mail is expected. If it is already, the time of its last arrival stays as it is.
pub(super) fn expect(connection: &Connection, expected: &ExpectedMail) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO expected_mail (profile, key, heard_at, missing) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET missing = excluded.missing",
        )?
        .execute(params![
            &*expected.profile,
            expected.key,
            micros(expected.heard_at),
            expected.missing
        ])
        .map(|_| ())
}

pub(super) fn unexpect(connection: &Connection, profile: &str, key: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM expected_mail WHERE profile = ?1 AND key = ?2")?
        .execute([profile, key])
        .map(|_| ())
}

/// Records an arrival of expected mail.
pub(super) fn arrived(connection: &Connection, arrival: &Arrival) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO expected_mail (profile, key, heard_at) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET heard_at = max(heard_at, excluded.heard_at)",
        )?
        .execute(params![&*arrival.profile, arrival.key, micros(arrival.at)])
        .map(|_| ())
}
