//! Mails as they came: recorded, read back.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::Database,
    row::{at, stored_mail, text, time_at},
};
use crate::{
    message::{Bookmark, MailId, Release, Wanted},
    store::{
        FARTHEST_CHECK, READ_BACK, StoreError, StoredMail,
        kept::{Packed, json, micros, signed},
        refusal::{not_quarantined, not_released},
    },
};

/// All mails and the bookmark in one statement: one way to the server and back, one commit.
///
/// A bookmark never goes back while its mailbox is numbered as before: who reads it last may have
/// read it slowly.
const RECORD: &str = "
WITH given AS MATERIALIZED (
    SELECT nextval('mails_id_seq') AS id, given.*
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[], $14::text[])
        AS given (ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, raw, withheld)
), mail AS (
    INSERT INTO mails (id, ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, withheld, holder, held_until)
    SELECT id, ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, withheld, $9, now() + $10::bigint * interval '1 ms'
    FROM given
), body AS (
    INSERT INTO bodies (mail, raw) SELECT id, raw FROM given
), bookmark AS (
    INSERT INTO bookmarks (mailbox, uid_validity, last_uid) SELECT $11::text, $12::bigint, $13::bigint WHERE $11::text IS NOT NULL
    ON CONFLICT (mailbox) DO UPDATE SET uid_validity = excluded.uid_validity, last_uid =
        CASE WHEN bookmarks.uid_validity = excluded.uid_validity AND NOT $19::boolean
             THEN greatest(bookmarks.last_uid, excluded.last_uid) ELSE excluded.last_uid END
), wanted AS (
    INSERT INTO wanted_mails (mailbox, uid_validity, uid, since, told)
    SELECT $11::text, $12::bigint, uid, since, told
    FROM unnest($15::bigint[], $16::bigint[], $17::boolean[]) AS wanted (uid, since, told)
    ON CONFLICT (mailbox, uid_validity, uid) DO UPDATE SET told = wanted_mails.told OR excluded.told
), given_now AS (
    DELETE FROM wanted_mails
    WHERE mailbox = $11::text AND NOT (uid_validity = $12::bigint AND uid = ANY ($15::bigint[]))
      AND (uid_validity <> $12::bigint OR uid = ANY ($18::bigint[]) OR $19::boolean)
)
SELECT id FROM given ORDER BY id";

