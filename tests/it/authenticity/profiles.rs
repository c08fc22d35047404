//! What a profile's mail may do that its own From's domain does not prove, in the program.

use std::fmt::Write as _;

use super::*;
use crate::harness::Bridge;

const OWN: &str = "monitor.example";
const OTHER: &str = "evil.example";

fn zone_of_profiles() -> Dnsmasq {
    Dnsmasq::start(&[
        ("s1._domainkey.monitor.example", &KEY.record),
        ("s1._domainkey.evil.example", &KEY.record),
    ])
}

fn config(dns: &str) -> String {
    format!(
        "store: {{ url: 'sqlite:state.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: mail }}] }}
alerts: {{ authenticity: {{ dns: ['{dns}'], unverified: {{ max_per_hour: 3 }} }} }}
route: {{ receiver: people }}
receivers: [{{ name: people, stdout_configs: [{{}}] }}]
profiles:
  - name: own
    match: {{ from: ['ops@{OWN}'] }}
    each: {{ text: '(?m)^- (?<id>\\S+) (?<state>\\S+)$' }}
    fields: {{ key: '{{{{ item.id }}}}', status: '{{{{ item.state }}}}', title: '{{{{ item.id \
    }}}}' }}
    status: {{ trigger: [firing], resolve: [resolved], otherwise: unparsed }}
"
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
