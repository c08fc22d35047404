//! The first commit: the mails as they arrived, and how far their mailbox was read.

use std::time::Duration;

use tokio_postgres::Row;

use super::{
    connection::Database,
    row::{at, millis, optional_time_at, text, time_at},
};
use crate::{
    message::{Bookmark, MailId, Wanted},
    store::{
        StoreError,
        kept::{Packed, micros, signed},
    },
};

/// All mails and the bookmark in one statement: one round trip, one commit.
///
/// A bookmark never moves back while its mailbox has the same numbering: the process that writes
/// last may have read slowly.
const RECORD: &str = "
WITH given AS MATERIALIZED (
    SELECT nextval('mails_id_seq') AS id, given.*
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
                $7::text[], $8::bytea[], $14::text[], $20::bigint[])
        AS given (ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, raw,
                  withheld, cut_at)
), mail AS (
    INSERT INTO mails (id, ingress, arrived_at, size, cut_from, sha256, envelope, authenticity,
                       withheld, cut_at, holder, held_until)
    SELECT id, ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, withheld,
      cut_at, $9, now() + $10::bigint * interval '1 ms'
    FROM given
), body AS (
    INSERT INTO bodies (mail, raw) SELECT id, raw FROM given
), bookmark AS (
    INSERT INTO bookmarks (mailbox, uid_validity, last_uid, starts_at) SELECT $11::text,
      $12::bigint, $13::bigint, $21::bigint WHERE $11::text IS NOT NULL
    ON CONFLICT (mailbox) DO UPDATE SET uid_validity = excluded.uid_validity, last_uid =
        CASE WHEN bookmarks.uid_validity = excluded.uid_validity AND NOT $19::boolean
             THEN greatest(bookmarks.last_uid, excluded.last_uid) ELSE excluded.last_uid END,
      starts_at = coalesce(bookmarks.starts_at, excluded.starts_at)
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

    let cut_at: Vec<_> = mails.iter().map(|mail| mail.cut_at).collect();
    let starts_at = bookmark.and_then(|bookmark| bookmark.starts_at.map(micros));
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
                &cut_at,
                &starts_at,
            ],
        )
        .await?;

    rows.iter().map(|row| at(row, "id")).collect()
}

pub(super) async fn bookmark(
    database: &Database,
    mailbox: &str,
) -> Result<Option<Bookmark>, StoreError> {
    let rows = database
        .query(
            "SELECT uid_validity, last_uid, starts_at FROM bookmarks WHERE mailbox = $1",
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
    bookmark.starts_at = optional_time_at(row, "starts_at")?;

    let wanted = database
        .query(
            "SELECT uid, since, told FROM wanted_mails WHERE mailbox = $1 AND uid_validity = $2
             ORDER BY uid",
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
