//! The construction of a bridge. Whatever can be wrong is found here, before the first mail is
//! taken.

use std::{fs::File, sync::Arc};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{
    Notify, mpsc,
    watch::{Receiver, Sender, channel},
};

use super::{
    names::Names,
    reload::{self, Reload},
    retention::Retention,
    room::Room,
    sign_in, store_place,
    ways_in::{WayIn, everywhere, ingresses},
    workbench::Bench,
};
use crate::{
    canary::{Key, Standing},
    clock::Clock,
    config::{Config, Loaded},
    deliver::{Deliverer, Terms},
    ingress::{
        Health,
        listener::{self, Budget, Capacity, Listener},
    },
    pipeline::{InForce, Pipeline},
    store::Store,
    telemetry,
    watch::{Watch, canary::Aviary},
    web::{self, live::Live, sign_in::SignIn},
};

/// All parts of a bridge, wired but not running yet.
pub(super) struct Bridge {
    pub(super) store: Arc<dyn Store>,
    /// The lock on a store in a file, which makes it this process's own.
    pub(super) owned: Option<File>,
    pub(super) ways_in: Vec<WayIn>,
    pub(super) health: Health,
    pub(super) capacity: Capacity,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) deliverer: Arc<Deliverer>,
    /// Notified when something is owed to a receiver.
    pub(super) bell: Arc<Notify>,
    pub(super) watch: Watch,
    pub(super) aviary: Aviary,
    pub(super) room: Room,
    pub(super) retention: Retention,
    pub(super) admin: web::Admin,
    pub(super) admin_listener: Listener,
    pub(super) metrics: PrometheusHandle,
    pub(super) reload: Reload,
    /// The exporter of traces, if a collector is configured.
    pub(super) traces: Option<telemetry::Exporter>,
    /// The requests for a reload.
    pub(super) asked: mpsc::Receiver<web::Asked>,
}

impl Bridge {
    pub(super) async fn new(loaded: Loaded) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let descriptors = listener::raise_limit();
        let metrics = telemetry::recorder(clock.now())?;

        let (store, owned) = open_store(&loaded.config, &clock).await?;
        let is_shared = owned.is_none();
        let (names, loaded) = named(loaded, &store).await?;
        let started = Arc::new(loaded);
        let loaded = Sender::new(Arc::clone(&started));
        let config = &started.config;

        let (terms, in_force) = reload::stages(config, &started.rules)?;
        telemetry::configured(in_force.rules.receivers.integrations.keys());
        let in_force = Sender::new(Arc::new(in_force));

        let budget = Budget::for_mails_of(config.ingress.largest_mail());
        let capacity = Capacity::new(descriptors, budget);
        let ways_in = ingresses(config, &clock, &in_force, &capacity)?;
        let admin_listener = web::bind(&config.admin.listen).context("admin.listen")?;

        let health = Health::default();
        let bell = Arc::new(Notify::new());
        let wiring = Wiring {
            config,
            store: &store,
            in_force: &in_force,
            clock: &clock,
            bell: &bell,
        };
        let deliverer = wiring.deliverer(terms, is_shared);
        let key = Key::new(&names.secret);
        let traces = traces(config, &names.secret)?;
        let pipeline = wiring.pipeline(&deliverer, key.clone());
        let (aviary, canary) = wiring.aviary(key, &health);
        let watch = wiring.watch(&health, is_shared);
        let room = wiring.room(&pipeline);
        let retention = wiring.retention();

        let (reload, asked) = mpsc::channel(1);
        let bench = wiring.bench(&loaded, &deliverer);
        let admin = admin(bench, &health, &metrics, canary, reload, &ways_in)?;
        let reload = Reload {
            started,
            loaded,
            deliverer: Arc::clone(&deliverer),
            in_force,
            names,
            clock,
        };

        Ok(Self {
            store,
            owned,
            ways_in,
            health,
            capacity,
            pipeline,
            deliverer,
            bell,
            watch,
            aviary,
            room,
            retention,
            admin,
            admin_listener,
            metrics,
            reload,
            traces,
            asked,
        })
    }
}

/// The values to which most parts of a bridge are wired.
struct Wiring<'a> {
    config: &'a Config,
    store: &'a Arc<dyn Store>,
    in_force: &'a Sender<Arc<InForce>>,
    clock: &'a Clock,
    bell: &'a Arc<Notify>,
}

