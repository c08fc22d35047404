//! The mails of a store, in order of arrival, a batch at a time, and its silences.

use std::sync::Arc;

use futures_util::stream;
use jiff::Timestamp;

use super::{
    Specimen,
    walk::{Batches, ahead},
};
use crate::{
    silence::Silence,
    store::{Desk, StoreError, StoredMail},
};

/// The number of mails that pass through a stage together, so that one hop to another thread serves
/// all of them. There are fewer if they exceed [`READ_BACK`](crate::store::READ_BACK) bytes.
pub const BATCH: u32 = 64;

/// Stored mails, and the time at which they are tried.
pub struct Stored {
    pub store: Arc<dyn Desk>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The time at which all mails are tried, instead of the arrival of each.
    pub at: Option<Timestamp>,
}

/// Returns the mails of the store, by arrival.
pub fn from_store(stored: &Stored) -> Batches<Specimen> {
    let (store, since, until, at) = (
        Arc::clone(&stored.store),
        stored.since,
        stored.until,
        stored.at,
    );
    let specimen = move |mail: StoredMail| Specimen {
        name: mail.id.to_string(),
        number: mail.id,
        now: at.unwrap_or(mail.message.arrived_at),
        message: mail.message,
        authenticity: Some(mail.authenticity),
        released: mail.released,
        cut_at: mail.cut_at,
    };

    ahead(stream::try_unfold((Timestamp::MIN, 0), move |after| {
        let store = Arc::clone(&store);
        async move {
            let batch = store.stored(since, until, after, BATCH).await?;
            let last = batch.last().map(|last| (last.message.arrived_at, last.id));
            Ok(last.map(|last| (batch.into_iter().map(specimen).collect(), last)))
        }
    }))
}

/// Returns all silences of a store, including the ended ones, because its mails came while those
/// were active.
pub async fn silences(store: &dyn Desk, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
    let mut silences = store.silences(true, now, u32::MAX).await?;
    silences.extend(store.silences(false, now, u32::MAX).await?);
    Ok(silences)
}
