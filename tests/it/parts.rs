//! The parts of a running bridge. None ends alone: the process ends with it, and starts anew.

use std::path::Path;

use crate::{
    delivery::{hook, post, trigger},
    e2e::{DOORS, HOOK_SECRET},
    harness::Bridge,
    vendors::{Fake, Hook},
};

fn config(folder: &Path, vendor: &Fake<Hook>) -> String {
    format!(
        "{DOORS}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}
route: {{ receiver: a }}
receivers: [{{ name: a, {} }}]",
        hook(folder, vendor, "")
    )
}

/// A mail is acknowledged, and a part panics; the page is sent after the next start, once.
async fn ends_and_goes_on(part: &str, point: &str, refused: usize) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vendor = Hook::start(HOOK_SECRET).await;
    vendor.fail_next(refused, 503, &[]);
    let config = config(folder, &vendor);

    let mut bridge = Bridge::start_with(folder, &config, &[("ALERTBRIDGE_CRASH", point)]);
    post(&bridge, &trigger("inc-1")).await;
    let status = bridge.end();
    let log = bridge.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("it panicked") && log.contains("planned at"),
        "{log}"
    );
    assert!(log.contains(&format!("part=\"{part}\"")), "{log}");
    assert!(log.contains("stopped"), "softly:\n{log}");

    let bridge = Bridge::start(folder, &config);
    bridge.settled(0).await;
    assert_eq!(vendor.next_page().await.action, "trigger");
    assert_eq!(vendor.pages().len(), 1);
    assert!(bridge.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_decides_mail_does_not_end_alone() {
    ends_and_goes_on("deciding", "deciding!", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_claims_pages_does_not_end_alone() {
    ends_and_goes_on("delivering", "claiming!", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_does_not_end_alone() {
    ends_and_goes_on("an attempt", "claimed!", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_writes_to_the_store_does_not_end_alone() {
    // The second commit after the mail's is the decision's.
    ends_and_goes_on("a thread of the store", "recorded,commit!", 0).await;
}
