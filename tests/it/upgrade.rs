//! Stores and configurations of every earlier version are taken by today's program.
//!
//! Each sample of `tests/upgrade` was made by the program of its version, in both databases, out of
//! real mails, and lies as that program left it when it was killed: alerts that are open, over and
//! reopened; a page held by a mute and one by a silence; mail in the quarantine and mail not yet
//! decided; pages owed and pages given up. Today's program goes on where that one stopped: it tells
//! what was owed, once, and the end of each alert to whoever was told of its beginning.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use alertbridge::{clock::Clock, config::Config, config::Files};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    harness::{Bridge, PATIENCE, client, smtp_try, tail},
    postgres::Database,
    vendors::{Fake, PagerDuty},
};

mod make;
mod sample;

use sample::{Pager, Sender::Proven, VERSIONS, alert, later, letter};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade")
}

fn folder_of(version: u32) -> PathBuf {
    samples().join(format!("V{version}"))
}

fn sample(version: u32, name: &str) -> Vec<u8> {
    let packed = fs::read(folder_of(version).join(name)).unwrap();
    zstd::bulk::decompress(&packed, 16 << 20).unwrap()
}

/// How many seconds a moment lies ahead of the machine's clock.
fn ahead(of: Timestamp) -> i64 {
    of.as_second() - Clock::system().now().as_second()
}

/// A store of an earlier version with today's bridge over it.
struct Upgraded {
    /// Which it is, for messages.
    name: String,
    version: u32,
    bridge: Bridge,
    pager: Fake<PagerDuty>,
    folder: tempfile::TempDir,
}

impl Upgraded {
    async fn from_sqlite(version: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = sample(version, "sqlite.db.zst");
        fs::write(folder.path().join("alertbridge.db"), store).unwrap();
        Self::start(version, folder, "sqlite:alertbridge.db").await
    }

    async fn from_postgres(version: u32) -> Self {
        let database = Database::create().await;
        let dump = String::from_utf8(sample(version, "postgres.sql.zst")).unwrap();
        database.client().await.batch_execute(&dump).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self::start(version, folder, &database.url()).await
    }

    async fn start(version: u32, folder: tempfile::TempDir, store: &str) -> Self {
        let pager = PagerDuty::start().await;
        let at = Pager {
            url: pager.url(),
            key: pager.key().to_owned(),
            // What was wrong at the time is mended.
            refused_key: pager.key().to_owned(),
            down_url: pager.url(),
        };
        let config = sample::config(version, store, &at);
        let clock = folder.path().join("clock");
        fs::write(&clock, ahead(later()).to_string()).unwrap();
        let started = {
            let (folder, clock) = (folder.path().to_owned(), clock.to_str().unwrap().to_owned());
            tokio::task::spawn_blocking(move || {
                Bridge::start_with(&folder, &config, &[("ALERTBRIDGE_CLOCK", &clock)])
            })
        };
        Self {
            name: format!("V{version}, {}", &store[..6]),
            version,
            bridge: started.await.unwrap(),
            pager,
            folder,
        }
    }

    /// Everything told so far: `trigger open:oncall`, sorted.
    fn told(&self) -> Vec<String> {
        let calls = self.pager.history();
        let mut told: Vec<_> = calls
            .iter()
            .map(|call| {
                let event = call.json().unwrap();
                format!(
                    "{} {}",
                    event["event_action"].as_str().unwrap(),
                    event["dedup_key"].as_str().unwrap()
                )
            })
            .collect();
        told.sort();
        told
    }

    /// Waits until all that is expected was told; nothing else may have been.
    async fn tells(&self, expected: &[&str]) {
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        expected.sort();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.told();
            if told == expected {
                return;
            }
            assert!(
                told.len() < expected.len() && Instant::now() < deadline,
                "{}: expected {expected:#?}, told {told:#?}\n{}",
                self.name,
                tail(&self.bridge.log())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A command at the bridge's own time.
    fn command(&self, arguments: &[&str]) -> Output {
        let clock = self.folder.path().join("clock");
        let environment = [("ALERTBRIDGE_CLOCK", clock.to_str().unwrap())];
        self.bridge.command_with(arguments, &environment)
    }

    /// What a command prints as JSON.
    fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}: {arguments:?}: {output:?}", self.name))
    }

    fn does(&self, arguments: &[&str]) {
        let output = self.command(arguments);
        assert!(output.status.success(), "{}: {output:?}", self.name);
    }

    fn send(&self, mail: &[u8]) {
        smtp_try(self.bridge.smtp.unwrap(), mail).unwrap();
    }

    /// The incidents of the kinds that mail makes.
    fn incidents(&self) -> BTreeSet<String> {
        let listed = self.list(&["incidents", "list", "--limit", "100"]);
        let mut named: BTreeSet<_> = listed
            .iter()
            .filter(|incident| incident["kind"] == "incident")
            .map(|incident| incident["incident_id"].as_str().unwrap().to_owned())
            .collect();
        named.remove("undecided");
        named
    }

