//! What systemd is told (`Type=notify`): that mail is taken, that the process lives, that it stops.
//! Nothing where systemd did not start it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Every way in is open.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("takes mail")]);
}

/// It finishes what is under way.
pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishes what is under way"),
    ]);
}

/// Says that it lives for as long as tasks get their turn, twice in the time that systemd waits.
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
        tracing::debug!(%error, "systemd cannot be told");
    }
}
