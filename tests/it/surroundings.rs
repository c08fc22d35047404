//! What the environment, a reload and the labels of a resolve say of how pages travel; and what of
//! their addresses never shows.

use std::{fs, path::Path};

use serde_json::Value;
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::mpsc,
};

use crate::{
    delivery::{aged, hook, post, trigger},
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, client, run},
    vendors::Hook,
    ways::request,
};

const INGRESS: &str = "ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }";

/// A proxy that hears whom each CONNECT names, and joins nobody.
async fn proxy() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let mut stream = BufReader::new(tcp);
            let _ = tell.send(request(&mut stream).await);
            let refused = b"HTTP/1.1 502 Nobody\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(refused).await;
        }
    });
    (port, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_names_the_proxy_and_who_is_asked_without_it() {
    let (large, small) = (["HTTPS_PROXY", "NO_PROXY"], ["https_proxy", "no_proxy"]);
    for ([https, no], others) in [(large, small), (small, large)] {
        let (folder, chat) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
        let (port, mut passed) = proxy().await;
        let config = format!(
            "{DOORS}\n{INGRESS}
route: {{ receiver: far, routes: [{{ receiver: near, continue: true }}, {{ receiver: direct, \
continue: true }}, {{ receiver: far }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}
receivers:
  - {{ name: near, {} }}
  - {{ name: direct, webhook_configs: [{{ url: 'https://inside.example/x', secret: {HOOK_SECRET} \
  }}] }}
  - {{ name: far, webhook_configs: [{{ url: 'https://outside.example/x', secret: {HOOK_SECRET} }}] \
  }}",
            hook(folder.path(), &chat, "")
        );
        let proxy = format!("http://robot:hunter2@127.0.0.1:{port}");
        let environment = [(https, proxy.as_str()), (no, "inside.example")];
        let under = ["env", "-u", others[0], "-u", others[1]];
        let bridge = Bridge::start_under(&under, folder.path(), &config, &environment);
        post(&bridge, &trigger("a")).await;
        chat.next_page().await;
        for _ in 0..2 {
            let asked = passed.recv().await.unwrap();
            assert!(
                asked.starts_with("CONNECT outside.example:443 "),
                "{https}: {asked}"
            );
            assert!(asked.contains("Basic cm9ib3Q6aHVudGVyMg=="), "{asked}");
        }
        assert!(!bridge.log().contains("hunter2"), "{}", bridge.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counters_of_a_receiver_that_a_reload_adds_stand_at_0() {
    let folder = tempfile::tempdir().unwrap();
    let config = |added: &str| {
        format!(
            "{DOORS}\n{INGRESS}\nroute: {{ receiver: r }}\nreceivers:\n  - {{ name: r, \
             stdout_configs: [{{}}] }}\n{added}"
        )
    };
    let bridge = Bridge::start(folder.path(), &config(""));
    let added = "  - { name: added, webhook_configs: [{ url: 'http://127.0.0.1:9/x' }] }\n";
    fs::write(
        folder.path().join("alertbridge.yaml"),
        crate::harness::unless_judged(&config(added)),
    )
    .unwrap();
    let reload = client().post(format!("{}/-/reload", bridge.admin)).send();
    assert_eq!(reload.await.unwrap().status(), 200);
    let metrics = client().get(format!("{}/metrics", bridge.admin)).send();
    let text = metrics.await.unwrap().text().await.unwrap();
    for name in [
        "notifications_total",
        "notifications_failed_total",
        "attempts_total",
    ] {
        let is_there = |line: &str| {
            line.starts_with(&format!("alertbridge_{name}{{"))
                && line.contains("receiver=\"added\"")
                && line.ends_with(" 0")
        };
        assert!(text.lines().any(is_there), "{name}: {text}");
    }
}

/// What `replay --json` prints of these mails, in their order.
fn replayed(folder: &Path, mails: &[Vec<u8>]) -> Vec<Value> {
    for (number, mail) in mails.iter().enumerate() {
        fs::write(folder.join(format!("{number}.eml")), mail).unwrap();
    }
    let names: Vec<_> = (0..mails.len())
        .map(|number| format!("{number}.eml"))
        .collect();
    let arguments: Vec<_> = ["replay", "--json", "--trust"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let output = run(folder, &arguments);
    let said = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = said.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert_eq!(lines.len(), mails.len(), "{said}{stderr}");
    lines
}

fn story() -> Vec<Vec<u8>> {
    let at = |status, minute| aged("a", status, minute, jiff::SignedDuration::ZERO);
    let worse = String::from_utf8(at("ANOMALOUS", 1)).unwrap();
    let worse = worse.replace("90.5", "1.5").into_bytes();
    vec![at("ANOMALOUS", 0), worse, at("OK", 2)]
}

#[test]
fn what_a_change_and_an_end_send_is_shown_request_by_request() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{DOORS}\n{INGRESS}
alerts: {{ authenticity: {{ require: [] }} }}
route: {{ receiver: all }}
receivers:
  - name: all
    opsgenie_configs: [{{ api_key: 01234567-89ab-cdef-0123-456789abcdef, responders: [{{ type: \
    team, name: 'team {{{{ severity }}}}' }}] }}]
    slack_configs: [{{ bot_token: xoxb-1-2-abc, channel: 'alerts-{{{{ severity }}}}', \
    update_message: false }}]"
    );
    fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    let shown = replayed(folder.path(), &story());
    let outcomes: Vec<_> = shown.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["opened", "changed", "resolved"]);
    let requests = |number: usize| -> Vec<(String, Value)> {
        let of = |request: &Value| {
            let url = request["url"].as_str().unwrap();
            (
                url.rsplit('/').next().unwrap().to_owned(),
                request["body"].clone(),
            )
        };
        shown[number]["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(of)
            .collect()
    };
    let opened = requests(0);
    assert_eq!(opened[0].1["responders"][0]["name"], "team warning");
    assert_eq!(opened[1].1["channel"], "alerts-warning");
    let changed = requests(1);
    let paths: Vec<_> = changed.iter().map(|(path, _)| path.as_str()).collect();
    let (priority, message) = (
        "priority?identifierType=alias",
        "message?identifierType=alias",
    );
    assert_eq!(paths, [priority, message, "chat.update"]);
    assert_eq!(changed[0].1["priority"], "P1");
    let resolved = requests(2);
    assert_eq!(
        resolved[1].1["channel"], "<the trigger's channel>",
        "where its trigger went"
    );
}

#[test]
fn what_an_address_hides_is_shown_by_neither_explain_nor_replay() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{DOORS}\n{INGRESS}
alerts: {{ authenticity: {{ require: [] }} }}
route: {{ receiver: all }}
receivers:
  - name: all
    opsgenie_configs: [{{ api_key: 01234567-89ab-cdef-0123-456789abcdef, api_url: \
    'https://robot:hunter2@genie.example' }}]
    pagerduty_configs: [{{ routing_key: 0123456789abcdef0123456789abcdef, url: \
    'https://robot:hunter2@pager.example/v2/enqueue' }}]
    slack_configs: [{{ bot_token: xoxb-1-2-abc, channel: alerts, bot_api_url: \
    'https://robot:hunter2@slack.example/api' }}]
    webhook_configs: [{{ url: 'https://robot:hunter2@hook.example/x?key=hunter2', secret: \
    {HOOK_SECRET} }}]"
    );
    fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    let shown = replayed(folder.path(), &story());
    let requests = shown[0]["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 4, "{requests:?}");
    let explained = run(folder.path(), &["explain", "--trust", "0.eml"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("genie.example"), "{explained}");
    let all = format!("{}{explained}", Value::Array(shown));
    for secret in ["hunter2", "cm9ib3Q6aHVudGVyMg", "xoxb-1-2-abc", "89ab-cdef"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}
