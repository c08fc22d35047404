//! Wiring, start, soft and hard stop.
//!
//! Everything that can be wrong is found before the first mail is taken: listeners are bound and
//! the store is opened first. On the first SIGTERM or SIGINT the ingresses stop taking mail, what
//! was taken is decided, pages under way are finished; the rest waits in the store for the next
//! start. On the second it stops at once, which loses nothing either. On SIGHUP it takes another
//! configuration ([`reload`]).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{
        Notify, mpsc,
        watch::{Receiver, Sender},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    config::{Config, Loaded},
    crash,
    deliver::Deliverer,
    ingress::{
        Health, Inbox, Ingress,
        listener::{self, BindError, Budget, Capacity},
        smtp::Smtp,
        webhook::Webhooks,
    },
    pipeline::{InForce, Pipeline},
    settings::{self, Secret},
    store::{Horizon, Pruned, Sweep, Upkeep, place::Place},
    telemetry,
    watch::Watch,
    web,
};

mod mailbox;
mod reload;
mod room;

use mailbox::Mailbox;
use reload::Reload;
use room::Room;

/// How long a soft stop waits for one part of the bridge.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is past its retention is deleted in small steps, so that no page waits for it.
const PRUNE_STEP: u32 = 200;
const PRUNE_PAUSE: Duration = Duration::from_millis(500);
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Runs the bridge until it is told to stop.
#[expect(clippy::too_many_lines, reason = "what is built in turn")]
pub async fn run(loaded: Loaded) -> anyhow::Result<()> {
    // Before it is known what it asks for: unheard, it ends the process.
    let hangup = signal(SignalKind::hangup())?;
    let config = &loaded.config;
    let clock = Clock::system();
    let descriptors = listener::raise_limit();
    let metrics = recorder()?;
    telemetry::describe();
    telemetry::config_taken(clock.now());

    let place = store_place(config)?;
    let (store, owned) = place
        .own()
        .await
        .with_context(|| format!("store.url: {place}"))?;
    store.release_leases(clock.now()).await?;

    let (terms, in_force) = reload::stages(config, &loaded.rules)?;
    telemetry::configured(in_force.rules.receivers.integrations.keys());
    let in_force = Sender::new(Arc::new(in_force));
    let health = Health::default();
    let capacity = Capacity::new(
        descriptors,
        Budget::for_mails_of(config.ingress.largest_mail()),
    );
    let ways_in = ingresses(config, &clock, &in_force, &capacity)?;
    let admin_listener = web::bind(&config.admin.listen).context("admin.listen")?;

    let bell = Arc::new(Notify::new());
    let deliverer = Deliverer::new(store.clone(), terms, clock.clone(), Arc::clone(&bell));
    let deliverer = Arc::new(if owned.is_some() {
        deliverer
    } else {
        deliverer.among_replicas()
    });
    let pipeline = Pipeline::new(
        store.clone(),
        in_force.subscribe(),
        clock.clone(),
        Arc::clone(&deliverer),
    );
    let pipeline = Arc::new(pipeline);
    let watch = Watch {
        upkeep: store.clone(),
        intake: store.clone(),
        in_force: in_force.subscribe(),
        health: health.clone(),
        ingresses: config.ingress.names().map(ToOwned::to_owned).collect(),
        shared: if owned.is_some() {
            Vec::new()
        } else {
            everywhere(config)
        },
        clock: clock.clone(),
        owed: Arc::clone(&bell),
    };

    let (stop_ingress, stop_rest) = (CancellationToken::new(), CancellationToken::new());
    let (receiving, working) = (TaskTracker::new(), TaskTracker::new());
    greet(&loaded, &ways_in, admin_listener.local_addr());
    for way_in in ways_in {
        let inbox: Arc<dyn Inbox> = Arc::clone(&pipeline) as _;
        let (health, stop) = (health.clone(), stop_ingress.clone());
        match way_in.door {
            Door::Everywhere(ingress) => receiving.spawn(ingress.run(inbox, health, stop)),
            Door::Mailbox(mailbox) => {
                receiving.spawn(mailbox.run(store.clone(), inbox, health, stop))
            }
        };
    }
    working.spawn(Arc::clone(&pipeline).look_again(stop_rest.clone()));
    working.spawn(Arc::clone(&pipeline).look_at_silenced(stop_rest.clone()));
    working.spawn(pipeline.run(stop_rest.clone()));
    working.spawn(listen(store.clone(), bell, stop_rest.clone()));
    working.spawn(watch.run(stop_rest.clone()));
    working.spawn(Arc::clone(&deliverer).run(stop_rest.clone()));
    let room = Room {
        upkeep: store.clone(),
        intake: store.clone(),
        settings: config.store.clone(),
        clock: clock.clone(),
    };
    working.spawn(room.run(stop_rest.clone()));
    let retention = config.store.mail_retention;
    working.spawn(prune(
        store.clone(),
        retention,
        in_force.subscribe(),
        clock.clone(),
        stop_rest.clone(),
    ));
    let upkeep = metrics.clone();
    let (reload, asked) = mpsc::channel(1);
    let admin = web::Admin {
        store: store.clone(),
        health,
        clock: clock.clone(),
        metrics,
        reload,
        hosts: web::Hosts::new(&config.admin.hosts, config.global.external_url.as_deref()),
        token: Secret::optional(
            "admin",
            "token",
            config.admin.token.as_deref(),
            config.admin.token_file.as_deref(),
        )
        .map_err(|problem| anyhow::anyhow!("{}: {}", problem.key, problem.what))?,
    };
    let admin = tokio::spawn(web::run(admin_listener, capacity, admin, stop_rest.clone()));
    let reload = Reload {
        started: loaded,
        deliverer,
        in_force,
        clock,
    };
    working.spawn(reload.run(hangup, asked, stop_rest.clone()));

    let mut interval = tokio::time::interval(Duration::from_secs(5));
    let told_to_stop = told_to_stop()?;
    tokio::pin!(told_to_stop);
    loop {
        tokio::select! {
            () = &mut told_to_stop => break,
            _ = interval.tick() => upkeep.run_upkeep(),
        }
    }
    tracing::info!("stopping: what is under way is finished first; a second signal stops at once");
    receiving.close();
    working.close();
    let hard = self::told_to_stop()?;
    let soft = async {
        stop_ingress.cancel();
        let _ = tokio::time::timeout(PATIENCE, receiving.wait()).await;
        stop_rest.cancel();
        let _ = tokio::time::timeout(PATIENCE, working.wait()).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
    };
    tokio::select! {
        () = soft => tracing::info!("stopped"),
        () = hard => tracing::warn!("stopped at once; what was under way is repeated at the next start"),
    }
    // Nobody takes the store before it is closed.
    drop(store);
    drop(owned);
    Ok(())
}

