//! `alertbridge replay --send`: really delivers the mails' pages, after a confirmation.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use indicatif::ProgressBar;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::spinner;
use crate::{
    cli::{plain::plain, table},
    clock::Clock,
    deliver::{Client, Deliverer, Terms},
    delivery::{self, DeliveryState},
    trial::Trial,
};

/// Returns the number of deliveries that `--send` would make. Those held by a time interval are
/// reported on stderr.
pub async fn owed(trial: &Trial) -> anyhow::Result<u64> {
    let deliveries = trial.store.depth().await?.deliveries;
    let number = |state| deliveries.get(state).copied().unwrap_or_default();

    if number("held") > 0 {
        tell!(
            "{} by time intervals, not sent",
            table::count(number("held"), "held request")
        );
    }

    Ok(number("pending"))
}

/// Asks for confirmation before real pages are sent, unless there are none or `yes` was given.
pub fn agreed(owed: u64, yes: bool) -> anyhow::Result<bool> {
    if owed == 0 || yes {
        return Ok(true);
    }

    eprint!(
        "really send {} to the receivers? The bridge will not resolve them later. [y/N] ",
        table::count(owed, "request")
    );

    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Delivers the pages of the replay (`--send`), and waits until all of them are settled, or for
/// Ctrl-C.
///
/// Reports the results on stderr, and returns false if something was not delivered. With `json`,
/// standard output is left to the lines of JSON.
pub async fn send(
    trial: &Trial,
    settings: &delivery::Settings,
    external_url: Option<String>,
    json: bool,
) -> anyhow::Result<bool> {
    let stop = CancellationToken::new();
    let receivers = Arc::clone(&trial.rules.receivers);
    let client = Client::new(&receivers, settings.timeout.as_std(), &|name| {
        std::env::var(name).ok()
    })?;
    let client = client.printing_aside(json);

    let terms = Terms::new(receivers, settings.clone(), external_url, client);
    let (store, bell) = (trial.store.clone(), Arc::new(Notify::new()));
    let deliverer = Arc::new(Deliverer::new(store, terms, Clock::system(), bell));
    let running = tokio::spawn(deliverer.run(stop.clone()));
    settled(trial).await?;
    stop.cancel();
    running.await?;

    let of = async |state| trial.store.deliveries(Some(state), u32::MAX).await;
    let (dead, pending) = (
        of(DeliveryState::Dead).await?,
        of(DeliveryState::Pending).await?,
    );

    for delivery in dead.iter().chain(&pending) {
        let why = delivery.detail.as_deref().unwrap_or("interrupted");
        let (action, incident) = (delivery.action.as_str(), plain(&delivery.incident_id));
        tell!(
            "not delivered: {action} of {incident} to {}: {}",
            delivery.receiver,
            plain(why)
        );
    }

    let done = of(DeliveryState::Delivered).await?.len();
    let failed = dead.len() + pending.len();
    tell!(
        "{} delivered, {failed} not",
        table::count(done as u64, "request")
    );

    Ok(failed == 0)
}

/// Waits until nothing is pending any more, or for Ctrl-C.
async fn settled(trial: &Trial) -> anyhow::Result<()> {
    let progress = if std::io::stderr().is_terminal() {
        spinner("still to send")
    } else {
        ProgressBar::hidden()
    };

    loop {
        let deliveries = trial.store.depth().await?.deliveries;
        let owed = deliveries.get("pending").copied().unwrap_or_default();
        progress.set_position(owed);
        if owed == 0 {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
    }

    progress.finish_and_clear();

    Ok(())
}
