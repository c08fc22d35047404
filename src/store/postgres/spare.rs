//! Mail that is kept whole only for a while: it is counted, and cut to its header.

use jiff::Timestamp;

use super::{
    connection::Database,
    row::{at, time_at, unsigned_at},
};
use crate::{
    message::{MailId, head},
    store::{
        Cut, Excess, Spare, StoreError,
        kept::{compress, micros, signed, unpack},
        spare::{STEP, chosen},
    },
};

/// The condition for a mail to be whole and of a kind. The indexes with the same condition cover
/// every query.
macro_rules! spare {
    ($before:literal, ignored, $after:literal) => {
        concat!(
            $before,
            "outcome = 'ignored' AND cut_at IS NULL AND check_at IS NULL",
            $after
        )
    };
    ($before:literal, unproven, $after:literal) => {
        concat!(
            $before,
            "outcome NOT IN ('pending', 'ignored') AND cut_at IS NULL AND check_at IS NULL
             AND substr(authenticity, 13, 4) IN ('fail', 'none', 'temp')",
            $after
        )
    };
}

/// Chooses between a statement for ignored mail and its twin for unproven mail.
fn of<'a>(spare: Spare, ignored: &'a str, unproven: &'a str) -> &'a str {
    match spare {
        Spare::Ignored => ignored,
        Spare::Unproven => unproven,
    }
}

const WHOLE_IGNORED: &str = spare!(
    "SELECT sum(size)::bigint AS bytes, max(id) AS last FROM mails WHERE ",
    ignored,
    " AND id > $1"
);
const WHOLE_UNPROVEN: &str = spare!(
    "SELECT sum(size)::bigint AS bytes, max(id) AS last FROM mails WHERE ",
    unproven,
    " AND id > $1"
);

/// The total bytes of the mails after the given one, and the last of those mails.
pub(super) async fn whole(
    database: &Database,
    spare: Spare,
    after: MailId,
) -> Result<(u64, MailId), StoreError> {
    let rows = database
        .query(of(spare, WHOLE_IGNORED, WHOLE_UNPROVEN), &[&after])
        .await?;
    let Some(row) = rows.first() else {
        return Ok((0, after));
    };
    let bytes: Option<i64> = at(row, "bytes")?;
    Ok((
        bytes.map_or(0, i64::unsigned_abs),
        at::<Option<i64>>(row, "last")?.unwrap_or(after),
    ))
}

const OLDEST_IGNORED: &str = spare!(
    "SELECT id, size, arrived_at FROM mails WHERE ",
    ignored,
    " ORDER BY id LIMIT $1"
);
const OLDEST_UNPROVEN: &str = spare!(
    "SELECT id, size, arrived_at FROM mails WHERE ",
    unproven,
    " ORDER BY id LIMIT $1"
);

async fn oldest(
    database: &Database,
    spare: Spare,
    limit: u32,
) -> Result<Vec<(MailId, u64, Timestamp)>, StoreError> {
    let rows = database
        .query(
            of(spare, OLDEST_IGNORED, OLDEST_UNPROVEN),
            &[&i64::from(limit)],
        )
        .await?;

    rows.iter()
        .map(|row| {
            Ok((
                at(row, "id")?,
                unsigned_at(row, "size")?,
                time_at(row, "arrived_at")?,
            ))
        })
        .collect()
}

const BODIES: &str = "SELECT mail, raw FROM bodies WHERE mail = ANY ($1)";
/// Cuts in order, and skips a mail that another transaction has locked: it is cut in the next step,
/// if it still may be.
macro_rules! cut {
    ($kind:ident) => {
        spare!(
            "WITH given AS (
                SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS given (id, size,
                        raw)
            ), free AS (
                SELECT id, size AS before FROM mails WHERE id = ANY ($1) AND ",
            $kind,
            " ORDER BY id FOR UPDATE SKIP LOCKED
            ), cut AS (
                UPDATE mails SET cut_from = coalesce(cut_from, mails.size), size = given.size,
                  cut_at = $4,
                       reason = coalesce(reason || '; ', '') || $5
                FROM given JOIN free USING (id) WHERE mails.id = given.id RETURNING mails.id, before
            ), body AS (
                UPDATE bodies SET raw = given.raw FROM given JOIN cut USING (id)
                WHERE mail = given.id
            )
            SELECT count(*) AS mails, coalesce(sum(before), 0)::bigint AS bytes FROM cut"
        )
    };
}

const CUT_IGNORED: &str = cut!(ignored);
const CUT_UNPROVEN: &str = cut!(unproven);

/// Cuts the oldest mails of which there is too much.
pub(super) async fn cut(
    database: &Database,
    spare: Spare,
    excess: Excess,
    now: Timestamp,
) -> Result<Cut, StoreError> {
    // As long as nothing is too old or too much, a single row is enough to know that.
    if excess.bytes == 0
        && chosen(&oldest(database, spare, 1).await?, excess)
            .0
            .is_empty()
    {
        return Ok(Cut::default());
    }

    let (ids, more) = chosen(&oldest(database, spare, STEP).await?, excess);
    if ids.is_empty() {
        return Ok(Cut {
            more,
            ..Cut::default()
        });
    }

    let (mut mails, mut sizes, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for row in database.query(BODIES, &[&ids]).await? {
        // Nothing can be kept of damaged bytes.
        let raw = unpack(at(&row, "raw")?).unwrap_or_default();
        let kept = head(&raw);
        mails.push(at::<MailId>(&row, "mail")?);
        sizes.push(signed(kept.len() as u64));
        bodies.push(compress(kept).map_err(|error| {
            StoreError::Failed(format!("a mail could not be compressed: {error}"))
        })?);
    }

    let statement = of(spare, CUT_IGNORED, CUT_UNPROVEN);
    let rows = database
        .query(
            statement,
            &[&mails, &sizes, &bodies, &micros(now), &spare.why_cut()],
        )
        .await?;

    let Some(row) = rows.first() else {
        return Ok(Cut {
            more,
            ..Cut::default()
        });
    };

    Ok(Cut {
        mails: unsigned_at(row, "mails")?,
        bytes: unsigned_at(row, "bytes")?,
        more,
    })
}
