//! What nothing works without. If one of these panicked alone, mail would be acknowledged and nobody
//! told: the process ends instead, and whoever runs it starts it anew. That loses nothing, since
//! the rows are the queue.

use std::{sync::OnceLock, thread};

use tokio::sync::Notify;

/// The first part that panicked.
static PANICKED: OnceLock<&str> = OnceLock::new();
static BELL: Notify = Notify::const_new();

/// Held by a part while it works.
pub(crate) struct Vital(pub(crate) &'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        if thread::panicking() {
            PANICKED.get_or_init(|| self.0);
            BELL.notify_one();
        }
    }
}

/// Works as a part that nothing works without.
pub(crate) async fn vital<T>(part: &'static str, work: impl Future<Output = T>) -> T {
    let _vital = Vital(part);
    work.await
}

/// Completes when a part has panicked, and returns which.
pub(crate) async fn panicked() -> &'static str {
    BELL.notified().await;
    PANICKED.get().copied().unwrap_or_default()
}
