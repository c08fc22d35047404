//! Reserves the remaining disk space for alerts while the disk is nearly full.

use std::sync::Arc;

use super::Pipeline;
use crate::{ingress::Refused, message::Message, store::Room};

impl Pipeline {
    /// Refuses mail from other senders while the disk is nearly full.
    ///
    /// Mail from a mailbox, where nobody would notice a refusal and later mail must not wait, is
    /// taken with its header alone.
    pub(super) fn with_room_for_alerts(
        &self,
        mails: Vec<Message>,
        of_mailbox: bool,
    ) -> Result<Vec<Message>, Refused> {
        if !self.store.room().is_some_and(Room::is_for_alerts_alone) {
            return Ok(mails);
        }

        let rules = Arc::clone(&self.in_force().rules);
        let spare = |mail: &Message| rules.is_another_senders(&mail.raw);

        if of_mailbox {
            return Ok(mails
                .into_iter()
                .map(|mail| if spare(&mail) { mail.to_be_cut() } else { mail })
                .collect());
        }

        if mails.iter().any(spare) {
            Err(Refused::NoRoom)
        } else {
            Ok(mails)
        }
    }
}
