//! Three replicas over one store: they start, stop, die and start again.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{
    sync::{Notify, watch::Sender},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    blocking::block_on,
    life::Life,
    mail::{Doors, Mailbox, judged},
    shared::Shared,
    vendors::{Network, Vendors},
    view::View,
    weather::REPLICAS,
    world::{World, lock},
};
use crate::{
    authenticate::Authenticator,
    clock::Clock,
    config::{Config, Files, Loaded, Source},
    deliver::{Client, Deliverer, Terms},
    delivery::DeliveryState,
    ingress::{Health, Inbox},
    pipeline::{InForce, Pipeline},
    silence::Plan,
    store::{Desk as _, Intake as _, Upkeep as _, sqlite::Sqlite},
    watch::Watch,
};

const CONFIGURATION: &str = "
alerts: { from: [no-reply@am.atlassian.com] }
ingress:
  smtp: [{ name: smtp, listen: '127.0.0.1:0', recipients: [alerts@example.com] }]
time_intervals:
  - name: hush
    time_intervals: [{ times: [
      { start_time: '00:30', end_time: '00:50' }, { start_time: '02:10', end_time: '02:20' },
      { start_time: '07:00', end_time: '08:00' }, { start_time: '20:00', end_time: '21:30' }] }]
route:
  receiver: oncall
  routes:
    - { receiver: muted, matchers: ['app_key=\"com.example.muted\"'], mute_time_intervals: [hush] }
    - { receiver: team, matchers: ['app_key=\"com.example.team\"'] }
delivery: { give_up_after: 2h, backoff: { initial: 1s, max: 1m } }
receivers:
  - name: oncall
    fallback: { receiver: backup, after: 5m }
    pagerduty_configs:
      - routing_key: 0123456789abcdef0123456789abcdef
        url: 'https://pagerduty.example/v2/enqueue'
    webhook_configs: [{ url: 'https://hook.example', deduplicates: true }]
  - { name: muted, webhook_configs: [{ url: 'https://hook.example', deduplicates: true }] }
  - { name: team, opsgenie_configs: [{ api_key: key, api_url: 'https://opsgenie.example' }] }
  - { name: backup, opsgenie_configs: [{ api_key: key, api_url: 'https://opsgenie.example' }] }
";

/// All replicas, and what they depend on.
pub(super) struct Fleet {
    pub(super) world: Arc<World>,
    pub(super) shared: Arc<Shared>,
    pub(super) vendors: Arc<Vendors>,
    pub(super) mailbox: Arc<Mailbox>,
    configured: Loaded,
    _folder: tempfile::TempDir,
    pub(super) store: PathBuf,
    /// The replicas that are running, by their numbers.
    running: [Mutex<Option<Arc<Process>>>; REPLICAS],
    /// Every life that a replica has had.
    lives: Mutex<Vec<Arc<Life>>>,
    begun: AtomicU64,
}

/// A replica's process while it runs.
pub(super) struct Process {
    pub(super) life: Arc<Life>,
    pub(super) pipeline: Arc<Pipeline>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _in_force: Sender<Arc<InForce>>,
}

impl Fleet {
    /// Starts all replicas at once.
    pub(super) fn start(world: &Arc<World>) -> Arc<Self> {
        // A disk in memory is used if there is one, because flushes to a real one would take most
        // of the time of a simulated day.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.unwrap();
        let store = folder.path().join("alertbridge.db");
        let parsed = Config::parse(Source::Embedded, CONFIGURATION, Files::Unneeded, &|_| None);
        let fleet = Arc::new(Self {
            world: Arc::clone(world),
            shared: Arc::new(Shared::new(Sqlite::open(&store).unwrap())),
            vendors: Arc::default(),
            mailbox: Arc::default(),
            configured: parsed.unwrap_or_else(|errors| panic!("{errors}")),
            _folder: folder,
            store,
            running: std::array::from_fn(|_| Mutex::default()),
            lives: Mutex::default(),
            begun: AtomicU64::new(0),
        });
        for replica in 0..REPLICAS {
            fleet.begin(replica);
        }
        fleet
    }

    /// Starts a replica.
    fn begin(&self, replica: usize) {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        let life = Arc::new(Life::new(replica, number));
        self.world
            .note(&format!("{number}: replica {replica} starts"));
        lock(&self.lives).push(Arc::clone(&life));
        *lock(&self.running[replica]) = Some(Arc::new(Process::start(self, life)));
    }

    /// Builds the configured stages, over a network and with a world that judges mail.
    fn stages(&self, network: Network) -> (Terms, Sender<Arc<InForce>>) {
        let Loaded { config, rules, .. } = &self.configured;
        let terms = Terms::new(
            Arc::clone(&rules.receivers),
            config.delivery.clone(),
            None,
            Client::over(Arc::new(network)),
        );

        let world = Arc::clone(&self.world);
        let in_force = Sender::new(Arc::new(InForce {
            authenticator: Authenticator::in_place(move |mail| judged(&world, mail)),
            rules: Arc::clone(rules),
            canary: None,
        }));

        (terms, in_force)
    }

