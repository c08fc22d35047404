//! Whoever acknowledged the mails of an incident, they are decided and told in the order in which
//! they were.
//!
//! Both tests fail where replicas do not ask for what is ahead.

use alertbridge::{
    message::{Authenticity, Message, Outcome as Became, Verdict},
    store::{Desk as _, Intake as _},
};

use super::*;
use crate::{
    e2e::HOOK_SECRET,
    order::{Line, letter},
    postgres::Server,
    vendors::{Fake, Hook, PagerDuty},
};

/// Longer than a replica holds the mail that it took.
const OVERSLEPT: Duration = Duration::from_millis(5_500);

struct Receivers {
    hook: Fake<Hook>,
    pagerduty: Fake<PagerDuty>,
}

impl Receivers {
    async fn start() -> Self {
        Self {
            hook: Hook::start(HOOK_SECRET).await,
            pagerduty: PagerDuty::start().await,
        }
    }

    fn config(&self, url: &str) -> String {
        format!(
            "{}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
route: {{ receiver: chat, routes: [{{ receiver: oncall, continue: true }}, {{ receiver: chat }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}
receivers:
  - {{ name: chat, webhook_configs: [{{ url: '{}', secret: {HOOK_SECRET} }}] }}
  - {{ name: oncall, pagerduty_configs: [{{ routing_key: '{}', url: '{}' }}] }}",
            DOORS.replace("sqlite:alertbridge.db", url),
            self.hook.url(),
            self.pagerduty.key(),
            self.pagerduty.url(),
        )
    }

    fn replica(&self, url: &str) -> Arc<Replica> {
        let folder = tempfile::tempdir().unwrap();
        Arc::new(Replica {
            folder,
            config: self.config(url),
            bridge: Mutex::new(None),
        })
    }

    /// What each receiver heard of each incident, in order.
    fn heard(&self) -> BTreeMap<String, [Vec<String>; 2]> {
        let mut heard: BTreeMap<String, [Vec<String>; 2]> = BTreeMap::new();
        for (place, pages) in [self.hook.pages(), self.pagerduty.pages()]
            .into_iter()
            .enumerate()
        {
            for page in pages {
                let (incident, _) = page.key.split_once(':').unwrap();
                heard.entry(incident.to_owned()).or_default()[place].push(page.action);
            }
        }
        heard
    }
}

/// Sends an incident's mails, each as soon as the one before it is acknowledged, to any replica
/// that takes it.
async fn courier(
    replicas: Vec<Arc<Replica>>,
    number: u64,
    seed: u64,
    stop: Arc<AtomicBool>,
) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed * 1_000 + number);
    let mut sent = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let incident = format!("order-{number}-{}", sent.len());
        for (second, status) in (1..).zip(["ANOMALOUS", "OK", "ANOMALOUS", "OK"]) {
            let mail = letter(&incident, status, second, 50.0, rng.usize(..300));
            let deadline = Instant::now() + 2 * PATIENCE;
            while !acknowledged(rng.choice(&replicas).unwrap(), &mail, rng.bool()).await {
                assert!(Instant::now() < deadline, "nobody takes a mail");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        sent.push(incident);
    }
    sent
}

async fn acknowledged(replica: &Replica, mail: &[u8], by_smtp: bool) -> bool {
    let Some((http, smtp)) = replica.doors() else {
        return false;
    };
    let send = async {
        let mut line = if by_smtp {
            Line::smtp(smtp).await?
        } else {
            Line::Http(http)
        };
        line.send(mail).await
    };
    matches!(
        tokio::time::timeout(Duration::from_secs(2), send).await,
        Ok(Ok(()))
    )
}

/// What happens to replicas and database meanwhile.
#[derive(Clone, Copy)]
enum Mishap {
    Killed,
    Asleep,
    DatabaseRestarted,
}

async fn campaign(seed: u64, mishaps: &[Mishap]) {
    let begun = Instant::now();
    let server = tokio::task::spawn_blocking(|| Server::start("", &[]))
        .await
        .unwrap();
    let database = Database::create_in(Arc::clone(&server)).await;
    let receivers = Receivers::start().await;
    let replicas: Vec<_> = (0..REPLICAS)
        .map(|_| receivers.replica(&database.url()))
        .collect();
    join_all(replicas.iter().map(|replica| replica.start(""))).await;
    let stop = Arc::new(AtomicBool::new(false));
    let couriers = (0..16)
        .map(|number| tokio::spawn(courier(replicas.clone(), number, seed, Arc::clone(&stop))));
    let couriers: Vec<_> = couriers.collect();
    let mut rng = fastrand::Rng::with_seed(seed);
    for mishap in mishaps {
        tokio::time::sleep(Duration::from_millis(rng.u64(200..1_000))).await;
        let replica = rng.choice(&replicas).unwrap();
        let signal = |name| {
            replica
                .bridge
                .lock()
                .unwrap()
                .as_ref()
                .unwrap()
                .signal(name);
        };
        match mishap {
            Mishap::Killed => {
                replica.kill();
                tokio::time::sleep(Duration::from_millis(rng.u64(..300))).await;
                replica.start("").await;
            }
            Mishap::Asleep => {
                signal("STOP");
                tokio::time::sleep(OVERSLEPT).await;
                signal("CONT");
            }
            Mishap::DatabaseRestarted => {
                server.stop_at_once().await;
                server.start_again().await;
            }
        }
    }
    stop.store(true, Ordering::SeqCst);
    let sent: Vec<_> = join_all(couriers)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let bridge = replicas[0].bridge.lock().unwrap().take().unwrap();
    at_rest(&bridge).await;
    let heard = receivers.heard();
    let in_order = ["trigger", "resolve", "trigger", "resolve"]
        .map(ToOwned::to_owned)
        .to_vec();
    let wrong: Vec<_> = sent
        .iter()
        .filter(|incident| {
            heard
                .get(*incident)
                .is_none_or(|heard| heard.iter().any(|heard| *heard != in_order))
        })
        .map(|incident| (incident, heard.get(incident)))
        .collect();
    for (incident, _) in wrong.iter().take(3) {
        let became = "SELECT concat_ws(' ', mails.id, arrived_at, decided_at, holder, outcome, \
                      mails.reason) FROM mails
                      JOIN incidents ON incidents.id = incident WHERE incident_id = $1 ORDER BY \
                      mails.id";
        let rows = database
            .client()
            .await
            .query(became, &[incident])
            .await
            .unwrap();
        eprintln!(
            "{incident}: {:#?}",
            rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
        );
    }
    let took = begun.elapsed();
    eprintln!(
        "seed {seed}: {} incidents, {} mishaps in {took:?}, {} wrong",
        sent.len(),
        mishaps.len(),
        wrong.len()
    );
    assert!(
        sent.len() > 10 * mishaps.len(),
        "{} incidents are no trial",
        sent.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {} incidents: {:?}",
        wrong.len(),
        sent.len(),
        &wrong[..wrong.len().min(5)]
    );
    assert_eq!(
        (
            receivers.hook.violations(),
            receivers.pagerduty.violations()
        ),
        (vec![], vec![])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_trigger_and_resolve_is_told_in_order_whichever_replica_dies_or_oversleeps() {
    use Mishap::{Asleep, DatabaseRestarted, Killed};
    campaign(
        1,
        &[
            Killed,
            Killed,
            Asleep,
            Killed,
            DatabaseRestarted,
            Killed,
            Killed,
            DatabaseRestarted,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: some ten minutes"]
async fn every_trigger_and_resolve_is_told_in_order_through_hundreds_of_mishaps() {
    let first = std::env::var("SEED").map_or(100, |seed| seed.parse().unwrap());
    for seed in first..first + 4 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mishaps = (0..80).map(|_| match rng.u8(..10) {
            0 => Mishap::Asleep,
            1 => Mishap::DatabaseRestarted,
            _ => Mishap::Killed,
        });
        campaign(seed, &mishaps.collect::<Vec<_>>()).await;
    }
}

/// The mails of an incident that a replica took and never decided, and what is to be heard when its
/// last mail comes through another: `T` and `R` are triggers and resolves, `?` a resolve whose
/// authenticity cannot be checked, `!` a mail whose bytes are damaged.
fn told(mails: &str) -> Vec<String> {
    let mut firing = false;
    let mut told = Vec::new();
    for mail in mails.chars() {
        match (mail, firing) {
            ('T', false) => told.push("trigger".to_owned()),
            ('R', true) => told.push("resolve".to_owned()),
            _ => continue,
        }
        firing = !firing;
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_replica_acknowledged_is_decided_before_what_comes_after_it() {
    let database = Database::create().await;
    let receivers = Receivers::start().await;
    let replica = receivers.replica(&database.url());
    replica.start("").await;
    // Two that are gone for good, and that nobody takes anything over from.
    let gone = join_all(
        (0..2).map(|_| async { database.open().await.with_hold(Duration::from_hours(1)) }),
    )
    .await;
    let mut rng = fastrand::Rng::with_seed(4);
    let mut shapes: Vec<String> = [
        "TR", "TRT", "TRTR", "RT", "TTR", "T?T", "T?R", "T!R", "!R", "?T",
    ]
    .map(Into::into)
    .into();
    shapes.extend((0..60).map(|_| {
        (0..rng.usize(2..9))
            .map(|_| *rng.choice(&['T', 'R', '?', '!']).unwrap())
            .collect()
    }));
    shapes.retain(|shape: &String| shape.ends_with(['T', 'R']));
    let client = database.client().await;
    // All that is acknowledged by those who are gone, in turn over the incidents; then the last
    // mail of each.
    for place in 0..8 {
        for (number, shape) in shapes.iter().enumerate() {
            let before_last = &shape[..shape.len() - 1];
            let Some(kind) = before_last.chars().nth(place) else {
                continue;
            };
            let status = if kind == 'T' { "ANOMALOUS" } else { "OK" };
            let raw = letter(
                &format!("gone-{number}"),
                status,
                1 + u32::try_from(place).unwrap(),
                50.0,
                0,
            );
            let arrived_at = "2026-03-01T12:00:00Z".parse().unwrap();
            let mail = Message {
                ingress: "http".into(),
                arrived_at,
                raw: raw.into(),
                cut_from: None,
                withheld: None,
                envelope: None,
            };
            let authenticity = match kind {
                '?' => Authenticity::unproven(Verdict::TempError, "no name server"),
                _ => Authenticity::off(),
            };
            let ids = gone[place % 2]
                .record(vec![(mail, authenticity)], None)
                .await
                .unwrap();
            if kind == '!' {
                client
                    .execute("UPDATE bodies SET raw = 'x' WHERE mail = $1", &[&ids[0]])
                    .await
                    .unwrap();
            }
        }
    }
    let last = shapes.iter().enumerate().map(|(number, shape)| {
        let status = if shape.ends_with('T') {
            "ANOMALOUS"
        } else {
            "OK"
        };
        let (mail, replica) = (
            letter(&format!("gone-{number}"), status, 20, 50.0, 0),
            Arc::clone(&replica),
        );
        async move { assert!(acknowledged(&replica, &mail, number % 2 == 0).await) }
    });
    join_all(last).await;
    let expected: usize = shapes.iter().map(|shape| told(shape).len()).sum();
    let deadline = Instant::now() + PATIENCE;
    while receivers.hook.pages().len() < expected || receivers.pagerduty.pages().len() < expected {
        assert!(
            Instant::now() < deadline,
            "{} of {expected} were told",
            receivers.hook.pages().len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = receivers.heard();
    for (number, shape) in shapes.iter().enumerate() {
        let heard = heard
            .get(&format!("gone-{number}"))
            .cloned()
            .unwrap_or_default();
        assert_eq!(heard, [told(shape), told(shape)], "{shape}");
    }
    let undecided = gone[0]
        .mails(Some(Became::Pending), 1_000)
        .await
        .unwrap()
        .len();
    let waiting = |shape: &String| shape.chars().filter(|kind| "?!".contains(*kind)).count();
    assert_eq!(
        undecided,
        shapes.iter().map(waiting).sum::<usize>(),
        "what cannot be decided waits, and holds up nobody"
    );
}
