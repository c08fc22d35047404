//! One process, many connections: the mails of one incident are decided in the order in which they
//! were recorded, and so in the order in which they were acknowledged.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, PATIENCE},
    vendors::{Fake, Hook},
};

mod letter;
mod line;

pub use letter::letter;
pub use line::Line;

const COURIERS: u64 = 32;

fn config(hook: &Fake<Hook>) -> String {
    format!(
        "{DOORS}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
route: {{ receiver: out }}
receivers: [{{ name: out, webhook_configs: [{{ url: '{}', secret: {HOOK_SECRET} }}] }}]",
        hook.url()
    )
}

/// When a resolve goes out.
#[derive(Clone, Copy, PartialEq)]
enum Resolve {
    /// Once its trigger is acknowledged.
    After,
    /// While its trigger is on its way.
    Beside,
}

/// A trigger through one connection and its resolve through another, over and over.
async fn courier(number: u64, incidents: usize, http: String, smtp: SocketAddr, resolve: Resolve) {
    let mut rng = fastrand::Rng::with_seed(number);
    let mut line = async || {
        if rng.bool() {
            Line::smtp(smtp).await.unwrap()
        } else {
            Line::Http(http.clone())
        }
    };
    let (mut one, mut other) = (line().await, line().await);
    for incident in 0..incidents {
        let id = format!("i{number}-{incident}");
        let (opens, ends) = (
            letter(&id, "ANOMALOUS", 1, 50.0, rng.usize(..400)),
            letter(&id, "OK", 2, 50.0, 0),
        );
        if resolve == Resolve::After {
            one.send(&opens).await.unwrap();
            other.send(&ends).await.unwrap();
            continue;
        }
        let ending = async {
            tokio::time::sleep(Duration::from_micros(500)).await;
            other.send(&ends).await
        };
        let (opened, ended) = tokio::join!(one.send(&opens), ending);
        opened.and(ended).unwrap();
    }
}

async fn flat_out(incidents: usize, resolve: Resolve) {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(HOOK_SECRET).await;
    let bridge = Bridge::start(folder.path(), &config(&hook));
    let couriers = (0..COURIERS).map(|number| {
        let (http, smtp) = (bridge.http.clone(), bridge.smtp.unwrap());
        tokio::spawn(courier(number, incidents, http, smtp, resolve))
    });
    for courier in couriers.collect::<Vec<_>>() {
        courier.await.unwrap();
    }
    let all = usize::try_from(COURIERS).unwrap() * incidents;
    bridge.settled(u32::try_from(2 * all).unwrap()).await;

    let store = Connection::open(folder.path().join("alertbridge.db")).unwrap();
    let late = "SELECT (SELECT id FROM mails WHERE incident = incidents.id AND outcome = \
                'resolved') < mails.id
                FROM mails JOIN incidents ON incidents.id = incident WHERE outcome = 'stale'";
    let mut late = store.prepare(late).unwrap();
    let late = late.query_map([], |row| row.get(0)).unwrap();
    let late: Vec<bool> = late.map(Result::unwrap).collect();
    let overtaken = late
        .iter()
        .filter(|recorded_later| !**recorded_later)
        .count();

    eprintln!(
        "{all} incidents, {} triggers recorded after their resolve",
        late.len()
    );
    assert_eq!(
        overtaken, 0,
        "a resolve was decided before a trigger that was recorded before it"
    );
    if resolve == Resolve::After {
        assert_eq!(late.len(), 0);
        let told = hook.pages();
        assert_eq!(told.len(), 2 * all, "each trigger and each resolve is told");
        assert!(hook.violations().is_empty(), "{:?}", hook.violations());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_acknowledged_first_is_told_before_the_resolve_of_another_connection() {
    flat_out(100, Resolve::After).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_mails_on_their_way_together_the_one_recorded_first_is_decided_first() {
    flat_out(100, Resolve::Beside).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_let_out_of_the_quarantine_together_is_told_in_the_order_in_which_it_came() {
    const INCIDENTS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(HOOK_SECRET).await;
    let expecting = "alerts: { app_keys: [com.example.other], authenticity: { require: [] } }";
    let bridge = Bridge::start(folder.path(), &format!("{}\n{expecting}\n", config(&hook)));
    for (second, status) in (1..).zip(["ANOMALOUS", "OK"]) {
        for incident in 0..INCIDENTS {
            let mail = letter(&format!("held-{incident}"), status, second, 50.0, 0);
            assert_eq!(bridge.post(&mail).await.unwrap(), 202);
        }
    }
    bridge.settled(u32::try_from(2 * INCIDENTS).unwrap()).await;

    // All at once, where `mails release` takes one at a time.
    let release = "UPDATE mails SET outcome = 'pending', decided_at = NULL, hold = NULL, check_at \
                   = 0,
                   released = '{\"by\":\"test\",\"at\":\"2026-03-01T12:00:00Z\"}' WHERE outcome = \
                   'quarantined'";
    let store = Connection::open(folder.path().join("alertbridge.db")).unwrap();
    store.busy_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(store.execute(release, []).unwrap(), 2 * INCIDENTS);

    let told = || {
        hook.pages()
            .into_iter()
            .filter(|page| page.key.starts_with("held-"))
            .collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE;
    while told().len() < 2 * INCIDENTS {
        assert!(
            Instant::now() < deadline,
            "{} of {} were told",
            told().len(),
            2 * INCIDENTS
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(hook.violations().is_empty(), "{:?}", hook.violations());
}
