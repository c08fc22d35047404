//! While the disk is nearly full, the rest is reserved for alerts.

use std::sync::Arc;

use super::Pipeline;
use crate::{ingress::Refused, message::Message, store::Room};

impl Pipeline {
    /// While the disk is nearly full, mail from other senders is refused. In a mailbox, where
    /// nobody would notice and later mail must not wait, it is taken with its header alone.
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
                .map(|mail| if spare(&mail) { mail.cut() } else { mail })
                .collect());
        }

        if mails.iter().any(spare) {
            Err(Refused::NoRoom)
        } else {
            Ok(mails)
        }
    }
}
