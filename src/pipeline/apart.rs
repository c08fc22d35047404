//! Slow work, run on a thread where it keeps nobody waiting.

use tokio::task::JoinError;

#[cfg(test)]
thread_local! {
    /// Whether the work is done at once, on the caller's thread. A simulation has one thread, so
    /// that the same day can be repeated exactly.
    pub(crate) static AT_ONCE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs the work and returns its result. The error means that it panicked.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(test)]
    if AT_ONCE.get() {
        return Ok(work());
    }

    tokio::task::spawn_blocking(work).await
}
