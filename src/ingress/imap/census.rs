//! Notices mail that a server announces in the midst of its answer to a command. Pure.
//!
//! A server announces new mail once, in whatever it says next (RFC 9051, 7.4.1): a mail that
//! arrives while others are fetched or moved is announced there, and not again to the IDLE that
//! follows.

/// The number of mails in the open folder, by all that the server has said.
#[derive(Debug, Default)]
pub(super) struct Census {
    count: Option<u32>,
    has_grown: bool,
}

impl Census {
    /// Notes that a folder is opened, whose mails are not counted yet.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Notes how many mails there are (EXISTS). Servers repeat the number, which announces nothing.
    pub(super) fn counted(&mut self, count: u32) {
        self.has_grown |= self.count.is_some_and(|before| count > before);
        self.count = Some(count);
    }

    /// Notes that a mail was removed (EXPUNGE).
    pub(super) fn lost_one(&mut self) {
        self.count = self.count.map(|count| count.saturating_sub(1));
    }

    /// Notes that the folder is looked at now.
    pub(super) fn look(&mut self) {
        self.has_grown = false;
    }

    /// Returns whether mail was announced since the latest look began.
    pub(super) fn has_grown(&self) -> bool {
        self.has_grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_that_rises_announces_mail() {
        let mut census = Census::default();
        census.counted(3);
        census.counted(3);
        assert!(!census.has_grown(), "the folder was opened");
        census.lost_one();
        census.counted(2);
        assert!(!census.has_grown(), "a server says what is left");
        census.counted(3);
        assert!(census.has_grown());
        census.counted(3);
        census.lost_one();
        assert!(census.has_grown(), "until the folder is looked at");
        census.look();
        census.counted(2);
        assert!(!census.has_grown());
        census.begin();
        census.counted(9);
        assert!(!census.has_grown(), "another folder");
    }
}
