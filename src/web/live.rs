//! What changed, as it happens: a look at the store every second or two, for all who watch
//! together.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::store::{Browse, Pulse};

/// Between two looks. Replicas share the store, so what another does shows here, too.
const EVERY: Duration = Duration::from_secs(1);
/// The same after a change: while changes come without end, every page that somebody looks at is
/// made anew for each.
const AFTER_A_CHANGE: Duration = Duration::from_secs(2);
/// Whoever watches keeps a connection; others need theirs.
const MOST_WATCHERS: usize = 64;

/// Where whoever watches hears of changes.
pub struct Live {
    pulse: watch::Sender<Pulse>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            pulse: watch::Sender::new(Pulse::default()),
            places: Arc::new(Semaphore::new(MOST_WATCHERS)),
            stop: CancellationToken::new(),
        }
    }
}

/// A place among those who watch.
pub struct Place {
    heard: watch::Receiver<Pulse>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// Looks at the store while somebody watches, until `stop`.
    pub async fn run(&self, browse: &dyn Browse, stop: CancellationToken) {
        let mut pause = EVERY;
        while stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            pause = EVERY;
            if self.pulse.receiver_count() == 0 {
                continue;
            }
            // Where it cannot be asked there is nothing new to see.
            let Ok(pulse) = browse.pulse().await else {
                continue;
            };
            let has_changed = self.pulse.send_if_modified(|before| {
                let differs = *before != pulse;
                *before = pulse;
                differs
            });
            if has_changed {
                pause = AFTER_A_CHANGE;
            }
        }

        self.stop.cancel();
    }

    /// A place to watch from; none while all are taken.
    pub fn watch(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place {
            heard: self.pulse.subscribe(),
            stop: self.stop.clone(),
            _permit: permit,
        })
    }
}

impl Place {
    /// What changes from now on: each time the lists that differ.
    pub fn changes(self) -> impl Stream<Item = Vec<&'static str>> + Send {
        let before = *self.heard.borrow();
        stream::unfold((self, before), |(mut place, before)| async move {
            let stop = place.stop.clone();
            let heard = stop.run_until_cancelled(place.heard.changed()).await;
            if !matches!(heard, Some(Ok(()))) {
                return None;
            }
            let now = *place.heard.borrow_and_update();
            Some((topics(before, now), (place, now)))
        })
    }
}

fn topics(before: Pulse, now: Pulse) -> Vec<&'static str> {
    [
        ("mails", before.mails != now.mails),
        ("incidents", before.incidents != now.incidents),
        ("deliveries", before.deliveries != now.deliveries),
        ("silences", before.silences != now.silences),
        ("audit", before.deeds != now.deeds),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(topic, _)| topic)
    .collect()
}
