//! How what is past its retention is deleted: in steps, of which each says where the next begins.

use jiff::Timestamp;

use crate::message::MailId;

/// What is past its retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Mails that arrived before, and what was told of incidents that ended before.
    pub mails: Timestamp,
    /// Incidents that ended before, not earlier than `mails`: no copy of their mails can page any
    /// more. None: they are kept for ever.
    pub incidents: Option<Timestamp>,
}

/// How far the deletion of what is past its retention has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Mails after this one, by arrival.
    Mails { arrived_at: Timestamp, id: MailId },
    /// Incidents after this one, by their latest change.
    Incidents { changed_at: Timestamp, id: i64 },
    /// All rows were seen: what they took is given back to the file system.
    Space,
}

impl Sweep {
    /// The beginning.
    pub const START: Self = Self::Mails {
        arrived_at: Timestamp::MIN,
        id: 0,
    };
    pub(crate) const FIRST_INCIDENT: Self = Self::Incidents {
        changed_at: Timestamp::MIN,
        id: 0,
    };
}

/// What a step of a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Mails, deliveries and incidents.
    pub deleted: usize,
    /// Where the next step begins; none at the end of the sweep.
    pub next: Option<Sweep>,
}
