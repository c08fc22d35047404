//! Remembers which mails the bookmark has passed since this process began to read the folder. Pure.
//!
//! A server may show a mail only after it has shown a later one: its index lags behind, or two
//! deliveries end in another order than they began. Every look therefore begins somewhat below the
//! bookmark, and a mail there that was not there before is new.

use std::collections::BTreeSet;

use jiff::Timestamp;

/// How far below the bookmark, in UIDs, a mail may still appear. So many UIDs are a few kilobytes
/// of an answer.
pub(super) const BEHIND: u32 = 500;

/// How often a folder that announces mails but shows none is looked at again.
const DOUBTS: u8 = 3;

#[derive(Debug, Default)]
pub(super) struct Passed {
    /// The bookmark as this process knows it.
    bookmark: Option<u32>,
    /// The UID up to which mails were passed before this process looked; `None` if nothing is known
    /// about the mails below the bookmark.
    from: Option<u32>,
    /// The mails above `from` that were read, were left out because of their age, or are no longer
    /// wanted.
    known: BTreeSet<u32>,
    /// The highest UID that was announced before anything was read, and an age limit: mails up to
    /// that UID that arrived earlier are too old whenever they appear.
    old: Option<(u32, Timestamp)>,
    /// The highest UID that was announced when the folder could not be looked at for the first
    /// time.
    announced: Option<u32>,
    /// The highest UID at the latest look.
    highest: Option<u32>,
    /// The number of looks at which the folder showed none of its mails.
    doubts: u8,
}

impl Passed {
    /// Returns the UID above which to look. If another process has moved the bookmark, what it
    /// found is not known here.
    pub(super) fn look_above(&mut self, bookmark: u32) -> u32 {
        if self.bookmark != Some(bookmark) {
            *self = Self::default();
            self.bookmark = Some(bookmark);
        }
        let from = *self.from.get_or_insert(bookmark);
        from.max(bookmark.saturating_sub(BEHIND)).min(bookmark)
    }

    /// Returns whether another process has moved the bookmark, which is at `bookmark`.
    pub(super) fn was_moved_elsewhere(&self, bookmark: u32) -> bool {
        self.bookmark.is_some_and(|known| known != bookmark)
    }

    /// Sets the UID up to which mails are left out because of their age, now and whenever they
    /// appear, and the limit of that age.
    pub(super) fn leave_out_old(&mut self, old: Option<(u32, Timestamp)>) {
        self.old = old;
    }

    /// Returns the age limit of a mail.
    pub(super) fn not_before(&self, uid: u32) -> Option<Timestamp> {
        self.old
            .filter(|(up_to, _)| uid <= *up_to)
            .map(|(_, limit)| limit)
    }

    /// Notes that the folder was looked at before it is read: above `from`, it holds the mails in
    /// `old`, which are too old, and those that are to be read.
    pub(super) fn begin(&mut self, from: u32, old: BTreeSet<u32>) {
        (self.from, self.known) = (Some(from), old);
    }

    /// Notes that the folder could not be looked at before it is read: mail that comes now is new
    /// all the same.
    pub(super) fn could_not_begin(&mut self, announced: u32) {
        self.announced.get_or_insert(announced);
    }

    /// Returns the highest UID that was announced at the first attempt to look at the folder, if
    /// that failed.
    pub(super) fn first_announced(&self) -> Option<u32> {
        self.announced
    }

    /// Returns whether to look again at a folder that shows none of its mails.
    pub(super) fn is_doubtful(&mut self) -> bool {
        self.doubts = self.doubts.saturating_add(1);
        self.doubts <= DOUBTS
    }

    /// Notes that the highest UID is now `highest`. Returns what it was before, if mails have come
    /// since and are not above `above`, where they belong.
    pub(super) fn rose(&mut self, highest: u32, above: u32) -> Option<u32> {
        let before = self.highest.replace(highest)?;
        (highest > before && highest <= above).then_some(before)
    }

    /// Notes that the bookmark goes back.
    pub(super) fn go_back(&mut self, bookmark: u32) {
        self.from = Some(bookmark);
    }

    /// Returns whether a mail is new if the bookmark is at `bookmark`.
    pub(super) fn is_new(&self, uid: u32, bookmark: u32) -> bool {
        let is_above = uid > bookmark || self.from.is_some_and(|from| uid > from);
        is_above && !self.known.contains(&uid)
    }

    /// Notes that a mail is stored, or is no longer wanted.
    pub(super) fn add(&mut self, uid: u32) {
        self.known.insert(uid);
    }

    /// Notes that this process has moved the bookmark.
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
    fn what_was_too_old_is_not_new_later_and_what_was_not_there_is() {
        let mut passed = Passed::default();
        assert_eq!(passed.look_above(0), 0);
        passed.begin(4, [5, 8].into());
        assert!(passed.is_new(7, 0) && !passed.is_new(8, 0));
        passed.add(7);
        // The connection ended before the folder was read to its end.
        passed.moved_to(2);
        assert_eq!(passed.look_above(2), 2, "nothing is passed over");
        assert!(passed.is_new(3, 2) && !passed.is_new(2, 2) && !passed.is_new(8, 2));
        passed.moved_to(9);
        assert_eq!(passed.look_above(9), 4);
        let new: Vec<u32> = (0..=10).filter(|uid| passed.is_new(*uid, 9)).collect();
        assert_eq!(new, [6, 9, 10]);
    }

    #[test]
    fn a_mail_that_is_announced_at_first_and_shown_late_has_an_age_limit() {
        let mut passed = Passed::default();
        passed.leave_out_old(Some((9, Timestamp::UNIX_EPOCH)));
        assert_eq!(passed.not_before(9), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(passed.not_before(10), None);
    }

    #[test]
    fn mails_that_come_far_below_the_bookmark_show_that_it_is_ahead() {
        let mut passed = Passed::default();
        let above = passed.look_above(4_000_000_000);
        assert_eq!(passed.rose(24, above), None, "it was there before");
        assert_eq!(passed.rose(24, above), None);
        assert_eq!(passed.rose(23, above), None, "some are gone");
        assert_eq!(passed.rose(26, above), Some(23));
        passed.go_back(23);
        passed.moved_to(26);
        assert_eq!(passed.look_above(26), 23);
        assert_eq!(passed.rose(27, 23), None, "where it belongs");
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
