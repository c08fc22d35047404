//! The lease by which one of several replicas reads a mailbox.

use std::time::Duration;

use super::{
    connection::Database,
    row::{millis, text},
};
use crate::store::StoreError;

/// Takes or renews the right to read a mailbox, by the database's clock.
const CONSUME: &str = "
INSERT INTO consumers (mailbox, holder, held_until)
VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 ms')
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
