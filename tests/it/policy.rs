//! What unproven mail may do, and what the bridge tells of itself: the real program, mails signed
//! by dkimpy, a real name server, vendors faked as state.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use alertbridge::{cli::sample, clock::Clock};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    authenticity::{
        dnsmasq::Dnsmasq,
        signer::{KEY, WEAK, signed},
    },
    harness::{self, Bridge, PATIENCE, tail},
    port::free_port,
    vendors::{Fake, Page, PagerDuty},
};

mod alone;
mod doors;
mod forged;
mod own;
mod unchecked;

const DOMAIN: &str = "am.atlassian.com";

fn now() -> Timestamp {
    Clock::system().now()
}

/// A name server that knows Atlassian's keys.
fn zone_on(port: u16) -> Dnsmasq {
    let names = [
        DOMAIN,
        "atlassian.com",
        "mail.am.atlassian.com",
        "evil.example",
    ];
    let mut records = names
        .map(|domain| (format!("s1._domainkey.{domain}"), KEY.record.clone()))
        .to_vec();
    for (selector, tag) in [("testing", "t=y"), ("tlsrpt", "s=tlsrpt")] {
        let record = KEY.record.replace("k=rsa;", &format!("k=rsa; {tag};"));
        records.push((format!("{selector}._domainkey.{DOMAIN}"), record));
    }
    let records: Vec<_> = records
        .iter()
        .map(|(name, record)| (name.as_str(), record.as_str()))
        .collect();
    Dnsmasq::start_on(port, &records)
}

pub fn zone() -> Dnsmasq {
    zone_on(free_port())
}

pub fn mail(status: &str, incident: &str, at: Timestamp) -> Vec<u8> {
    let date = now();
    let mail = sample::mail(status, Some(incident), date);
    let (header, body) = mail.split_once("\r\n\r\n").unwrap();
    // Without the line breaks of quoted-printable, which fall where they like.
    let mail = format!("{header}\r\n\r\n{}", body.replace("=\r\n", ""));
    // The state machine goes by the JSON's time, the age of a mail by its Date.
    let (date, time) = (
        format!("\"time\":\"{date:.0}\""),
        format!("\"time\":\"{at:.0}\""),
    );
    assert!(mail.contains(&date), "{mail}");
    mail.replace(&date, &time).into_bytes()
}

/// As Atlassian would send it.
pub fn genuine(status: &str, incident: &str, at: Timestamp) -> Vec<u8> {
    signed(&mail(status, incident, at), DOMAIN, json!({}))
}

pub fn in_minutes(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// A configuration with one pager.
fn config(
    dns: &str,
    folder: &Path,
    pager: &Fake<PagerDuty>,
    alerts: &str,
    ingress: &str,
) -> String {
    std::fs::write(folder.join("pagerduty"), pager.key()).unwrap();
    format!(
        "
store: {{ url: 'sqlite:alertbridge.db' }}
admin: {{ listen: '127.0.0.1:0' }}
alerts:
  authenticity: {{ dns: ['{dns}']{alerts}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
{ingress}
route: {{ receiver: oncall }}
receivers:
  - name: oncall
    pagerduty_configs: [{{ routing_key_file: pagerduty, url: '{}' }}]
",
        pager.url()
    )
}

pub async fn over_smtp(bridge: &Bridge, mail: &[u8]) {
    let (address, mail) = (bridge.smtp.unwrap(), mail.to_vec());
    tokio::task::spawn_blocking(move || harness::smtp_try(address, &mail))
        .await
        .unwrap()
        .unwrap();
}

fn listed(bridge: &Bridge, outcome: &str) -> Vec<Value> {
    let listed = bridge.command(&[
        "mails",
        "list",
        "--outcome",
        outcome,
        "--limit",
        "100000",
        "--json",
    ]);
    serde_json::from_slice(&listed.stdout).unwrap()
}

fn shown(bridge: &Bridge, id: i64) -> Value {
    let shown = bridge.command(&["mails", "show", &id.to_string(), "--json"]);
    serde_json::from_slice(&shown.stdout).unwrap()
}

/// Pages of incidents, in order: action, key and title.
fn pages(pager: &Fake<PagerDuty>) -> Vec<Page> {
    pager
        .pages()
        .into_iter()
        .filter(|page| !page.key.starts_with("self:"))
        .collect()
}

/// Pages by which the bridge tells of itself: action and key.
fn told(pager: &Fake<PagerDuty>) -> Vec<String> {
    let own = pager
        .pages()
        .into_iter()
        .filter(|page| page.key.starts_with("self:"));
    own.map(|page| format!("{} {}", page.action, page.key.trim_end_matches(":oncall")))
        .collect()
}

/// Waits for something that must come, however busy the machine is.
pub async fn until(bridge: &Bridge, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE * 2;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "waited in vain: {what}\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
