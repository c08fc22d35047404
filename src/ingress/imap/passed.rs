//! Remembers which mails the bookmark has passed since this process began to read the folder. Pure.
//!
//! A server may show a mail only after it has shown a later one: its index lags behind, or two
//! deliveries end in another order than they began. Every look therefore begins somewhat below the
//! bookmark, and a mail there that was not there before is new.

use std::collections::BTreeSet;

/// How far below the bookmark a mail may still appear. Its UIDs are a few kilobytes of an answer.
const BEHIND: u32 = 500;

#[derive(Debug, Default)]
pub(super) struct Passed {
    /// The bookmark as this process knows it.
    bookmark: Option<u32>,
    /// The UID up to which mails were passed before this process looked; `None` if nothing is known
    /// about the mails below the bookmark.
    from: Option<u32>,
    /// The mails above that were read, or are no longer wanted.
    known: BTreeSet<u32>,
}

impl Passed {
    /// The UID above which to look. If another process has moved the bookmark, what it found is
    /// not known here.
    pub(super) fn look_above(&mut self, bookmark: u32) -> u32 {
        if self.bookmark != Some(bookmark) {
            *self = Self::default();
            self.bookmark = Some(bookmark);
        }
        let from = *self.from.get_or_insert(bookmark);
        from.max(bookmark.saturating_sub(BEHIND))
    }

    /// Mails are left out by their age: what is not read now is not new later.
    pub(super) fn leave_out_old(&mut self) {
        self.from = None;
    }

    /// Whether a mail is new, where the bookmark is at `bookmark`.
    pub(super) fn is_new(&self, uid: u32, bookmark: u32) -> bool {
        let appeared = |from| uid > from && !self.known.contains(&uid);
        uid > bookmark || self.from.is_some_and(appeared)
    }

    /// A mail is stored, or is no longer wanted.
    pub(super) fn add(&mut self, uid: u32) {
        self.known.insert(uid);
    }

    /// This process has moved the bookmark.
    pub(super) fn moved_to(&mut self, bookmark: u32) {
        self.bookmark = Some(bookmark);
        self.known = self.known.split_off(&bookmark.saturating_sub(BEHIND));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_appears_behind_the_bookmark_is_new_once() {
        let mut passed = Passed::default();
        assert_eq!(passed.look_above(10), 10, "who knows what was there before");
        passed.add(13);
        passed.moved_to(13);
        assert_eq!(passed.look_above(13), 10);
        assert!(passed.is_new(12, 13) && passed.is_new(14, 13));
        assert!(!passed.is_new(13, 13) && !passed.is_new(10, 13));
        passed.add(12);
        assert!(!passed.is_new(12, 13));
    }

    #[test]
    fn what_another_process_found_is_not_known() {
        let mut passed = Passed::default();
        passed.look_above(10);
        passed.moved_to(13);
        assert_eq!(passed.look_above(20), 20);
        assert!(!passed.is_new(12, 20));
    }

    #[test]
    fn what_was_too_old_is_not_new_later() {
        let mut passed = Passed::default();
        passed.look_above(0);
        passed.leave_out_old();
        passed.add(7);
        passed.moved_to(9);
        assert_eq!(passed.look_above(9), 9);
        assert!(!passed.is_new(8, 9) && passed.is_new(10, 9));

        // The same holds if nothing is read at first.
        let mut passed = Passed::default();
        passed.moved_to(9);
        assert_eq!(passed.look_above(9), 9);
    }

    #[test]
    fn little_is_kept_of_a_large_folder() {
        let mut passed = Passed::default();
        passed.look_above(0);
        for uid in 1..=10_000 {
            passed.add(uid);
            passed.moved_to(uid);
        }
        assert_eq!(passed.look_above(10_000), 10_000 - BEHIND);
        assert!(passed.known.len() <= BEHIND as usize + 1);
    }
}
