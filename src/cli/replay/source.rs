//! Where the mails come from: the store, or files; in order of arrival, a batch at a time.

use std::sync::Arc;

use futures_util::stream;
use jiff::Timestamp;

use super::{
    Request, Stored,
    walk::{Batches, ahead},
};
use crate::{
    cli::{mailbox::Found, trial::Specimen},
    message::Message,
    store::{READ_BACK, StoredMail},
};

/// Mails that are taken through a stage together, which is one way to another thread for all of
/// them; fewer where they have [`READ_BACK`] bytes before.
const BATCH: u32 = 64;

/// The mails of the store, by arrival.
pub(super) fn from_store(stored: &Stored, request: &Request) -> Batches<Specimen> {
    let Stored {
        store,
        since,
        until,
    } = stored;

    let (store, since, until, at) = (Arc::clone(store), *since, *until, request.at);
    let specimen = move |mail: StoredMail| Specimen {
        name: mail.id.to_string(),
        number: mail.id,
        now: at.unwrap_or(mail.message.arrived_at),
        message: mail.message,
        authenticity: Some(mail.authenticity),
        released: mail.released,
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

/// The mails found, as if they had arrived when they say.
pub(super) fn from_files(found: Vec<Found>, request: &Request) -> Batches<Specimen> {
    let (at, now) = (request.at, request.now);
    let ingress = request.ingress.clone().unwrap_or_else(|| "replay".into());
    let specimen = move |(place, mail): (usize, Found)| -> anyhow::Result<Specimen> {
        let number = i64::try_from(place + 1)?;
        let arrived_at = at.or(mail.date).unwrap_or(now);
        let message = Message {
            ingress: ingress.clone(),
            arrived_at,
            raw: mail.read()?,
            cut_from: None,
            withheld: None,
            envelope: None,
        };
        Ok(Specimen {
            name: mail.name,
            number,
            message,
            authenticity: None,
            released: None,
            now: arrived_at,
        })
    };

    let mut specimens = found.into_iter().enumerate().map(specimen);
    let mut batch = move || -> anyhow::Result<Vec<Specimen>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH as usize
            && bytes < READ_BACK
            && let Some(specimen) = specimens.next().transpose()?
        {
            bytes += specimen.message.raw.len() as u64;
            batch.push(specimen);
        }
        Ok(batch)
    };

    let batches = std::iter::from_fn(move || {
        batch()
            .map(|batch| (!batch.is_empty()).then_some(batch))
            .transpose()
    });

    ahead(stream::iter(batches))
}
