//! Incidents that get worse, or better, while they are open.

use std::{fs, path::Path};

use jiff::SignedDuration;

use crate::{
    delivery::{aged, hook, listed, pagerduty, post, resolve},
    e2e::{DOORS, HOOK_SECRET},
    harness::Bridge,
    postgres::Database,
    vendors::{Hook, Opsgenie, PagerDuty, SlackBot},
};

/// A warning.
fn bad(incident: &str, minute: i64) -> Vec<u8> {
    aged(incident, "ANOMALOUS", minute, SignedDuration::ZERO)
}

/// The same so much worse that it is critical.
fn worse(incident: &str, minute: i64) -> Vec<u8> {
    let mail = String::from_utf8(bad(incident, minute)).unwrap();
    mail.replace("90.5", "1.5").into_bytes()
}

fn started(folder: &Path, store: &str, rest: &str) -> Bridge {
    let doors = DOORS.replace("sqlite:alertbridge.db", store);
    let ingress = "ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }";
    Bridge::start(folder, &format!("{doors}\n{ingress}\n{rest}\n"))
}

fn outcomes(bridge: &Bridge) -> Vec<String> {
    let mut mails = listed(bridge, &["mails", "list", "--json"]);
    mails.reverse();
    mails
        .iter()
        .map(|mail| mail["outcome"].as_str().unwrap().to_owned())
        .collect()
}