pub(super) async fn record(
    database: &Database,
    holder: i64,
    hold: Duration,
    mails: &[Packed],
    bookmark: Option<&Bookmark>,
) -> Result<Vec<MailId>, StoreError> {
    let ingress: Vec<_> = mails
        .iter()
        .map(|mail| text(&mail.message.ingress))
        .collect();
    let arrived_at: Vec<_> = mails
        .iter()
        .map(|mail| micros(mail.message.arrived_at))
        .collect();
    let size: Vec<_> = mails
        .iter()
        .map(|mail| signed(mail.message.raw.len() as u64))
        .collect();
    let cut_from: Vec<_> = mails
        .iter()
        .map(|mail| mail.message.cut_from.map(signed))
        .collect();
    let sha256: Vec<_> = mails.iter().map(|mail| mail.sha256.as_str()).collect();
    let envelope: Vec<_> = mails.iter().map(|mail| mail.envelope.as_deref()).collect();
    let authenticity: Vec<_> = mails
        .iter()
        .map(|mail| mail.authenticity.as_str())
        .collect();
    let raw: Vec<_> = mails.iter().map(|mail| mail.body.as_slice()).collect();
    let mailbox = bookmark.map(|bookmark| text(&bookmark.mailbox));
    let uid_validity = bookmark.map(|bookmark| i64::from(bookmark.uid_validity));
    let last_uid = bookmark.map(|bookmark| i64::from(bookmark.last_uid));
    let withheld: Vec<_> = mails
        .iter()
        .map(|mail| mail.message.withheld.as_deref().map(text))
        .collect();
    let wanted: &[Wanted] = bookmark.map_or(&[], |bookmark| &bookmark.wanted);
    let uids: Vec<_> = wanted.iter().map(|wanted| i64::from(wanted.uid)).collect();
    let since: Vec<_> = wanted.iter().map(|wanted| micros(wanted.since)).collect();
    let told: Vec<_> = wanted.iter().map(|wanted| wanted.told).collect();
    let given: Vec<_> = bookmark
        .iter()
        .flat_map(|bookmark| &bookmark.given)
        .map(|uid| i64::from(*uid))
        .collect();
    let rewound = bookmark.is_some_and(|bookmark| bookmark.rewound);
    let rows = database
        .query(
            RECORD,
            &[
                &ingress,
                &arrived_at,
                &size,
                &cut_from,
                &sha256,
                &envelope,
                &authenticity,
                &raw,
                &holder,
                &millis(hold),
                &mailbox,
                &uid_validity,
                &last_uid,
                &withheld,
                &uids,
                &since,
                &told,
                &given,
                &rewound,
            ],
        )
        .await?;
    rows.iter().map(|row| at(row, "id")).collect()
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) async fn bookmark(
    database: &Database,
    mailbox: &str,
) -> Result<Option<Bookmark>, StoreError> {
    let rows = database
        .query(
            "SELECT uid_validity, last_uid FROM bookmarks WHERE mailbox = $1",
            &[&text(mailbox)],
        )
        .await?;
    let number = |row: &Row, column| -> Result<u32, StoreError> {
        Ok(u32::try_from(at::<i64>(row, column)?).unwrap_or_default())
    };
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut bookmark = Bookmark::at(
        mailbox,
        number(row, "uid_validity")?,
        number(row, "last_uid")?,
    );
    let wanted = database
        .query(
            "SELECT uid, since, told FROM wanted_mails WHERE mailbox = $1 AND uid_validity = $2 ORDER BY uid",
            &[&text(mailbox), &i64::from(bookmark.uid_validity)],
        )
        .await?;
    for row in &wanted {
        bookmark.wanted.push(Wanted {
            uid: number(row, "uid")?,
            since: time_at(row, "since")?,
            told: at(row, "told")?,
        });
    }
    Ok(Some(bookmark))
}

/// The replica's own, and those of one that has not decided them in time. What another locks is
/// left to it. The replica's own is not: whatever locks it may be undone, and what comes after it
/// must not overtake it.
const UNDECIDED: &str = "
WITH free AS MATERIALIZED (
    SELECT id, size, holder FROM mails
    WHERE outcome = 'pending' AND check_at IS NULL AND id > $3 AND (holder = $1 OR held_until < now() OR held_until IS NULL)
    ORDER BY id LIMIT $4
), wanted AS MATERIALIZED (
    SELECT id, holder FROM (SELECT *, sum(size) OVER (ORDER BY id) - size AS before FROM free) AS sized
    WHERE before < $5::bigint
), unlocked AS MATERIALIZED (
    SELECT id FROM mails
    WHERE id = ANY (ARRAY(SELECT id FROM wanted)) AND outcome = 'pending' AND check_at IS NULL
      AND (holder = $1 OR held_until < now() OR held_until IS NULL)
    FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
    UPDATE mails SET holder = $1, held_until = now() + $2::bigint * interval '1 ms'
    WHERE id = ANY (ARRAY(SELECT id FROM unlocked)) RETURNING id
)
SELECT mails.*, raw FROM wanted
CROSS JOIN LATERAL (SELECT * FROM mails WHERE id = wanted.id OFFSET 0) AS mails
CROSS JOIN LATERAL (SELECT raw FROM bodies WHERE mail = wanted.id OFFSET 0) AS body
WHERE wanted.holder = $1 OR wanted.id = ANY (ARRAY(SELECT id FROM taken))
ORDER BY wanted.id";

pub(super) async fn undecided(
    database: &Database,
    holder: i64,
    hold: Duration,
    after: MailId,
    limit: u32,
) -> Result<Vec<StoredMail>, StoreError> {
    let rows = database
        .query(
            UNDECIDED,
            &[
                &holder,
                &millis(hold),
                &after,
                &i64::from(limit),
                &signed(READ_BACK),
            ],
        )
        .await?;
    Ok(whole(&rows))
}

