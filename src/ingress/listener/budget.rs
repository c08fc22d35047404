//! The memory budget for the mails in progress on all listeners. It is needed because the number of
//! connections times the largest mail would exceed a machine's memory.
//!
//! A mail takes memory as it arrives, not as it is announced. The first [`FREE`] bytes of each mail
//! are not counted. An alert is smaller than that, so no flood of large mails keeps alerts out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of each mail that are not counted.
pub const FREE: usize = 128 << 10;
/// The budget for all mails in progress, unless one of them may be larger than half of it.
const SHARED: usize = 128 << 20;

/// The bytes that all connections together may hold. Clones share them.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<Semaphore>,
    most: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(SHARED)
    }
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        let most = bytes.min(Semaphore::MAX_PERMITS);
        Self {
            left: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    /// Returns a budget for mails of up to this many bytes: 128 MiB, or more if a single mail may
    /// be larger than half of that.
    pub fn for_mails_of(largest: usize) -> Self {
        Self::new(SHARED.max(largest.saturating_mul(2)))
    }

    /// Returns whether a mail of this many bytes would be accepted now.
    pub fn has(&self, bytes: u64) -> bool {
        bytes.saturating_sub(FREE as u64) <= self.left.available_permits() as u64
    }

    /// Returns the share in use, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn taken(&self) -> f64 {
        1.0 - self.left.available_permits() as f64 / self.most.max(1) as f64
    }

    /// Returns the share of a mail of which nothing has arrived yet.
    pub fn room(&self) -> Room {
        Room {
            budget: self.clone(),
            held: None,
        }
    }
}

/// One mail's share of the budget, which is given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Reserves `bytes` in total; returns false if they are not available.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);

        let more = bytes.saturating_sub(FREE).saturating_sub(held);
        let Ok(more) = u32::try_from(more) else {
            return false;
        };
        let Ok(permit) = Arc::clone(&self.budget.left).try_acquire_many_owned(more) else {
            return false;
        };

        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }

        true
    }

    /// Gives the whole share back.
    pub fn release(&mut self) {
        self.held = None;
    }
}

/// The bytes of a mail as they arrive.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    limit: u64,
    room: Room,
}

/// Why a mail may not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// It exceeds the size limit of a mail.
    Limit,
    /// Too many large mails are in progress.
    Budget,
}

impl Buffer {
    /// Creates a buffer for up to `limit` bytes, of which the client declares about `declared`.
    pub fn new(limit: u64, declared: usize, budget: &Budget) -> Self {
        // No more than the free bytes are reserved on a client's word.
        Self {
            bytes: Vec::with_capacity(declared.min(FREE)),
            limit,
            room: budget.room(),
        }
    }

    /// Adds bytes. The buffer grows by doubling, up to the size that a mail can need, and its
    /// capacity is what counts against the budget.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let length = self.bytes.len() + bytes.len();
        if length as u64 > self.limit {
            return Err(Full::Limit);
        }

        let capacity = self.bytes.capacity();
        if length > capacity {
            let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
            let capacity = capacity.saturating_mul(2).min(most).max(length);
            if !self.room.grow(capacity) {
                return Err(Full::Budget);
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }

        self.bytes.extend_from_slice(bytes);

        Ok(())
    }

    /// Drops the bytes and gives their share back.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
        self.room.release();
    }

    /// Returns the bytes that arrived, and their share, which is held for as long as they are
    /// needed.
    pub fn finish(self) -> (Vec<u8>, Room) {
        (self.bytes, self.room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mail_holds_no_other_can_have_until_it_is_gone() {
        let budget = Budget::new(1000);
        let (mut first, mut second) = (budget.room(), budget.room());
        assert!(first.grow(FREE + 600) && first.grow(FREE + 700) && first.grow(FREE + 700));
        assert!(budget.has(FREE as u64 + 300) && !budget.has(FREE as u64 + 301));
        assert!(!second.grow(FREE + 301));
        assert!(second.grow(FREE + 300));
        assert!(budget.room().grow(FREE), "a small mail is always taken");
        drop(first);
        assert!(second.grow(FREE + 1000) && !second.grow(FREE + 1001));
        assert!(!second.grow(usize::MAX));
    }
}
