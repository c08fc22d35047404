//! The server crashes and comes back, again and again, while mail comes in: the bridges go on by
//! themselves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Database, Server};
use crate::{
    generator,
    harness::{PATIENCE, client},
    replicas::{Fleet, REPLICAS},
};

const OUTAGES: usize = 4;

async fn until_ready(fleet: &Fleet, status: u16, says: &str) {
    for replica in &fleet.replicas {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (found, why) = replica.ready().await;
            if found == status && why.contains(says) {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{status} is awaited, not {found}: {why}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_comes_back_costs_no_mail_and_no_second_alert() {
    let begun = Instant::now();
    let server = tokio::task::spawn_blocking(|| Server::start("", &[]))
        .await
        .unwrap();
    let database = Database::create_in(server).await;
    let urls = [(); REPLICAS].map(|()| database.url());
    let fleet = Fleet::start(database, urls).await;
    let server = fleet.database.server();
    let mails = generator::generate(1815, 240);
    let released = Arc::new(AtomicUsize::new(0));
    let sending = fleet.send_released(&mails, 3, &released);
    let mut rng = fastrand::Rng::with_seed(1815);
    for _ in 0..OUTAGES {
        // The rest waits, however long the replicas take to come back.
        released.fetch_add(6, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(rng.u64(200..1500))).await;
        assert!(!sending.is_finished(), "the mails were too few");
        server.stop_at_once().await;
        until_ready(&fleet, 503, "store: the store failed: PostgreSQL database").await;
        for replica in &fleet.replicas {
            let (http, _) = replica.doors().unwrap();
            let request = client()
                .post(http)
                .header("content-type", "message/rfc822")
                .body(mails[0].eml.clone());
            assert_eq!(
                request.send().await.unwrap().status(),
                503,
                "nobody keeps what cannot be stored"
            );
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(0..2000))).await;
        server.start_again().await;
        until_ready(&fleet, 200, "ready").await;
    }
    released.store(usize::MAX, Ordering::SeqCst);
    let numbers = tokio::time::timeout(2 * PATIENCE, sending)
        .await
        .expect("the senders hang")
        .unwrap();
    let sent = begun.elapsed();
    assert!(
        fleet.replicas.iter().all(|replica| !replica.ended()),
        "a replica goes on without its database"
    );
    let refused: usize = fleet
        .replicas
        .iter()
        .map(|replica| replica.log().matches("mail was refused").count())
        .sum();
    assert!(refused >= OUTAGES * REPLICAS, "{refused}");
    // A page is told again only where it could not be recorded before its lease ended.
    fleet.audit(&mails, &numbers, OUTAGES).await;
    eprintln!(
        "{OUTAGES} outages, {refused} mails refused; sent in {sent:?}, at rest in {:?}",
        begun.elapsed()
    );
}
