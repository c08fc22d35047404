//! The deletion of rows past their retention, in steps, each of which says where the next one
//! begins.

use jiff::Timestamp;

use crate::message::MailId;

/// The limits of retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Mails that arrived earlier, and the pages of incidents that ended earlier, are deleted.
    pub mails: Timestamp,
    /// Incidents that ended before both this time and `mails` are deleted: no copy of their mails
    /// can page any more. `None` keeps them for ever.
    pub incidents: Option<Timestamp>,
}

/// The position of a sweep over rows past their retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Mails after this one, by arrival.
    Mails { arrived_at: Timestamp, id: MailId },
    /// Incidents after this one, by their latest change.
    Incidents { changed_at: Timestamp, id: i64 },
    /// All rows have been seen, and free pages are returned to the file system.
    Space,
}

impl Sweep {
    /// The beginning of a sweep.
    pub const START: Self = Self::Mails {
        arrived_at: Timestamp::MIN,
        id: 0,
    };
    pub(crate) const FIRST_INCIDENT: Self = Self::Incidents {
        changed_at: Timestamp::MIN,
        id: 0,
    };
}

/// The result of one step of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// The number of mails, deliveries and incidents.
    pub deleted: usize,
    /// Where the next step begins; `None` at the end of the sweep.
    pub next: Option<Sweep>,
}
