//! Finds mails by queries whose answers are complete, even if the server leaves mails out.

use std::collections::BTreeSet;

use jiff::civil;

use super::{Scan, walk};
use crate::ingress::imap::fault::Fault;

/// The number of mails in one answer from which on the server may have left others out.
const CAPPED: usize = 10;

impl Scan<'_> {
    /// Returns the mails that match these queries; `None` after `stop`.
    pub(super) async fn find(
        &mut self,
        questions: &[String],
        since: Option<civil::Date>,
    ) -> Result<Option<BTreeSet<u32>>, Fault> {
        let mut found = BTreeSet::new();
        let stop = self.stop;
        for keys in questions {
            let search = self.search(keys, since);
            let Some(answer) = stop.run_until_cancelled(search).await else {
                return Ok(None);
            };
            found.extend(answer?);
        }

        Ok(Some(found))
    }

    /// Returns the mails that match one query. Some servers find only a certain number of them, the
    /// last or the first, so after an answer with many mails, those below and above are queried
    /// until there are no more.
    pub(super) async fn search(
        &mut self,
        keys: &str,
        since: Option<civil::Date>,
    ) -> Result<BTreeSet<u32>, Fault> {
        let mut found = self.session.search(keys, since).await?;
        if found.len() < CAPPED {
            return Ok(found);
        }

        while let Some(outside) = walk::outside(keys, &found, self.last_uid) {
            let before = found.len();
            for keys in outside {
                found.append(&mut self.session.search(&keys, since).await?);
            }
            if found.len() == before {
                break;
            }
        }

        Ok(found)
    }
}