impl Wiring<'_> {
    fn deliverer(&self, terms: Terms, is_shared: bool) -> Arc<Deliverer> {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let deliverer = Deliverer::new(store, terms, clock, Arc::clone(self.bell));

        Arc::new(if is_shared {
            deliverer.among_replicas()
        } else {
            deliverer
        })
    }

    fn pipeline(&self, deliverer: &Arc<Deliverer>, key: Key) -> Arc<Pipeline> {
        let (in_force, clock) = (self.in_force.subscribe(), self.clock.clone());
        let pipeline = Pipeline::new(self.store.clone(), in_force, clock, deliverer.clone());

        Arc::new(pipeline.with_canaries(key, self.store.clone()))
    }

    fn bench(&self, loaded: &Sender<Arc<Loaded>>, deliverer: &Arc<Deliverer>) -> Bench {
        Bench {
            loaded: loaded.subscribe(),
            ways_in: self.config.ingress.clone(),
            store: self.store.clone(),
            deliverer: Arc::clone(deliverer),
            owed: Arc::clone(self.bell),
            clock: self.clock.clone(),
            turns: Bench::turns(),
        }
    }

    fn watch(&self, health: &Health, is_shared: bool) -> Watch {
        let ingress = &self.config.ingress;
        Watch {
            upkeep: self.store.clone(),
            intake: self.store.clone(),
            in_force: self.in_force.subscribe(),
            health: health.clone(),
            ingresses: ingress.names().map(ToOwned::to_owned).collect(),
            shared: if is_shared {
                everywhere(self.config)
            } else {
                Vec::new()
            },
            mailboxes: ingress.mailboxes(),
            clock: self.clock.clone(),
            owed: Arc::clone(self.bell),
        }
    }

    fn room(&self, pipeline: &Pipeline) -> Room {
        Room {
            upkeep: self.store.clone(),
            intake: self.store.clone(),
            settings: self.config.store.clone(),
            clock: self.clock.clone(),
            quota: Arc::clone(&pipeline.quota),
        }
    }

    fn retention(&self) -> Retention {
        Retention {
            store: self.store.clone(),
            keep: self.config.store.mail_retention,
            in_force: self.in_force.subscribe(),
            clock: self.clock.clone(),
        }
    }

    /// Returns the part that sends and watches the canaries, and the channel on which it reports
    /// what it knows.
    fn aviary(&self, key: Key, health: &Health) -> (Aviary, Receiver<Standing>) {
        let mailboxes = self.config.ingress.imap.iter();
        let mailboxes = mailboxes.map(|imap| (imap.name.clone(), imap.mailbox()));
        let (known, canary) = channel(Standing::default());
        let aviary = Aviary {
            canaries: self.store.clone(),
            intake: self.store.clone(),
            upkeep: self.store.clone(),
            key,
            in_force: self.in_force.subscribe(),
            clock: self.clock.clone(),
            health: health.clone(),
            mailboxes: mailboxes.collect(),
            owed: Arc::clone(self.bell),
            known,
        };
        (aviary, canary)
    }
}

/// The admin listener's part of a bridge.
fn admin(
    bench: Bench,
    health: &Health,
    metrics: &PrometheusHandle,
    canary: Receiver<Standing>,
    reload: mpsc::Sender<web::Asked>,
    ways_in: &[WayIn],
) -> anyhow::Result<web::Admin> {
    let loaded = Arc::clone(&bench.loaded.borrow());
    let config = &loaded.config;
    let external_url = config.global.external_url.as_deref();

    Ok(web::Admin {
        store: bench.store.clone(),
        desk: bench.store.clone(),
        browse: bench.store.clone(),
        ledger: bench.store.clone(),
        owed: Arc::clone(&bench.owed),
        clock: bench.clock.clone(),
        started_at: bench.clock.now(),
        workbench: Arc::new(bench),
        health: health.clone(),
        metrics: metrics.clone(),
        canary,
        reload,
        first_mail: ways_in.iter().find_map(WayIn::first_mail),
        hosts: web::Hosts::new(&config.admin.hosts, external_url),
        live: Live::default(),
        history: Arc::default(),
        sign_in: SignIn::new(sign_in::admin_token(config)?, sign_in::login(config)?),
    })
}

async fn open_store(
    config: &Config,
    clock: &Clock,
) -> anyhow::Result<(Arc<dyn Store>, Option<File>)> {
    let place = store_place(config)?;
    let (store, owned) = place
        .own()
        .await
        .with_context(|| format!("store.url: {place}"))?;
    store.release_leases(clock.now()).await?;
    // The configuration may differ from that of the last run. If this fails, held deliveries are
    // still checked when their time comes.
    if let Err(error) = store.look_at_held(clock.now()).await {
        telemetry::store_failed(
            "held deliveries could not be checked against the mutes in force",
            &error,
        );
    }
    Ok((store, owned))
}

/// Begins to trace what happens to mails, if a collector is configured.
fn traces(config: &Config, secret: &[u8]) -> anyhow::Result<Option<telemetry::Exporter>> {
    let exporter = config.telemetry.exporter("telemetry");
    let exporter =
        exporter.map_err(|problem| anyhow::anyhow!("{}: {}", problem.key, problem.what))?;
    Ok(exporter.map(|exporter| telemetry::trace_to(exporter, secret)))
}

/// Returns the configuration with its integrations under their names. The store's secret recognises
/// the integrations, signs the canaries and names the traces. It is made once, and is the same for
/// every replica.
async fn named(loaded: Loaded, store: &Arc<dyn Store>) -> anyhow::Result<(Names, Loaded)> {
    let mut fresh = [0; 32];
    // The first bytes of aws-lc's own generator would delay each start by some 40 ms.
    getrandom::fill(&mut fresh).context("the operating system gives no random bytes")?;
    let names = Names {
        secret: store.canary_key(fresh).await?,
        store: Arc::clone(store),
    };
    let loaded = names.give(loaded).await?;
    Ok((names, loaded))
}