fn recorder() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full("alertbridge_mail_to_page_seconds".into()),
            &[
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
                1800.0,
            ],
        )?
        .set_buckets_for_metric(
            Matcher::Full("alertbridge_mail_late_seconds".into()),
            &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0],
        )?
        .install_recorder()?;
    Ok(recorder)
}

/// The ways in that every replica serves; a mailbox is read by one of them.
fn everywhere(config: &Config) -> Vec<String> {
    let is_mailbox = |name: &&str| config.ingress.imap.iter().any(|imap| imap.name == *name);
    config
        .ingress
        .names()
        .filter(|name| !is_mailbox(name))
        .map(ToOwned::to_owned)
        .collect()
}

/// One way in, and how people are told of it.
struct WayIn {
    about: String,
    door: Door,
}

enum Door {
    /// Each replica takes what comes to it.
    Everywhere(Box<dyn Ingress>),
    /// One replica reads it.
    Mailbox(Box<Mailbox>),
}

/// Why it does not start.
const NO_WAY_IN: &str = "no ingress is configured: mail has no way in; add one under `ingress:`";

fn ingresses(
    config: &Config,
    clock: &Clock,
    in_force: &Sender<Arc<InForce>>,
    capacity: &Capacity,
) -> anyhow::Result<Vec<WayIn>> {
    let mut ways_in = Vec::new();
    if !config.ingress.webhook.is_empty() {
        let webhooks = Webhooks::bind(&config.ingress.http, &config.ingress.webhook, clock.clone())
            .context("ingress.http.listen")?
            .within(capacity);
        let at = webhooks.local_addr();
        let about = config
            .ingress
            .webhook
            .iter()
            .map(|webhook| format!("HTTP   http://{at}{}", webhook.path()));
        let about = about.collect::<Vec<_>>().join("\n  ");
        ways_in.push(WayIn {
            about,
            door: Door::Everywhere(Box::new(webhooks)),
        });
    }
    for (place, settings) in config.ingress.smtp.iter().enumerate() {
        let key = format!("ingress.smtp[{place}]");
        let smtp = Smtp::bind(&key, settings, clock.clone()).map_err(|error| match error {
            // It names the key itself.
            BindError::Settings(_) => error.into(),
            BindError::Address { .. } => anyhow::Error::new(error).context(format!("{key}.listen")),
        })?;
        let smtp = smtp.within(capacity);
        let about = format!("SMTP   {}", smtp.local_addr());
        ways_in.push(WayIn {
            about,
            door: Door::Everywhere(Box::new(smtp)),
        });
    }
    for (place, settings) in config.ingress.imap.iter().enumerate() {
        let mailbox =
            Mailbox::new(settings, clock.clone(), in_force.subscribe()).map_err(|problem| {
                anyhow::anyhow!("ingress.imap[{place}]: {}; {}", problem.what, problem.mend)
            })?;
        let about = format!(
            "IMAP   {} at {}, folder {}",
            settings.username, settings.host, settings.folder
        );
        ways_in.push(WayIn {
            about,
            door: Door::Mailbox(Box::new(mailbox)),
        });
    }
    if ways_in.is_empty() {
        bail!(NO_WAY_IN);
    }
    Ok(ways_in)
}

