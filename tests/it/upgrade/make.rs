//! Makes the sample of a version, by the program of that version.
//!
//! ```sh
//! MADE_BY=…/alertbridge VERSION=9 cargo test --test it upgrade::make -- --ignored
//! ```
//!
//! `MADE_BY` is a debug build of the commit before the next version of the schema. The sample lies
//! as that program left it when it was killed.
//!
//! Versions 2, 3 and 7 were replaced within hours, and no program was released with them. Their
//! samples are made of their own migrations and the rows of the version that followed
//! (`VERSION=2 FROM=6`).

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use super::{
    folder_of, sample,
    sample::{
        Pager,
        Sender::{Proven, Unproven},
        alert, config, letter, then,
    },
};
use crate::{
    harness::{Bridge, PATIENCE, client, smtp_try, tail},
    port::free_port,
    postgres::{Database, PASSWORD, programs},
    vendors::{Fake, PagerDuty},
};

/// Runs the older program as the harness runs today's.
const AS_THEN: &str = r#"exec "$MADE_BY" serve "$4" "$5""#;

struct Maker {
    version: u32,
    folder: tempfile::TempDir,
    config: String,
    pager: Fake<PagerDuty>,
    clock: String,
}

impl Maker {
    async fn new(version: u32, store: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pager = PagerDuty::start().await;
        let at = Pager {
            url: pager.url(),
            key: pager.key().to_owned(),
            refused_key: "f".repeat(32),
            down_url: format!("http://127.0.0.1:{}/v2/enqueue", free_port()),
        };
        let clock = folder.path().join("clock");
        std::fs::write(&clock, super::ahead(then()).to_string()).unwrap();
        Self {
            version,
            config: config(version, store, &at),
            pager,
            clock: clock.to_str().unwrap().to_owned(),
            folder,
        }
    }

    fn start(&self, crash: &str) -> Bridge {
        Bridge::start_under(
            &["sh", "-c", AS_THEN],
            self.folder.path(),
            &self.config,
            &[
                ("ALERTBRIDGE_CLOCK", &self.clock),
                ("ALERTBRIDGE_CRASH", crash),
            ],
        )
    }

