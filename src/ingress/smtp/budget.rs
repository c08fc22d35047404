//! Memory for the mails under way: so many connections times the largest mail would be more than a machine has.
//!
//! A mail takes room as it comes, not as it is announced. The first [`FREE`] bytes of each are not counted: an alert is
//! smaller than that, so that no flood of large mails keeps alerts out.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a mail that need no leave.
pub(super) const FREE: usize = 128 << 10;
/// As large as a mail may be configured to be.
const SHARED: usize = 256 << 20;

/// Bytes that all connections together may hold; a copy shares them.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// The one of this process, which its servers share: 256 MiB.
    pub fn shared() -> Self {
        static ALL: LazyLock<Budget> = LazyLock::new(|| Budget::new(SHARED));
        ALL.clone()
    }

    /// Whether a mail of so many bytes would be taken now.
    pub(super) fn has(&self, bytes: u64) -> bool {
        bytes.saturating_sub(FREE as u64) <= self.0.available_permits() as u64
    }

    /// For a mail of which nothing has come.
    pub(super) fn room(&self) -> Room {
        Room { budget: self.clone(), held: None }
    }
}

/// What one mail takes of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Makes room for `bytes` in all; false where they are not to be had.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.saturating_sub(FREE).saturating_sub(held);
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(permit) = Arc::clone(&self.budget.0).try_acquire_many_owned(more) else { return false };
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        true
    }

    /// Gives all of it back.
    pub(super) fn release(&mut self) {
        self.held = None;
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
