//! What rules and panels ask for is exported: a bridge to which much of what can go wrong does, and
//! a Prometheus that watches it.

use std::time::{Duration, Instant};

use regex::Regex;
use rusqlite::Connection;
use serde_json::Value;

use super::prometheus::{Prometheus, queries, rules};
use crate::{
    delivery::hook,
    e2e::HOOK_SECRET,
    harness::{Bridge, PATIENCE, client},
    policy::{genuine, in_minutes, mail, over_smtp, until, zone},
    port::free_port,
    postgres::Database,
    vendors::Hook,
};

const DOORS: &str = "
admin: { listen: '127.0.0.1:0' }
ingress:
  http: { listen: '127.0.0.1:0' }
  webhook: [{ name: http }]
  smtp: [{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }]
";

/// The labels that Prometheus itself gives.
const ITS_OWN: [&str; 3] = ["job", "namespace", "instance"];

/// Asserts that the series have every label that a text names as `by (a, b)`, or `{{a}}`.
#[track_caller]
fn assert_labels(series: &Value, text: &str, names: &Regex) {
    for list in names.captures_iter(text) {
        for label in list[1]
            .split(',')
            .map(str::trim)
            .filter(|label| !ITS_OWN.contains(label))
        {
            assert!(
                series["metric"].get(label).is_some(),
                "{text}: there is no label {label}: {series}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_and_every_rule_finds_what_it_asks_for() {
    let (zone, folder, refusing) = (
        zone(),
        tempfile::tempdir().unwrap(),
        Hook::start(HOOK_SECRET).await,
    );
    refusing.fail_next(1000, 404, &[]);
    let smtp = free_port();
    let doors = DOORS.replace(
        "name: smtp, listen: '127.0.0.1:0'",
        &format!("name: smtp, listen: '127.0.0.1:{smtp}'"),
    );
    let bridge = Bridge::start(
        folder.path(),
        &format!(
            "{doors}
store: {{ url: 'sqlite:alertbridge.db' }}
canary: {{ send_via: {{ smtp: 127.0.0.1, port: {smtp}, tls: none, from: bridge@example.com, to: \
alerts@example.com }} }}
alerts: {{ authenticity: {{ dns: ['{}'], unverified: {{ max_per_hour: 1 }} }} }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}
route: {{ receiver: out, routes: [{{ receiver: refuses, matchers: ['kind=\"incident\"'], continue: \
true }}, {{ receiver: out }}] }}
receivers:
  - {{ name: refuses, {} }}
  - {{ name: out, stdout_configs: [{{}}], webhook_configs: [{{ url: 'http://127.0.0.1:{}/' }}] }}
",
            zone.address,
            hook(folder.path(), &refusing, ""),
            free_port(),
        ),
    );
    let prometheus = Prometheus::watching(&bridge).await;
    for alert in [
        "AlertbridgeDeadLetters",
        "AlertbridgeStoreFailing",
        "AlertbridgeIngressWithoutSuccess",
    ] {
        prometheus.until(alert, &["inactive"]).await;
    }
    for incident in ["a", "b", "c"] {
        assert_eq!(
            bridge
                .post(&genuine("ANOMALOUS", incident, in_minutes(0)))
                .await
                .unwrap(),
            202
        );
        over_smtp(
            &bridge,
            &mail("ANOMALOUS", &format!("forged-{incident}"), in_minutes(0)),
        )
        .await;
    }
    until(&bridge, "the pages are printed", || {
        bridge
            .pages()
            .iter()
            .any(|page| page.contains("TRIGGER a:out"))
    })
    .await;
    over_smtp(&bridge, &mail("OK", "a", in_minutes(1))).await;
    let refused = client()
        .post(&bridge.http)
        .header("content-type", "text/plain")
        .body("no mail")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 415);
    for alert in ["AlertbridgeDeadLetters", "AlertbridgeTriggersHeld"] {
        prometheus.until(alert, &["firing"]).await;
    }
    prometheus
        .until("AlertbridgeResolveHeld", &["pending", "firing"])
        .await;

    let other = Connection::open(folder.path().join("alertbridge.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(
        bridge
            .post(&genuine("ANOMALOUS", "d", in_minutes(0)))
            .await
            .unwrap(),
        503
    );
    prometheus
        .until("AlertbridgeStoreFailing", &["pending"])
        .await;
    assert_eq!(
        prometheus.query("alertbridge_store_writable").await[0]["value"][1],
        "0"
    );
    other.execute_batch("ROLLBACK").unwrap();

    let legend = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    for (query, names) in queries() {
        for series in prometheus.query(&query).await {
            assert_labels(&series, &names, &legend);
        }
    }
    // Which alarms there are, a test of their names says.
    let selector = Regex::new(r"alertbridge_\w+(\{[^}]*\})?").unwrap();
    let grouped = Regex::new(r"by \(([^)]*)\)").unwrap();
    for rule in rules() {
        let expr = rule["expr"].as_str().unwrap();
        for asked in selector.find_iter(expr) {
            let asked = if asked.as_str().contains("alarm=") {
                "alertbridge_alarm"
            } else {
                asked.as_str()
            };
            for series in prometheus.query(asked).await {
                if !asked.starts_with("alertbridge_alarm") {
                    assert_labels(&series, expr, &grouped);
                }
            }
        }
    }
    // It is scraped again before it shows.
    let deadline = Instant::now() + PATIENCE;
    while prometheus.query("alertbridge_store_writable").await[0]["value"][1] != "1" {
        assert!(Instant::now() < deadline, "the store stays unwritable");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    refusing.expect_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_that_is_over_is_over_at_every_replica() {
    let (zone, database) = (zone(), Database::create().await);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let config = format!(
        "{DOORS}
store: {{ url: '{}' }}
alerts: {{ authenticity: {{ dns: ['{}'] }} }}
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]
",
        database.url(),
        zone.address
    );
    let replicas = folders
        .each_ref()
        .map(|folder| Bridge::start(folder.path(), &config));
    let shown = async |on: bool| {
        let deadline = Instant::now() + PATIENCE;
        for replica in &replicas {
            while (replica
                .metric("alertbridge_alarm", "self:held-resolves")
                .await
                > 0.5)
                != on
            {
                assert!(
                    Instant::now() < deadline,
                    "a replica does not show that the alarm is on: {on}\n{}",
                    replica.log()
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    };
    assert_eq!(
        replicas[0]
            .post(&genuine("ANOMALOUS", "a", in_minutes(0)))
            .await
            .unwrap(),
        202
    );
    replicas[0].settled(1).await;
    over_smtp(&replicas[0], &mail("OK", "a", in_minutes(1))).await;
    shown(true).await;
    assert_eq!(
        replicas[1]
            .post(&genuine("OK", "a", in_minutes(2)))
            .await
            .unwrap(),
        202
    );
    shown(false).await;
}
