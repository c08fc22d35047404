//! Tests that the end of an incident is as severe as the incident, and that lists name what broke,
//! although the mail that ends it says that all is well.

use std::{fs, path::Path};

use super::{profiles::from, *};
use crate::incident::Phase;

const CONFIGURATION: &str = "
global: { max_age: 0s }
alerts: { app_keys: [com.example.known], authenticity: { require: [] } }
ingress: { webhook: [{ name: hook }] }
profiles:
  - { name: nagios, use: nagios, match: { from: [nagios@mon.example.com] } }
  - name: uptime-kuma
    use: uptime-kuma
    match: { from: [uptime@example.com] }
    severity: [{ matchers: ['title=~\".* is down\"'], severity: critical }]
  - name: many
    match: { from: [am@example.com] }
    each: { text: '(?m)^- (?<name>\\S+) (?<state>\\S+)$' }
    fields:
      key: '{{ item.name }}'
      status: '{{ item.state }}'
      title: '{{ item.name }} is {{ item.state }}'
    status: { trigger: [broken, slow], resolve: [fine] }
    severity: [{ matchers: ['title=~\".* is broken\"'], severity: critical }]
route: { receiver: chat }
receivers: [{ name: chat, webhook_configs: [{ url: 'http://127.0.0.1:9/chat' }] }]
";

/// Reads one of a starter's own mails.
fn of_starter(name: &str) -> Vec<u8> {
    let starters = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/profiles");
    fs::read(starters.join(name)).unwrap()
}

/// Returns a mail with several alerts, sent at a second after midnight.
fn many(second: i64, items: &[&str]) -> Vec<u8> {
    let items: Vec<_> = items.iter().map(|item| format!("- {item}")).collect();
    from("am@example.com", "list", second, &items.join("\r\n"))
}

impl Night {
    /// Returns how an incident is listed: its phase, severity and title.
    async fn listed(&self, incident: &str) -> (Phase, String, String) {
        let (row, _) = self.store.timeline(incident).await.unwrap().unwrap();
        let label = |name| row.labels.get(name).cloned().unwrap_or_default();
        (row.phase, label("severity"), label("title"))
    }

    /// Delivers what is due and returns the action and the severity of each page.
    async fn severities(&self) -> Vec<(Action, String)> {
        let told = self.delivered().await.into_iter();
        told.map(|page| (page.action, page.severity)).collect()
    }
}

fn listed(phase: Phase, severity: &str, title: &str) -> (Phase, String, String) {
    (phase, severity.into(), title.into())
}

fn told(action: Action, severity: &str) -> (Action, String) {
    (action, severity.into())
}

#[tokio::test]
async fn the_end_of_a_senders_alert_is_listed_as_what_broke() {
    let night = Night::under(CONFIGURATION);
    for (trigger, resolve, incident, title, well) in [
        (
            "nagios/problem.eml",
            "nagios/recovery.eml",
            "nagios:web1/HTTP",
            "HTTP on web1 is CRITICAL",
            "HTTP on web1 is OK",
        ),
        (
            "uptime-kuma/down.eml",
            "uptime-kuma/up.eml",
            "uptime-kuma:Shop",
            "Shop is down",
            "Shop is up",
        ),
    ] {
        night.take(of_starter(trigger)).await;
        let firing = listed(Phase::Firing, "critical", title);
        assert_eq!(night.listed(incident).await, firing);

        let end = night.take(of_starter(resolve)).await;
        let over = listed(Phase::Resolved, "critical", title);
        assert_eq!(night.listed(incident).await, over);
        assert_eq!(
            night.severities().await,
            [
                told(Action::Trigger, "critical"),
                told(Action::Resolve, "critical")
            ]
        );

        let (mail, _) = night.store.mail(end).await.unwrap().unwrap();
        assert_eq!(mail.labels["title"], well, "what the mail itself says");
        assert_eq!(mail.labels["severity"], "critical");
    }
}

#[tokio::test]
async fn the_end_of_a_breach_is_as_severe_as_the_breach_and_says_what_is_measured_now() {
    let mut night = Night::under(CONFIGURATION);
    for status in ["ANOMALOUS", "OK", "OK"] {
        let mail = night.mail("a", status, "critical", "com.example.known");
        night.take(mail).await;
    }
    assert_eq!(
        night.severities().await,
        [
            told(Action::Trigger, "critical"),
            told(Action::Resolve, "critical")
        ]
    );
    let (row, _) = night.store.timeline("a").await.unwrap().unwrap();
    assert_eq!(row.labels["severity"], "critical", "repeated or not");
    assert_eq!(row.labels["sli_value"], "99.9");
}

#[tokio::test]
async fn a_resolve_that_comes_first_has_its_own_severity() {
    let mut night = Night::under(CONFIGURATION);
    let trigger = night.mail("a", "ANOMALOUS", "critical", "com.example.known");
    let resolve = night.mail("a", "OK", "warning", "com.example.known");
    night.take(resolve).await;
    night.take(trigger).await;
    assert!(night.severities().await.is_empty());
    let own = listed(Phase::Resolved, "warning", "m");
    assert_eq!(night.listed("a").await, own);
}

#[tokio::test]
async fn every_episode_ends_as_it_was_and_none_as_the_one_before() {
    let night = Night::under(CONFIGURATION);
    for (second, state) in [
        (0, "broken"),
        (1, "fine"),
        (2, "slow"),
        (3, "broken"),
        (4, "slow"),
        (5, "fine"),
    ] {
        night.take(many(second, &[&format!("db {state}")])).await;
    }
    assert_eq!(
        night.severities().await,
        [
            told(Action::Trigger, "critical"),
            told(Action::Resolve, "critical"),
            told(Action::Trigger, "warning"),
            // The severity is compared with what was told since the incident was reopened.
            told(Action::Change, "critical"),
            told(Action::Resolve, "warning"),
        ]
    );
    let over = listed(Phase::Resolved, "warning", "db is slow");
    assert_eq!(night.listed("many:db").await, over);
}

#[tokio::test]
async fn each_alert_of_a_mail_ends_as_severe_as_it_was() {
    let night = Night::under(CONFIGURATION);
    night.take(many(0, &["db broken", "web slow"])).await;
    night
        .take(many(
            1,
            &["db fine", "web fine", "mail broken", "mail fine"],
        ))
        .await;
    for (incident, severity, title) in [
        ("many:db", "critical", "db is broken"),
        ("many:web", "warning", "web is slow"),
        ("many:mail", "critical", "mail is broken"),
    ] {
        let over = listed(Phase::Resolved, severity, title);
        assert_eq!(night.listed(incident).await, over);
    }
}

#[tokio::test]
async fn an_alert_that_could_not_be_read_is_told_once_and_is_not_open() {
    let night = Night::under(CONFIGURATION);
    night.take(many(0, &[])).await;
    let told = night.delivered().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let (phase, ..) = night.listed(&told[0].incident).await;
    assert_eq!(phase, Phase::Resolved);
    assert!(night.store.incidents(false, 10).await.unwrap().is_empty());

    // A copy of a mail is told to nobody.
    night.take(many(0, &[])).await;
    assert!(night.severities().await.is_empty());
}
