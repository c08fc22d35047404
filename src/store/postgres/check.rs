//! The checks of `store check`: the mails' bytes, and the promises.
//!
//! They only read, over a connection of their own, while a bridge may be running. The database
//! itself guarantees referential integrity. Damage to its files shows when they are read.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::{Client, IsolationLevel};

use super::{
    address::Address,
    connection::{Database, failure},
    row::at,
    schema,
};
use crate::{
    delivery::sha256_hex,
    store::{
        StoreError, Totals,
        audit::{Extent, Finding, MOST_FINDINGS, PROMISES, UNDER_WAY_MINUTES},
        kept::{micros, unpack},
    },
};

/// The number of mails whose bytes are read at a time.
const BATCH: i64 = 500;

/// Lists everything that is wrong with a database, and returns how much it holds. `progress`
/// receives the number of mails read so far and their total.
pub async fn check(
    address: &Address,
    now: Timestamp,
    extent: Extent,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<(Vec<Finding>, Totals), StoreError> {
    let database = Database::new(address)?;
    schema::apart(&database, async |client| {
        let known = schema::known();
        match schema::found(client).await? {
            found if found > known => return Err(StoreError::Newer { found, known }),
            found if found < known => {
                return Err(StoreError::Refused(format!(
                    "{address} has schema version {found}, but this program uses {known}: \
                     `alertbridge store migrate` migrates it"
                )));
            }
            _ => {}
        }
        let (mut found, totals) = promises(client, now).await?;
        if extent == Extent::Everything {
            found.extend(bytes(client, |read| progress(read, totals.mails)).await?);
        }
        Ok((found, totals))
    })
    .await
}

async fn promises(
    client: &mut Client,
    now: Timestamp,
) -> Result<(Vec<Finding>, Totals), StoreError> {
    let snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await;

    let snapshot = snapshot.map_err(failure)?;
    let since = micros(
        now.saturating_sub(SignedDuration::from_mins(UNDER_WAY_MINUTES))
            .unwrap_or(now),
    );

    let mut found = Vec::new();

    for promise in PROMISES {
        let question = format!(
            "SELECT * FROM ({}) AS found (what) LIMIT {MOST_FINDINGS}",
            promise.question
        );
        let question = snapshot.prepare(&question).await.map_err(failure)?;
        let rows = if question.params().is_empty() {
            snapshot.query(&question, &[]).await
        } else {
            snapshot.query(&question, &[&since]).await
        };
        for row in rows.map_err(failure)? {
            found.push(Finding {
                check: promise.name,
                what: at(&row, "what")?,
            });
        }
    }

    let counted = "SELECT (SELECT count(*) FROM mails) AS mails,
                     (SELECT count(*) FROM incidents) AS incidents,
                          (SELECT count(*) FROM deliveries) AS deliveries";
    let row = snapshot.query_one(counted, &[]).await.map_err(failure)?;
    let count = |of: &str| at::<i64>(&row, of).map(i64::unsigned_abs);
    let totals = Totals {
        mails: count("mails")?,
        incidents: count("incidents")?,
        deliveries: count("deliveries")?,
    };

    Ok((found, totals))
}

/// Reads every mail and checks that its bytes still match its record.
async fn bytes(
    client: &Client,
    mut read: impl FnMut(u64) + Send,
) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    let (mut after, mut done) = (0_i64, 0);

    // For a mail that was cut, the hash is that of the whole mail.
    let batch = "SELECT id, CASE WHEN cut_at IS NULL THEN sha256 END AS sha256, raw FROM mails
                 JOIN bodies ON mail = id
                 WHERE id > $1 ORDER BY id LIMIT $2";
    let batch = client.prepare(batch).await.map_err(failure)?;

    loop {
        let rows = client
            .query(&batch, &[&after, &BATCH])
            .await
            .map_err(failure)?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        after = at(last, "id")?;
        for row in &rows {
            let sha256: Option<&str> = at(row, "sha256")?;
            let whole = unpack(at(row, "raw")?)
                .is_ok_and(|raw| sha256.is_none_or(|hash| hash == sha256_hex(&raw)));
            if !whole && found.len() < MOST_FINDINGS {
                let what = format!(
                    "the bytes of mail {} are not those that arrived",
                    at::<i64>(row, "id")?
                );
                found.push(Finding {
                    check: "mails are unchanged",
                    what,
                });
            }
        }
        done += rows.len() as u64;
        read(done);
    }
}
