//! A store in use is dumped by PostgreSQL's own tools and restored into a new database, as the
//! runbook has it.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Database, PASSWORD, programs};
use crate::{
    crash::at_rest,
    e2e::{DOORS, HOOK_SECRET},
    generator::{self, Outcome},
    harness::{Bridge, client, run, unless_judged},
    vendors::{Fake, Hook, PagerDuty},
};

const RUNBOOK: &str = include_str!("../../../deploy/RUNBOOK.md");

/// Runs a command as the runbook has it, the password in its environment; what is named there is
/// named here otherwise.
fn as_in_the_runbook(program: &str, folder: &Path, names: &[(&str, &str)]) {
    let mut lines = RUNBOOK.lines().filter_map(|line| line.strip_prefix("    "));
    let line = lines
        .find(|line| line.starts_with(&format!("{program} ")))
        .expect("it is not in the runbook");
    let line = names.iter().fold(line.to_owned(), |line, (there, here)| {
        line.replace(there, here)
    });
    assert!(!line.contains("example.com"), "{line}");
    let path = format!(
        "{}:{}",
        programs().display(),
        std::env::var("PATH").unwrap()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &line])
        .current_dir(folder)
        .env("PATH", path)
        .env("PGPASSWORD", PASSWORD);
    let output = shell.output().unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn config(database: &Database, pager: &Fake<PagerDuty>, hook: &Fake<Hook>) -> String {
    format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
delivery: {{ backoff: {{ initial: 1s, max: 1s }} }}
route: {{ receiver: oncall }}
receivers:
  - name: oncall
    pagerduty_configs: [{{ routing_key: '{}', url: '{}' }}]
    webhook_configs: [{{ url: '{}', secret: '{HOOK_SECRET}' }}]",
        DOORS.replace("sqlite:alertbridge.db", &database.url()),
        pager.key(),
        pager.url(),
        hook.url()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_a_store_in_use_goes_on_elsewhere_where_it_stopped() {
    let (pager, hook) = (PagerDuty::start().await, Hook::start(HOOK_SECRET).await);
    let old = Database::create().await;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bridge = Bridge::start(here.path(), &config(&old, &pager, &hook));
    let mut mails = generator::generate(64, 1500)
        .into_iter()
        .filter(|mail| mail.truth.outcome == Outcome::Opened);
    // Told before,
    for mail in mails.by_ref().take(5) {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    }
    at_rest(&bridge).await;
    let told = pager.pages().len();
    assert_eq!((told, hook.pages().len()), (5, 5));
    // and owed, while more comes in all the time.
    pager.fail_next(1_000_000, 503, &[]);
    hook.fail_next(1_000_000, 503, &[]);
    let enough = Arc::new(AtomicBool::new(false));
    let (url, stop) = (bridge.http.clone(), Arc::clone(&enough));
    let rest: Vec<_> = mails.collect();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        for mail in rest {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let request = client()
                .post(&url)
                .header("content-type", "message/rfc822")
                .body(mail.eml);
            assert_eq!(request.send().await.unwrap().status(), 202);
            sent += 1;
        }
        sent
    });
    bridge.settled_in_store(15).await;
    let (folder, from) = (there.path().to_owned(), old.address());
    let dump = move || {
        as_in_the_runbook(
            "pg_dump",
            &folder,
            &[("postgres://alertbridge@db.example.com/alertbridge", &from)],
        );
    };
    tokio::task::spawn_blocking(dump).await.unwrap();
    enough.store(true, Ordering::SeqCst);
    let sent: usize = sending.await.unwrap();
    drop(bridge);
    let new = old.beside("restored");
    let any = old.beside("postgres").address();
    as_in_the_runbook(
        "createdb",
        there.path(),
        &[("postgres://alertbridge@db.example.com/postgres", &any)],
    );
    let to = new.address();
    as_in_the_runbook(
        "pg_restore",
        there.path(),
        &[("postgres://alertbridge@db.example.com/restored", &to)],
    );

    let config = config(&new, &pager, &hook);
    fs::write(
        there.path().join("alertbridge.yaml"),
        unless_judged(&config),
    )
    .unwrap();
    let checked = run(there.path(), &["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    let count = "SELECT count(*) FROM mails";
    let stored: i64 = new
        .client()
        .await
        .query_one(count, &[])
        .await
        .unwrap()
        .get(0);
    let stored = usize::try_from(stored).unwrap();
    assert!(
        (15..=5 + sent).contains(&stored),
        "{stored} of {sent} mails were there when it was dumped"
    );

    pager.heal();
    hook.heal();
    let bridge = Bridge::start(there.path(), &config);
    // More mail gets numbers of its own.
    let later = generator::generate(65, 50)
        .into_iter()
        .find(|mail| mail.truth.outcome == Outcome::Opened)
        .unwrap();
    assert_eq!(bridge.post(&later.eml).await.unwrap(), 202);
    at_rest(&bridge).await;
    let distinct = |keys: Vec<String>| keys.into_iter().collect::<BTreeSet<_>>().len();
    for (vendor, pages, repeats) in [
        ("PagerDuty", pager.pages(), pager.repeats()),
        ("the webhook", hook.pages(), hook.repeats()),
    ] {
        assert_eq!(
            pages.len(),
            stored + 1,
            "{vendor}: what was told before, what was owed, and what came since"
        );
        assert_eq!(
            distinct(pages.into_iter().map(|page| page.key).collect()),
            stored + 1,
            "{vendor}"
        );
        assert!(repeats.is_empty(), "{vendor}: {repeats:?}");
    }
    let checked = bridge.command(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
}
