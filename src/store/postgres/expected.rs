//! The absence of mail: quiet open incidents, and expected mail.

use jiff::Timestamp;

use super::{
    connection::Database,
    row::{at, incident_row, text, time_at},
};
use crate::store::{ExpectedMail, IncidentRow, StoreError, kept::micros};

/// The most expected mails that are examined. A configuration has fewer.
const MANY: i64 = 10_000;

const QUIET: &str = "
SELECT * FROM incidents WHERE profile = $1 AND heard_at <= $2 AND phase = 'firing'
  AND kind = 'incident'
ORDER BY heard_at LIMIT $3";

pub(super) async fn quiet(
    database: &Database,
    profile: &str,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<IncidentRow>, StoreError> {
    let rows = database
        .query(QUIET, &[&profile, &micros(until), &i64::from(limit)])
        .await?;
    rows.iter().map(incident_row).collect()
}

const EXPECTED: &str =
    "SELECT profile, key, heard_at, missing FROM expected_mail ORDER BY profile, key LIMIT $1";

pub(super) async fn expected_mail(database: &Database) -> Result<Vec<ExpectedMail>, StoreError> {
    let rows = database.query(EXPECTED, &[&MANY]).await?;
    let expected = rows.iter().map(|row| {
        Ok(ExpectedMail {
            profile: at::<&str>(row, "profile")?.into(),
            key: at(row, "key")?,
            heard_at: time_at(row, "heard_at")?,
            missing: at(row, "missing")?,
        })
    });
    expected.collect()
}

/// Records that mail is expected. If it is already, the time of its last arrival stays as it is.
const EXPECT: &str = "
INSERT INTO expected_mail (profile, key, heard_at, missing) VALUES ($1, $2, $3, $4)
ON CONFLICT (profile, key) DO UPDATE SET missing = excluded.missing";

pub(super) async fn expect(database: &Database, mail: &ExpectedMail) -> Result<(), StoreError> {
    let (profile, key, heard_at) = (&*mail.profile, text(&mail.key), micros(mail.heard_at));
    database
        .query(EXPECT, &[&profile, &key, &heard_at, &mail.missing])
        .await
        .map(drop)
}

const UNEXPECT: &str = "DELETE FROM expected_mail WHERE profile = $1 AND key = $2";

pub(super) async fn unexpect(
    database: &Database,
    profile: &str,
    key: &str,
) -> Result<(), StoreError> {
    database
        .query(UNEXPECT, &[&profile, &text(key)])
        .await
        .map(drop)
}

/// Records an arrival of expected mail.
pub(super) const ARRIVED: &str = "
INSERT INTO expected_mail (profile, key, heard_at) VALUES ($1, $2, $3)
ON CONFLICT (profile, key) DO UPDATE
SET heard_at = greatest(expected_mail.heard_at, excluded.heard_at)";
