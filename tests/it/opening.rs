//! How a store is opened: by whoever comes first, for its owner alone, and only where it is meant
//! to be.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use rusqlite::Connection;

use crate::{
    delivery::trigger,
    e2e::DOORS,
    harness::{Bridge, PROGRAM, run},
    postgres::Database,
};

const REST: &str = "
ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }
route: { receiver: out }
receivers: [{ name: out, stdout_configs: [{}] }]
";

fn configured(folder: &Path, url: &str) {
    let doors = DOORS.replace("sqlite:alertbridge.db", url);
    fs::write(folder.join("alertbridge.yaml"), format!("{doors}{REST}")).unwrap();
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn spawned(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Commands of every kind that opens a store, all at once, with a `serve` among them; each does
/// what it is for.
fn opened_by_many(folder: &Path, before: impl Fn()) {
    for _ in 0..6 {
        before();
        let serve = spawned(folder, &["serve"]);
        let commands: [&[&str]; 4] = [
            &["store", "migrate"],
            &["mails", "list"],
            &["store", "check"],
            &["incidents", "list", "--json"],
        ];
        let running: Vec<_> = (0..12)
            .map(|n| spawned(folder, commands[n % commands.len()]))
            .collect();
        for (n, child) in running.into_iter().enumerate() {
            let output = child.wait_with_output().unwrap();
            let said = said(&output);
            // What comes before anybody has made the store says so.
            let early =
                said.contains("there is no store") || said.contains("is not an alertbridge store");
            let early = early || said.contains("`alertbridge store migrate` migrates it");
            assert!(
                output.status.success() || early && n % 4 > 0,
                "{:?}: {said}",
                commands[n % 4]
            );
        }
        let id = serve.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let output = serve.wait_with_output().unwrap();
        assert!(
            output.status.success() || output.status.code().is_none(),
            "{}",
            said(&output)
        );
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(
            !log.contains("already exists") && !log.contains("locked"),
            "{log}"
        );
        let checked = run(folder, &["store", "check"]);
        assert!(checked.status.success(), "{}", said(&checked));
    }
}

#[test]
fn many_processes_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), "sqlite:alertbridge.db");
    opened_by_many(folder.path(), || {
        for ending in ["", "-wal", "-shm", ".lock", ".opening"] {
            let _ = fs::remove_file(folder.path().join(format!("alertbridge.db{ending}")));
        }
    });
}

#[test]
fn many_processes_open_a_file_of_an_earlier_version_at_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = refinery::load_sql_migrations(root.join("schema/migrations/sqlite")).unwrap();
    scripts.sort_by_key(refinery::Migration::version);
    let sample = fs::read_to_string(root.join("tests/store/V1.sql")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), "sqlite:alertbridge.db");
    let path = folder.path().join("alertbridge.db");
    opened_by_many(folder.path(), || {
        for ending in ["", "-wal", "-shm", ".lock", ".opening"] {
            let _ = fs::remove_file(folder.path().join(format!("alertbridge.db{ending}")));
        }
        let mut connection = Connection::open(&path).unwrap();
        refinery::Runner::new(&scripts[..1])
            .run(&mut connection)
            .unwrap();
        connection.execute_batch(&sample).unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_open_a_new_database_at_once_and_one_of_an_earlier_version() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), &database.url());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts =
        refinery::load_sql_migrations(root.join("schema/migrations/postgres")).unwrap();
    scripts.sort_by_key(refinery::Migration::version);
    let sample = fs::read_to_string(root.join("tests/store/postgres/V1.sql")).unwrap();
    for earlier in [false, true] {
        for _ in 0..3 {
            let mut client = database.client().await;
            client
                .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                .await
                .unwrap();
            if earlier {
                refinery::Runner::new(&scripts[..1])
                    .run_async(&mut client)
                    .await
                    .unwrap();
                client.batch_execute(&sample).await.unwrap();
            }
            let running: Vec<_> = (0..10)
                .map(|_| spawned(folder.path(), &["store", "migrate"]))
                .collect();
            for child in running {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", said(&output));
            }
            let checked = run(folder.path(), &["mails", "list"]);
            assert!(checked.status.success(), "{}", said(&checked));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_store_and_its_backup_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let of = |ending: &str| folder.path().join(format!("alertbridge.db{ending}"));
    let bridge = Bridge::start(folder.path(), &format!("{DOORS}{REST}"));
    for ending in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&of(ending)), 0o600, "{ending}");
    }
    let backup = bridge.command(&["store", "backup", "copy.db"]);
    assert!(backup.status.success(), "{}", said(&backup));
    assert_eq!(mode(&folder.path().join("copy.db")), 0o600);
    assert!(bridge.stop().success());

    // As an earlier version made it, or somebody who copied it about.
    for ending in ["", ".lock"] {
        fs::set_permissions(of(ending), Permissions::from_mode(0o644)).unwrap();
    }
    let bridge = Bridge::start(folder.path(), &format!("{DOORS}{REST}"));
    for ending in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&of(ending)), 0o600, "{ending}");
    }
    assert!(
        bridge.log().contains("everybody could read the store"),
        "{}",
        bridge.log()
    );
    assert!(bridge.stop().success());
    fs::set_permissions(folder.path().join("copy.db"), Permissions::from_mode(0o666)).unwrap();
    fs::remove_file(of("")).unwrap();
    let restored = run(folder.path(), &["store", "restore", "copy.db"]);
    assert!(restored.status.success(), "{}", said(&restored));
    assert_eq!(mode(&of("")), 0o600);
}

