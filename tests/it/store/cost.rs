//! What a mail costs in PostgreSQL is the same however much the store holds: counted in rows and
//! pages, which no other load on the computer changes.

use std::collections::BTreeMap;

use alertbridge::{
    message::Verdict,
    store::{
        Desk as _, Excess, Fallback, Horizon, Intake as _, Lanes as _, Spare, Sweep, Upkeep as _,
        postgres::Postgres,
    },
};

use super::*;
use crate::postgres::Server;

/// So many incidents that are over, two mails and two deliveries of each, and as many silences that
/// have ended; and for each ten of them a mail that waits for its authenticity, an unverified
/// trigger that is held, and a resolve that is.
const HISTORY: &str = "
INSERT INTO incidents (incident_id, kind, phase, status, newest, verified, untold, episode,
                       opened_at, changed_at, labels)
SELECT 'h{n}-' || n, 'incident', 'resolved', 'OK', n, true, false, 1, n, n, '{}'
FROM generate_series(1, {n}) AS n;
CREATE TEMP TABLE new AS SELECT id, row_number() OVER (ORDER BY id) AS n FROM incidents
WHERE incident_id LIKE 'h{n}-%';
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, incident, decided_at,
                   holder, held_until)
SELECT 'm', new.n, 1, '', '{judged}', outcome, id, 1, 1, now()
FROM new, unnest(ARRAY['opened', 'resolved']) AS outcome ORDER BY id;
INSERT INTO bodies SELECT id, '' FROM mails WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE mail = id);
INSERT INTO deliveries (mail, incident, episode, receiver, integration, action, alias,
                        notification, state, step, created_at,
                        settled_at)
SELECT min(mails.id), new.id, 1, 'one', 'webhook/0', action, 'a', '{}', 'delivered', '{}', 1, 1
FROM new JOIN mails ON mails.incident = new.id, unnest(ARRAY['trigger', 'resolve']) AS action
GROUP BY new.id, action ORDER BY new.id, action DESC;
INSERT INTO attempts (delivery, at, took_ms, result, detail)
SELECT deliveries.id, 1, 1, 'r', 'd' FROM deliveries JOIN new ON incident = new.id;
INSERT INTO applied SELECT id, status, 1, true, 'm', 1 FROM new,
  unnest(ARRAY['ANOMALOUS', 'OK']) AS status;
INSERT INTO openings SELECT 'app' || n % 20, 'metric' || n % 4, n / 16, n % 16, 1 FROM new
ON CONFLICT DO NOTHING;
INSERT INTO silences (matchers, starts_at, ends_at, author, comment, created_at)
SELECT 'kind=incident', {noon} - n, {noon} - n, 'a', 'c', 1 FROM generate_series(1, {n}) AS n;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, check_at)
SELECT 'm', {noon} + n, 1, '', '{judged}', {noon} + 3600000000
FROM generate_series(1, {n} / 10) AS n;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, decided_at, hold)
SELECT 'm', {noon} + n, 1, '', '{judged}', 'quarantined', n, CASE WHEN n % 2 = 0 THEN 'flood'
  ELSE 'app:' || n % 5 END
FROM generate_series(1, {n} / 10) AS n;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, decided_at, hold,
                   incident)
SELECT 'm', {noon} + n, 1, '', '{judged}', 'quarantined', n, 'resolve', id FROM new
WHERE n <= {n} / 10;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, decided_at)
SELECT 'm', {noon} + n, 1, '', '{judged}', 'ignored', n
FROM generate_series(1, greatest({n} / 20, 300)) AS n;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, decided_at)
SELECT 'm', {noon} + n, 1, '', '{unproven}', 'duplicate', n
FROM generate_series(1, greatest({n} / 20, 300)) AS n;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, decided_at)
SELECT 'm', {noon} + n, 1, '', '{judged}', 'stale', n
FROM generate_series(1, greatest({n} / 20, 300)) AS n;
INSERT INTO bodies SELECT id, '' FROM mails WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE mail = id);
DROP TABLE new;
";

/// In a server of its own: what is dead is read as long as a transaction runs in any database
/// beside it that is as old.
async fn alone() -> Database {
    let server = tokio::task::spawn_blocking(|| Server::start("", &[]))
        .await
        .unwrap();
    Database::create_in(server).await
}

