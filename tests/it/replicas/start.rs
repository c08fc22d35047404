//! Replicas killed before they greet: while the schema is made, and while what waits is brought
//! forward.

use std::{
    process::{Child, Command, Stdio},
    thread,
};

use alertbridge::store::postgres::{Address, versions};

use super::*;
use crate::harness::{PROGRAM, unless_judged};

const PRINTING: &str = "
ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }
route: { receiver: out }
receivers: [{ name: out, stdout_configs: [{}] }]";

fn printing(database: &Database) -> String {
    format!(
        "{}{PRINTING}",
        DOORS.replace("sqlite:alertbridge.db", &database.url())
    )
}

/// `serve`, of which nobody awaits a greeting.
fn serve(folder: &Path, config: &str) -> Child {
    fs::write(folder.join("alertbridge.yaml"), unless_judged(config)).unwrap();
    let mut serve = Command::new(PROGRAM);
    serve
        .arg("serve")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until so many of the bridge's sessions wait for such a lock.
async fn until_waiting(client: &tokio_postgres::Client, event: &str, sessions: i64) {
    let question = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name = 'alertbridge' AND wait_event_type = 'Lock' AND \
                    wait_event = $1";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting: i64 = client.query_one(question, &[&event]).await.unwrap().get(0);
        if waiting == sessions {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{waiting} of {sessions} sessions wait for {event}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_killed_while_it_migrates_leaves_the_migration_to_those_who_wait() {
    let database = Database::create().await;
    let config = printing(&database);
    let (mut blocker, client) = (database.client().await, database.client().await);
    // The last table of the schema is being made by somebody who does not come to an end: whoever
    // migrates waits there.
    let blocking = blocker.transaction().await.unwrap();
    blocking
        .batch_execute("CREATE TABLE attempts (blocked int)")
        .await
        .unwrap();
    let folders: Vec<_> = (0..REPLICAS)
        .map(|_| tempfile::tempdir().unwrap())
        .collect();
    let mut first = serve(folders[0].path(), &config);
    until_waiting(&client, "transactionid", 1).await;
    let others: Vec<_> = folders[1..]
        .iter()
        .map(|folder| {
            let (folder, config) = (folder.path().to_owned(), config.clone());
            thread::spawn(move || Bridge::start(&folder, &config))
        })
        .collect();
    until_waiting(&client, "advisory", 2).await;
    assert!(
        others.iter().all(|other| !other.is_finished()),
        "nobody goes on before the schema is there"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    blocking.rollback().await.unwrap();
    let others = tokio::task::spawn_blocking(|| {
        others
            .into_iter()
            .map(|other| other.join().unwrap())
            .collect::<Vec<_>>()
    });
    let others = others.await.unwrap();
    let (found, known) = versions(&Address::parse(&database.url()).unwrap())
        .await
        .unwrap();
    let run: i64 = client
        .query_one("SELECT count(*) FROM refinery_schema_history", &[])
        .await
        .unwrap()
        .get(0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/migrations/postgres");
    let migrations = fs::read_dir(folder).unwrap().count();
    assert_eq!(
        (found, usize::try_from(run).unwrap()),
        (known, migrations),
        "each migration was run once"
    );
    assert_eq!(
        schema(&client).await,
        schema(&migrated().await).await,
        "the schema is as one alone makes it"
    );
    for (bridge, mail) in others.iter().zip(opening()) {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
        at_rest(bridge).await;
    }
    assert!(others[0].command(&["store", "check"]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_killed_while_it_brings_forward_what_waits_harms_nobody() {
    let database = Database::create().await;
    let config = printing(&database);
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let bridge = Bridge::start(folders[0].path(), &config);
    let mut mails = opening();
    assert_eq!(bridge.post(&mails.next().unwrap().eml).await.unwrap(), 202);
    at_rest(&bridge).await;
    let (mut blocker, client) = (database.client().await, database.client().await);
    let blocking = blocker.transaction().await.unwrap();
    blocking
        .batch_execute("LOCK TABLE deliveries IN SHARE MODE")
        .await
        .unwrap();
    let mut starting = serve(folders[1].path(), &config);
    // It changes rows, or would; the other only looks for some.
    let question = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' AND query LIKE '%WITH waiting AS MATERIALIZED%'";
    let deadline = Instant::now() + PATIENCE;
    while client
        .query_one(question, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(Instant::now() < deadline, "it does not come so far");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    starting.kill().unwrap();
    starting.wait().unwrap();
    blocking.rollback().await.unwrap();
    let again = Bridge::start(folders[1].path(), &config);
    for (bridge, mail) in [&bridge, &again].into_iter().zip(mails) {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
        at_rest(bridge).await;
    }
    assert_eq!(
        bridge.pages().len() + again.pages().len(),
        3,
        "each is told once"
    );
    assert!(again.command(&["store", "check"]).status.success());
}

fn opening() -> impl Iterator<Item = Generated> {
    generator::generate(7, 80)
        .into_iter()
        .filter(|mail| mail.truth.outcome == Outcome::Opened)
}

async fn migrated() -> tokio_postgres::Client {
    let database = Database::create().await;
    database.open().await;
    database.client().await
}

/// Every column, index and constraint.
async fn schema(client: &tokio_postgres::Client) -> Vec<String> {
    let all = "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, \
               column_default) AS one
               FROM information_schema.columns WHERE table_schema = 'public'
               UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
               UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM \
               pg_constraint
                         WHERE connamespace = 'public'::regnamespace
               ORDER BY one";
    client
        .query(all, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}