    pub(super) fn lives(&self) -> Vec<Arc<Life>> {
        lock(&self.lives).clone()
    }

    /// Runs until the day ends. Each replica lives for a while, dies or stops, and starts again. On
    /// some days all clocks are set once.
    pub(super) async fn suffer(self: Arc<Self>) {
        let fates = TaskTracker::new();
        for replica in 0..REPLICAS {
            fates.spawn(Arc::clone(&self).fate(replica));
        }
        fates.spawn(Arc::clone(&self).maintain());
        if self.world.chance(|rng| rng.u8(..4)) == 0 {
            fates.spawn(Arc::clone(&self).leap());
        }
        fates.close();
        fates.wait().await;
    }

    async fn fate(self: Arc<Self>, replica: usize) {
        loop {
            let lives_for = self.world.chance(|rng| rng.u64(60..10_000));
            let until = Instant::now() + Duration::from_secs(lives_for);
            if until >= self.world.ends() {
                return;
            }
            tokio::time::sleep_until(until).await;

            let process = lock(&self.running[replica]).clone();
            let Some(process) = process else { continue };
            match self.world.chance(|rng| rng.u8(..4)) {
                0 => process.stop(&self.world).await,
                1 => process.life.kill(),
                _ => {
                    let changes = self.world.chance(|rng| rng.u64(..30));
                    process.life.kill_after(changes);
                    // If too few changes happen, the process dies all the same.
                    let deadline = Instant::now() + Duration::from_mins(10);
                    while !process.life.is_dead() && Instant::now() < deadline {
                        sleep(Duration::from_secs(1)).await;
                    }
                    process.life.kill();
                }
            }
            self.world.note(&format!("{}: ends", process.life.number));
            lock(&self.running[replica]).take();
            self.world.pause(500..200_000).await;
            self.begin(replica);
        }
    }

    /// Plans maintenance as a person does, and ends some of it early.
    async fn maintain(self: Arc<Self>) {
        while Instant::now() < self.world.ends() {
            let [pause, minutes] = self
                .world
                .chance(|rng| [rng.u64(600..7_200), rng.u64(2..60)]);
            sleep(Duration::from_secs(pause)).await;
            let now = self.world.time();
            let until = now + SignedDuration::from_mins(i64::try_from(minutes).unwrap());
            let matchers = ["app_key=com.example.silenced".to_owned()];
            let plan = Plan::new(&matchers, (now, until), "ann", "works", now).unwrap();
            let silence = block_on(self.shared.sqlite.add_silence(plan, now)).unwrap();
            self.shared.changed();
            self.world
                .note(&format!("silence {} for {minutes} min", silence.id));
            if self.world.chance(fastrand::Rng::bool) {
                self.world.pause(1_000..minutes * 90_000).await;
                let now = self.world.time();
                // The silence may already be over.
                let _ = block_on(self.shared.sqlite.expire_silences(vec![silence.id], now));
                self.shared.changed();
            }
        }
    }

    /// At the end of the day, sends again what was given up, as a person does, and discards the
    /// rest.
    pub(super) async fn tidy(&self) {
        let sqlite = &self.shared.sqlite;
        let now = self.world.time();
        let sent = block_on(sqlite.retry(None, now)).unwrap();
        self.shared.changed();
        self.world
            .note(&format!("{} dead letters are sent again", sent.len()));
        self.comes_to_rest().await;
        let dead = block_on(sqlite.deliveries(Some(DeliveryState::Dead), 10_000)).unwrap();
        for letter in dead {
            self.world.note(&format!("{} is given up", letter.id));
            block_on(sqlite.discard(letter.id, now)).unwrap();
        }
        self.shared.changed();
    }

    async fn leap(self: Arc<Self>) {
        let left = self.world.ends() - Instant::now();
        let at = self.world.chance(|rng| rng.u64(..left.as_secs()));
        sleep(Duration::from_secs(at)).await;
        let by = self.world.chance(|rng| rng.i64(-1_800..3_600));
        self.world.set_clocks(SignedDuration::from_secs(by));
    }