/// Autovacuum would read pages of its own, and new statistics make new plans.
const UNWATCHED: &str = "
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', name);
    END LOOP;
END $$";

fn history(incidents: i64) -> String {
    let (noon, judged) = (
        noon().as_microsecond().to_string(),
        serde_json::to_string(&Authenticity::off()).unwrap(),
    );
    let unproven = Authenticity::unproven(Verdict::Fail, "forged");
    let unproven = serde_json::to_string(&unproven).unwrap();
    HISTORY
        .replace("{n}", &incidents.to_string())
        .replace("{noon}", &noon)
        .replace("{judged}", &judged)
        .replace("{unproven}", &unproven)
}

/// What was read so far: rows of tables, entries of indexes, and pages of both.
async fn read(database: &Database) -> [i64; 2] {
    let client = database.client().await;
    // A session hands in what it counted when it ends.
    let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    client.query(cut, &[]).await.unwrap();
    counted(&client).await
}

async fn counted(client: &tokio_postgres::Client) -> [i64; 2] {
    let sums = "SELECT ((SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))
                         FROM pg_stat_user_tables)
                        + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes))::bigint AS rows,
                       (SELECT sum(heap_blks_read + heap_blks_hit
                                   + coalesce(idx_blks_read + idx_blks_hit, 0))
                        FROM pg_statio_user_tables)::bigint AS pages";
    let row = client.query_one(sums, &[]).await.unwrap();
    [row.get("rows"), row.get("pages")]
}

/// What a bridge with much history does, step by step.
const STEPS: [&str; 17] = [
    "record",
    "decide",
    "agenda",
    "escalate",
    "claim and again",
    "claim and die",
    "retry",
    "claim and settle",
    "resolve",
    "due",
    "undecided",
    "concerns",
    "prune",
    "depth",
    "lists",
    "held",
    "cut",
];

async fn step(store: &Postgres, name: &str, mail: MailId) {
    let incident = format!("i{mail}");
    let none: Fallback = Arc::new(|_, _| vec![page("", Action::Trigger, "backup")]);
    match name {
        "decide" => {
            let late = NewDelivery {
                fallback_at: Some(noon()),
                ..page(&incident, Action::Trigger, "one")
            };
            let held = NewDelivery {
                held_until: Some(noon() + MINUTE),
                ..page(&incident, Action::Trigger, "muted")
            };
            let opens = decision(Outcome::Opened, state(Phase::Firing, 1), vec![late, held]);
            store
                .decide(
                    mail,
                    Some(subject(&incident, "X")),
                    noon(),
                    Box::new(|_| opens),
                )
                .await
                .unwrap()
                .unwrap();
        }
        "agenda" => drop(store.agenda().await.unwrap()),
        "escalate" => assert_eq!(store.escalate(noon(), none).await.unwrap().len(), 1),
        "claim and again" | "claim and die" | "claim and settle" => {
            let next = || match name {
                "claim and again" => Next::Again {
                    step: Step::Send,
                    at: noon(),
                    failures: 1,
                },
                "claim and die" => dead(),
                _ => delivered(),
            };
            for receiver in ["one", "backup"] {
                for claimed in claim(store, receiver, noon()).await {
                    assert!(settle(store, &claimed, next(), noon()).await);
                }
            }
        }
        "retry" => assert_eq!(store.retry(None, noon()).await.unwrap().len(), 2),
        "resolve" => {
            assert_eq!(resolved(store, &incident, noon()).await.len(), 2);
            Box::pin(step(store, "claim and settle", mail)).await;
        }
        "due" => assert!(store.due(noon(), 10).await.unwrap().is_empty()),
        "undecided" => assert!(store.undecided(0, 10).await.unwrap().is_empty()),
        "concerns" => assert!(store.concerns().await.unwrap().flooded_at.is_some()),
        "prune" => {
            let horizon = Horizon {
                mails: noon() - MINUTE,
                incidents: Some(noon() - MINUTE),
            };
            assert_eq!(
                store.prune(horizon, Sweep::START, 2).await.unwrap().deleted,
                2
            );
            store
                .prune(
                    horizon,
                    Sweep::Incidents {
                        changed_at: Timestamp::MIN,
                        id: 0,
                    },
                    2,
                )
                .await
                .unwrap();
        }
        "depth" => drop(store.depth().await.unwrap()),
        "held" => {
            assert!(store.unsilenced(noon(), 64).await.unwrap().is_empty());
            store.release_held(Mutes::default(), noon()).await.unwrap();
            assert!(store.let_out(64).await.unwrap().is_empty());
        }
        "cut" => {
            for spare in Spare::ALL {
                let excess = Excess {
                    before: None,
                    bytes: 1,
                };
                let cut = store.cut(spare, excess, noon()).await.unwrap();
                assert_eq!(cut.mails, 1);
            }
        }
        "lists" => {
            for state in [
                DeliveryState::Pending,
                DeliveryState::Held,
                DeliveryState::Dead,
            ] {
                assert!(store.deliveries(Some(state), 20).await.unwrap().is_empty());
            }
            assert_eq!(
                store
                    .mails(Some(Outcome::Quarantined), 5)
                    .await
                    .unwrap()
                    .len(),
                5
            );
        }
        _ => unreachable!("{name}"),
    }
}

