//! The bytes of an incoming mail, within the size limit and the [budget](Budget), or why they are
//! refused.

use crate::ingress::listener::{Budget, Buffer, Full, Room};

/// Why a message is refused. The first reason found is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A CR without its LF, or an LF without its CR.
    BareLineBreak,
    /// More bytes than the limit.
    TooLarge,
    /// Too many large mails are in progress.
    NoRoom,
}

/// The content of a mail as it is received. Nothing is kept of a refused mail.
#[derive(Debug)]
pub(super) struct Content {
    buffer: Buffer,
    flaw: Option<Flaw>,
}

/// A complete mail, and its share of the budget while it is stored.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) raw: Vec<u8>,
    pub(super) room: Room,
}

impl Content {
    /// Creates the content of a mail of up to `limit` bytes; the client declares about `declared`.
    pub(super) fn new(limit: u64, declared: usize, budget: &Budget) -> Self {
        Self {
            buffer: Buffer::new(limit, declared, budget),
            flaw: None,
        }
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if self.flaw.is_some() {
            return;
        }
        match self.buffer.extend(bytes) {
            Ok(()) => {}
            Err(Full::Limit) => self.spoil(Flaw::TooLarge),
            Err(Full::Budget) => self.spoil(Flaw::NoRoom),
        }
    }

    pub(super) fn spoil(&mut self, flaw: Flaw) {
        if self.flaw.is_none() {
            self.flaw = Some(flaw);
            self.buffer.clear();
        }
    }

    /// Returns why the mail will be refused, if that is already known.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    pub(super) fn finish(self) -> Result<Received, Flaw> {
        if let Some(flaw) = self.flaw {
            return Err(flaw);
        }
        let (raw, room) = self.buffer.finish();
        Ok(Received { raw, room })
    }
}
