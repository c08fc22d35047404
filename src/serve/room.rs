//! Protection of the disk against mail that anybody may send, once or repeatedly. Beyond what the
//! configuration allows, only the headers of the oldest such mail are kept.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config,
    message::MailId,
    pipeline::Quota,
    store::{Excess, Intake, Spare, StoreError, Upkeep},
    telemetry,
};

/// The pause between two rounds, unless somebody waits for space.
const EVERY: Duration = Duration::from_secs(5);
/// The pause between two steps while there is too much, so that pages go first.
const PAUSE: Duration = Duration::from_millis(50);
/// The number of rounds after which everything is counted anew, because mail that is decided late
/// precedes the mail that was counted last.
const RECOUNT_AFTER: u32 = 120;

/// The bytes of one kind of mail that are kept whole, as far as they have been counted.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    bytes: u64,
    last: MailId,
}

/// A task that limits the mail of all kinds, until it is stopped.
pub(super) struct Room {
    pub(super) upkeep: Arc<dyn Upkeep>,
    /// The pipeline's view of the store, which reports the free space.
    pub(super) intake: Arc<dyn Intake>,
    pub(super) settings: config::Store,
    pub(super) clock: Clock,
    /// The limit on how much of each kind the pipeline still takes.
    pub(super) quota: Arc<Quota>,
}

impl Room {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut usages = Spare::ALL.map(|spare| (spare, Usage::default()));
        let mut looks = 0;

        while !stop.is_cancelled() {
            if looks % RECOUNT_AFTER == 0 {
                usages = Spare::ALL.map(|spare| (spare, Usage::default()));
            }
            looks += 1;

            let pause = match self.keep_all(&mut usages).await {
                Ok(true) => PAUSE,
                Ok(false) => EVERY,
                Err(error) => {
                    telemetry::store_failed("old mail could not be cut to its header", &error);
                    EVERY
                }
            };

            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(PAUSE)) => {}
                () = self.quota.wanted() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Cuts some of the excess of each kind. Returns whether there is more.
    async fn keep_all(&self, usages: &mut [(Spare, Usage)]) -> Result<bool, StoreError> {
        let mut more = false;
        for (spare, usage) in usages {
            more |= self.keep(*spare, usage).await?;
        }
        Ok(more)
    }

    /// Cuts some of the excess of one kind. Returns whether there is more.
    async fn keep(&self, spare: Spare, usage: &mut Usage) -> Result<bool, StoreError> {
        self.count(spare, usage).await?;
        let allowed = self.allowed(spare);
        if usage.bytes > allowed {
            // Another replica may have cut some of it.
            *usage = Usage::default();
            self.count(spare, usage).await?;
        }

        let now = self.clock.now();
        let excess = Excess {
            before: self.too_old(spare, now),
            bytes: excess(usage.bytes, allowed),
        };

        let cut = self.upkeep.cut(spare, excess, now).await?;

        usage.bytes = usage.bytes.saturating_sub(cut.bytes);
        self.quota.count(spare, allowed, usage.bytes);
        telemetry::mails_cut(spare, cut.mails);

        Ok(cut.more)
    }

    async fn count(&self, spare: Spare, usage: &mut Usage) -> Result<(), StoreError> {
        let (bytes, last) = self.upkeep.whole(spare, usage.last).await?;
        *usage = Usage {
            bytes: usage.bytes + bytes,
            last,
        };
        Ok(())
    }

    /// Returns the bytes of a kind that may be kept whole. If the disk is nearly full, no mail that
    /// is not an alert is kept whole, because the space is needed for alerts.
    fn allowed(&self, spare: Spare) -> u64 {
        match spare {
            Spare::Ignored
                if self
                    .intake
                    .room()
                    .is_some_and(crate::store::Room::is_for_alerts_alone) =>
            {
                0
            }
            // Each kind has this much to itself, and none takes the space of another.
            Spare::Ignored | Spare::Repeated => self.settings.ignored_mail.max_size.bytes(),
            Spare::Unproven | Spare::Quarantined => self.settings.quarantine.max_size.bytes(),
        }
    }

    fn too_old(&self, spare: Spare, now: Timestamp) -> Option<Timestamp> {
        (spare == Spare::Ignored).then(|| {
            now.saturating_sub(self.settings.ignored_mail.keep.as_signed())
                .unwrap_or(Timestamp::MIN)
        })
    }
}

/// Returns the number of bytes to cut. Once there is too much, a tenth more is cut, because
/// otherwise everything would be counted anew for every mail.
fn excess(bytes: u64, allowed: u64) -> u64 {
    if bytes > allowed {
        bytes - (allowed - allowed / 10)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::excess;

    #[test]
    fn what_is_allowed_is_kept_and_what_is_too_much_makes_a_little_room() {
        assert_eq!(
            [
                excess(0, 0),
                excess(1, 0),
                excess(100, 100),
                excess(101, 100)
            ],
            [0, 1, 0, 11]
        );
    }
}