/// A mail whose bytes are damaged cannot be decided; it must not keep the others waiting. `store
/// check` tells of it.
fn whole(rows: &[Row]) -> Vec<StoredMail> {
    let passed_over = |error: &StoreError| tracing::warn!(%error, "an undecided mail is damaged, and is passed over");
    rows.iter()
        .filter_map(|row| stored_mail(row).inspect_err(passed_over).ok())
        .collect()
}

/// Whoever holds one may be about to decide it, or gone.
const AHEAD: &str = "
SELECT id FROM mails
WHERE outcome = 'pending' AND check_at IS NULL AND id < $2 AND holder IS DISTINCT FROM $1 ORDER BY id";

pub(super) async fn ahead(
    database: &Database,
    holder: i64,
    mail: MailId,
) -> Result<Vec<MailId>, StoreError> {
    let rows = database.query(AHEAD, &[&holder, &mail]).await?;
    rows.iter().map(|row| at(row, "id")).collect()
}

/// Nobody takes them: deciding a mail locks its row.
const UNDECIDED_AMONG: &str = "
SELECT sized.*, raw FROM (
    SELECT mails.*, sum(size) OVER (ORDER BY id) - size AS before
    FROM unnest($1::bigint[]) AS given CROSS JOIN LATERAL (
        SELECT * FROM mails WHERE id = given AND outcome = 'pending' AND check_at IS NULL OFFSET 0) AS mails) AS sized
CROSS JOIN LATERAL (SELECT raw FROM bodies WHERE mail = sized.id OFFSET 0) AS body
WHERE before < $2::bigint ORDER BY id";

pub(super) async fn undecided_among(
    database: &Database,
    mails: &[MailId],
) -> Result<Vec<StoredMail>, StoreError> {
    let rows = database
        .query(UNDECIDED_AMONG, &[&mails, &signed(READ_BACK)])
        .await?;
    Ok(whole(&rows))
}

/// What is to be looked at again: by now, or at a time so far off that the clock must have been set
/// back. Nobody takes it: whoever writes first what he found of a mail has reconsidered it, and for
/// the others it is not due any more.
const DUE: &str = "
(SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE check_at <= $1 ORDER BY check_at, id LIMIT $3)
UNION ALL
(SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE check_at > $2 ORDER BY check_at LIMIT $3)
LIMIT $3";

