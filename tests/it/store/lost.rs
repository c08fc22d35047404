//! A decision is written, and its answer lost on the way: what it leased nobody works at.

use std::sync::atomic::{AtomicBool, Ordering};

use alertbridge::store::{
    Desk as _, Intake as _,
    postgres::{Address, Postgres},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};

use super::*;

/// What the server says when a transaction is committed.
const COMMITTED: &[u8] = b"COMMIT\0";

/// Between a store and its server; once `lossy`, the answers up to the next COMMIT's are lost, and
/// the connection with them.
async fn between(database: &Database, lossy: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, server) = (listener.local_addr().unwrap().port(), database.port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = TcpStream::connect(("127.0.0.1", server))
                .await
                .unwrap()
                .into_split();
            let asked = tokio::spawn(asked(from_client, to_server));
            tokio::spawn(answered(from_server, to_client, asked, Arc::clone(&lossy)));
        }
    });
    port
}

async fn asked(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn answered(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: tokio::task::JoinHandle<()>,
    lossy: Arc<AtomicBool>,
) {
    let (mut piece, mut lost) = ([0; 4096], Vec::new());
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if lossy.load(Ordering::SeqCst) {
            lost.extend_from_slice(&piece[..length]);
            if lost.windows(COMMITTED.len()).any(|said| said == COMMITTED) {
                lossy.store(false, Ordering::SeqCst);
                break;
            }
        } else if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
    asked.abort();
}

#[tokio::test]
async fn what_was_leased_by_a_decision_whose_answer_is_lost_is_given_back() {
    let database = Database::create().await;
    let lossy = Arc::new(AtomicBool::new(false));
    let port = between(&database, Arc::clone(&lossy)).await;
    let store = Postgres::open(&Address::parse(&database.url_through(port)).unwrap())
        .await
        .unwrap();
    let leased = |incident: &str| NewDelivery {
        leased_until: Some(noon() + MINUTE),
        ..page(incident, Action::Trigger, "one")
    };
    // All statements are known to the connection from here on.
    assert_eq!(opened(&store, "a", vec![leased("a")]).await.len(), 1);
    let id = recorded(&store).await;
    let opens = decision(Outcome::Opened, state(Phase::Firing, 1), vec![leased("b")]);
    let lose = Arc::clone(&lossy);
    let decide = Box::new(move |_: &alertbridge::store::Memory| {
        lose.store(true, Ordering::SeqCst);
        opens
    });
    let failed = store
        .decide(id, Some(subject("b", "X")), noon(), decide)
        .await;
    assert!(
        failed.is_err() && !lossy.load(Ordering::SeqCst),
        "{failed:?}"
    );
    assert_eq!(
        store.mail(id).await.unwrap().unwrap().0.outcome,
        Outcome::Opened,
        "it was written"
    );
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    let given_back = loop {
        let claims = claim(&store, "one", noon()).await;
        if !claims.is_empty() {
            break claims;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "it waits for the end of its lease"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let incidents: Vec<_> = given_back
        .iter()
        .map(|claim| claim.notification.incident_id.as_str())
        .collect();
    assert_eq!(incidents, ["b"], "what is being sent stays leased");
}
