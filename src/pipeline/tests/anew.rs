//! Tests what reaches receivers whose vendor already has an alert of the incident open.

use super::*;
use crate::message::Outcome;

const APP: &str = "com.example.known";

/// The configuration of the tests. `PROOF` stands for what is required of a mail, `SLEEP` for the
/// mute of every receiver.
const CONFIGURATION: &str = "
alerts: { app_keys: [com.example.known], authenticity: { require: PROOF } }
ingress: { webhook: [{ name: hook }] }
time_intervals: [{ name: sleep, time_intervals: [{ times: [SLEEP] }] }]
route:
  receiver: chat
  routes:
    - { receiver: og, mute_time_intervals: [sleep], continue: true }
    - { receiver: pager, continue: true }
    - { receiver: known, continue: true }
    - { receiver: bot, continue: true }
    - { receiver: chat }
receivers:
  - { name: og, opsgenie_configs: [{ api_key: k, send_resolved: false }] }
  - { name: pager, pagerduty_configs: [{ routing_key: 0123456789abcdef0123456789abcdef }] }
  - { name: known, webhook_configs: [{ url: 'http://127.0.0.1:9/k', deduplicates: true }] }
  - { name: bot, slack_configs: [{ bot_token: xoxb-1, channel: C1 }] }
  - { name: chat, webhook_configs: [{ url: 'http://127.0.0.1:9/chat' }] }
";

/// A mail about the incident: its status and severity, and whether something proves it.
type Mail = (&'static str, &'static str, bool);

fn configured(proven: bool, sleep: &str) -> String {
    let proof = if proven { "[]" } else { "[dkim]" };
    CONFIGURATION
        .replace("PROOF", proof)
        .replace("SLEEP", sleep)
}

/// What is told of the mails, each delivered before the next comes.
struct Told {
    night: Night,
    sleep: &'static str,
    /// The receivers to which no route leads when a mail comes.
    without: &'static [&'static str],
}

impl Told {
    fn awake() -> Self {
        Self::with_sleep("{ start_time: '23:00', end_time: '23:01' }")
    }

    fn with_sleep(sleep: &'static str) -> Self {
        let night = Night::under(&configured(true, sleep));
        Self {
            night,
            sleep,
            without: &[],
        }
    }

    /// Returns the outcome of a mail, and what each receiver is told then.
    async fn of(&mut self, (status, severity, proven): Mail) -> (Outcome, Vec<String>) {
        let mut configuration = configured(proven, self.sleep);
        for receiver in self.without {
            let routes = ["", ", continue: true"];
            for route in routes.map(|rest| format!("    - {{ receiver: {receiver}{rest} }}\n")) {
                configuration = configuration.replace(&route, "");
            }
        }
        self.night.reload(&configuration).await;
        let mail = self.night.mail("a", status, severity, APP);
        let id = self.night.take(mail).await;
        let (row, _) = self.night.store.mail(id).await.unwrap().unwrap();
        (row.outcome, self.pages().await)
    }

    async fn pages(&self) -> Vec<String> {
        self.night.sweep().await;
        let pages = self.night.delivered().await.into_iter();
        let mut pages: Vec<_> = pages
            .map(|page| (page.receiver, page.action.as_str(), page.severity))
            .map(|(receiver, action, severity)| format!("{receiver} {action} {severity}"))
            .collect();
        // The order matters only for each receiver.
        pages.sort_by_key(|page| page.split(' ').next().map(ToOwned::to_owned));
        pages
    }
}

/// Returns the pages about a severity: `told` holds the actions for each receiver.
fn pages(severity: &str, told: &[(&str, &[&str])]) -> Vec<String> {
    let mut pages = Vec::new();
    for (receiver, actions) in told {
        for action in *actions {
            pages.push(format!("{receiver} {action} {severity}"));
        }
    }
    pages
}

const TRIGGER: &[&str] = &["trigger"];
const CHANGE: &[&str] = &["change"];
const ANEW: &[&str] = &["resolve", "trigger"];

