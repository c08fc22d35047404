//! Work that takes a while, on a thread where it keeps nobody waiting.

use tokio::task::JoinError;

#[cfg(test)]
thread_local! {
    /// Whether it is done at once: a simulation has one thread, so that the same day is the same
    /// again.
    pub(crate) static AT_ONCE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What the work comes to. The error is that it panicked.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(test)]
    if AT_ONCE.get() {
        return Ok(work());
    }

    tokio::task::spawn_blocking(work).await
}