#[tokio::test]
async fn a_mail_costs_the_same_however_much_is_done() {
    const ROUNDS: i64 = 3;
    let database = alone().await;
    drop(database.open().await);
    database
        .client()
        .await
        .batch_execute(UNWATCHED)
        .await
        .unwrap();
    let mut bills = Vec::new();
    for history in [1_000, 30_000] {
        database
            .client()
            .await
            .batch_execute(&self::history(history))
            .await
            .unwrap();
        database
            .client()
            .await
            .batch_execute("VACUUM ANALYZE")
            .await
            .unwrap();
        let mut bill: BTreeMap<_, [i64; 2]> = BTreeMap::new();
        let mut mail = 0;
        for name in (0..ROUNDS).flat_map(|_| STEPS) {
            let store = database.open().await;
            let before = read(&database).await;
            if name == "record" {
                mail = recorded(&store).await;
            } else {
                step(&store, name, mail).await;
            }
            let after = read(&database).await;
            let sum = bill.entry(name).or_default();
            *sum = [0, 1].map(|which| sum[which] + (after[which] - before[which]));
        }
        bills.push(bill);
    }
    for name in STEPS {
        let ([rows, pages], [rows_later, pages_later]) = (bills[0][name], bills[1][name]);
        let costs =
            format!("{name}: {rows}, then {rows_later} rows; {pages}, then {pages_later} pages");
        // What a round leaves behind is met by the next until it is vacuumed; and trees grow a
        // little higher.
        assert!(
            rows_later <= rows + 10 * ROUNDS && pages_later <= pages * 5 / 4 + 10 * ROUNDS,
            "{costs}"
        );
        // A step of a cut is chosen among the oldest of every kind.
        let most = if name == "cut" { 1800 } else { 150 };
        assert!(rows < most * ROUNDS, "{costs}");
    }
}

/// Plans are made once: those made over next to nothing must do when the tables have grown and much
/// is owed.
#[tokio::test]
async fn what_was_planned_while_the_store_was_empty_reads_no_more_when_it_is_full() {
    const OWED: i64 = 20_000;
    let database = alone().await;
    let store = database.open().await;
    let client = database.client().await;
    client.batch_execute(UNWATCHED).await.unwrap();
    client.batch_execute(&history(20)).await.unwrap();
    client.batch_execute("VACUUM ANALYZE").await.unwrap();
    let steps = async || {
        let mail = recorded(&store).await;
        for name in STEPS
            .into_iter()
            .filter(|name| !["record", "depth", "lists", "cut"].contains(name))
        {
            step(&store, name, mail).await;
        }
    };
    steps().await;
    client.batch_execute(&history(OWED)).await.unwrap();
    let owe = "INSERT INTO deliveries (incident, episode, receiver, integration, action, alias,
                                       notification, state, step,
                                       created_at, next_at)
               SELECT id, 1, 'two', 'webhook/0', 'trigger', 'a', '{}', 'pending', '{}', 1, $1
               FROM incidents WHERE id > 100";
    client
        .execute(owe, &[&(noon() + MINUTE).as_microsecond()])
        .await
        .unwrap();
    client
        .batch_execute("SELECT pg_stat_force_next_flush()")
        .await
        .unwrap();
    let [before, _] = counted(&client).await;
    steps().await;
    let [after, _] = read(&database).await;
    assert!(after - before < 2_000, "{} rows", after - before);
}
