//! The running bridge: its wiring, its start, and its soft and hard stop.
//!
//! Everything that can be wrong is found before the first mail is taken: the listeners are bound
//! and the store is opened first. On the first SIGTERM or SIGINT, the ingresses stop taking mail,
//! mail that was taken is decided, and pages under way are finished; the rest waits in the store
//! for the next start. On the second signal the bridge stops at once, which loses nothing either.
//! On SIGHUP it loads another configuration ([`reload`]).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Loaded},
    ingress::{Health, Inbox},
    pipeline::Pipeline,
    store::{Store, Upkeep, place::Place},
    telemetry::Log,
    vital::{self, vital},
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

/// Runs the bridge until it is told to stop, and returns whether that is why it ended.
pub async fn run(loaded: Loaded, log: &Log) -> anyhow::Result<bool> {
    // Registered before anything else: an unhandled SIGHUP ends the process.
    let hangup = signal(SignalKind::hangup())?;
    let bridge = Bridge::new(loaded).await?;
    let at = bridge.admin_listener.local_addr();
    for warning in &bridge.reload.started.warnings {
        tracing::warn!("{warning}");
    }
    log.say(&greeting(&bridge.reload.started, &bridge.ways_in, at));
    bridge.run(hangup).await
}

impl Bridge {
    /// Starts every part, waits for a signal, and stops the parts: first the ingresses, then the
    /// rest. A part that panics stops the others as well, because without it mail would be taken
    /// and nobody told.
    async fn run(self, hangup: Signal) -> anyhow::Result<bool> {
        let receiving = receive(self.ways_in, &self.pipeline, &self.store, &self.health);
        let working = Parts::default();

        let stop = || working.stop.clone();
        let again = Arc::clone(&self.pipeline).look_again(stop());
        let silenced = Arc::clone(&self.pipeline).look_at_silenced(stop());
        let resend = Arc::clone(&self.deliverer).resend(self.store.clone(), stop());
        let listen = listen(self.store.clone(), self.bell, stop());
        let reload = self.reload.run(hangup, self.asked, stop());
        let admin = web::run(self.admin_listener, self.capacity, self.admin, stop());

        working.spawn("checking again", again);
        working.spawn("ending silences", silenced);
        working.spawn("deciding", self.pipeline.run(stop()));
        working.spawn("listening", listen);
        working.spawn("watching", self.watch.run(stop()));
        working.spawn("telling again", resend);
        working.spawn("sending canaries", self.aviary.run(stop()));
        working.spawn("delivering", self.deliverer.run(stop()));
        working.spawn("making room", self.room.run(stop()));
        working.spawn("deleting", self.retention.run(stop()));
        working.spawn("reloading", reload);
        let admin = tokio::spawn(vital("the admin listener", admin));

        // The exporter of traces stops last, because it reports how the other parts ended.
        let stop_traces = CancellationToken::new();
        let traces = self
            .traces
            .map(|traces| tokio::spawn(traces.run(stop_traces.clone())));

        systemd::ready();
        tokio::spawn(systemd::live(stop()));

        let as_asked = until_told_to_stop(&self.metrics).await?;
        systemd::stopping();

        let hard = told_to_stop()?;
        let soft = async {
            receiving.end().await;
            working.end().await;
            let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
            stop_traces.cancel();
            if let Some(traces) = traces {
                let _ = traces.await;
            }
        };

        tokio::select! {
            () = soft => tracing::info!("stopped"),
            () = hard => {
                tracing::warn!("stopped at once; the next start repeats what was in progress");
            }
        }

        // Nobody may lock the store before it is closed.
        drop(self.store);
        drop(self.owned);

        Ok(as_asked)
    }
}

/// Parts of the bridge that stop together.
#[derive(Default)]
struct Parts {
    running: TaskTracker,
    stop: CancellationToken,
}

impl Parts {
    fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        part: impl Future<Output = T> + Send + 'static,
    ) {
        self.running.spawn(vital(name, part));
    }

    /// Tells the parts to stop, and waits until they have, for at most `PATIENCE`.
    async fn end(&self) {
        self.running.close();
        self.stop.cancel();
        let _ = tokio::time::timeout(PATIENCE, self.running.wait()).await;
    }
}

/// Starts the ingresses.
fn receive(
    ways_in: Vec<WayIn>,
    pipeline: &Arc<Pipeline>,
    store: &Arc<dyn Store>,
    health: &Health,
) -> Parts {
    let receiving = Parts::default();

    for way_in in ways_in {
        let inbox: Arc<dyn Inbox> = Arc::clone(pipeline) as _;
        let (health, stop) = (health.clone(), receiving.stop.clone());
        match way_in.door {
            Door::Everywhere(ingress) => {
                receiving.spawn("an ingress", ingress.run(inbox, health, stop));
            }
            Door::Mailbox(mailbox) => {
                let run = mailbox.run(store.clone(), inbox, health, stop);
                receiving.spawn("a mailbox", run);
            }
        }
    }

    receiving
}

/// Waits for a signal, or for a part that panics. Returns whether it was a signal.
async fn until_told_to_stop(metrics: &PrometheusHandle) -> anyhow::Result<bool> {
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    let told = told_to_stop()?;
    tokio::pin!(told);
    loop {
        tokio::select! {
            () = &mut told => {
                tracing::info!(
                    "stopping: work in progress is finished first; a second signal stops at once"
                );
                return Ok(true);
            }
            part = vital::panicked() => {
                tracing::error!(
                    part,
                    "stopping: an essential part panicked; the next start continues where this one \
                     stopped and loses nothing"
                );
                return Ok(false);
            }
            _ = tidy.tick() => metrics.run_upkeep(),
        }
    }
}

/// Returns the location of the store.
pub fn store_place(config: &Config) -> anyhow::Result<Place> {
    let key = if config.store.url_file.is_some() {
        "store.url_file"
    } else {
        "store.url"
    };
    Place::parse(key, &config.store.url()?)
        .map_err(|problem| anyhow::anyhow!("{}: {}; {}", problem.key, problem.what, problem.mend))
}

/// Notifies `owed` when another replica, or a command, announces new deliveries.
async fn listen(store: Arc<dyn Upkeep>, owed: Arc<Notify>, stop: CancellationToken) {
    while stop.run_until_cancelled(store.rung()).await.is_some() {
        owed.notify_one();
    }
}

/// Returns a text that says where mail can be sent and, with the built-in defaults, how to send a
/// first mail and the one that ends its incident.
fn greeting(loaded: &Loaded, ways_in: &[WayIn], admin: SocketAddr) -> String {
    let mut text = format!("alertbridge {} is ready\n", env!("CARGO_PKG_VERSION"));
    for way_in in ways_in {
        text += &format!("  {}\n", way_in.about);
    }

    text += &format!("  admin  http://{admin}/-/ready, /metrics\n");
    text += &format!("  pages  http://{admin}/\n");

    if loaded.source.is_embedded() {
        text += &format!(
            "\nThere is no configuration file: pages are printed here, and shown at \
             http://{admin}/.\n\
             Send a first mail from another terminal:\n\n"
        );
        let commands: Vec<_> = ways_in.iter().filter_map(WayIn::first_mail).collect();
        for [opens, _] in &commands {
            text += &format!("  {opens}\n");
        }
        if let Some([_, ends]) = commands.first() {
            text += &format!("\nand then the one that says that it is over:\n\n  {ends}\n");
        }
        text.push('\n');
    }

    text
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
