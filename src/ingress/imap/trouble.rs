//! Which mail broke the connection, remembered across connections, so that one mail cannot block a mailbox.
//!
//! When a fetch of several mails breaks off, they are fetched one by one; a mail that breaks three fetches of its own
//! is asked for its header alone; and where even that fails three times it is recorded without content.

use std::collections::BTreeMap;

use super::fault::Fault;

/// Fetches of one mail alone that may fail before less of it is asked for.
const TRIES: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// The first and the last UID of what is being fetched.
    in_hand: Option<(u32, u32)>,
    /// UIDs up to this one are fetched one by one.
    alone_up_to: u32,
    failures: BTreeMap<u32, u32>,
}

/// How much of a mail is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portion {
    Whole,
    Header,
    Nothing,
}

impl Trouble {
    pub(super) fn begin(&mut self, first: u32, last: u32) {
        self.in_hand = Some((first, last));
    }

    /// The fetch is over and stored: what failed before it is history.
    pub(super) fn end(&mut self) {
        if let Some((_, last)) = self.in_hand.take() {
            self.failures = self.failures.split_off(&last.saturating_add(1));
        }
    }

    /// The connection ended with `fault`; does nothing where no mail was in hand or the fault cannot be a mail's.
    pub(super) fn blame(&mut self, fault: &Fault) {
        match self.in_hand.take() {
            Some((first, last)) if fault.may_be_the_mails() => {
                if first == last {
                    *self.failures.entry(first).or_default() += 1;
                }
                self.alone_up_to = self.alone_up_to.max(last);
            }
            _ => {}
        }
    }

    /// UIDs mean something else now.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_suspect(&self, uid: u32) -> bool {
        uid <= self.alone_up_to
    }

    pub(super) fn portion(&self, uid: u32) -> Portion {
        match self.failures.get(&uid) {
            Some(failures) if *failures >= 2 * TRIES => Portion::Nothing,
            Some(failures) if *failures >= TRIES => Portion::Header,
            _ => Portion::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_breaks_every_fetch_is_given_up_in_steps() {
        let mut trouble = Trouble::default();
        trouble.begin(1, 64);
        trouble.blame(&Fault::Closed { said: None });
        assert!(trouble.is_suspect(64) && !trouble.is_suspect(65));

        let mut portions = Vec::new();
        for _ in 0..7 {
            portions.push(trouble.portion(7));
            trouble.begin(7, 7);
            trouble.blame(&Fault::Protocol("a line longer than 256 KiB".into()));
        }
        let [whole, header, nothing] = [Portion::Whole, Portion::Header, Portion::Nothing];
        assert_eq!(portions, [whole, whole, whole, header, header, header, nothing]);
    }

    #[test]
    fn a_busy_server_or_a_full_store_is_not_the_mails_fault() {
        let mut trouble = Trouble::default();
        for _ in 0..10 {
            trouble.begin(7, 7);
            trouble.blame(&Fault::Inbox(crate::ingress::Refused::Failed("the disk is full".into())));
            trouble.begin(7, 7);
            let said = "[UNAVAILABLE] try later".into();
            trouble.blame(&Fault::Answer { command: "FETCH", said, try_create: false });
        }
        assert_eq!(trouble.portion(7), Portion::Whole);
    }

    #[test]
    fn what_was_stored_in_the_end_is_forgiven() {
        let mut trouble = Trouble::default();
        trouble.begin(7, 7);
        trouble.blame(&Fault::Closed { said: None });
        trouble.begin(7, 7);
        trouble.end();
        assert!(trouble.failures.is_empty());
    }
}