#[test]
fn a_folder_that_is_not_there_is_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), "sqlite:not/mounted/store.db");
    for command in [
        &["serve"][..],
        &["store", "migrate"],
        &["store", "restore", "copy.db"],
    ] {
        fs::write(folder.path().join("copy.db"), "").unwrap();
        let refused = run(folder.path(), command);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let why = said(&refused);
        assert!(
            why.contains("there is no folder not/mounted") || command.len() == 3,
            "{why}"
        );
        assert!(!folder.path().join("not").exists());
    }
    let checked = run(folder.path(), &["check"]);
    let warning = "warning: store.url: there is no folder not/mounted: create it";
    assert!(said(&checked).contains(warning), "{}", said(&checked));
    assert!(checked.status.success(), "it may be checked elsewhere");
}

#[test]
fn what_is_no_file_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    configured(folder.path(), "sqlite:data");
    for command in [&["serve"][..], &["store", "migrate"]] {
        let refused = run(folder.path(), command);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let why = said(&refused);
        assert!(why.contains("data is a folder: name a file in it"), "{why}");
    }
    assert_eq!(mode(&data), 0o755);
    let checked = said(&run(folder.path(), &["check"]));
    assert!(
        checked.contains("warning: store.url: data is a folder"),
        "{checked}"
    );
}

#[tokio::test]
async fn a_store_is_served_by_one_whatever_link_leads_to_it() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let serving = Bridge::start(first.path(), &format!("{DOORS}{REST}"));
    let link = second.path().join("alertbridge.db");
    std::os::unix::fs::symlink(first.path().join("alertbridge.db"), &link).unwrap();
    configured(second.path(), "sqlite:alertbridge.db");
    let refused = run(second.path(), &["serve"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("locked by another process"),
        "{}",
        said(&refused)
    );
    drop(serving);
}

#[tokio::test]
async fn a_store_whose_file_is_removed_takes_no_mail_until_it_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &format!("{DOORS}{REST}"));
    let mail = trigger("moved-1");
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled(1).await;

    let (file, aside) = (
        folder.path().join("alertbridge.db"),
        folder.path().join("aside.db"),
    );
    fs::rename(&file, &aside).unwrap();
    assert_eq!(bridge.post(&trigger("moved-2")).await.unwrap(), 503);

    fs::rename(&aside, &file).unwrap();
    assert_eq!(bridge.post(&trigger("moved-2")).await.unwrap(), 202);
    bridge.settled(2).await;
}

#[test]
fn a_store_of_every_earlier_version_is_restored_from_its_backup() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = refinery::load_sql_migrations(root.join("schema/migrations/sqlite")).unwrap();
    scripts.sort_by_key(refinery::Migration::version);
    for newest in 0..scripts.len() {
        let folder = tempfile::tempdir().unwrap();
        configured(folder.path(), "sqlite:alertbridge.db");
        let path = folder.path().join("alertbridge.db");
        let mut connection = Connection::open(&path).unwrap();
        // Both as the versions before had it and as this one does.
        connection
            .pragma_update(None, "foreign_keys", newest % 2 == 0)
            .unwrap();
        refinery::Runner::new(&scripts[..=newest])
            .run(&mut connection)
            .unwrap();
        drop(connection);
        for migrated in [false, true] {
            if migrated {
                assert!(run(folder.path(), &["store", "migrate"]).status.success());
            }
            let backup = run(
                folder.path(),
                &["store", "backup", "--overwrite", "copy.db"],
            );
            assert!(backup.status.success(), "{}", said(&backup));
            fs::remove_file(&path).unwrap();
            let restored = run(folder.path(), &["store", "restore", "copy.db"]);
            assert!(
                restored.status.success(),
                "{}: {}",
                scripts[newest],
                said(&restored)
            );
        }
    }
}

/// A backup, with what somebody did to it.
fn tampered(folder: &Path, with: &str) -> PathBuf {
    let path = folder.join("tampered.db");
    fs::copy(folder.join("backup.db"), &path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(with)
        .unwrap();
    path
}

#[test]
fn a_backup_that_holds_what_is_not_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configured(folder, "sqlite:alertbridge.db");
    assert!(run(folder, &["store", "migrate"]).status.success());
    assert!(
        run(folder, &["store", "backup", "backup.db"])
            .status
            .success()
    );
    fs::remove_file(folder.join("alertbridge.db")).unwrap();
    for (with, why) in [
        (
            "CREATE TRIGGER t AFTER INSERT ON mails BEGIN DELETE FROM deliveries; END",
            "creates no trigger t",
        ),
        ("CREATE VIEW v AS SELECT 1", "creates no view v"),
        ("CREATE TABLE extra (a)", "creates no table extra"),
        (
            "CREATE INDEX extra ON mails (size)",
            "creates no index extra",
        ),
        (
            "CREATE VIRTUAL TABLE search USING fts5(a)",
            "creates no table search",
        ),
        (
            "DROP INDEX mails_due; CREATE INDEX mails_due ON mails (check_at, id)",
            "index mails_due is not as",
        ),
        ("DROP INDEX mails_due", "it lacks the index mails_due"),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'raw  BLOB \
             NOT NULL',
             'raw BLOB NOT NULL DEFAULT (zeroblob(1))') WHERE name = 'bodies'",
            "table bodies is not as",
        ),
        (
            "ALTER TABLE silences ADD COLUMN more INT AS (abs(starts_at))",
            "table silences is not as",
        ),
    ] {
        let path = tampered(folder, with);
        let refused = run(folder, &["store", "restore", path.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1), "{with}: {}", said(&refused));
        assert!(said(&refused).contains(why), "{with}: {}", said(&refused));
        assert!(!folder.join("alertbridge.db").exists());
    }
    // What SQLite makes of itself is ours.
    let path = tampered(folder, "ANALYZE");
    let restored = run(folder, &["store", "restore", path.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", said(&restored));
}