    /// Another command of that program.
    fn command(&self, arguments: &[&str]) {
        let output = Command::new(std::env::var("MADE_BY").unwrap())
            .args(arguments)
            .current_dir(self.folder.path())
            .env("ALERTBRIDGE_CLOCK", &self.clock)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Waits until so many mails are decided, and each page is where it is to be.
    async fn at_rest(&self, bridge: &Bridge, mails: u32, [pending, held, dead]: [u32; 3]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let decided = bridge.metric("alertbridge_mails_total", "").await;
            let mut found = Vec::new();
            for state in ["pending", "held", "dead"] {
                found.push(
                    bridge
                        .metric("alertbridge_deliveries", state)
                        .await
                        .to_string(),
                );
            }
            if decided >= f64::from(mails) && found == [pending, held, dead].map(|n| n.to_string())
            {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{decided} mails, {found:?}\n{}",
                tail(&bridge.log())
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Everything that is to be found again.
    async fn live(&self) {
        let bridge = self.start("");
        let smtp = bridge.smtp.unwrap();
        let mut sent = 0;
        let mut over_smtp = async |mail: Vec<u8>, states| {
            smtp_try(smtp, &mail).unwrap();
            sent += 1;
            self.at_rest(&bridge, sent, states).await;
        };
        self.command(&[
            "silences",
            "add",
            "incident_id=silenced",
            "--comment",
            "CHG-1",
            "--duration",
            "1h",
        ]);
        let firing = "ANOMALOUS";
        let usual = "com.example.usual";
        let calm = [0, 0, 0];
        over_smtp(alert(Proven, "open", usual, firing, 1), calm).await;
        over_smtp(alert(Proven, "open", usual, firing, 1), calm).await;
        over_smtp(alert(Proven, "over", usual, firing, 2), calm).await;
        over_smtp(alert(Proven, "over", usual, "OK", 3), calm).await;
        for (status, minute) in [(firing, 4), ("OK", 5), (firing, 6)] {
            over_smtp(alert(Proven, "again", usual, status, minute), calm).await;
        }
        over_smtp(alert(Proven, "forged", usual, firing, 7), calm).await;
        over_smtp(alert(Unproven, "forged", usual, "OK", 8), calm).await;
        over_smtp(alert(Unproven, "marked", usual, firing, 9), calm).await;
        let newsletter = letter("", "news@example.net", "News", then(), "plain", "Hello");
        over_smtp(newsletter, calm).await;
        let broken = alert(Proven, "broken", usual, firing, 10);
        let broken = String::from_utf8(broken)
            .unwrap()
            .replace("\"time\"", "\"when\"");
        over_smtp(broken.into_bytes(), calm).await;
        if self.version >= 9 {
            let disks = "sda is BROKEN\r\nsdb is BROKEN\r\nsdc is WHOLE";
            let disks = letter("", "disks@example.net", "Disks", then(), "plain", disks);
            over_smtp(disks, calm).await;
            let backup = letter("", "backup@example.net", "DONE", then(), "plain", "x");
            over_smtp(backup, calm).await;
        }
        if self.version >= 8 {
            over_smtp(alert(Proven, "by-hand", usual, firing, 11), calm).await;
            let resolve = format!("{}/api/v1/incidents/by-hand/resolve", bridge.admin);
            let reply = client().post(resolve).send().await.unwrap();
            assert!(reply.status().is_success(), "{reply:?}");
        }
        over_smtp(
            alert(Proven, "refused", "com.example.refused", firing, 12),
            [0, 0, 1],
        )
        .await;
        over_smtp(
            alert(Proven, "owed", "com.example.down", firing, 13),
            [1, 0, 1],
        )
        .await;
        over_smtp(
            alert(Proven, "muted", "com.example.muted", firing, 14),
            [1, 1, 1],
        )
        .await;
        over_smtp(alert(Proven, "silenced", usual, firing, 15), [1, 1, 1]).await;
        // A resolve is held, and there are dead letters.
        let own = |fake: &Fake<PagerDuty>| {
            let pages = fake.pages();
            pages
                .iter()
                .filter(|page| page.key.starts_with("self:"))
                .count()
                == 2
        };
        self.pager.wait_until("the bridge's own alarms", own).await;
        self.at_rest(&bridge, sent, [1, 1, 1]).await;
        drop(bridge);

        // Acknowledged and not decided.
        let mut bridge = self.start("recorded");
        let undecided = alert(Proven, "undecided", usual, firing, 16);
        let _ = smtp_try(bridge.smtp.unwrap(), &undecided);
        let deadline = Instant::now() + PATIENCE;
        while !bridge.ended() {
            assert!(Instant::now() < deadline, "{}", bridge.log());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// Packs a sample into the repository.
fn keep(version: u32, name: &str, sample: &[u8]) {
    let to = folder_of(version);
    std::fs::create_dir_all(&to).unwrap();
    let packed = zstd::bulk::compress(sample, 19).unwrap();
    std::fs::write(to.join(name), packed).unwrap();
}

/// The statements that make a database again, without what is meant for psql alone.
fn dumped(database: &Database) -> String {
    let dump = Command::new(programs().join("pg_dump"))
        .args(["--inserts", "--no-owner", "--no-privileges"])
        .arg(database.address())
        .env("PGPASSWORD", PASSWORD)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(dump.status.success());
    let dump = String::from_utf8(dump.stdout).unwrap();
    let lines = dump.lines().filter(|line| !line.starts_with('\\'));
    lines.collect::<Vec<_>>().join("\n")
}

fn version() -> u32 {
    std::env::var("VERSION").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it makes test data"]
async fn a_sqlite_store() {
    let maker = Maker::new(version(), "sqlite:alertbridge.db").await;
    maker.live().await;
    let file = maker.folder.path().join("alertbridge.db");
    // What is in the log is moved into the file.
    let store = rusqlite::Connection::open(&file).unwrap();
    store
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(store);
    keep(version(), "sqlite.db.zst", &std::fs::read(file).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it makes test data"]
async fn a_postgresql_database() {
    let database = Database::create().await;
    let maker = Maker::new(version(), &database.url()).await;
    maker.live().await;
    keep(version(), "postgres.sql.zst", dumped(&database).as_bytes());
}

/// The scripts that lead to a version.
fn migrations(database: &str, version: u32) -> Vec<refinery::Migration> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/migrations");
    let mut scripts = refinery::load_sql_migrations(folder.join(database)).unwrap();
    scripts.sort_by_key(refinery::Migration::version);
    scripts.retain(|script| script.version().unsigned_abs() <= version);
    scripts
}

#[test]
#[ignore = "it makes test data"]
fn a_sqlite_store_of_the_rows_of_the_next() {
    let from = std::env::var("FROM").unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let next = folder.path().join("next.db");
    std::fs::write(&next, sample(from, "sqlite.db.zst")).unwrap();

    let file = folder.path().join("alertbridge.db");
    let mut store = rusqlite::Connection::open(&file).unwrap();
    store
        .pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .unwrap();
    store.pragma_update(None, "journal_mode", "WAL").unwrap();
    refinery::Runner::new(&migrations("sqlite", version()))
        .run(&mut store)
        .unwrap();
    store
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; ATTACH '{}' AS next",
            next.display()
        ))
        .unwrap();
    let columns = "
SELECT tables.name, group_concat(columns.name) FROM main.sqlite_master AS tables
JOIN pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND tables.name NOT LIKE 'refinery%' GROUP BY tables.name";
    let tables: Vec<(String, String)> = store
        .prepare(columns)
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (table, columns) in tables {
        let copied = format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} ({columns}) SELECT {columns} FROM next.{table}"
        );
        store.execute_batch(&copied).unwrap();
    }
    store
        .execute_batch("DETACH next; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(store);
    keep(version(), "sqlite.db.zst", &std::fs::read(file).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it makes test data"]
async fn a_postgresql_database_of_the_rows_of_the_next() {
    let from = std::env::var("FROM").unwrap().parse().unwrap();
    let [own, next] = [Database::create().await, Database::create().await];
    let dump = String::from_utf8(sample(from, "postgres.sql.zst")).unwrap();
    let theirs = next.client().await;
    theirs.batch_execute(&dump).await.unwrap();

    let mut ours = own.client().await;
    refinery::Runner::new(&migrations("postgres", version()))
        .run_async(&mut ours)
        .await
        .unwrap();
    ours.batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    let tables = "SELECT table_name FROM information_schema.tables
                  WHERE table_schema = 'public' AND table_name NOT LIKE 'refinery%'";
    for row in ours.query(tables, &[]).await.unwrap() {
        let table: &str = row.get(0);
        let rows = format!("SELECT coalesce(json_agg(t), '[]')::text FROM public.{table} AS t");
        let rows: String = theirs.query_one(&rows, &[]).await.unwrap().get(0);
        let copied = format!(
            "INSERT INTO {table} OVERRIDING SYSTEM VALUE
             SELECT * FROM json_populate_recordset(NULL::{table}, $1::text::json)"
        );
        ours.execute(&copied, &[&rows]).await.unwrap();
    }
    let sequences =
        "SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL";
    for row in theirs.query(sequences, &[]).await.unwrap() {
        let (name, last): (&str, i64) = (row.get(0), row.get(1));
        let set = format!(
            "SELECT setval(sequencename::text::regclass, {last}) FROM pg_sequences
             WHERE sequencename = '{name}'"
        );
        ours.query(&set, &[]).await.unwrap();
    }
    keep(version(), "postgres.sql.zst", dumped(&own).as_bytes());
}
