//! Notifications for systemd (`Type=notify`): mail is accepted, the process is alive, the process
//! stops. They go nowhere if systemd did not start the process.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Reports that every ingress listens.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("accepts mail")]);
}

/// Reports that the bridge is finishing work in progress.
pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing work in progress"),
    ]);
}

/// Feeds the watchdog twice per timeout for as long as tasks are scheduled.
pub(super) async fn live(stop: CancellationToken) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut beat = tokio::time::interval(patience.max(Duration::from_millis(2)) / 2);
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be notified");
    }
}
