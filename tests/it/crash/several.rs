//! A mail of several alerts, and kill -9 at every step of it.

use super::*;
use crate::{
    postgres::Database,
    vendors::{Hook, PagerDuty},
};

const ALERTS: usize = 5;

fn mail() -> Vec<u8> {
    let items: String = (0..ALERTS)
        .map(|item| format!("- alert-{item} firing\r\n"))
        .collect();
    format!(
        "From: ops@example.com\r\nTo: alerts@example.com\r\nSubject: alerts\r\n\
         Date: Sat, 28 Nov 2026 04:10:05 +0000\r\nMessage-ID: <several@example.com>\r\n\r\n{items}"
    )
    .into_bytes()
}

/// How often each key was paged of.
fn counted(pages: Vec<Page>) -> Vec<usize> {
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for page in pages {
        assert_eq!(page.action, "trigger");
        *counted.entry(page.key).or_default() += 1;
    }
    counted.into_values().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_of_a_mail_is_told_once_to_each_receiver_wherever_the_program_dies() {
    let points = [
        "recording",
        "recording,committed",
        "recorded",
        "recorded,committed",
        "decided",
        "claimed:3",
        "sent:4",
        "settled:6",
    ];
    for point in points {
        told_once_after(point, "sqlite:alertbridge.db", "2m").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_database_too() {
    for point in ["recorded", "commit:2", "decided", "sent:4"] {
        let database = Database::create().await;
        // Others may hold a lease there, so that one which a dead program left must end.
        told_once_after(point, &database.url(), "1s").await;
    }
}

async fn told_once_after(point: &str, store: &str, timeout: &str) {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(crate::e2e::HOOK_SECRET).await;
    let pagerduty = PagerDuty::start().await;
    let config = format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: chat, routes: [{{ receiver: oncall, continue: true }}, {{ receiver: chat }}] }}
delivery: {{ timeout: {timeout}, backoff: {{ initial: 1s, max: 1s }} }}
receivers:
  - {{ name: chat, webhook_configs: [{{ url: '{}', secret: {} }}] }}
  - {{ name: oncall, pagerduty_configs: [{{ routing_key: '{}', url: '{}' }}] }}
profiles:
  - name: many
    match: {{ from: [ops@example.com] }}
    each: {{ text: '(?m)^- (?<id>\\S+) (?<state>\\S+)$' }}
    fields: {{ key: '{{{{ item.id }}}}', status: '{{{{ item.state }}}}' }}
    status: {{ trigger: [firing], resolve: [resolved], otherwise: unparsed }}",
        DOORS.replace("sqlite:alertbridge.db", store),
        hook.url(),
        crate::e2e::HOOK_SECRET,
        pagerduty.key(),
        pagerduty.url(),
    );

    let mut bridge = Bridge::start_with(folder.path(), &config, &[("ALERTBRIDGE_CRASH", point)]);
    let acknowledged = bridge.post(&mail()).await.is_ok_and(|status| status == 202);
    let deadline = Instant::now() + PATIENCE;
    while !bridge.ended() {
        assert!(
            Instant::now() < deadline,
            "{point} was not reached:\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let bridge = Bridge::start(folder.path(), &config);
    if !acknowledged {
        assert_eq!(bridge.post(&mail()).await.unwrap(), 202);
    }
    bridge.settled_in_store(1).await;
    at_rest(&bridge).await;

    assert_eq!(pagerduty.open_alerts().len(), ALERTS, "after {point}");
    for (pages, repeats) in [
        (hook.pages(), hook.repeats()),
        (pagerduty.pages(), pagerduty.repeats()),
    ] {
        assert_eq!(counted(pages), [1; ALERTS], "after {point}");
        // Once the mail is stored another thread may decide and send it while the program dies:
        // what was sent and not recorded is sent again under the same key.
        let may_repeat = !point.starts_with("recording");
        assert!(
            may_repeat || repeats.is_empty(),
            "after {point}: {repeats:?}\n{}",
            tail(&bridge.log())
        );
    }
}
