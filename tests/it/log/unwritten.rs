//! Standard error and standard output, where they cannot be written: mail is taken and people are
//! told as ever.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    time::Duration,
};

use crate::{
    delivery::{delivery, hook, post, said, trigger},
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, PATIENCE, client},
    vendors::{Fake, Hook},
};

/// A bridge in a shell's command, which is `$0` there. Its log is lengthy.
fn start(folder: &Path, shell: &str, receivers: &str) -> Bridge {
    let config = format!(
        "{DOORS}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}
route: {{ receiver: a, routes: [{{ receiver: a, continue: true }}, {{ receiver: b }}] }}
receivers:
{receivers}"
    );
    let log = [("RUST_LOG", "alertbridge=debug")];
    Bridge::start_under(&["bash", "-c", shell], folder, &config, &log)
}

/// Two receivers: `a` is a vendor, and `b` prints.
fn both(folder: &Path, vendor: &Fake<Hook>) -> String {
    let page = "x".repeat(4_000);
    format!(
        "  - {{ name: a, {} }}\n  - {{ name: b, stdout_configs: [{{ text: {page} }}] }}\n",
        hook(folder, vendor, "")
    )
}

/// So many mails are acknowledged, and paged; meanwhile it is alive and ready.
async fn pages_on(bridge: &Bridge, vendor: &Fake<Hook>, mails: std::ops::Range<usize>) {
    for mail in mails.clone() {
        post(bridge, &trigger(&format!("inc-{mail}"))).await;
    }
    for _ in mails {
        vendor.next_page_within(PATIENCE).await;
    }
    for probe in ["healthy", "ready"] {
        let asked = client().get(format!("{}/-/{probe}", bridge.admin)).send();
        let reply = tokio::time::timeout(Duration::from_secs(5), asked).await;
        assert_eq!(reply.unwrap().unwrap().status(), 200, "{probe}");
    }
}

const LOST: &str = "alertbridge_log_lines_lost_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_takes_any_more_keeps_nobody_from_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Hook::start(HOOK_SECRET).await;
    let bridge = start(
        folder.path(),
        "mkfifo log; sed -u '/ pages /q' log >&2 & exec \"$0\" \"$@\" 2>log",
        &both(folder.path(), &vendor),
    );
    assert!(
        bridge.metric(LOST, "").await < 10.0,
        "it counts from the start"
    );

    pages_on(&bridge, &vendor, 0..20).await;
    let lost = bridge.metric(LOST, "").await;
    assert!(lost > 20.0, "{lost} lines were lost");

    // It says so where it can be read again.
    let log = folder.path().join("log");
    let reader = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(File::open(log).unwrap()).lines();
        lines.find_map(|line| {
            line.ok()
                .filter(|line| line.contains("log lines were lost"))
        })
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    post(&bridge, &trigger("inc-20")).await;
    let line = tokio::time::timeout(PATIENCE, reader)
        .await
        .unwrap()
        .unwrap();
    let line = line.unwrap();
    assert!(line.contains("WARN") && line.contains("lines="), "{line}");
    assert!(bridge.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Hook::start(HOOK_SECRET).await;
    let bridge = start(
        folder.path(),
        "exec \"$0\" \"$@\" 2> >(sed -u '/ pages /q' >&2; exec sleep 120 2>&-)",
        &both(folder.path(), &vendor),
    );
    // A pipe holds 64 KiB, which so many mails' lines fill more than once.
    pages_on(&bridge, &vendor, 0..150).await;
    assert!(bridge.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn printed_pages_that_nobody_reads_keep_nobody_else_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Hook::start(HOOK_SECRET).await;
    let bridge = start(
        folder.path(),
        "exec \"$0\" \"$@\" > >(exec sleep 120)",
        &both(folder.path(), &vendor),
    );
    pages_on(&bridge, &vendor, 0..30).await;
    let unread = delivery(&bridge, "the printed page fails", |row| {
        row["receiver"] == "b" && said(row, "nobody reads standard output")
    });
    assert_eq!(unread.await["state"], "pending");
    pages_on(&bridge, &vendor, 30..35).await;
    assert!(bridge.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_cannot_be_printed_is_owed_still() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Hook::start(HOOK_SECRET).await;
    let receivers = both(folder.path(), &vendor);
    let bridge = start(folder.path(), "exec \"$0\" \"$@\" >/dev/full", &receivers);
    pages_on(&bridge, &vendor, 0..5).await;
    let failed = delivery(&bridge, "the printed page fails", |row| {
        row["receiver"] == "b" && said(row, "standard output cannot be written")
    });
    assert_eq!(failed.await["state"], "pending");
    assert!(bridge.stop().success());
}
