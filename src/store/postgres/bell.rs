//! Notifications between replicas that there is something to do, by LISTEN and NOTIFY.
//!
//! A notification is never sent within a transaction that does other work, because PostgreSQL
//! commits transactions with a NOTIFY one after the other. A notification only saves time: a
//! replica that misses one checks every two seconds anyway.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client};

use super::connection::{Database, failure, noticed};
use crate::store::StoreError;

/// Sends a notification. The payload is the sender's id, by which a replica ignores its own
/// notifications.
pub(super) const RING: &str = "SELECT pg_notify('alertbridge', $1::bigint::text)";
/// Notifications within this time are sent as one.
const PAUSE: Duration = Duration::from_millis(20);
/// The pause between two attempts to listen.
const AGAIN: Duration = Duration::from_secs(1);

/// A sender of notifications to the other replicas.
#[derive(Default)]
pub(super) struct Bell {
    rings: Arc<AtomicBool>,
}

impl Bell {
    /// Sends one notification soon, however often it is called until then, and without a guarantee.
    pub(super) fn ring(&self, database: &Arc<Database>, holder: i64) {
        if self.rings.swap(true, Ordering::AcqRel) {
            return;
        }

        let (rings, database) = (Arc::clone(&self.rings), Arc::clone(database));
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            rings.store(false, Ordering::Release);
            if let Err(error) = database.query(RING, &[&holder]).await {
                tracing::debug!(%error, "the other replicas could not be notified");
            }
        });
    }
}

/// Listens to the other replicas until nobody holds `heard` any more.
pub(super) async fn listen(database: Arc<Database>, holder: i64, heard: Arc<Notify>) {
    while Arc::strong_count(&heard) > 1 {
        if let Err(error) = hear(&database, holder, &heard).await {
            tracing::debug!(%error, "notifications of the other replicas are not received");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn hear(database: &Database, holder: i64, heard: &Notify) -> Result<(), StoreError> {
    let (client, mut connection) = database.connection_apart().await?;
    let mut begun = Box::pin(begin(client).fuse());
    let own = holder.to_string();

    // The client is kept once it listens, because the connection ends when it is dropped.
    let mut kept = None;

    loop {
        tokio::select! {
            client = &mut begun, if kept.is_none() => {
                kept = Some(client?);
                // Notifications sent while nobody listened were lost.
                heard.notify_one();
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(ring))) if ring.payload() != own => {
                    heard.notify_one();
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(failure(error)),
                None => return Ok(()),
            },
        }
    }
}

async fn begin(client: Client) -> Result<Client, StoreError> {
    noticed(&client).await?;
    client
        .batch_execute("LISTEN alertbridge")
        .await
        .map_err(failure)?;
    Ok(client)
}
