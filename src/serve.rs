//! Wiring, start, soft and hard stop.
//!
//! Everything that can be wrong is found before the first mail is taken: listeners are bound and
//! the store is opened first. On the first SIGTERM or SIGINT the ingresses stop taking mail, what
//! was taken is decided, pages under way are finished; the rest waits in the store for the next
//! start. On the second it stops at once, which loses nothing either. On SIGHUP it takes another
//! configuration ([`reload`]).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Loaded},
    ingress::Inbox,
    store::{Upkeep, place::Place},
    web,
};

mod build;
mod called;
mod mailbox;
mod names;
mod reload;
mod retention;
mod room;
mod sign_in;
#[cfg(test)]
mod simulation;
mod systemd;
mod ways_in;
mod workbench;

use build::Bridge;
use ways_in::{Door, WayIn};

/// How long a soft stop waits for one part of the bridge.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the metrics are cleaned up.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Runs the bridge until it is told to stop.
pub async fn run(loaded: Loaded) -> anyhow::Result<()> {
    // Registered before anything else: an unhandled SIGHUP ends the process.
    let hangup = signal(SignalKind::hangup())?;
    let bridge = Bridge::new(loaded).await?;
    bridge.run(hangup).await
}

impl Bridge {
    /// Starts every part, waits for a signal, and stops them: first the ingresses, then the rest.
    async fn run(self, hangup: Signal) -> anyhow::Result<()> {
        let at = self.admin_listener.local_addr();
        greet(&self.reload.started, &self.ways_in, at);

        let (stop_ingress, stop_rest) = (CancellationToken::new(), CancellationToken::new());
        let (receiving, working) = (TaskTracker::new(), TaskTracker::new());

        for way_in in self.ways_in {
            let inbox: Arc<dyn Inbox> = Arc::clone(&self.pipeline) as _;
            let (health, stop) = (self.health.clone(), stop_ingress.clone());
            match way_in.door {
                Door::Everywhere(ingress) => receiving.spawn(ingress.run(inbox, health, stop)),
                Door::Mailbox(mailbox) => {
                    receiving.spawn(mailbox.run(self.store.clone(), inbox, health, stop))
                }
            };
        }

        let stop = || stop_rest.clone();
        working.spawn(Arc::clone(&self.pipeline).look_again(stop()));
        working.spawn(Arc::clone(&self.pipeline).look_at_silenced(stop()));
        working.spawn(self.pipeline.run(stop()));
        working.spawn(listen(self.store.clone(), self.bell, stop()));
        working.spawn(self.watch.run(stop()));
        working.spawn(Arc::clone(&self.deliverer).resend(self.store.clone(), stop()));
        working.spawn(self.aviary.run(stop()));
        working.spawn(self.deliverer.run(stop()));
        working.spawn(self.room.run(stop()));
        working.spawn(self.retention.run(stop()));
        working.spawn(self.reload.run(hangup, self.asked, stop()));

        // Last of all: it tells how the others ended.
        let stop_traces = CancellationToken::new();
        let traces = self
            .traces
            .map(|traces| tokio::spawn(traces.run(stop_traces.clone())));

        let admin = web::run(self.admin_listener, self.capacity, self.admin, stop());
        let admin = tokio::spawn(admin);

        systemd::ready();
        tokio::spawn(systemd::live(stop()));

        let mut tidy = tokio::time::interval(TIDY_EVERY);
        let told = told_to_stop()?;
        tokio::pin!(told);
        loop {
            tokio::select! {
                () = &mut told => break,
                _ = tidy.tick() => self.metrics.run_upkeep(),
            }
        }

        systemd::stopping();
        tracing::info!(
            "stopping: work in progress is finished first; a second signal stops at once"
        );
        receiving.close();
        working.close();

        let hard = told_to_stop()?;
        let soft = async {
            stop_ingress.cancel();
            let _ = tokio::time::timeout(PATIENCE, receiving.wait()).await;
            stop_rest.cancel();
            let _ = tokio::time::timeout(PATIENCE, working.wait()).await;
            let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
            stop_traces.cancel();
            if let Some(traces) = traces {
                let _ = traces.await;
            }
        };

        tokio::select! {
            () = soft => tracing::info!("stopped"),
            () = hard => tracing::warn!("stopped at once; work in progress is repeated at the next \
                                         start"),
        }

        // Nobody may lock the store before it is closed.
        drop(self.store);
        drop(self.owned);

        Ok(())
    }
}

/// The place of the store.
pub fn store_place(config: &Config) -> anyhow::Result<Place> {
    let key = if config.store.url_file.is_some() {
        "store.url_file"
    } else {
        "store.url"
    };
    Place::parse(key, &config.store.url()?)
        .map_err(|problem| anyhow::anyhow!("{}: {}; {}", problem.key, problem.what, problem.mend))
}

/// Notifies here when another replica, or a command, announces new deliveries.
async fn listen(store: Arc<dyn Upkeep>, owed: Arc<Notify>, stop: CancellationToken) {
    while stop.run_until_cancelled(store.rung()).await.is_some() {
        owed.notify_one();
    }
}

/// Prints where mail can be sent; with the built-in defaults, also how to send a first one and its
/// end.
fn greet(loaded: &Loaded, ways_in: &[WayIn], admin: SocketAddr) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }

    eprintln!("alertbridge {} is ready", env!("CARGO_PKG_VERSION"));
    for way_in in ways_in {
        eprintln!("  {}", way_in.about);
    }

    eprintln!("  admin  http://{admin}/-/ready, /metrics");
    eprintln!("  pages  http://{admin}/");

    if loaded.source.is_embedded() {
        eprintln!(
            "\nThere is no configuration file: pages are printed here, and shown at \
             http://{admin}/.\n\
             Send a first mail from another terminal:\n"
        );
        let commands: Vec<_> = ways_in.iter().filter_map(WayIn::first_mail).collect();
        for [opens, _] in &commands {
            eprintln!("  {opens}");
        }
        if let Some([_, ends]) = commands.first() {
            eprintln!("\nand then the one that says that it is over:\n\n  {ends}");
        }
        eprintln!();
    }
}

/// Completes on the next SIGTERM or SIGINT.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