async fn who_is_on_call_for_the_worse_is_told(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (chat, pager) = (Hook::start(HOOK_SECRET).await, PagerDuty::start().await);
    let rest = format!(
        "route: {{ receiver: chat, routes: [{{ matchers: ['severity=critical'], receiver: pager \
         }}] }}
receivers:
  - name: chat
    {}
  - name: pager
    {}",
        hook(folder.path(), &chat, ""),
        pagerduty(folder.path(), &pager)
    );
    let bridge = started(folder.path(), store, &rest);
    post(&bridge, &bad("a", 0)).await;
    assert_eq!(chat.next_page().await.action, "trigger");
    post(&bridge, &worse("a", 1)).await;
    assert_eq!(
        pager.next_page().await.key,
        "a:pager",
        "by the routes of its new severity"
    );
    assert_eq!(chat.next_page().await.action, "change", "told anew");
    assert_eq!(pager.severity("a:pager").as_deref(), Some("critical"));
    post(&bridge, &worse("a", 2)).await;
    post(&bridge, &bad("a", 2)).await;
    pager
        .wait_until("the fall", |pager| {
            pager.severity("a:pager").as_deref() == Some("warning")
        })
        .await;
    bridge.settled(4).await;
    chat.assert_quiet();
    pager.assert_quiet();
    post(&bridge, &resolve("a")).await;
    assert_eq!(chat.next_page().await.action, "resolve");
    assert_eq!(pager.next_page().await.action, "resolve");
    bridge.settled(5).await;
    assert_eq!(
        outcomes(&bridge),
        ["opened", "changed", "duplicate", "changed", "resolved"]
    );
    let counted = bridge
        .metric("alertbridge_mails_total", "outcome=\"changed\"")
        .await;
    assert!((counted - 2.0).abs() < 0.5, "{counted} are counted");
    assert_eq!(
        listed(
            &bridge,
            &["mails", "list", "--outcome", "changed", "--json"]
        )
        .len(),
        2
    );
    let checked = bridge.command(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    assert!(
        chat.violations().is_empty() && pager.violations().is_empty(),
        "{:?}",
        chat.violations()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_call_for_the_worse_is_told_of_a_change_in_a_file() {
    who_is_on_call_for_the_worse_is_told("sqlite:alertbridge.db").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_call_for_the_worse_is_told_of_a_change_in_postgres() {
    let database = Database::create().await;
    who_is_on_call_for_the_worse_is_told(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_change_what_they_have_does() {
    let folder = tempfile::tempdir().unwrap();
    let (genie, slack) = (Opsgenie::start().await, SlackBot::start().await);
    fs::write(folder.path().join("genie"), genie.key()).unwrap();
    fs::write(folder.path().join("slack"), slack.key()).unwrap();
    let rest = format!(
        "route: {{ receiver: all }}
receivers:
  - name: all
    opsgenie_configs: [{{ api_key_file: genie, api_url: '{}', message: '{{{{ severity }}}} {{{{ \
    metric }}}}' }}]
    slack_configs: [{{ bot_token_file: slack, channel: alerts, bot_api_url: '{}', title: '{{{{ \
    severity }}}}', text: '{{{{ severity }}}}' }}]",
        genie.url(),
        slack.url()
    );
    let bridge = started(folder.path(), "sqlite:alertbridge.db", &rest);
    post(&bridge, &bad("a", 0)).await;
    genie.next_page().await;
    slack.next_page().await;
    post(&bridge, &worse("a", 1)).await;
    let is = |priority: &'static str, severity: &'static str| {
        move |genie: &crate::vendors::Fake<Opsgenie>| {
            let alert = genie.alert("a:all").unwrap();
            alert.body["priority"] == priority
                && alert.body["message"]
                    .as_str()
                    .unwrap()
                    .starts_with(severity)
        }
    };
    genie
        .wait_until("the new priority and message", is("P1", "critical"))
        .await;
    slack
        .wait_until("the edited message", |slack| slack.messages()[0].edits == 1)
        .await;
    assert!(
        slack.messages()[0].text.contains("critical"),
        "{:?}",
        slack.messages()[0].text
    );
    post(&bridge, &bad("a", 2)).await;
    genie.wait_until("those before", is("P3", "warning")).await;
    slack
        .wait_until("the edited message", |slack| slack.messages()[0].edits == 2)
        .await;
    assert_eq!(
        genie
            .alert("a:all")
            .map(|alert| (alert.openings, alert.count)),
        Some((1, 1)),
        "it pages nobody twice"
    );
    post(&bridge, &resolve("a")).await;
    assert_eq!(genie.next_page().await.action, "resolve");
    slack
        .wait_until("the end", |slack| slack.messages().len() == 2)
        .await;
    assert!(
        genie.violations().is_empty() && slack.violations().is_empty(),
        "{:?}",
        genie.violations()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_can_be_of_no_interest() {
    let (folder, chat) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
    let rest = format!(
        "alerts: {{ notify_on_change: [], authenticity: {{ require: [] }} }}\nroute: {{ receiver: \
         chat }}\nreceivers: [{{ name: chat, {} }}]",
        hook(folder.path(), &chat, "")
    );
    let bridge = started(folder.path(), "sqlite:alertbridge.db", &rest);
    post(&bridge, &bad("a", 0)).await;
    chat.next_page().await;
    post(&bridge, &worse("a", 1)).await;
    bridge.settled(2).await;
    assert_eq!(outcomes(&bridge), ["opened", "duplicate"]);
    chat.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_under_a_silence_is_told_as_it_is_at_its_end() {
    let (folder, chat) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
    let rest = format!(
        "route: {{ receiver: chat }}\nreceivers: [{{ name: chat, {} }}]",
        hook(folder.path(), &chat, "")
    );
    let bridge = started(folder.path(), "sqlite:alertbridge.db", &rest);
    let (mut sent, silence) = (0, |command: &[&str]| {
        let output = bridge.command(&[&["silences"], command].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
    let mut take = async |mail: Vec<u8>| {
        post(&bridge, &mail).await;
        sent += 1;
        bridge.settled(sent).await;
    };
    take(bad("back", 0)).await;
    take(bad("worse", 0)).await;
    chat.next_page().await;
    chat.next_page().await;
    silence(&["add", "app_key=com.example.app", "--comment", "x"]);
    for incident in ["back", "worse"] {
        take(worse(incident, 1)).await;
    }
    take(bad("back", 2)).await;
    take(worse("worse", 2)).await;
    chat.assert_quiet();
    silence(&["expire", "1"]);
    let page = chat.next_page().await;
    assert_eq!(
        (page.action.as_str(), page.key.as_str()),
        ("change", "worse:chat")
    );
    take(resolve("back")).await;
    assert_eq!(chat.next_page().await.key, "back:chat");
    chat.assert_quiet();
}
