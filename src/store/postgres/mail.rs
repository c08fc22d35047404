//! Mails read back: undecided mails, those that are due to be checked again, and all in order of
//! arrival.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::Database,
    row::{at, millis, stored_mail},
};
use crate::{
    message::MailId,
    store::{
        FARTHEST_CHECK, READ_BACK, StoreError, StoredMail,
        kept::{HAS_UNDECIDED, PACKED_HEAD, micros, signed, unpack_head},
    },
};

/// Takes the replica's own undecided mails, and those of another replica that has not decided them
/// in time. A mail that another transaction has locked is left to it, unless it is the replica's
/// own: that transaction may be undone, and a later mail must not overtake this one.
const UNDECIDED: &str = "
WITH free AS MATERIALIZED (
    SELECT id, size, holder FROM mails
    WHERE outcome = 'pending' AND check_at IS NULL AND id > $3
      AND (holder = $1 OR held_until < now() OR held_until IS NULL)
    ORDER BY id LIMIT $4
), wanted AS MATERIALIZED (
    SELECT id, holder FROM (SELECT *, sum(size) OVER (ORDER BY id) - size AS before
                            FROM free) AS sized
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

pub(super) async fn has_undecided(database: &Database) -> Result<bool, StoreError> {
    let rows = database.query(HAS_UNDECIDED, &[]).await?;
    rows.first().map_or(Ok(false), |row| at(row, "exists"))
}

/// Reads mails, and skips those with damaged bytes. Such a mail cannot be decided and must not
/// block the others. `store check` reports it.
fn whole(rows: &[Row]) -> Vec<StoredMail> {
    let whole_mail = |row| {
        let passed_over = |error: &StoreError| {
            let mail = at::<MailId>(row, "id").ok();
            tracing::warn!(mail, %error, "an undecided mail is damaged and is skipped");
        };
        stored_mail(row).inspect_err(passed_over).ok()
    };

    rows.iter().filter_map(whole_mail).collect()
}

/// Selects the earlier undecided mails of other replicas. The replica that holds a mail may be
/// about to decide it, or may be gone.
const AHEAD: &str = "
SELECT id FROM mails
WHERE outcome = 'pending' AND check_at IS NULL AND id < $2 AND holder IS DISTINCT FROM $1
ORDER BY id";

pub(super) async fn ahead(
    database: &Database,
    holder: i64,
    mail: MailId,
) -> Result<Vec<MailId>, StoreError> {
    let rows = database.query(AHEAD, &[&holder, &mail]).await?;
    rows.iter().map(|row| at(row, "id")).collect()
}

/// Selects the compressed beginning of each mail. If its bytes are damaged, the mail's beginning is
/// returned as empty.
const HEADS: &str = "SELECT mail, substring(raw FROM 1 FOR $2) AS head FROM bodies
WHERE mail = ANY ($1)";

pub(super) async fn heads(
    database: &Database,
    mails: &[MailId],
) -> Result<Vec<(MailId, Vec<u8>)>, StoreError> {
    let rows = database.query(HEADS, &[&mails, &PACKED_HEAD]).await?;
    let head = |row: &Row| {
        let packed: &[u8] = at(row, "head")?;
        Ok((at(row, "mail")?, unpack_head(packed).unwrap_or_default()))
    };
    rows.iter().map(head).collect()
}

/// Selects those of the given mails that are undecided. They are not claimed, because deciding a
/// mail locks its row.
const UNDECIDED_AMONG: &str = "
SELECT sized.*, raw FROM (
    SELECT mails.*, sum(size) OVER (ORDER BY id) - size AS before
    FROM unnest($1::bigint[]) AS given CROSS JOIN LATERAL (
        SELECT * FROM mails WHERE id = given AND outcome = 'pending'
          AND check_at IS NULL OFFSET 0) AS mails) AS sized
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

/// Selects the mails that are due to be checked again: by now, or at a time so distant that the
/// clock must have been set back. They are not claimed: the first transaction to write its finding
/// has reconsidered the mail, and for the others it is no longer due.
const DUE: &str = "
(SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE check_at <= $1
 ORDER BY check_at, id LIMIT $3)
UNION ALL
(SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE check_at > $2
 ORDER BY check_at LIMIT $3)
LIMIT $3";

pub(super) async fn due(
    database: &Database,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<StoredMail>, StoreError> {
    let rows = database
        .query(DUE, &[&micros(now), &absurd(now), &i64::from(limit)])
        .await?;
    Ok(whole(&rows))
}

const LET_OUT: &str = "
SELECT mails.*, raw FROM (SELECT * FROM mails WHERE check_at = 0
                          ORDER BY check_at, id LIMIT $1) AS mails
CROSS JOIN LATERAL (SELECT raw FROM bodies WHERE mail = mails.id OFFSET 0) AS body ORDER BY id";

pub(super) async fn let_out(
    database: &Database,
    limit: u32,
) -> Result<Vec<StoredMail>, StoreError> {
    let rows = database.query(LET_OUT, &[&i64::from(limit)]).await?;
    Ok(whole(&rows))
}

/// Returns the latest time at which a mail can be due for a check.
pub(super) fn absurd(now: Timestamp) -> i64 {
    micros(now.saturating_add(FARTHEST_CHECK).unwrap_or(now))
}

const STORED: &str = "
SELECT found.*, raw FROM (
    SELECT *, sum(size) OVER (ORDER BY arrived_at, id) - size AS before FROM (
        SELECT * FROM mails WHERE (arrived_at, id) > ($1, $2) AND arrived_at >= $3
          AND arrived_at < $4
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