#[tokio::test]
async fn an_update_changes_the_alert_that_is_open_and_is_a_page_for_everybody_else() {
    for (from, to) in [
        ("warning", "critical"),
        ("warning", "warning"),
        ("critical", "warning"),
    ] {
        for proven in [true, false] {
            let mut told = Told::awake();
            told.of(("ANOMALOUS", from, proven)).await;
            let (outcome, updated) = told.of(("ESCALATED", to, proven)).await;
            assert_eq!(outcome, Outcome::Updated);
            let expected = [
                ("bot", TRIGGER),
                ("chat", TRIGGER),
                ("known", TRIGGER),
                ("og", CHANGE),
                ("pager", CHANGE),
            ];
            assert_eq!(updated, pages(to, &expected), "{from} {to} {proven}");
        }
    }
}

#[tokio::test]
async fn an_update_in_a_mute_changes_the_alert_at_once() {
    let mut told = Told::with_sleep("{ start_time: '00:10', end_time: '01:00' }");
    told.of(("ANOMALOUS", "warning", true)).await;
    told.night.pass(20);
    let (_, updated) = told.of(("ESCALATED", "critical", true)).await;
    assert!(
        updated.contains(&"og change critical".into()),
        "{updated:?}"
    );
    told.night.pass(60);
    assert_eq!(told.pages().await, [""; 0], "nothing is left to tell");
}

#[tokio::test]
async fn an_unproven_update_changes_nothing_of_a_proven_alert() {
    let mut told = Told::awake();
    told.of(("ANOMALOUS", "warning", true)).await;
    let (outcome, updated) = told.of(("ESCALATED", "critical", false)).await;
    assert_eq!(outcome, Outcome::Updated);
    assert!(
        updated
            .iter()
            .all(|page| page.ends_with("trigger critical"))
    );
    // What the vendor took for a repeat does not make the proven alert doubtful.
    let (_, updated) = told.of(("ESCALATED", "warning", true)).await;
    assert!(updated.contains(&"og change warning".into()), "{updated:?}");
}

#[tokio::test]
async fn the_proven_copy_opens_anew_what_an_unproven_one_opened() {
    let anew = [
        ("bot", TRIGGER),
        ("chat", TRIGGER),
        ("known", ANEW),
        ("og", ANEW),
        ("pager", ANEW),
    ];
    for severity in ["warning", "critical"] {
        for status in ["ANOMALOUS", "ESCALATED"] {
            let mut told = Told::awake();
            told.of(("ANOMALOUS", "warning", false)).await;
            let (_, again) = told.of((status, severity, true)).await;
            assert_eq!(again, pages(severity, &anew), "{status} {severity}");

            let (outcome, again) = told.of((status, severity, true)).await;
            assert_eq!(
                (outcome, again),
                (Outcome::Duplicate, vec![]),
                "it is told once"
            );
            let (_, ended) = told.of(("OK", severity, true)).await;
            assert!(
                !ended.iter().any(|page| page.starts_with("og")),
                "{ended:?}"
            );
            assert!(ended.contains(&format!("pager resolve {severity}")));
        }
    }
}

#[tokio::test]
async fn a_reopening_opens_anew_what_a_forgery_opened_in_between() {
    let mut told = Told::awake();
    told.of(("ANOMALOUS", "warning", true)).await;
    told.of(("OK", "warning", true)).await;
    let (_, forged) = told.of(("ANOMALOUS", "warning", false)).await;
    assert_eq!(forged.len(), 5);
    let (outcome, again) = told.of(("ANOMALOUS", "critical", true)).await;
    assert_eq!(outcome, Outcome::Reopened);
    // Opsgenie's alert is proven: `send_resolved: false` has left it open.
    let expected = [
        ("bot", TRIGGER),
        ("chat", TRIGGER),
        ("known", ANEW),
        ("og", TRIGGER),
        ("pager", ANEW),
    ];
    assert_eq!(again, pages("critical", &expected));
    let (_, ended) = told.of(("OK", "critical", true)).await;
    assert_eq!(ended.len(), 4, "{ended:?}");
}

#[tokio::test]
async fn what_a_mute_holds_closes_no_alert_of_an_open_incident() {
    let mut told = Told::with_sleep("{ start_time: '00:10', end_time: '01:00' }");
    told.of(("ANOMALOUS", "warning", false)).await;
    told.night.pass(20);
    let (_, again) = told.of(("ANOMALOUS", "critical", true)).await;
    assert!(again.contains(&"og change critical".into()), "{again:?}");
    assert!(!again.contains(&"og resolve critical".into()), "{again:?}");
}

