//! The implementation of [`Canaries`] for PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    Postgres,
    row::{at, text},
};
use crate::{
    canary::{Flight, KEPT, SINK},
    message::MailId,
    store::{
        Canaries, StoreError,
        canary::latest_begin,
        kept::{micros, signed, time},
    },
};

const KEY: &str = "
WITH made AS (INSERT INTO canary_key (id, key) VALUES (1, $1) ON CONFLICT DO NOTHING RETURNING key)
SELECT key FROM made UNION ALL SELECT key FROM canary_key LIMIT 1";

/// Begins the next canary. The number decides between replicas that begin at once, because there is
/// only one row for each number.
const BEGIN: &str = "
INSERT INTO canaries (number, begun_at)
SELECT coalesce(max(number), 0) + 1, $1 FROM canaries
HAVING coalesce(max(begun_at), $2) <= $2 OR max(begun_at) > $3
ON CONFLICT DO NOTHING RETURNING number";

const FLIGHTS: &str = "
SELECT number, begun_at, sent_at, arrived_at, judged_at, read_at, decided_at,
       (SELECT min(settled_at) FROM deliveries
        WHERE deliveries.mail = canaries.mail AND receiver = $2
          AND state = 'delivered') AS delivered_at,
       mail, failure, pinged_at
FROM canaries ORDER BY number DESC LIMIT $1";

#[async_trait]
impl Canaries for Postgres {
    async fn canary_key(&self, fresh: [u8; 32]) -> Result<Vec<u8>, StoreError> {
        loop {
            // If two replicas create a key at once, the loser sees neither key, and queries again.
            let rows = self.database.query(KEY, &[&fresh.as_slice()]).await?;
            if let Some(row) = rows.first() {
                return at(row, "key");
            }
        }
    }

    async fn begin_canary(
        &self,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let begun = self
            .database
            .query(
                BEGIN,
                &[&micros(now), &micros(before), &micros(latest_begin(now))],
            )
            .await?;
        let Some(row) = begun.first() else {
            return Ok(None);
        };

        let number: i64 = at(row, "number")?;
        self.database
            .query(
                "DELETE FROM canaries WHERE number <= $1",
                &[&(number - i64::from(KEPT))],
            )
            .await?;
        Ok(Some(number.unsigned_abs()))
    }

    async fn canary_sent(
        &self,
        number: u64,
        sent: Result<Timestamp, String>,
    ) -> Result<(), StoreError> {
        let (at, why) = match &sent {
            Ok(at) => (Some(micros(*at)), None),
            Err(why) => (None, Some(text(why))),
        };
        self.database
            .query(
                "UPDATE canaries SET sent_at = $2, failure = $3 WHERE number = $1",
                &[&signed(number), &at, &why],
            )
            .await
            .map(drop)
    }

    async fn canary_arrived(
        &self,
        number: u64,
        mail: MailId,
        [arrived, judged]: [Timestamp; 2],
        not_before: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self
            .database
            .query(
                "UPDATE canaries SET mail = $2, arrived_at = coalesce(arrived_at, $3),
                     judged_at = coalesce(judged_at, $4)
                 WHERE number = $1 AND coalesce(mail, $2) = $2 AND begun_at >= $5
                 RETURNING number",
                &[
                    &signed(number),
                    &mail,
                    &micros(arrived),
                    &micros(judged),
                    &micros(not_before),
                ],
            )
            .await?;
        Ok(!changed.is_empty())
    }

    async fn canary_decided(
        &self,
        number: u64,
        [read, decided]: [Timestamp; 2],
    ) -> Result<(), StoreError> {
        self.database
            .query(
                "UPDATE canaries SET read_at = $2, decided_at = $3 WHERE number = $1",
                &[&signed(number), &micros(read), &micros(decided)],
            )
            .await
            .map(drop)
    }

    async fn canary_pinged(&self, number: u64, pinged: Timestamp) -> Result<(), StoreError> {
        self.database
            .query(
                "UPDATE canaries SET pinged_at = $2 WHERE number = $1",
                &[&signed(number), &micros(pinged)],
            )
            .await
            .map(drop)
    }

    async fn flights(&self, limit: u32) -> Result<Vec<Flight>, StoreError> {
        let rows = self
            .database
            .query(FLIGHTS, &[&i64::from(limit), &SINK])
            .await?;
        rows.iter().map(flight).collect()
    }
}

fn flight(row: &Row) -> Result<Flight, StoreError> {
    let passed =
        |column| -> Result<_, StoreError> { Ok(at::<Option<i64>>(row, column)?.map(time)) };
    Ok(Flight {
        number: at::<i64>(row, "number")?.unsigned_abs(),
        begun_at: time(at(row, "begun_at")?),
        passed: [
            passed("sent_at")?,
            passed("arrived_at")?,
            passed("judged_at")?,
            passed("read_at")?,
            passed("decided_at")?,
            passed("delivered_at")?,
        ],
        mail: at(row, "mail")?,
        failure: at(row, "failure")?,
        is_pinged: at::<Option<i64>>(row, "pinged_at")?.is_some(),
    })
}
