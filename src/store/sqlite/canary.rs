//! The implementation of [`Canaries`] for SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Sqlite, failure};
use crate::{
    canary::{Flight, KEPT, SINK},
    message::MailId,
    store::{
        Canaries, StoreError,
        canary::latest_begin,
        kept::{micros, signed, time},
    },
};

const FLIGHTS: &str = "
SELECT number, begun_at, sent_at, arrived_at, judged_at, read_at, decided_at,
       (SELECT min(settled_at) FROM deliveries
        WHERE deliveries.mail = canaries.mail AND receiver = ?2
          AND state = 'delivered') AS delivered_at,
       mail, failure, pinged_at
FROM canaries ORDER BY number DESC LIMIT ?1";

#[async_trait]
impl Canaries for Sqlite {
    async fn canary_key(&self, fresh: [u8; 32]) -> Result<Vec<u8>, StoreError> {
        self.write(move |connection| {
            connection
                .execute(
                    "INSERT INTO canary_key (id, key) VALUES (1, ?1) ON CONFLICT DO NOTHING",
                    [fresh.as_slice()],
                )
                .map_err(failure)?;
            connection
                .query_row("SELECT key FROM canary_key", [], |row| row.get(0))
                .map_err(failure)
        })
        .await
    }

    async fn begin_canary(
        &self,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        self.write(move |connection| begin(connection, now, before).map_err(failure))
            .await
    }

    async fn canary_sent(
        &self,
        number: u64,
        sent: Result<Timestamp, String>,
    ) -> Result<(), StoreError> {
        let (at, why) = (sent.as_ref().ok().copied().map(micros), sent.err());
        self.change(
            "UPDATE canaries SET sent_at = ?2, failure = ?3 WHERE number = ?1",
            (signed(number), at, why),
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
        self.change(
            "UPDATE canaries SET mail = ?2, arrived_at = coalesce(arrived_at, ?3),
                 judged_at = coalesce(judged_at, ?4)
             WHERE number = ?1 AND coalesce(mail, ?2) = ?2 AND begun_at >= ?5",
            (
                signed(number),
                mail,
                micros(arrived),
                micros(judged),
                micros(not_before),
            ),
        )
        .await
        .map(|changed| changed > 0)
    }

    async fn canary_decided(
        &self,
        number: u64,
        [read, decided]: [Timestamp; 2],
    ) -> Result<(), StoreError> {
        self.change(
            "UPDATE canaries SET read_at = ?2, decided_at = ?3 WHERE number = ?1",
            (signed(number), micros(read), micros(decided)),
        )
        .await
        .map(drop)
    }

    async fn canary_pinged(&self, number: u64, at: Timestamp) -> Result<(), StoreError> {
        self.change(
            "UPDATE canaries SET pinged_at = ?2 WHERE number = ?1",
            (signed(number), micros(at)),
        )
        .await
        .map(drop)
    }

    async fn flights(&self, limit: u32) -> Result<Vec<Flight>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(FLIGHTS)?
                .query_map(params![limit, SINK], flight)?
                .collect()
        })
        .await
    }
}

impl Sqlite {
    /// Runs a statement, and returns the number of rows that it changed.
    async fn change(
        &self,
        statement: &'static str,
        parameters: impl rusqlite::Params + Send + 'static,
    ) -> Result<usize, StoreError> {
        self.write(move |connection| connection.execute(statement, parameters).map_err(failure))
            .await
    }
}

fn begin(
    connection: &Connection,
    now: Timestamp,
    before: Timestamp,
) -> rusqlite::Result<Option<u64>> {
    let begun = connection
        .query_row(
            "INSERT INTO canaries (number, begun_at)
             SELECT coalesce(max(number), 0) + 1, ?1 FROM canaries
             HAVING coalesce(max(begun_at), ?2) <= ?2 OR max(begun_at) > ?3
             RETURNING number",
            [now, before, latest_begin(now)].map(micros),
            |row| row.get::<_, i64>(0),
        )
        .optional()?;

    if let Some(number) = begun {
        let forgotten = number - i64::from(KEPT);
        connection.execute("DELETE FROM canaries WHERE number <= ?1", [forgotten])?;
    }

    Ok(begun.map(i64::unsigned_abs))
}

fn flight(row: &Row<'_>) -> rusqlite::Result<Flight> {
    let at =
        |place: usize| -> rusqlite::Result<_> { Ok(row.get::<_, Option<i64>>(place)?.map(time)) };
    Ok(Flight {
        number: row.get::<_, i64>(0)?.unsigned_abs(),
        begun_at: time(row.get(1)?),
        passed: [at(2)?, at(3)?, at(4)?, at(5)?, at(6)?, at(7)?],
        mail: row.get(8)?,
        failure: row.get(9)?,
        is_pinged: at(10)?.is_some(),
    })
}