    /// What was stored is there, and readable.
    fn holds_what_it_held(&self) {
        let mut expected = vec![
            "open", "over", "again", "forged", "marked", "refused", "owed", "muted", "silenced",
        ];
        if self.version >= 9 {
            expected.extend(["disks:sda", "disks:sdb", "disks:sdc", "backup:nightly"]);
        }
        // The rows of version 7 are those of the next.
        if self.version >= 7 {
            expected.push("by-hand");
        }
        let expected: BTreeSet<_> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(self.incidents(), expected, "{}", self.name);

        let raw = self.bridge.command(&["mails", "show", "1", "--raw"]).stdout;
        assert!(
            raw.ends_with(&alert(Proven, "open", "com.example.usual", "ANOMALOUS", 1)),
            "{}: {}",
            self.name,
            String::from_utf8_lossy(&raw)
        );
        for mail in self.list(&["mails", "list", "--limit", "100"]) {
            self.does(&["mails", "show", &mail["id"].to_string()]);
        }
        for incident in expected {
            self.does(&["incidents", "show", &incident]);
        }
        assert_eq!(self.list(&["silences", "list", "--expired"]).len(), 1);
        let dead = self.list(&["deliveries", "list", "--state", "dead"]);
        assert_eq!(dead.len(), 1, "{}", self.name);
        assert_eq!(dead[0]["receiver"], "refused");
    }

    async fn goes_on(&self) {
        // What was owed, held and undecided is told now.
        let mut told = vec![
            "trigger owed:down",
            "trigger muted:oncall",
            "trigger undecided:oncall",
        ];
        if self.version >= 2 {
            told.push("trigger silenced:oncall");
        }
        self.tells(&told).await;
        self.holds_what_it_held();

        // What was known is known: a copy tells nobody.
        let (firing, usual) = ("ANOMALOUS", "com.example.usual");
        self.send(&alert(Proven, "open", usual, firing, 1));
        self.send(&alert(Proven, "over", usual, "OK", 3));
        self.does(&["deliveries", "retry", "--dead"]);
        told.extend([
            "trigger refused:refused",
            "resolve self:dead-letters:oncall",
        ]);
        self.tells(&told).await;

        // What was told before ends where it was told.
        if self.version >= 9 {
            let whole = "sda is WHOLE\r\nsdb is WHOLE";
            self.send(&letter(
                "",
                "disks@example.net",
                "Disks",
                later(),
                "plain",
                whole,
            ));
            told.extend(["resolve disks:sda:oncall", "resolve disks:sdb:oncall"]);
            self.tells(&told).await;
        }
        self.is_sound().await;
    }

    /// The store keeps every promise.
    async fn is_sound(&self) {
        self.does(&["store", "check"]);
        if self.version >= 8 {
            let audit = client().get(format!("{}/api/v1/audit", self.bridge.admin));
            let audit: Value = audit.send().await.unwrap().json().await.unwrap();
            let closed = audit["items"].as_array().unwrap().iter();
            assert!(
                closed.filter(|deed| deed["subject"] == "by-hand").count() == 1,
                "{}: {audit:#}",
                self.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_every_version_are_taken_and_what_they_owed_is_told_once() {
    let trials = VERSIONS.map(|version| async move {
        Upgraded::from_sqlite(version).await.goes_on().await;
    });
    join_all(trials).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_of_every_version_are_taken_and_what_they_owed_is_told_once() {
    let trials = VERSIONS.map(|version| async move {
        Upgraded::from_postgres(version).await.goes_on().await;
    });
    join_all(trials).await;
}

#[test]
fn every_version_of_the_schema_has_a_sample() {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/migrations/sqlite");
    let scripts = refinery::load_sql_migrations(migrations).unwrap();
    for script in scripts {
        let folder = samples().join(format!("V{}", script.version()));
        for name in ["sqlite.db.zst", "postgres.sql.zst"] {
            assert!(
                folder.join(name).exists(),
                "{} has no {name}: upgrade/make.rs says how to make it",
                folder.display()
            );
        }
    }
}

#[test]
fn configurations_of_every_version_are_accepted() {
    let mut tried = 0;
    for version in VERSIONS {
        let Ok(files) = fs::read_dir(folder_of(version).join("config")) else {
            continue;
        };
        for file in files.map(|file| file.unwrap().path()) {
            let loaded = Config::load(Some(&file), Files::Unneeded);
            let errors = loaded.err().map(|errors| errors.to_string());
            assert_eq!(errors, None, "{}", file.display());
            tried += 1;
        }
    }
    assert!(tried >= 20, "{tried} are few");
}
