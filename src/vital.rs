//! The parts of the bridge without which nothing works.
//!
//! If one of them panicked and the rest went on, mail would be acknowledged and nobody told. The
//! process ends instead, and its supervisor starts it again. That loses nothing, because the rows
//! are the queue.

use std::{sync::OnceLock, thread};

use tokio::sync::Notify;

/// The name of the first part that panicked.
static PANICKED: OnceLock<&str> = OnceLock::new();
static BELL: Notify = Notify::const_new();

/// A guard that a part holds while it runs. It reports the part if it is dropped during a panic.
pub(crate) struct Vital(pub(crate) &'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        if thread::panicking() {
            PANICKED.get_or_init(|| self.0);
            BELL.notify_one();
        }
    }
}

/// Runs `work` as a part of the bridge without which nothing works.
pub(crate) async fn vital<T>(part: &'static str, work: impl Future<Output = T>) -> T {
    let _vital = Vital(part);
    work.await
}

/// Completes when a part has panicked, and returns the part's name.
pub(crate) async fn panicked() -> &'static str {
    BELL.notified().await;
    PANICKED.get().copied().unwrap_or_default()
}