#[tokio::test]
async fn what_a_silence_held_opens_the_alert_anew_at_its_end() {
    let mut told = Told::awake();
    told.of(("ANOMALOUS", "warning", false)).await;
    let until = told.night.now() + SignedDuration::from_mins(20);
    told.night
        .silence("incident_id=a", told.night.now(), until)
        .await;
    let (outcome, again) = told.of(("ANOMALOUS", "critical", true)).await;
    assert_eq!((outcome, again), (Outcome::Silenced, vec![]));
    told.night.pass(20);
    let again = told.pages().await;
    for page in [
        "og resolve critical",
        "og trigger critical",
        "bot trigger critical",
    ] {
        assert!(again.contains(&page.into()), "{page}: {again:?}");
    }
}

impl Told {
    /// Ends what is due. Resolves are refused for good, everything else is delivered.
    async fn refusing_ends(&self) -> Vec<String> {
        let mut pages = Vec::new();
        loop {
            let due = self.night.store.agenda().await.unwrap().due;
            let wanted = due.into_iter().map(|(target, _)| (target, 100)).collect();
            let claims = self.night.store.claim(self.night.now(), LEASE, wanted);
            let claims = claims.await.unwrap();
            if claims.is_empty() {
                pages.sort_by_key(|page: &String| page.split(' ').next().map(ToOwned::to_owned));
                return pages;
            }
            for claim in claims {
                let action = claim.notification.action;
                let next = match action {
                    Action::Resolve => Next::Dead {
                        reason: "401".into(),
                        retry: crate::delivery::Step::Send,
                    },
                    _ => Next::Delivered { receipt: None },
                };
                let settlement = Settlement {
                    at: self.night.now(),
                    next,
                    attempt: None,
                    fallback: Vec::new(),
                };
                let settled = self.night.store.settle(claim.id, claim.lease, settlement);
                settled.await.unwrap();
                pages.push(format!("{} {}", claim.target.receiver, action.as_str()));
            }
        }
    }

    async fn taken(&mut self, status: &str) {
        let mail = self.night.mail("a", status, "critical", APP);
        self.night.take(mail).await;
    }
}

#[tokio::test]
async fn an_end_that_was_a_dead_letter_is_sent_before_the_incident_opens_again() {
    for refused_again in [false, true] {
        let mut told = Told::awake();
        told.of(("ANOMALOUS", "critical", true)).await;
        told.taken("OK").await;
        assert_eq!(told.refusing_ends().await.len(), 4);
        told.taken("ANOMALOUS").await;

        let again = if refused_again {
            told.refusing_ends().await
        } else {
            let pages = told.pages().await.into_iter();
            pages.map(|page| page.replace(" critical", "")).collect()
        };
        let expected = [
            "bot resolve",
            "bot trigger",
            "chat resolve",
            "chat trigger",
            "known resolve",
            "known trigger",
            "og trigger",
            "pager resolve",
            "pager trigger",
        ];
        assert_eq!(again, expected, "refused again: {refused_again}");
        assert_eq!(told.pages().await, [""; 0], "nothing is left");
    }
}

#[tokio::test]
async fn an_unproven_rise_that_nobody_would_hear_of_is_held_and_told_when_it_is_released() {
    for (routes, outcome) in [
        (&["known", "chat"][..], Outcome::Quarantined),
        (&["known"], Outcome::Changed),
    ] {
        let mut told = Told::awake();
        told.without = routes;
        told.of(("ANOMALOUS", "warning", true)).await;
        let (found, pages) = told.of(("ANOMALOUS", "critical", false)).await;
        assert_eq!(found, outcome);
        assert_eq!(pages.is_empty(), outcome == Outcome::Quarantined);
        if outcome != Outcome::Quarantined {
            continue;
        }

        let held = told.night.store.mails(Some(outcome), 1).await.unwrap();
        let reason = held[0].reason.as_deref().unwrap();
        assert!(reason.contains("would reach nobody"), "{reason}");
        assert!(
            told.night
                .store
                .concerns()
                .await
                .unwrap()
                .flooded_at
                .is_some()
        );
        let release = Release {
            by: "ann".into(),
            at: told.night.now(),
        };
        told.night
            .store
            .release_mail(held[0].id, release)
            .await
            .unwrap();
        let pages = told.pages().await;
        assert_eq!(pages.len(), 3, "{pages:?}");
        assert!(pages.iter().all(|page| page.ends_with("change critical")));
    }
}
