//! Reports changes as they happen. All watchers together cost one poll of the store every second or
//! two.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::store::{Browse, Pulse};

/// The pause between two polls. Replicas share the store, so their changes are seen here too.
const EVERY: Duration = Duration::from_secs(1);
/// The pause after a change. It is longer because every open page is rendered anew for each change,
/// and changes may come without end.
const AFTER_A_CHANGE: Duration = Duration::from_secs(2);
/// The limit on watchers. Each keeps a connection open, and other clients need theirs.
const MOST_WATCHERS: usize = 64;

/// The feed through which watchers learn of changes.
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

/// A watcher's place in the feed.
pub struct Place {
    heard: watch::Receiver<Pulse>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// Polls the store while anybody watches, until `stop` is cancelled.
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
            // If the store cannot be asked, there is nothing new to report.
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

    /// Returns a place to watch from, or `None` while all are taken.
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
    /// Streams the changes from now on: for each one, the names of the lists that differ.
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
