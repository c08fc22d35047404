//! What a profile's mail may do that its own From's domain does not prove, in the program.

use std::fmt::Write as _;

use serde_json::Value;

use super::*;
use crate::harness::Bridge;

const OWN: &str = "monitor.example";
const OTHER: &str = "evil.example";
/// The name server refuses to answer for it, so that nothing there can be checked.
const TROUBLED: &str = "troubled.test";

fn zone_of_profiles() -> Dnsmasq {
    Dnsmasq::start(&[
        ("s1._domainkey.monitor.example", &KEY.record),
        ("s1._domainkey.evil.example", &KEY.record),
    ])
}

fn config(dns: &str) -> String {
    let profile = |name: &str, domain: &str| {
        format!(
            "
  - name: {name}
    match: {{ from: ['ops@{domain}'] }}
    each: {{ text: '(?m)^- (?<id>\\S+) (?<state>\\S+)$' }}
    fields: {{ key: '{{{{ item.id }}}}', status: '{{{{ item.state }}}}', title: '{{{{ item.id }}}}' }}
    status: {{ trigger: [firing], resolve: [resolved], otherwise: unparsed }}"
        )
    };
    format!(
        "store: {{ url: 'sqlite:state.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: mail }}] }}
alerts: {{ authenticity: {{ dns: ['{dns}'], unverified: {{ max_per_hour: 3 }} }} }}
route: {{ receiver: people }}
receivers: [{{ name: people, stdout_configs: [{{}}] }}]
profiles:{}{}
",
        profile("own", OWN),
        profile("troubled", TROUBLED)
    )
}

/// A mail of now that tells of these alerts.
fn list(domain: &str, items: &[(String, &str)]) -> Vec<u8> {
    let date = now().strftime("%a, %d %b %Y %T +0000");
    let mut mail = format!(
        "From: ops@{domain}\r\nTo: alerts@example.com\r\nSubject: alerts\r\nDate: {date}\r\n\
         Message-ID: <{}@{domain}>\r\n\r\n",
        fastrand::u64(..)
    );
    for (id, state) in items {
        write!(mail, "- {id} {state}\r\n").unwrap();
    }
    mail.into_bytes()
}

fn one(domain: &str, id: &str, state: &'static str) -> Vec<u8> {
    list(domain, &[(id.to_owned(), state)])
}

#[tokio::test]
async fn a_forged_mail_of_many_alerts_pages_no_oftener_than_max_per_hour() {
    let zone = zone_of_profiles();
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &config(&zone.address));

    for (number, round) in [(1, "first"), (2, "second")] {
        let items: Vec<_> = (0..200)
            .map(|item| (format!("forged-{round}-{item}"), "firing"))
            .collect();
        let mail = signed(&list(OWN, &items), OTHER, json!({}));
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
        bridge.settled(number).await;
    }

    let told = bridge.printed("forged-", 3).await;
    let marked = told.iter().filter(|page| page.contains("[UNVERIFIED]"));
    assert_eq!((told.len(), marked.count()), (3, 3), "{told:?}");

    // What is genuine is told however much was forged.
    let genuine = signed(&one(OWN, "genuine", "firing"), OWN, json!({}));
    assert_eq!(bridge.post(&genuine).await.unwrap(), 202);
    bridge.settled(3).await;
    assert_eq!(bridge.printed("genuine", 1).await.len(), 1);
}

/// What the program says of a stored mail.
fn shown(bridge: &Bridge, number: u32) -> Value {
    let output = bridge.command(&["mails", "show", &number.to_string(), "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn a_profiles_mail_is_proven_by_the_domain_of_its_from_and_by_no_other() {
    let zone = zone_of_profiles();
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &config(&zone.address));

    // The alert, its state, the domain of the From, who signed, the verdict, the outcome.
    let cases = [
        ("alert-a", "firing", OWN, OWN, "pass", "opened"),
        // As of Atlassian's own mail: who signs for himself says nothing of the From.
        ("alert-b", "firing", OWN, OTHER, "none", "opened"),
        ("alert-a", "resolved", OWN, OTHER, "none", "quarantined"),
        // Whoever forges a mail chooses who signs it: trouble there lets nobody off.
        ("alert-c", "firing", OWN, TROUBLED, "none", "opened"),
        (
            "alert-d",
            "firing",
            TROUBLED,
            TROUBLED,
            "temperror",
            "opened",
        ),
        (
            "alert-d",
            "resolved",
            TROUBLED,
            TROUBLED,
            "temperror",
            "pending",
        ),
        ("alert-a", "resolved", OWN, OWN, "pass", "resolved"),
    ];
    for (number, (id, state, from, by, verdict, outcome)) in (1..).zip(cases) {
        let mail = signed(&one(from, id, state), by, json!({}));
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
        until_judged(&bridge, number).await;

        let mail = shown(&bridge, number);
        let case = format!("{id} {state} of {from}, signed by {by}: {mail:#}");
        assert_eq!(mail["authenticity"]["verdict"], verdict, "{case}");
        assert_eq!(mail["outcome"], outcome, "{case}");
        if outcome == "quarantined" {
            let told = bridge.printed(id, 1).await;
            assert_eq!(told.len(), 1, "the resolve is held: {told:?}");
        }
    }

    let told = bridge.printed("alert-a", 2).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(!told.concat().contains("[UNVERIFIED]"), "{told:?}");
    for unproven in ["alert-b", "alert-c"] {
        let told = bridge.printed(unproven, 1).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("[UNVERIFIED]"), "{told:?}");
    }
    assert_eq!(bridge.printed("alert-d", 1).await.len(), 1);
}