pub(super) async fn due(
    database: &Database,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<StoredMail>, StoreError> {
    let rows = database
        .query(DUE, &[&micros(now), &absurd(now), &i64::from(limit)])
        .await?;
    rows.iter().map(stored_mail).collect()
}

const LET_OUT: &str = "
SELECT mails.*, raw FROM (SELECT * FROM mails WHERE check_at = 0 ORDER BY check_at, id LIMIT $1) AS mails
CROSS JOIN LATERAL (SELECT raw FROM bodies WHERE mail = mails.id OFFSET 0) AS body ORDER BY id";

pub(super) async fn let_out(
    database: &Database,
    limit: u32,
) -> Result<Vec<StoredMail>, StoreError> {
    let rows = database.query(LET_OUT, &[&i64::from(limit)]).await?;
    rows.iter().map(stored_mail).collect()
}

/// No check is put off so far.
pub(super) fn absurd(now: Timestamp) -> i64 {
    micros(now.saturating_add(FARTHEST_CHECK).unwrap_or(now))
}

const RELEASE: &str = "
UPDATE mails SET outcome = 'pending', decided_at = NULL, hold = NULL, check_at = 0, released = $2
WHERE id = $1 AND cut_from IS NULL
  AND (outcome = 'quarantined' OR outcome = 'pending' AND check_at IS NOT NULL AND released IS NULL) RETURNING id";

/// Lets a mail act that is held, or waits for its authenticity.
pub(super) async fn release(
    database: &Database,
    id: MailId,
    release: &Release,
) -> Result<(), StoreError> {
    if !database
        .query(RELEASE, &[&id, &json(release)?])
        .await?
        .is_empty()
    {
        return Ok(());
    }
    let found = "SELECT outcome, cut_from, cut_at IS NOT NULL AS cut FROM mails WHERE id = $1";
    let rows = database.query(found, &[&id]).await?;
    let found = rows
        .first()
        .map(|row| Ok((at(row, "outcome")?, at(row, "cut_from")?, at(row, "cut")?)))
        .transpose()?;
    Err(not_released(id, found))
}

const STORED: &str = "
SELECT found.*, raw FROM (
    SELECT *, sum(size) OVER (ORDER BY arrived_at, id) - size AS before FROM (
        SELECT * FROM mails WHERE (arrived_at, id) > ($1, $2) AND arrived_at >= $3 AND arrived_at < $4
        ORDER BY arrived_at, id LIMIT $5) AS found) AS found
CROSS JOIN LATERAL (SELECT raw FROM bodies WHERE mail = found.id OFFSET 0) AS body
WHERE before < $6::bigint ORDER BY arrived_at, id";

pub(super) async fn stored(
    database: &Database,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: (Timestamp, MailId),
    limit: u32,
) -> Result<Vec<StoredMail>, StoreError> {
    let (since, until) = (
        since.map_or(i64::MIN, micros),
        until.map_or(i64::MAX, micros),
    );
    let rows = database
        .query(
            STORED,
            &[
                &micros(after.0),
                &after.1,
                &since,
                &until,
                &i64::from(limit),
                &signed(READ_BACK),
            ],
        )
        .await?;
    rows.iter().map(stored_mail).collect()
}

const DISCARD: &str = "
UPDATE mails SET outcome = 'ignored', reason = 'discarded from the quarantine by a person', decided_at = $2,
       hold = NULL, check_at = NULL
WHERE id = $1 AND outcome = 'quarantined' RETURNING id";

pub(super) async fn discard(
    database: &Database,
    id: MailId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let discarded = database.query(DISCARD, &[&id, &micros(now)]).await?;
    if discarded.is_empty() {
        Err(not_quarantined(id))
    } else {
        Ok(())
    }
}

const DISCARD_ALL: &str = "
UPDATE mails SET outcome = 'ignored', reason = 'discarded from the quarantine by a person', decided_at = $2,
       hold = NULL, check_at = NULL
WHERE id = ANY (ARRAY(SELECT id FROM mails WHERE id = ANY ($1) AND outcome = 'quarantined' ORDER BY id FOR UPDATE))
RETURNING id";

/// As [`discard`], for many: those that still are in the quarantine.
pub(super) async fn discard_all(
    database: &Database,
    ids: &[MailId],
    now: Timestamp,
) -> Result<u64, StoreError> {
    Ok(database
        .query(DISCARD_ALL, &[&ids, &micros(now)])
        .await?
        .len() as u64)
}

const IN_QUARANTINE: &str = "
SELECT found.*, raw FROM (
    SELECT *, sum(size) OVER (ORDER BY id) - size AS before FROM (
        SELECT * FROM mails WHERE outcome = 'quarantined' AND id > $1 ORDER BY id LIMIT $2) AS found) AS found
CROSS JOIN LATERAL (SELECT raw FROM bodies WHERE mail = found.id OFFSET 0) AS body
WHERE before < $3::bigint ORDER BY id";

pub(super) async fn quarantined(
    database: &Database,
    after: MailId,
    limit: u32,
) -> Result<Vec<StoredMail>, StoreError> {
    let rows = database
        .query(
            IN_QUARANTINE,
            &[&after, &i64::from(limit), &signed(READ_BACK)],
        )
        .await?;
    rows.iter().map(stored_mail).collect()
}

/// Takes or renews the right to read a mailbox, by the database's clock.
const CONSUME: &str = "
INSERT INTO consumers (mailbox, holder, held_until) VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 ms')
ON CONFLICT (mailbox) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
    WHERE consumers.holder = excluded.holder OR consumers.held_until < clock_timestamp()
RETURNING 1";

pub(super) async fn consume(
    database: &Database,
    holder: i64,
    mailbox: &str,
    lease: Duration,
) -> Result<bool, StoreError> {
    let held = database
        .query(CONSUME, &[&text(mailbox), &holder, &millis(lease)])
        .await?;
    Ok(!held.is_empty())
}

pub(super) async fn relinquish(
    database: &Database,
    holder: i64,
    mailbox: &str,
) -> Result<(), StoreError> {
    database
        .query(
            "DELETE FROM consumers WHERE mailbox = $1 AND holder = $2",
            &[&text(mailbox), &holder],
        )
        .await
        .map(drop)
}
