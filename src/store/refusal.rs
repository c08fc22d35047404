//! The refusals of people's changes, in the same words for both databases.

use jiff::Timestamp;

use crate::{delivery::DeliveryId, message::MailId, silence::SilenceId, store::StoreError};

/// What may prevent a dead delivery from being sent again.
pub(super) struct Revival {
    pub(super) trigger: bool,
    /// Whether its episode is the incident's current one and is not over.
    pub(super) open: bool,
    /// Whether a resolve will be sent after it.
    pub(super) closed_after: bool,
    /// Whether its receiver has been, or is being, notified of a newer episode.
    pub(super) opened_after: bool,
}

impl Revival {
    pub(super) fn objection(&self) -> Option<&'static str> {
        if self.opened_after {
            Some(
                "part of an earlier opening of its incident: sent now, it would open or close the \
                 newer alert",
            )
        } else if self.trigger && !self.open && !self.closed_after {
            Some(
                "a trigger whose incident is over: sent now, it would open an alert that nobody \
                 closes",
            )
        } else {
            None
        }
    }
}

pub(super) fn not_sent_again(id: DeliveryId, why: &str) -> StoreError {
    StoreError::Refused(format!("delivery {id} is {why}; discard it instead"))
}

/// Explains why a delivery is not retried. `state` is `None` if there is no such delivery.
pub(super) fn not_dead(id: DeliveryId, state: Option<&str>) -> StoreError {
    match state {
        Some(state) => StoreError::Refused(format!("delivery {id} is {state}, not dead")),
        None => no_delivery(id),
    }
}

/// Explains why a delivery is not discarded. `state` is `None` if there is no such delivery.
pub(super) fn not_discarded(id: DeliveryId, state: Option<&str>) -> StoreError {
    match state {
        Some(state) => StoreError::Refused(format!(
            "delivery {id} is {state}: only pending, held or dead deliveries can be discarded"
        )),
        None => no_delivery(id),
    }
}

fn no_delivery(id: DeliveryId) -> StoreError {
    StoreError::Missing(format!("there is no delivery {id}"))
}

/// Explains why a mail is not released. `found` is the mail's outcome, its original size if it was
/// cut to its header, and whether it was cut to free space. It is `None` if there is no such mail.
pub(super) fn not_released(id: MailId, found: Option<(&str, Option<i64>, bool)>) -> StoreError {
    StoreError::Refused(match found {
        Some(("quarantined", Some(size), true)) => format!(
            "mail {id} was {size} bytes, and only its header was kept, because mail like it took \
             more than store.quarantine.max_size: send the mail again, or `alertbridge mails \
             discard {id}`"
        ),
        Some(("quarantined", Some(size), false)) => format!(
            "mail {id} was {size} bytes, over the size limit, and only its header was kept: raise \
             max_message_size and send the mail again, or `alertbridge mails discard {id}`"
        ),
        Some((outcome, ..)) => format!("mail {id} is {outcome}, not quarantined"),
        None => return StoreError::Missing(format!("there is no mail {id}")),
    })
}

pub(super) fn not_quarantined(id: MailId) -> StoreError {
    StoreError::Refused(format!("mail {id} is not in the quarantine"))
}

/// Explains why a silence is not ended. `ended` is when it ended already, or `None` if there is no
/// such silence.
pub(super) fn not_expired(id: SilenceId, ended: Option<Timestamp>) -> StoreError {
    match ended {
        Some(at) => StoreError::Refused(format!("silence {id} has ended already, at {at:.0}")),
        None => StoreError::Missing(format!(
            "there is no silence {id}: `alertbridge silences list` names them"
        )),
    }
}
