//! kill -9 in a backup and in a restore: what is half written is taken for a store by nobody.

use std::process::{Command, Stdio};

use super::*;
use crate::harness::{PROGRAM, run};

const CONFIG: &str = "
ingress: { http: { listen: '127.0.0.1:0', max_body: 2MiB }, webhook: [{ name: http }] }
route: { receiver: out }
receivers: [{ name: out, stdout_configs: [{}] }]";
const MAILS: usize = 10;

/// A folder with a store that takes several steps to copy, and no bridge.
async fn large_store() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &format!("{DOORS}{CONFIG}"));
    let mut rng = fastrand::Rng::with_seed(5);
    for mail in generator::generate(5, MAILS) {
        // Letters at random behind the mail's end: little can be made of them.
        let filling: Vec<u8> = std::iter::repeat_with(|| rng.alphanumeric() as u8)
            .take(1 << 20)
            .collect();
        assert_eq!(
            bridge.post(&[mail.eml, filling].concat()).await.unwrap(),
            202
        );
    }
    at_rest(&bridge).await;
    assert!(bridge.stop().success());
    folder
}

fn dies(folder: &Path, words: &[&str], point: &str) {
    let output = Command::new(PROGRAM)
        .args(words)
        .current_dir(folder)
        .env("ALERTBRIDGE_CRASH", point)
        .output();
    let output = output.unwrap();
    assert_eq!(
        output.status.code(),
        None,
        "{point}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a command, and kills it at some time.
async fn killed(folder: &Path, words: &[&str], after: Duration) {
    let mut command = Command::new(PROGRAM);
    let command = command
        .args(words)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut command = command.spawn().unwrap();
    tokio::time::sleep(after).await;
    command.kill().unwrap();
    command.wait().unwrap();
}

fn refused(folder: &Path, words: &[&str], why: &str) {
    let output = run(folder, words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
    assert!(said.contains(why), "{words:?}: {why:?} is not in: {said}");
}

fn done(folder: &Path, words: &[&str]) {
    let output = run(folder, words);
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn mails(store: &Path) -> usize {
    let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let mails = Connection::open(store)
        .unwrap()
        .query_row("SELECT count(*) FROM mails", [], count)
        .unwrap();
    usize::try_from(mails).unwrap()
}

fn without_store(folder: &Path) {
    for ending in ["", "-wal", "-shm", ".restoring", ".restoring-journal"] {
        let _not_there = fs::remove_file(folder.join(format!("alertbridge.db{ending}")));
    }
}

fn names(folder: &Path, beginning: &str) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(beginning)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_dies_leaves_the_old_one_and_nothing_that_is_taken_for_a_store() {
    let folder = large_store().await;
    let folder = folder.path();
    done(folder, &["store", "backup", "copy.db"]);
    let old = fs::read(folder.join("copy.db")).unwrap();
    let again = ["store", "backup", "copy.db", "--overwrite"];
    for point in ["copying:1", "copied"] {
        dies(folder, &again, point);
        assert!(
            fs::read(folder.join("copy.db")).unwrap() == old,
            "another one, after {point}"
        );
        if point == "copying:1" {
            let elsewhere = tempfile::tempdir().unwrap();
            let half = folder.join("copy.db.partial");
            refused(
                elsewhere.path(),
                &["store", "restore", half.to_str().unwrap()],
                "copy.db.partial is an incomplete backup",
            );
        }
    }
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..10 {
        killed(folder, &again, Duration::from_millis(rng.u64(..150))).await;
        assert_eq!(mails(&folder.join("copy.db")), MAILS);
        assert_sound(&folder.join("copy.db"), "a backup that was killed");
    }
    done(folder, &again);
    assert_eq!(
        names(folder, "copy.db"),
        ["copy.db"],
        "what the crashes left is gone with the next"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_dies_leaves_no_store_and_serve_says_so_until_it_is_done_again() {
    let folder = large_store().await;
    let folder = folder.path();
    done(folder, &["store", "backup", "copy.db"]);
    let restore = ["store", "restore", "copy.db"];
    let store = folder.join("alertbridge.db");
    for (point, over_an_empty_one) in [
        ("copying:1", false),
        ("copying:1", true),
        ("copied", false),
        ("copied", true),
    ] {
        without_store(folder);
        if over_an_empty_one {
            done(folder, &["store", "migrate"]);
        }
        dies(folder, &restore, point);
        assert_eq!(store.exists(), over_an_empty_one);
        for command in [&["serve"][..], &["store", "migrate"]] {
            refused(
                folder,
                command,
                "was interrupted: let it finish, or run `alertbridge store restore` again",
            );
        }
        assert_eq!(store.exists(), over_an_empty_one);
        done(folder, &restore);
        assert_eq!(
            names(folder, "alertbridge.db.r"),
            [""; 0],
            "what the crash left is gone with the next"
        );
        assert_eq!(mails(&store), MAILS, "{point}");
        assert_sound(&store, point);
    }
    let mut rng = fastrand::Rng::with_seed(9);
    for _ in 0..10 {
        without_store(folder);
        killed(folder, &restore, Duration::from_millis(rng.u64(..200))).await;
        assert!(!store.exists() || mails(&store) == MAILS);
    }
    without_store(folder);
    done(folder, &restore);
    // Of an old one beside a store in use nobody is in the way.
    fs::write(folder.join("alertbridge.db.restoring"), "").unwrap();
    assert_eq!(
        listed(
            &Bridge::start(folder, &format!("{DOORS}{CONFIG}")),
            &["mails", "list", "--json"]
        )
        .len(),
        MAILS
    );
}
