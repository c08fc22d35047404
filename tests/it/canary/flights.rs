//! What the canaries of before say: those that are long past, and those that are still under way.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    delivery::now,
    email::ends_oddly,
    harness::{self, Bridge},
    inbox::eventually,
};

/// A bridge whose canaries nobody brings back, with canaries that were sent before its start.
struct Earlier {
    folder: tempfile::TempDir,
    bridge: Bridge,
}

impl Earlier {
    async fn start(settings: &str, begun: impl IntoIterator<Item = Timestamp>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, _) = ends_oddly(b"250 ok\r\n", Duration::ZERO).await;
        let config = format!(
            "store: {{ url: 'sqlite:state.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
canary:
  {settings}
  send_via: {{ smtp: 127.0.0.1, port: {port}, tls: none, from: bridge@example.org, \
             to: alerts@example.com }}
route: {{ receiver: out }}
receivers:
- name: out
  stdout_configs: [{{ text: \"{{{{ kind }}}} {{{{ state }}}} {{{{ stage }}}}|\" }}]
"
        );
        std::fs::write(folder.path().join("alertbridge.yaml"), &config).unwrap();
        let migrated = harness::run(folder.path(), &["store", "migrate"]);
        assert!(migrated.status.success(), "{migrated:?}");

        let earlier = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
        for (number, at) in (1..).zip(begun) {
            let at = at.as_microsecond();
            let flight = "INSERT INTO canaries (number, begun_at, sent_at) VALUES (?1, ?2, ?2)";
            earlier.execute(flight, [number, at]).unwrap();
        }
        drop(earlier);
        let bridge = Bridge::start(folder.path(), &config);
        Self { folder, bridge }
    }

    fn begun(&self) -> i64 {
        let store = rusqlite::Connection::open(self.folder.path().join("state.db")).unwrap();
        store
            .query_row("SELECT max(number) FROM canaries", [], |row| row.get(0))
            .unwrap()
    }

    fn is_paged(&self) -> bool {
        self.bridge
            .pages()
            .iter()
            .any(|page| page.starts_with("canary firing arrived"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_of_before_a_long_stop_is_not_missed_and_one_of_just_before_is() {
    for (hours, is_missed) in [(24, false), (1, true)] {
        let begun = now() - SignedDuration::from_hours(hours);
        let bridge = Earlier::start("every: 1h\n  deadline: 1m", [begun]).await;
        eventually("the next canary", || bridge.begun() == 2).await;
        if is_missed {
            eventually("the page", || bridge.is_paged()).await;
        } else {
            // In which it looks twice.
            tokio::time::sleep(Duration::from_millis(1200)).await;
            assert!(!bridge.is_paged(), "{:?}", bridge.bridge.pages());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_canary_is_told_though_many_others_are_under_way() {
    let begun = (1..30)
        .rev()
        .map(|ago| now() - SignedDuration::from_secs(ago));
    let bridge = Earlier::start("every: 1s\n  deadline: 30s", begun).await;
    eventually("the page", || bridge.is_paged()).await;
    assert!(bridge.begun() > 29, "others are sent meanwhile");
}
