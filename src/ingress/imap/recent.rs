//! What was found in a folder lately, so that a mail which a search left out is found by the next.
//! Pure.
//!
//! A server may find a mail and not yet one with a lower UID: it was copied from another of its
//! machines, or indexed, a moment later. So each search begins some mails below the bookmark. What
//! was before this process began, or was read by another, is not looked for again.

use std::collections::BTreeSet;

/// How many mails are remembered.
const MOST: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Recent {
    /// All that was found above this UID is known,
    from: u32,
    /// up to the bookmark.
    up_to: u32,
    found: BTreeSet<u32>,
}

impl Recent {
    /// The UID above which to search, where the bookmark is at `bookmark`.
    pub(super) fn begin(&mut self, bookmark: u32) -> u32 {
        if self.up_to != bookmark {
            *self = Self {
                from: bookmark,
                up_to: bookmark,
                found: BTreeSet::new(),
            };
        }
        self.from
    }

    pub(super) fn is_known(&self, uid: u32) -> bool {
        uid <= self.from || self.found.contains(&uid)
    }

    pub(super) fn found(&mut self, uids: &[u32]) {
        self.found.extend(uids);
    }

    /// All that was found is stored, or known to be wanted.
    pub(super) fn end(&mut self, bookmark: u32) {
        self.up_to = bookmark;
        while self.found.len() > MOST {
            self.from = self.found.pop_first().unwrap_or(self.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_search_left_out_is_not_known_and_what_others_read_is() {
        let mut recent = Recent::default();
        assert_eq!(recent.begin(40), 40);
        recent.found(&[41, 43]);
        recent.end(43);
        assert_eq!(recent.begin(43), 40);
        assert!(recent.is_known(40) && recent.is_known(43) && !recent.is_known(42));
        assert_eq!(recent.begin(50), 50, "another process has read on");
        assert!(recent.is_known(42) && recent.is_known(50) && !recent.is_known(51));
    }

    #[test]
    fn so_much_is_remembered() {
        let mut recent = Recent::default();
        recent.begin(0);
        let uids: Vec<u32> = (1..=10).chain(100..700).collect();
        recent.found(&uids);
        recent.end(699);
        assert_eq!(recent.begin(699), 199);
        assert!(recent.is_known(50) && !recent.is_known(700));
    }
}
