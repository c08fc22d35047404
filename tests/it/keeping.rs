//! `store backup`, `store restore`, `store check`: what an operator does to keep a store.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    e2e::DOORS,
    generator,
    harness::{Bridge, PROGRAM, run},
};

const REST: &str = "
ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }
route: { receiver: out }
receivers: [{ name: out, stdout_configs: [{}] }]
";

fn config() -> String {
    format!("{DOORS}{REST}")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

fn refused(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(
        said(output).contains(why),
        "{why:?} is not in: {}",
        said(output)
    );
}

fn verdict(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

/// A folder with a store of so many mails, and no bridge.
async fn store_of(mails: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &config());
    for mail in generator::generate(11, mails) {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    }
    bridge.settled(u32::try_from(mails).unwrap()).await;
    assert!(bridge.stop().success());
    for beside in ["alertbridge.db-wal", "alertbridge.db-shm"] {
        assert!(
            !folder.path().join(beside).exists(),
            "what has stopped is one file"
        );
    }
    folder
}

fn query(folder: &Path, file: &str, question: &str) -> i64 {
    Connection::open(folder.join(file))
        .unwrap()
        .query_row(question, [], |row| row.get(0))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_holds_every_mail_acknowledged_before_and_can_be_served_again() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Arc::new(Bridge::start(folder.path(), &config()));
    let mails = generator::generate(5, 400);
    for mail in &mails[..100] {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    }
    let done = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (bridge, done) = (Arc::clone(&bridge), Arc::clone(&done));
        async move {
            let mut sent = 0;
            for mail in mails[100..].iter().cycle() {
                assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
                sent += 1;
                if done.load(Ordering::SeqCst) && sent > 50 {
                    break;
                }
            }
            sent
        }
    });
    let before = query(
        folder.path(),
        "alertbridge.db",
        "SELECT count(*) FROM mails",
    );
    let made = ok(&bridge.command(&["store", "backup", "copy.db"]));
    assert!(
        made.contains("copy.db: a verified copy of alertbridge.db"),
        "{made}"
    );
    let checked = bridge.command(&["store", "check", "--json"]);
    assert_eq!(
        verdict(&checked)["findings"],
        Value::Array(vec![]),
        "a bridge at work is in order"
    );
    done.store(true, Ordering::SeqCst);
    let sent = load.await.unwrap();
    let copied = query(folder.path(), "copy.db", "SELECT count(*) FROM mails");
    assert!(
        before >= 100 && copied >= before && copied < 100 + sent,
        "{before} before, {copied} copied, {sent} sent"
    );
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    names.retain(|name| name.to_str().unwrap().starts_with("copy"));
    assert_eq!(names, ["copy.db"], "nothing is left beside it");

    refused(
        &bridge.command(&["store", "backup", "copy.db"]),
        "copy.db already exists",
    );
    ok(&bridge.command(&["store", "backup", "copy.db", "--overwrite"]));
    for itself in ["alertbridge.db", "./alertbridge.db-wal"] {
        refused(
            &bridge.command(&["store", "backup", itself, "--overwrite"]),
            "is the store itself",
        );
    }

    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("alertbridge.yaml"), config()).unwrap();
    let copy = folder.path().join("copy.db");
    let restored = run(
        elsewhere.path(),
        &["store", "restore", copy.to_str().unwrap()],
    );
    assert!(ok(&restored).contains("deliveries list --state pending"));
    ok(&run(elsewhere.path(), &["store", "check"]));
    let copied = query(
        &folder.path().join("."),
        "copy.db",
        "SELECT count(*) FROM mails",
    );
    let again = Bridge::start(elsewhere.path(), &config());
    assert_eq!(
        query(
            elsewhere.path(),
            "alertbridge.db",
            "SELECT count(*) FROM mails"
        ),
        copied
    );
    assert_eq!(
        again.post(&generator::generate(6, 1)[0].eml).await.unwrap(),
        202
    );
    again
        .settled_in_store(usize::try_from(copied).unwrap() + 1)
        .await;
    refused(
        &again.command(&["store", "restore", copy.to_str().unwrap()]),
        "is locked by another process",
    );
    assert!(again.stop().success());
    refused(
        &run(
            elsewhere.path(),
            &["store", "restore", copy.to_str().unwrap()],
        ),
        "already holds a store",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_takes_only_a_whole_store_of_a_version_it_knows_and_keeps_its_mode() {
    let folder = store_of(20).await;
    let path = folder.path();
    fs::set_permissions(
        path.join("alertbridge.db"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    ok(&run(path, &["store", "backup", "good.db"]));
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path.join("good.db")), 0o640, "as the store's");

    let good = fs::read(path.join("good.db")).unwrap();
    let mut bent = good.clone();
    for byte in bent.iter_mut().skip(4096 * 3).take(4096 * 8) {
        *byte ^= 0x5a;
    }
    fs::write(path.join("bent.db"), bent).unwrap();
    fs::write(path.join("short.db"), &good[..good.len() / 2]).unwrap();
    fs::write(path.join("text.db"), "no store").unwrap();
    fs::write(path.join("newer.db"), &good).unwrap();
    let newer = "INSERT INTO refinery_schema_history SELECT 999, name, applied_on, checksum FROM \
                 refinery_schema_history LIMIT 1";
    Connection::open(path.join("newer.db"))
        .unwrap()
        .execute(newer, [])
        .unwrap();
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("alertbridge.yaml"), config()).unwrap();
    for (file, why) in [
        ("bent.db", "damaged"),
        ("short.db", "damaged"),
        ("text.db", "is damaged (file is not a database)"),
        ("newer.db", "newer than this alertbridge"),
        ("none.db", "there is no file"),
    ] {
        refused(
            &run(
                target.path(),
                &["store", "restore", path.join(file).to_str().unwrap()],
            ),
            why,
        );
        assert!(!target.path().join("alertbridge.db").exists(), "{file}");
    }
    // An empty store is as good as none.
    ok(&run(target.path(), &["store", "migrate"]));
    ok(&run(
        target.path(),
        &["store", "restore", path.join("good.db").to_str().unwrap()],
    ));
    assert_eq!(mode(&target.path().join("alertbridge.db")), 0o640);
    let checked = run(target.path(), &["store", "check", "--json"]);
    assert_eq!(verdict(&checked)["totals"]["mails"], 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_names_whatever_was_tampered_with() {
    let folder = store_of(60).await;
    let path = folder.path();
    let fine = ok(&run(path, &["store", "check"]));
    assert!(
        fine.starts_with("60 mails, ") && fine.ends_with(": no damage found\nok\n"),
        "{fine}"
    );
    let good = fs::read(path.join("alertbridge.db")).unwrap();
    let trigger =
        "SELECT min(id) FROM deliveries WHERE action = 'trigger' AND EXISTS (SELECT 1 FROM \
         deliveries AS later
                   WHERE later.incident = deliveries.incident AND later.action = 'resolve')";
    let owed_again = "state = 'pending', settled_at = NULL";
    for (damage, check) in [
        ("DELETE FROM bodies WHERE mail = 1".to_owned(), "every mail keeps its bytes"),
        ("UPDATE bodies SET raw = (SELECT raw FROM bodies WHERE mail = 1) WHERE mail = \
          2".into(), "mails are unchanged"),
        ("UPDATE bodies SET raw = x'00' WHERE mail = 2".into(), "mails are unchanged"),
        ("DELETE FROM mails WHERE id = 1".into(), "bytes belong to a mail"),
        ("UPDATE mails SET outcome = 'pending', decided_at = NULL WHERE id = 1; UPDATE mails SET \
          decided_at = 1 WHERE id = 2"
            .into(), "every mail has an outcome"),
        ("UPDATE mails SET incident = NULL WHERE outcome = 'opened'".into(), "every decided mail \
                                                                              belongs to an \
                                                                              incident"),
        ("UPDATE mails SET outcome = 'silenced', reason = 'x' WHERE outcome = 'opened'".into(),
            "silenced mail has a reason, and nobody is told of it"),
        (format!("DELETE FROM deliveries WHERE id = ({trigger})"), "every page that was owed has a \
                                                                    delivery"),
        (format!("DELETE FROM deliveries WHERE id = ({trigger})"), "who is told of a resolve was \
                                                                    told of the trigger"),
        ("DELETE FROM incidents WHERE id = 1".into(), "rows belong together"),
        (format!("UPDATE deliveries SET {owed_again} WHERE id = 1"), "the head of each lane has a \
                                                                      due time"),
        (format!("UPDATE deliveries SET {owed_again}, next_at = 1 WHERE incident = (SELECT \
                  incident FROM deliveries WHERE id = ({trigger}))"),
            "no other delivery of a lane has a due time"),
        (
            format!("UPDATE attempts SET id = id + 100000 WHERE delivery = ({trigger})"),
            "triggers and resolves were delivered in order",
        ),
        ("DELETE FROM attempts WHERE delivery = 1".into(), "every delivered page was sent"),
        (
            "UPDATE deliveries SET state = 'dead', detail = NULL WHERE id = 1".into(),
            "every dead letter has a reason",
        ),
        (format!("UPDATE deliveries SET state = 'held', settled_at = NULL, next_at = 9e15, \
                  held_until = 9e15 WHERE id = ({trigger})"),
            "no page of a resolved incident is held"),
        ("DELETE FROM applied".into(), "every incident has an applied mail"),
    ] {
        fs::write(path.join("alertbridge.db"), &good).unwrap();
        let tamper = Connection::open(path.join("alertbridge.db")).unwrap();
        tamper.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA journal_mode = DELETE").unwrap();
        tamper.execute_batch(&damage).unwrap();
        drop(tamper);
        let checked = run(path, &["store", "check", "--json"]);
        assert_eq!(checked.status.code(), Some(1), "{damage}");
        let verdict = verdict(&checked);
        let found = verdict["findings"].as_array().unwrap();
        assert!(found.iter().any(|finding| finding["check"] == check), "{damage}: {check:?} is not \
            in {verdict:#}");
        assert_eq!(verdict["ok"], false);
        let quick = run(path, &["store", "check", "--quick"]);
        assert_eq!(quick.status.success(), check == "mails are unchanged", "{damage}: the bytes \
                                                                            alone are left out");
    }
    let mut bent = good.clone();
    for byte in bent.iter_mut().skip(4096 * 2).take(4096 * 10) {
        *byte ^= 0x5a;
    }
    fs::write(path.join("alertbridge.db"), bent).unwrap();
    refused(
        &run(path, &["store", "check"]),
        "failed: the file is intact: ",
    );
    fs::remove_file(path.join("alertbridge.db")).unwrap();
    refused(
        &run(path, &["store", "check"]),
        "there is no store alertbridge.db yet",
    );
    refused(
        &run(path, &["store", "backup", "x.db"]),
        "there is no store alertbridge.db yet",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_long_shows_how_far_it_is_on_a_terminal_and_nowhere_else() {
    let folder = store_of(20).await;
    for (words, shown) in [
        (
            &["store", "check"][..],
            &["looking for damage", "/20 mails"][..],
        ),
        (&["store", "check", "--quick"], &["looking for damage"]),
        (
            &["store", "backup", "copy.db"],
            &["looking at the store", " pages, ", "verifying the copy"],
        ),
        (&["replay", "--stored"], &["mails replayed"]),
    ] {
        let piped = run(folder.path(), words);
        let seen = String::from_utf8_lossy(&piped.stderr);
        assert!(
            !seen.contains(['\r', '\u{1b}']) && !shown.iter().any(|part| seen.contains(part)),
            "{words:?}: {seen}"
        );
        let _copy = fs::remove_file(folder.path().join("copy.db"));
        // A terminal, by util-linux.
        let typed = [&[PROGRAM][..], words].concat().join(" ");
        let mut script = Command::new("script");
        let script = script
            .args(["-qec", &typed, "/dev/null"])
            .env("TERM", "xterm")
            .current_dir(folder.path());
        let output = script.output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout);
        for part in shown {
            assert!(
                seen.contains(part),
                "{words:?}: {part:?} is not in {seen:?}"
            );
        }
    }
}

#[test]
fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertbridge.db");
    Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (a)")
        .unwrap();
    let before = fs::read(&file).unwrap();
    fs::write(folder.path().join("alertbridge.yaml"), config()).unwrap();
    for command in [&["store", "migrate"][..], &["serve"], &["store", "check"]] {
        let output = run(folder.path(), command);
        refused(&output, "is not an alertbridge store");
        assert!(
            fs::read(&file).unwrap() == before,
            "{command:?} wrote to it"
        );
    }
}
