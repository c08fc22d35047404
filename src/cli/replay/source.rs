//! Mails from files, in order of arrival, one batch at a time.

use futures_util::stream;

use super::Request;
use crate::{
    cli::mailbox::Found,
    message::Message,
    store::READ_BACK,
    trial::{
        Specimen,
        source::BATCH,
        walk::{Batches, ahead},
    },
};

/// Returns the mails as if each had arrived at its own time.
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
            cut_at: None,
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
