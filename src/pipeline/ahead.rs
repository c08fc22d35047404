//! Mails about the same incidents that other replicas have yet to decide.
//!
//! A mail that another replica acknowledged before this replica's mail was sent is in the store and
//! has the lower number. If it is still undecided, that replica may be about to decide it, asleep
//! or dead. Whichever replica gets there first decides it, here before its own mail. Nobody has to
//! wait for the other's hold to end, and the other finds the mail decided.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Pipeline, Reading, order::Read};
use crate::{message::MailId, store::StoreError};

/// The incidents of the other replicas' undecided mails, as hashes, so that each mail is read once.
#[derive(Default)]
pub(super) struct Ahead(Mutex<BTreeMap<MailId, Vec<u64>>>);

impl Ahead {
    fn known(&self) -> MutexGuard<'_, BTreeMap<MailId, Vec<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the other replicas' mails that are, or may be, about these incidents.
    ///
    /// Mails that are no longer among `others` are forgotten.
    fn worth_reading(&self, others: &[MailId], incidents: &HashSet<u64>) -> Vec<MailId> {
        let mut known = self.known();
        let last = others.last().copied().unwrap_or_default();
        known.retain(|id, _| *id > last || others.binary_search(id).is_ok());
        let may_be_about_them = |id: &&MailId| match known.get(id) {
            Some(about) => about.iter().any(|incident| incidents.contains(incident)),
            None => true,
        };
        others.iter().filter(may_be_about_them).copied().collect()
    }
}

fn incidents_of(reading: &Reading) -> Vec<u64> {
    let hash = |id: &str| BuildHasherDefault::<DefaultHasher>::default().hash_one(id);
    reading.incident_ids().map(hash).collect()
}

impl Pipeline {
    /// Returns the mails, and those of other replicas that must be decided before them, all in
    /// order.
    ///
    /// One of the latter may also be about another incident, whose earlier mails then come before
    /// it.
    pub(super) async fn with_those_ahead(
        &self,
        mut read: Read,
        others: Vec<MailId>,
    ) -> Result<Read, StoreError> {
        let mut incidents: HashSet<u64> = read
            .iter()
            .flat_map(|(reading, _)| incidents_of(reading))
            .collect();

        if others.is_empty() || incidents.is_empty() {
            return Ok(read);
        }

        let mut taken = HashSet::new();
        loop {
            let before = incidents.len();
            let mut ids = self.ahead.worth_reading(&others, &incidents);
            ids.retain(|id| !taken.contains(id));

            while !ids.is_empty() {
                let mails = self.store.undecided_among(ids.clone()).await?;
                let Some(last) = mails.last().map(|mail| mail.id) else {
                    break;
                };
                ids.retain(|id| *id > last);
                for (reading, mail) in self.read_apart(mails).await? {
                    let about = incidents_of(&reading);
                    self.ahead.known().insert(mail.id, about.clone());
                    if about.iter().any(|incident| incidents.contains(incident)) {
                        incidents.extend(&about);
                        taken.insert(mail.id);
                        read.push((reading, mail));
                    }
                }
            }

            if incidents.len() == before {
                break;
            }
        }

        read.sort_by_key(|(_, mail)| mail.id);
        read.dedup_by_key(|(_, mail)| mail.id);

        Ok(read)
    }
}
