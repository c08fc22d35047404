//! The bytes of a mail as they come in, within the size limit and the [budget](super::budget), or why they are refused.

use super::budget::{Budget, FREE, Room};

/// Why a message is refused. The first reason found is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A CR without its LF, or an LF without its CR.
    BareLineBreak,
    /// More bytes than the limit.
    TooLarge,
    /// Too many large mails are under way.
    NoRoom,
}

/// What has come of a mail. Of one that is refused nothing is kept.
#[derive(Debug)]
pub(super) struct Content {
    bytes: Vec<u8>,
    limit: u64,
    room: Room,
    flaw: Option<Flaw>,
}

/// A whole mail, and its room while it is stored.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) raw: Vec<u8>,
    pub(super) room: Room,
}

impl Content {
    /// A mail of up to `limit` bytes, of which about `declared` will come by the client's word.
    pub(super) fn new(limit: u64, declared: usize, budget: &Budget) -> Self {
        // No more is set aside on a client's word than is free.
        Self { bytes: Vec::with_capacity(declared.min(FREE)), limit, room: budget.room(), flaw: None }
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if self.flaw.is_some() {
            return;
        }
        let length = self.bytes.len() + bytes.len();
        if length as u64 > self.limit {
            self.spoil(Flaw::TooLarge);
        } else if self.make_room(length) {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.spoil(Flaw::NoRoom);
        }
    }

    /// Grows the buffer by doubling, as far as a mail can need it; what is set aside is what counts.
    fn make_room(&mut self, length: usize) -> bool {
        let capacity = self.bytes.capacity();
        if length <= capacity {
            return true;
        }
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let capacity = capacity.saturating_mul(2).min(most).max(length);
        let granted = self.room.grow(capacity);
        if granted {
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        granted
    }

    pub(super) fn spoil(&mut self, flaw: Flaw) {
        if self.flaw.is_none() {
            self.flaw = Some(flaw);
            self.bytes = Vec::new();
            self.room.release();
        }
    }

    /// Why it will be refused, if that is known already.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    pub(super) fn finish(self) -> Result<Received, Flaw> {
        self.flaw.map_or(Ok(Received { raw: self.bytes, room: self.room }), Err)
    }
}