/// Waits until a mail is stored, and decided unless it waits for a name server.
async fn until_judged(bridge: &Bridge, number: u32) {
    let deadline = Instant::now() + crate::harness::PATIENCE;
    loop {
        let output = bridge.command(&["mails", "show", &number.to_string(), "--json"]);
        let mail: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let waits = mail["outcome"] == "pending" && mail["check_at"].is_null();
        if !mail.is_null() && !waits {
            return;
        }
        assert!(Instant::now() < deadline, "{mail:#}\n{}", bridge.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A configuration that reads the pairs of its own sender's mail.
fn config_of_pairs(dns: &str) -> String {
    let config = config(dns);
    let (before, _) = config.split_once("profiles:").unwrap();
    format!(
        "{before}profiles:
  - name: pairs
    match: {{ from: ['ops@{OWN}'] }}
    fields: {{ key: \"{{{{ pairs['Host'] }}}}\", status: \"{{{{ pairs['Status'] }}}}\" }}
    status: {{ trigger: [DOWN], resolve: [UP], otherwise: unparsed }}
"
    )
}

/// A mail of now with this body, as its sender signs it: whether it is a reply is not covered.
fn reply(fields: &str, body: &str) -> Vec<u8> {
    let mail = String::from_utf8(list(OWN, &[])).unwrap();
    let (header, _) = mail.split_once("\r\n\r\n").unwrap();
    let mail = format!("{header}\r\n{fields}\r\n{body}");
    let covered = json!({ "headers": ["from", "to", "subject", "date", "message-id"] });
    signed(mail.as_bytes(), OWN, covered)
}

#[tokio::test]
async fn what_a_genuine_reply_quotes_closes_nothing_without_its_unsigned_fields_either() {
    let zone = zone_of_profiles();
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &config_of_pairs(&zone.address));
    let opening = reply("", "Host: web1\r\nStatus: DOWN\r\n");
    assert_eq!(bridge.post(&opening).await.unwrap(), 202);

    let references = "References: <1@monitor.example>\r\n";
    let answer = reply(
        references,
        "I look at it.\r\n\r\n> Host: web1\r\n> Status: UP\r\n",
    );
    let without = altered(&answer, references, "");
    // The second is known as the same that cannot be read.
    for (number, mail, outcome) in [(2, answer, "unparsed"), (3, without, "duplicate")] {
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
        until_judged(&bridge, number).await;

        let mail = shown(&bridge, number);
        assert_eq!(mail["authenticity"]["verdict"], "pass", "{mail:#}");
        assert_eq!(mail["outcome"], outcome, "{mail:#}");
    }
    assert_eq!(shown(&bridge, 1)["outcome"], "opened");
}

#[tokio::test]
async fn a_name_that_looks_like_the_sender_is_not_the_sender() {
    let zone = zone_of_profiles();
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &config(&zone.address));

    let from = |from: &str, id: u32| {
        let mail = String::from_utf8(one(OWN, &format!("alert-{id}"), "firing")).unwrap();
        let mail = mail.replace("From: ops@monitor.example", &format!("From: {from}"));
        signed(mail.as_bytes(), OTHER, json!({}))
    };
    // Told is what programs would not agree on, and never as if it were proven.
    let cases = [
        ("Ops <ops@evil.example>", "ignored"),
        ("ops@monitor.example.evil.example", "ignored"),
        ("\"ops@monitor.example\" <x@evil.example>", "ignored"),
        ("x@evil.example, ops@monitor.example", "unparsed"),
        ("x@evil.example\r\nFrom: ops@monitor.example", "unparsed"),
        ("OPS@Monitor.Example", "opened"),
    ];
    for (number, (name, outcome)) in (1..).zip(cases) {
        assert_eq!(bridge.post(&from(name, number)).await.unwrap(), 202);
        until_judged(&bridge, number).await;
        let mail = shown(&bridge, number);
        assert_eq!(mail["outcome"], outcome, "{name}: {mail:#}");
        assert_ne!(mail["authenticity"]["verdict"], "pass", "{name}: {mail:#}");
    }
}
