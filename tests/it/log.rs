//! The log, as what collects it reads it: who follows a mail's number finds all that became of it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    delivery::{hook, post, resolve, trigger},
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, PATIENCE, tail},
    vendors::Hook,
};

mod unwritten;

/// The lines that are JSON: the greeting is for people.
fn lines(bridge: &Bridge) -> Vec<Value> {
    let log = bridge.log();
    let lines = log.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// What is said of a mail, in order.
fn said(lines: &[Value], mail: u64) -> Vec<&str> {
    let of_it = lines.iter().filter(|line| line["mail"] == mail);
    of_it.filter_map(|line| line["message"].as_str()).collect()
}

#[tokio::test]
async fn every_line_from_a_mails_arrival_to_its_delivery_has_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (vendor, backup) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let doors = DOORS.replace("global: { max_age: 0s }", "");
    let bridge = Bridge::start_logging_json(
        folder,
        &format!(
            "{doors}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 2s, max: 2s }} }}
route: {{ receiver: a }}
receivers:
  - {{ name: a, fallback: {{ receiver: b, after: 1s }}, {} }}
  - {{ name: b, {} }}
",
            hook(folder, &vendor, ""),
            hook(folder, &backup, ""),
        ),
        &[("RUST_LOG", "alertbridge=debug")],
    );

    vendor.fail_next(1, 503, &[]);
    post(&bridge, &trigger("inc-1")).await;
    vendor.next_page_within(PATIENCE).await;
    backup.next_page_within(PATIENCE).await;
    post(&bridge, &resolve("inc-1")).await;
    vendor.next_page_within(PATIENCE).await;
    backup.next_page_within(PATIENCE).await;

    let deadline = Instant::now() + PATIENCE;
    while said(&lines(&bridge), 2)
        .iter()
        .filter(|said| **said == "delivered")
        .count()
        < 2
    {
        assert!(Instant::now() < deadline, "{}", tail(&bridge.log()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let lines = lines(&bridge);
    let begun = lines
        .iter()
        .position(|line| line["message"] == "mail stored")
        .unwrap();
    for line in &lines[begun..] {
        let known = |field: &str| !line[field].is_null();
        assert!(
            known("mail") && known("message") && known("timestamp"),
            "{line}"
        );
        // What comes after the decision is of an incident, and what is of a receiver of a delivery.
        let is_of_a_delivery = known("receiver");
        assert_eq!(known("delivery"), is_of_a_delivery, "{line}");
        assert_eq!(known("integration"), is_of_a_delivery, "{line}");
        assert!(known("ingress") || line["incident"] == "inc-1", "{line}");
    }

    let of_the_first = said(&lines, 1);
    assert_eq!(of_the_first[..2], ["mail stored", "mail decided"]);
    let told = of_the_first.iter().filter(|said| **said == "delivered");
    assert_eq!(told.count(), 2, "{of_the_first:?}");
    let late = "not delivered in time: the fallback is notified";
    assert!(of_the_first.contains(&late), "{of_the_first:?}");
    assert_eq!(of_the_first.len(), 6, "{of_the_first:?}");
}
