//! Printing of pages. If nobody reads the stream, other receivers are still notified.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _, Stderr, Stdout, stderr, stdout},
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::failure::Failure;
use crate::delivery::FailureReason;

/// A standard stream, to which one page at a time is written.
#[derive(Debug, Clone)]
pub(super) enum Printer {
    Output(Arc<Mutex<Stdout>>),
    Error(Arc<Mutex<Stderr>>),
}

impl Printer {
    pub(super) fn output() -> Self {
        Self::Output(Arc::new(Mutex::new(stdout())))
    }

    pub(super) fn error() -> Self {
        Self::Error(Arc::new(Mutex::new(stderr())))
    }

    pub(super) async fn print(&self, page: &str, timeout: Duration) -> Result<(), Failure> {
        let until = Instant::now() + timeout;
        match self {
            Self::Output(out) => print("standard output", out, page, until).await,
            Self::Error(out) => print("standard error", out, page, until).await,
        }
    }
}

async fn print(
    name: &str,
    out: &Mutex<impl AsyncWrite + Unpin>,
    page: &str,
    until: Instant,
) -> Result<(), Failure> {
    // Write in one piece: if a write failed, the stream would keep the rest and print it before the
    // next page.
    let line = format!("{page}\n");
    let failed = |error| {
        let detail = format!("{name} cannot be written: {error}");
        Failure::unsent(FailureReason::Network, detail)
    };
    let unread = |may_be_taken| Failure {
        reason: FailureReason::Timeout,
        may_be_taken,
        detail: format!("nobody reads {name}"),
    };

    // The stream accepts a line only when the previous one has been written.
    let taken = async {
        let mut out = out.lock().await;
        out.write_all(line.as_bytes()).await.map(|()| out)
    };
    let mut out = timeout_at(until, taken)
        .await
        .map_err(|_| unread(false))?
        .map_err(failed)?;
    timeout_at(until, out.flush())
        .await
        .map_err(|_| unread(true))?
        .map_err(failed)
}
