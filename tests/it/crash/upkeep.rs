//! kill -9 in the midst of what is done beside mail: a fallback told, old mail deleted, dead
//! letters sent again.

use std::fs;

use super::*;
use crate::{
    e2e::HOOK_SECRET,
    vendors::{Hook, PagerDuty},
};

const IN: &str = "ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }";

async fn crashed(bridge: &mut Bridge, plan: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !bridge.ended() {
        assert!(
            Instant::now() < deadline,
            "{plan} was not reached:\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn openings(count: usize) -> Vec<Generated> {
    let mails = generator::generate(77, count * 8).into_iter();
    mails
        .filter(|mail| mail.truth.outcome == Outcome::Opened)
        .take(count)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_a_fallback_is_told_tells_it_once() {
    for plan in [
        "escalating",
        "escalating,committed",
        "escalated",
        "commit:8",
        "committed:8",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (pager, hook) = (PagerDuty::start().await, Hook::start(HOOK_SECRET).await);
        fs::write(folder.path().join("pagerduty"), pager.key()).unwrap();
        fs::write(folder.path().join("hook"), HOOK_SECRET).unwrap();
        pager.fail_next(1000, 503, &[]);
        let config = format!(
            "{DOORS}{IN}
delivery: {{ backoff: {{ initial: 1s, max: 1s }} }}
route: {{ receiver: oncall }}
receivers:
  - {{ name: oncall, fallback: {{ receiver: backup, after: 1s }}, pagerduty_configs: [{{ \
  routing_key_file: pagerduty, url: '{}' }}] }}
  - {{ name: backup, webhook_configs: [{{ url: '{}', secret_file: hook }}] }}",
            pager.url(),
            hook.url()
        );
        let mut bridge = Bridge::start_with(folder.path(), &config, &[("ALERTBRIDGE_CRASH", plan)]);
        let _cut_short = bridge.post(&openings(1)[0].eml).await;
        crashed(&mut bridge, plan).await;
        assert_sound(&folder.path().join("alertbridge.db"), plan);
        let bridge = Bridge::start(folder.path(), &config);
        hook.next_page().await;
        pager.heal();
        pager.next_page().await;
        at_rest(&bridge).await;
        hook.assert_quiet();
        pager.assert_quiet();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_old_mail_is_deleted_leaves_the_rest_whole() {
    let folder = tempfile::tempdir().unwrap();
    let config = |retention: &str| {
        format!(
            "{}{IN}\nroute: {{ receiver: out }}\nreceivers: [{{ name: out, stdout_configs: [{{}}] \
             }}]",
            DOORS.replace(
                "alertbridge.db' }",
                &format!("alertbridge.db', mail_retention: {retention} }}")
            )
        )
    };
    let mails = generator::generate(31, 600);
    let bridge = Bridge::start(folder.path(), &config("90d"));
    for mail in &mails {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    }
    at_rest(&bridge).await;
    assert!(bridge.stop().success());
    let store = folder.path().join("alertbridge.db");
    let left = || {
        let store = Connection::open(&store).unwrap();
        let left: i64 = store
            .query_row("SELECT count(*) FROM mails", [], |row| row.get(0))
            .unwrap();
        usize::try_from(left).unwrap()
    };
    // By this clock all of it is past its retention, however soon the sweep begins.
    let clock = folder.path().join("clock");
    fs::write(&clock, "60").unwrap();
    let later = ("ALERTBRIDGE_CLOCK", clock.to_str().unwrap());
    // A start's own commits come first; then each step is one.
    for plan in ["commit:4", "committed:4", "pruned:1", "pruned:2"] {
        let mut bridge = Bridge::start_with(
            folder.path(),
            &config("1s"),
            &[("ALERTBRIDGE_CRASH", plan), later],
        );
        crashed(&mut bridge, plan).await;
        assert_sound(&store, plan);
    }
    let open = open_at_the_end(&mails);
    let of_open = mails.iter().filter(|mail| {
        mail.truth
            .incident_id
            .as_ref()
            .is_some_and(|id| open.contains(id))
    });
    let deadline = Instant::now() + PATIENCE;
    let _bridge = Bridge::start_with(folder.path(), &config("1s"), &[later]);
    let kept = of_open.count();
    while left() > kept {
        assert!(
            Instant::now() < deadline,
            "{} mails are left, and {kept} are of open incidents",
            left()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(left(), kept, "of open incidents nothing goes");
    assert_sound(&store, "all steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_dead_letters_are_sent_again_leaves_them_dead_or_sends_them_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let pager = PagerDuty::start().await;
    fs::write(folder.path().join("pagerduty"), pager.key()).unwrap();
    let config = format!(
        "{DOORS}{IN}\nroute: {{ receiver: oncall }}
receivers: [{{ name: oncall, pagerduty_configs: [{{ routing_key_file: pagerduty, url: '{}' }}] }}]",
        pager.url()
    );
    pager.fail_next(2, 400, &[]);
    let bridge = Bridge::start(folder.path(), &config);
    let mails = generator::generate(3, 400);
    let over = mails
        .iter()
        .find(|mail| mail.truth.outcome == Outcome::Resolved)
        .unwrap();
    let of_it: Vec<_> = mails
        .iter()
        .filter(|mail| {
            mail.truth.incident_id == over.truth.incident_id
                && matches!(mail.truth.outcome, Outcome::Opened | Outcome::Resolved)
        })
        .take(2)
        .collect();
    for mail in &of_it {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    }
    bridge.settled(2).await;
    assert_eq!(
        listed(
            &bridge,
            &["deliveries", "list", "--state", "dead", "--json"]
        )
        .len(),
        2
    );
    // The first commit records who asks for it.
    let retry = ["deliveries", "retry", "--dead"];
    assert!(
        !bridge
            .command_with(&retry, &[("ALERTBRIDGE_CRASH", "commit:2")])
            .status
            .success()
    );
    assert_eq!(
        listed(
            &bridge,
            &["deliveries", "list", "--state", "dead", "--json"]
        )
        .len(),
        2,
        "none of them"
    );
    assert!(
        !bridge
            .command_with(&retry, &[("ALERTBRIDGE_CRASH", "committed:2")])
            .status
            .success()
    );
    for action in ["trigger", "resolve"] {
        assert_eq!(pager.next_page().await.action, action);
    }
    at_rest(&bridge).await;
    pager.assert_quiet();
    assert_sound(&folder.path().join("alertbridge.db"), "both");
}
