//! The first commit: the mails as they arrived, and how far their mailbox was read.

use std::{borrow::Cow, time::Duration};

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

/// Records all mails and the bookmark in one statement: one round trip, one commit.
///
/// A bookmark never moves back while its mailbox has the same numbering, unless it was rewound,
/// because the process that writes last may have read slowly.
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
    let columns = Columns::new(mails);
    let progress = Progress::new(bookmark);

    let rows = database
        .query(
            RECORD,
            &[
                &columns.ingress,
                &columns.arrived_at,
                &columns.size,
                &columns.cut_from,
                &columns.sha256,
                &columns.envelope,
                &columns.authenticity,
                &columns.raw,
                &holder,
                &millis(hold),
                &progress.mailbox,
                &progress.uid_validity,
                &progress.last_uid,
                &columns.withheld,
                &progress.uids,
                &progress.since,
                &progress.told,
                &progress.given,
                &progress.rewound,
                &columns.cut_at,
                &progress.starts_at,
            ],
        )
        .await?;

    rows.iter().map(|row| at(row, "id")).collect()
}

/// The mails as parameters of `RECORD`.
#[derive(Default)]
struct Columns<'a> {
    ingress: Vec<Cow<'a, str>>,
    arrived_at: Vec<i64>,
    size: Vec<i64>,
    cut_from: Vec<Option<i64>>,
    sha256: Vec<&'a str>,
    envelope: Vec<Option<&'a str>>,
    authenticity: Vec<&'a str>,
    raw: Vec<&'a [u8]>,
    withheld: Vec<Option<Cow<'a, str>>>,
    cut_at: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    fn new(mails: &'a [Packed]) -> Self {
        let mut columns = Self::default();

        for Packed {
            message,
            authenticity,
            envelope,
            sha256,
            body,
            cut_at,
        } in mails
        {
            columns.ingress.push(text(&message.ingress));
            columns.arrived_at.push(micros(message.arrived_at));
            columns.size.push(signed(message.raw.len() as u64));
            columns.cut_from.push(message.cut_from.map(signed));
            columns.sha256.push(sha256);
            columns.envelope.push(envelope.as_deref());
            columns.authenticity.push(authenticity);
            columns.raw.push(body);
            columns.withheld.push(message.withheld.as_deref().map(text));
            columns.cut_at.push(*cut_at);
        }

        columns
    }
}

/// How far the mailbox was read, as parameters of `RECORD`. They are NULL without a bookmark.
#[derive(Default)]
struct Progress<'a> {
    mailbox: Option<Cow<'a, str>>,
    uid_validity: Option<i64>,
    last_uid: Option<i64>,
    starts_at: Option<i64>,
    rewound: bool,
    uids: Vec<i64>,
    since: Vec<i64>,
    told: Vec<bool>,
    given: Vec<i64>,
}

impl<'a> Progress<'a> {
    fn new(bookmark: Option<&'a Bookmark>) -> Self {
        let Some(bookmark) = bookmark else {
            return Self::default();
        };

        let wanted = || bookmark.wanted.iter();
        Self {
            mailbox: Some(text(&bookmark.mailbox)),
            uid_validity: Some(i64::from(bookmark.uid_validity)),
            last_uid: Some(i64::from(bookmark.last_uid)),
            starts_at: bookmark.starts_at.map(micros),
            rewound: bookmark.rewound,
            uids: wanted().map(|wanted| i64::from(wanted.uid)).collect(),
            since: wanted().map(|wanted| micros(wanted.since)).collect(),
            told: wanted().map(|wanted| wanted.told).collect(),
            given: bookmark.given.iter().map(|uid| i64::from(*uid)).collect(),
        }
    }
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
