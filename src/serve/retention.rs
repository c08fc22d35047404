//! Deletion of what is past its retention, little by little.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    crash,
    pipeline::InForce,
    settings,
    store::{Horizon, Pruned, Sweep, Upkeep},
    telemetry,
};

/// The number of rows in a step, which is small so that no page waits for one.
const PRUNE_STEP: u32 = 200;
const PRUNE_PAUSE: Duration = Duration::from_millis(500);
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// A task that deletes what is past its retention, until it is stopped.
pub(super) struct Retention {
    pub(super) store: Arc<dyn Upkeep>,
    /// How long mail is kept (`store.mail_retention`).
    pub(super) keep: settings::Duration,
    pub(super) in_force: Receiver<Arc<InForce>>,
    pub(super) clock: Clock,
}

impl Retention {
    pub(super) async fn run(self, stop: CancellationToken) {
        if self.keep.is_zero() {
            return;
        }

        let mut from = Sweep::START;
        loop {
            let max_age = self.in_force.borrow().rules.max_age;
            let pause = match self
                .store
                .prune(
                    horizon(self.keep, max_age, self.clock.now()),
                    from,
                    PRUNE_STEP,
                )
                .await
            {
                Ok(Pruned { deleted, next }) => {
                    crash::point("pruned");
                    telemetry::pruned(deleted);
                    from = next.unwrap_or(Sweep::START);
                    match next {
                        None => PRUNE_EVERY,
                        Some(_) if deleted == 0 => PRUNE_PAUSE / 10,
                        Some(_) => PRUNE_PAUSE,
                    }
                }
                Err(error) => {
                    telemetry::store_failed(
                        "rows past their retention could not be deleted",
                        &error,
                    );
                    PRUNE_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Returns the limits of retention as of now. An incident is remembered for as long as a late copy
/// of one of its mails needs it. By its Date, such a copy is expired once it is older than
/// `max_age`.
fn horizon(retention: settings::Duration, max_age: settings::Duration, now: Timestamp) -> Horizon {
    let ago = |age: settings::Duration| {
        now.saturating_sub(age.as_signed())
            .unwrap_or(Timestamp::MIN)
    };

    let remembered = retention.max(max_age);
    Horizon {
        mails: ago(retention),
        incidents: (!max_age.is_zero()).then(|| ago(remembered)),
    }
}
