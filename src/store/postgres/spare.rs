//! Mail that is kept whole only for a while: its size is added up, and the oldest is cut to its
//! header.

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

/// The statements about the mails of one kind.
struct Statements {
    whole: &'static str,
    oldest: &'static str,
    cut: &'static str,
}

/// Makes the statements about the mails that fulfil a condition, while they are whole. The index
/// with the same condition covers each of them.
///
/// A cut is made in order, and skips a mail that another transaction has locked. That mail is cut
/// in the next step, if it still may be.
macro_rules! statements {
    ($condition:literal) => {
        Statements {
            whole: concat!(
                "SELECT sum(size)::bigint AS bytes, max(id) AS last FROM mails WHERE ",
                $condition,
                " AND cut_at IS NULL AND check_at IS NULL AND id > $1"
            ),
            oldest: concat!(
                "SELECT id, size, arrived_at FROM mails WHERE ",
                $condition,
                " AND cut_at IS NULL AND check_at IS NULL ORDER BY id LIMIT $1"
            ),
            cut: concat!(
                "WITH given AS (
                    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
                      AS given (id, size, raw)
                ), free AS (
                    SELECT id, size AS before FROM mails WHERE id = ANY ($1) AND ",
                $condition,
                " AND cut_at IS NULL AND check_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED
                ), cut AS (
                    UPDATE mails SET cut_from = coalesce(cut_from, mails.size), size = given.size,
                           cut_at = $4, reason = coalesce(reason || '; ', '') || $5
                    FROM given JOIN free USING (id) WHERE mails.id = given.id
                    RETURNING mails.id, before
                ), body AS (
                    UPDATE bodies SET raw = given.raw FROM given JOIN cut USING (id)
                    WHERE mail = given.id
                )
                SELECT count(*) AS mails, coalesce(sum(before), 0)::bigint AS bytes FROM cut"
            ),
        }
    };
}

const IGNORED: Statements = statements!("outcome = 'ignored'");
const UNPROVEN: Statements = statements!(
    "outcome NOT IN ('pending', 'ignored')
     AND substr(authenticity, 13, 4) IN ('fail', 'none', 'temp')"
);
const REPEATED: Statements = statements!(
    "outcome IN ('duplicate', 'stale', 'expired')
     AND substr(authenticity, 13, 4) NOT IN ('fail', 'none', 'temp')"
);
const QUARANTINED: Statements = statements!(
    "outcome = 'quarantined'
     AND substr(authenticity, 13, 4) NOT IN ('fail', 'none', 'temp')"
);

fn of(spare: Spare) -> &'static Statements {
    match spare {
        Spare::Ignored => &IGNORED,
        Spare::Unproven => &UNPROVEN,
        Spare::Repeated => &REPEATED,
        Spare::Quarantined => &QUARANTINED,
    }
}

/// Returns the total bytes of the mails after the given one, and the last of those mails.
pub(super) async fn whole(
    database: &Database,
    spare: Spare,
    after: MailId,
) -> Result<(u64, MailId), StoreError> {
    let rows = database.query(of(spare).whole, &[&after]).await?;
    let Some(row) = rows.first() else {
        return Ok((0, after));
    };
    let bytes: Option<i64> = at(row, "bytes")?;
    Ok((
        bytes.map_or(0, i64::unsigned_abs),
        at::<Option<i64>>(row, "last")?.unwrap_or(after),
    ))
}

async fn oldest(
    database: &Database,
    spare: Spare,
    limit: u32,
) -> Result<Vec<(MailId, u64, Timestamp)>, StoreError> {
    let rows = database
        .query(of(spare).oldest, &[&i64::from(limit)])
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

/// Cuts the oldest mails of a kind of which there is too much.
pub(super) async fn cut(
    database: &Database,
    spare: Spare,
    excess: Excess,
    now: Timestamp,
) -> Result<Cut, StoreError> {
    // While nothing is too old or too much, a single row is enough to know that.
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

    let rows = database
        .query(
            of(spare).cut,
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