    /// Waits until no alarm is open. The alarm about a flood of unproven mail stays open for an
    /// hour after the flood.
    pub(super) async fn is_well(&self) {
        let deadline = Instant::now() + Duration::from_hours(3);
        loop {
            let alarms = block_on(self.shared.concerns()).unwrap().alarms;
            if alarms.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                self.world.broken(&format!("it still tells of {alarms:?}"));
            }
            sleep(Duration::from_secs(30)).await;
        }
    }

    /// Waits until nothing is undecided, owed or held.
    pub(super) async fn comes_to_rest(&self) {
        let deadline = Instant::now() + Duration::from_hours(4);
        loop {
            self.world.assert_whole();
            let sqlite = &self.shared.sqlite;
            let left = block_on(async {
                let pending = sqlite.depth().await.unwrap().deliveries;
                let undecided = sqlite.undecided(0, 1).await.unwrap().len();
                let ever = self.world.time() + SignedDuration::from_hours(24 * 366);
                let due = sqlite.due(ever, 1).await.unwrap().len();
                (pending, undecided, due)
            });
            let owed: u64 = ["pending", "held"]
                .iter()
                .filter_map(|state| left.0.get(*state))
                .sum();
            if (owed, left.1, left.2) == (0, 0, 0) {
                return;
            }
            if Instant::now() > deadline {
                let owed = block_on(sqlite.deliveries(None, 10_000)).unwrap();
                let owed: Vec<_> = owed.iter().filter(|row| row.settled_at.is_none()).collect();
                self.world
                    .broken(&format!("it does not come to rest: {left:?}\n{owed:#?}"));
            }
            sleep(Duration::from_secs(10)).await;
        }
    }
}

impl Doors for Fleet {
    fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        let replica = self.world.chance(|rng| rng.usize(..REPLICAS));
        let process = lock(&self.running[replica]).clone()?;
        Some(Arc::clone(&process.pipeline) as _)
    }
}

impl Process {
    /// Starts a process, wired as in `serve`.
    fn start(fleet: &Fleet, life: Arc<Life>) -> Self {
        let world = &fleet.world;
        // The clocks of replicas differ by a little.
        let ahead = world.chance(|rng| SignedDuration::from_millis(rng.i64(-2_000..2_000)));
        let clock = {
            let world = Arc::clone(world);
            Clock::from_fn(move || world.shown(ahead))
        };
        let view = Arc::new(View {
            shared: Arc::clone(&fleet.shared),
            world: Arc::clone(world),
            life: Arc::clone(&life),
        });
        let network = Network {
            world: Arc::clone(world),
            life: Arc::clone(&life),
            vendors: Arc::clone(&fleet.vendors),
        };
        let (terms, in_force) = fleet.stages(network);

        let bell = Arc::new(Notify::new());
        let deliverer = Deliverer::new(view.clone(), terms, clock.clone(), Arc::clone(&bell));
        let deliverer = Arc::new(deliverer.among_replicas());
        let subscribed = in_force.subscribe();
        let pipeline = Pipeline::new(view.clone(), subscribed, clock.clone(), deliverer.clone());
        let pipeline = Arc::new(pipeline);
        let health = Health::default();
        let watch = watch(&view, &in_force, &health, &clock, &bell);

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let begun = {
            let (view, pipeline) = (Arc::clone(&view), Arc::clone(&pipeline));
            let (mailbox, world) = (Arc::clone(&fleet.mailbox), Arc::clone(world));
            let (stop, rest) = (stop.clone(), tasks.clone());
            async move {
                while view.release_leases(clock.now()).await.is_err() {
                    sleep(Duration::from_secs(1)).await;
                }
                rest.spawn(Arc::clone(&pipeline).look_again(stop.clone()));
                rest.spawn(Arc::clone(&pipeline).look_at_silenced(stop.clone()));
                rest.spawn(Arc::clone(&pipeline).run(stop.clone()));
                rest.spawn(listen(Arc::clone(&view), bell, stop.clone()));
                rest.spawn(watch.run(stop.clone()));
                rest.spawn(deliverer.run(stop.clone()));
                mailbox
                    .read(&world, &view, &*pipeline, &health, &clock, &stop)
                    .await;
            }
        };
        tasks.spawn(begun);

        Self {
            life,
            pipeline,
            stop,
            tasks,
            _in_force: in_force,
        }
    }

    /// Stops the process as SIGTERM does: work under way is finished, and what is left after a
    /// minute dies.
    async fn stop(&self, world: &World) {
        self.stop.cancel();
        self.tasks.close();
        let stopped = timeout(Duration::from_mins(1), self.tasks.wait()).await;
        if stopped.is_err() {
            world.note(&format!("{}: is stopped at once", self.life.number));
            self.life.kill();
        }
    }
}

fn watch(
    view: &Arc<View>,
    in_force: &Sender<Arc<InForce>>,
    health: &Health,
    clock: &Clock,
    bell: &Arc<Notify>,
) -> Watch {
    Watch {
        upkeep: view.clone(),
        intake: view.clone(),
        in_force: in_force.subscribe(),
        health: health.clone(),
        ingresses: vec!["smtp".into(), "mailbox".into()],
        shared: vec!["smtp".into()],
        mailboxes: vec!["mailbox".into()],
        clock: clock.clone(),
        owed: Arc::clone(bell),
    }
}

/// Notifies `owed` when another replica announces deliveries, as `serve` does.
async fn listen(store: Arc<View>, owed: Arc<Notify>, stop: CancellationToken) {
    while stop.run_until_cancelled(store.rung()).await.is_some() {
        owed.notify_one();
    }
}
