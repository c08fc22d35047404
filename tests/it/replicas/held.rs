//! What a silence or the quarantine held, and the resolve that another replica is sent within the
//! second in which nobody has looked at it yet: it is told first, once, and so is its end.

use std::collections::BTreeMap;

use super::*;
use crate::{e2e::HOOK_SECRET, order::letter, vendors::Hook};

const INCIDENTS: usize = 24;

fn configured(url: &str, hook: &str, more: &str) -> String {
    format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: out }}
receivers: [{{ name: out, webhook_configs: [{{ url: '{hook}', secret: {HOOK_SECRET} }}] }}]
{more}",
        DOORS.replace("sqlite:alertbridge.db", url)
    )
}

fn three(url: &str, hook: &str, more: &str) -> (Vec<TempDir>, Vec<Bridge>) {
    let folders: Vec<_> = (0..REPLICAS)
        .map(|_| tempfile::tempdir().unwrap())
        .collect();
    let bridges = folders
        .iter()
        .map(|folder| Bridge::start(folder.path(), &configured(url, hook, more)))
        .collect();
    (folders, bridges)
}

fn done(bridge: &Bridge, command: &[&str]) -> String {
    let output = bridge.command(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What was heard of each incident, in order, once there is so much.
async fn heard(hook: &crate::vendors::Fake<Hook>) -> BTreeMap<String, Vec<String>> {
    let heard = |hook: &crate::vendors::Fake<Hook>| {
        let mut heard: BTreeMap<_, Vec<_>> = BTreeMap::new();
        // The bridge tells of itself what it holds of an app.
        let of_mail = |page: &crate::vendors::Page| page.key.starts_with("held-");
        for page in hook.pages().into_iter().filter(of_mail) {
            heard.entry(page.key).or_default().push(page.action);
        }
        heard
    };
    let all = |hook: &crate::vendors::Fake<Hook>| {
        let heard = heard(hook);
        heard.len() == INCIDENTS && heard.values().all(|pages| pages.len() >= 2)
    };
    hook.wait_until("the beginnings and ends", all).await;
    heard(hook)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silence_held_is_told_before_the_resolve_that_comes_right_after_its_end() {
    let (database, hook) = (Database::create().await, Hook::start(HOOK_SECRET).await);
    let (_folders, bridges) = three(&database.url(), &hook.url(), "");
    let add = ["silences", "add", "kind=incident", "--comment", "works"];
    let silence = done(&bridges[0], &add);
    let mail =
        |number: usize, status, second| letter(&format!("held-{number}"), status, second, 50.0, 0);
    for number in 0..INCIDENTS {
        let opens = mail(number, "ANOMALOUS", 1);
        assert_eq!(bridges[number % REPLICAS].post(&opens).await.unwrap(), 202);
    }
    bridges[0].settled_in_store(INCIDENTS).await;
    hook.assert_quiet();
    done(&bridges[1], &["silences", "expire", silence.trim()]);
    let ends = (0..INCIDENTS).map(|number| {
        let (bridge, mail) = (&bridges[(number + 1) % REPLICAS], mail(number, "OK", 2));
        async move { assert_eq!(bridge.post(&mail).await.unwrap(), 202) }
    });
    join_all(ends).await;
    for (incident, heard) in heard(&hook).await {
        assert_eq!(heard, ["trigger", "resolve"], "{incident}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_let_out_of_the_quarantine_is_told_before_the_resolve_that_comes_right_after() {
    let (database, hook) = (Database::create().await, Hook::start(HOOK_SECRET).await);
    let apps = "alerts: { app_keys: [com.example.order], authenticity: { require: [] } }";
    let (_folders, bridges) = three(&database.url(), &hook.url(), apps);
    let mail =
        |number: usize, status, second| letter(&format!("held-{number}"), status, second, 50.0, 0);
    for number in 0..INCIDENTS {
        let opens = String::from_utf8(mail(number, "ANOMALOUS", 1)).unwrap();
        let opens = opens.replace("com.example.order", "com.example.other");
        let posted = bridges[0].post(opens.as_bytes()).await;
        assert_eq!(posted.unwrap(), 202);
    }
    bridges[0].settled_in_store(INCIDENTS).await;
    let client = database.client().await;
    let release = "UPDATE mails SET outcome = 'pending', decided_at = NULL, hold = NULL, check_at \
                   = 0,
                   released = '{\"by\":\"test\",\"at\":\"2026-03-01T12:00:00Z\"}' WHERE outcome = \
                   'quarantined'";
    let released = client.execute(release, &[]).await.unwrap();
    assert_eq!(released, INCIDENTS as u64);
    let ends = (0..INCIDENTS).map(|number| {
        let (bridge, mail) = (&bridges[(number + 1) % REPLICAS], mail(number, "OK", 2));
        async move { assert_eq!(bridge.post(&mail).await.unwrap(), 202) }
    });
    join_all(ends).await;
    for (incident, heard) in heard(&hook).await {
        let pages: Vec<_> = heard.iter().map(String::as_str).collect();
        assert_eq!(pages, ["trigger", "resolve"], "{incident}");
    }
}
