//! The quarantine: mails that are held until a person releases or discards them.

use jiff::Timestamp;

use super::{
    connection::Database,
    row::{at, stored_mail},
};
use crate::{
    message::{MailId, Release},
    store::{
        READ_BACK, StoreError, StoredMail,
        kept::{json, micros, signed},
        refusal::{not_quarantined, not_released},
    },
};

const RELEASE: &str = "
WITH items AS (
    UPDATE mail_items SET hold = NULL WHERE mail = $1 AND hold IS NOT NULL
)
UPDATE mails SET outcome = 'pending', decided_at = NULL, hold = NULL, check_at = 0, released = $2
WHERE id = $1 AND cut_from IS NULL
  AND (outcome = 'quarantined' OR outcome = 'pending' AND check_at IS NOT NULL
       AND released IS NULL) RETURNING id";

/// Releases a mail that is in the quarantine, or that waits for its authenticity.
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

pub(super) async fn discard(
    database: &Database,
    id: MailId,
    now: Timestamp,
) -> Result<(), StoreError> {
    if discard_all(database, &[id], now).await? == 1 {
        Ok(())
    } else {
        Err(not_quarantined(id))
    }
}

/// Discards quarantined mails and their quarantined alerts. Pages already sent for a mail stay as
/// they are.
const DISCARD_ALL: &str = "
WITH discarded AS (
    UPDATE mails SET outcome = 'ignored', reason = 'discarded from the quarantine by a person',
      decided_at = $2,
           hold = NULL, check_at = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM mails WHERE id = ANY ($1) AND outcome = 'quarantined'
                          ORDER BY id FOR UPDATE))
    RETURNING id
), items AS (
    UPDATE mail_items
    SET outcome = 'ignored', reason = 'discarded from the quarantine by a person', decided_at = $2,
           hold = NULL
    WHERE mail = ANY (ARRAY(SELECT id FROM discarded)) AND outcome = 'quarantined'
)
SELECT id FROM discarded";

/// Discards many mails like [`discard`], and returns how many were still in the quarantine.
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
        SELECT * FROM mails WHERE outcome = 'quarantined' AND id > $1
        ORDER BY id LIMIT $2) AS found) AS found
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