/// Where the store is.
pub fn store_place(config: &Config) -> anyhow::Result<Place> {
    let key = if config.store.url_file.is_some() {
        "store.url_file"
    } else {
        "store.url"
    };
    Place::parse(key, &config.store.url()?)
        .map_err(|problem| anyhow::anyhow!("{}: {}; {}", problem.key, problem.what, problem.mend))
}

/// Rings here when another replica, or a command, says that something is owed.
async fn listen(store: Arc<dyn Upkeep>, owed: Arc<Notify>, stop: CancellationToken) {
    while stop.run_until_cancelled(store.rung()).await.is_some() {
        owed.notify_one();
    }
}

/// Says where mail can be sent; on the embedded defaults, how to send a first one.
fn greet(loaded: &Loaded, ways_in: &[WayIn], admin: SocketAddr) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    eprintln!("alertbridge {} takes mail", env!("CARGO_PKG_VERSION"));
    for way_in in ways_in {
        eprintln!("  {}", way_in.about);
    }
    eprintln!("  admin  http://{admin}/-/ready, /metrics");
    if loaded.source.is_embedded() {
        eprintln!(
            "\nThere is no configuration file: pages are printed here. Send a first mail from another terminal:\n\n  \
             alertbridge sample | curl --data-binary @- -H 'Content-Type: message/rfc822' http://{}/ingress/mail\n  \
             alertbridge sample | swaks --server {} --to alerts@localhost --data -\n",
            loaded.config.ingress.http.listen,
            loaded
                .config
                .ingress
                .smtp
                .first()
                .map_or("127.0.0.1:2525", |smtp| smtp.listen.as_str()),
        );
    }
}

/// What is past its retention now. An incident is remembered for as long as a late copy of one of
/// its mails needs it: such a copy is expired, by its Date, once it is older than `max_age`.
fn horizon(retention: settings::Duration, max_age: settings::Duration, now: Timestamp) -> Horizon {
    let ago = |age: settings::Duration| {
        now.saturating_sub(age.as_signed())
            .unwrap_or(Timestamp::MIN)
    };
    let remembered = retention.max(max_age);
    Horizon {
        mails: ago(retention),
        incidents: (!max_age.is_zero()).then(|| ago(remembered)),
    }
}

async fn prune(
    store: Arc<dyn Upkeep>,
    retention: settings::Duration,
    in_force: Receiver<Arc<InForce>>,
    clock: Clock,
    stop: CancellationToken,
) {
    if retention.is_zero() {
        return;
    }
    let mut from = Sweep::START;
    loop {
        let max_age = in_force.borrow().rules.max_age;
        let pause = match store
            .prune(horizon(retention, max_age, clock.now()), from, PRUNE_STEP)
            .await
        {
            Ok(Pruned { deleted, next }) => {
                crash::point("pruned");
                telemetry::pruned(deleted);
                from = next.unwrap_or(Sweep::START);
                match next {
                    None => PRUNE_EVERY,
                    Some(_) if deleted == 0 => PRUNE_PAUSE / 10,
                    Some(_) => PRUNE_PAUSE,
                }
            }
            Err(error) => {
                telemetry::store_failed("what is past its retention could not be deleted", &error);
                PRUNE_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
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
