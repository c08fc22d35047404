//! A mail that turns up late has a lower number than some that are decided already: a replica that
//! catches up decides it before what was sent after it was acknowledged.

use alertbridge::{
    message::{Authenticity, Message},
    store::Intake as _,
};

use super::*;
use crate::{e2e::HOOK_SECRET, order::letter, vendors::Hook};

/// Lets every mail of this ingress wait, once it has its number, until whoever holds the lock lets
/// it go.
const SLOW: &str = "
CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON mails FOR EACH ROW WHEN (NEW.ingress = 'slow')
EXECUTE FUNCTION wait_for_the_test()";
const LOCK_TURN: &str = "SELECT pg_advisory_lock(hashtextextended($1, 0))";
const UNLOCK_TURN: &str = "SELECT pg_advisory_unlock(hashtextextended($1, 0))";
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_that_turns_up_while_a_replica_catches_up_is_told_before_its_resolve() {
    let (database, hook) = (Database::create().await, Hook::start(HOOK_SECRET).await);
    let config = format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}, {{ name: slow }}] }}
route: {{ receiver: out }}
receivers: [{{ name: out, webhook_configs: [{{ url: '{}', secret: {HOOK_SECRET} }}] }}]",
        DOORS.replace("sqlite:alertbridge.db", &database.url()),
        hook.url()
    );
    let folder = tempfile::tempdir().unwrap();
    let gone = database.open().await.with_hold(Duration::ZERO);
    let (client, locks) = (database.client().await, database.client().await);
    client.batch_execute(SLOW).await.unwrap();
    let bridge = Bridge::start(folder.path(), &config);
    let waiting = async |wanted: i64| {
        let deadline = Instant::now() + PATIENCE;
        while client
            .query_one(WAITING, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            < wanted
        {
            assert!(Instant::now() < deadline, "{wanted} never wait");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };

    // The trigger has its number, and is not in the store yet.
    locks
        .batch_execute("SELECT pg_advisory_lock(4711)")
        .await
        .unwrap();
    locks.query(LOCK_TURN, &[&"between"]).await.unwrap();
    let slow = bridge.http.replace("/http", "/slow");
    let trigger = tokio::spawn(async move {
        let request = client_post(&slow, letter("late", "ANOMALOUS", 1, 50.0, 0));
        request.await
    });
    waiting(1).await;
    // One with a higher number, of a replica that is gone, keeps this one busy.
    let message = Message {
        ingress: "http".into(),
        arrived_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        raw: letter("between", "ANOMALOUS", 1, 50.0, 0).into(),
        cut_from: None,
        withheld: None,
        envelope: None,
    };
    gone.record(vec![(message, Authenticity::off())], None)
        .await
        .unwrap();
    waiting(2).await;
    // Now the trigger is there and acknowledged, and its resolve is sent.
    locks
        .batch_execute("SELECT pg_advisory_unlock(4711)")
        .await
        .unwrap();
    assert_eq!(trigger.await.unwrap(), 202);
    let resolve = bridge.post(&letter("late", "OK", 2, 50.0, 0)).await;
    assert_eq!(resolve.unwrap(), 202);
    locks.query(UNLOCK_TURN, &[&"between"]).await.unwrap();

    hook.wait_until("all pages", |hook| hook.pages().len() >= 3)
        .await;
    let of_late = hook
        .pages()
        .into_iter()
        .filter(|page| page.key == "late:out");
    let told: Vec<_> = of_late.map(|page| page.action).collect();
    assert_eq!(told, ["trigger", "resolve"]);
}

async fn client_post(url: &str, mail: Vec<u8>) -> u16 {
    let request = client()
        .post(url)
        .header("content-type", "message/rfc822")
        .body(mail);
    request.send().await.unwrap().status().as_u16()
}
