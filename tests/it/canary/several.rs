//! Several bridges and one mailbox: of replicas one sends, and whichever reads completes it; of
//! bridges that know nothing of each other each completes its own, and none takes another's for
//! it.

use std::time::Duration;

use super::*;
use crate::postgres::Database;

/// In which each bridge looks after its canaries twice.
const TWO_LOOKS: Duration = Duration::from_secs(1);

/// Bridges that read the same mailbox, on the test's clock.
struct Flock {
    folder: TempDir,
    bridges: Vec<Bridge>,
    ahead: i64,
}

impl Flock {
    fn start(configs: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = folder.path().join("clock");
        fs::write(&clock, "0").unwrap();
        let start = |(number, config): (usize, &String)| {
            let own = folder.path().join(number.to_string());
            fs::create_dir(&own).unwrap();
            Bridge::start_with(
                &own,
                config,
                &[("ALERTBRIDGE_CLOCK", clock.to_str().unwrap())],
            )
        };
        let bridges = configs.iter().enumerate().map(start).collect();
        Self {
            bridges,
            folder,
            ahead: 0,
        }
    }

    fn pass(&mut self, seconds: i64) {
        self.ahead += seconds;
        let new = self.folder.path().join("clock.new");
        fs::write(&new, self.ahead.to_string()).unwrap();
        fs::rename(new, self.folder.path().join("clock")).unwrap();
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            let logs: Vec<_> = self.bridges.iter().map(Bridge::log).collect();
            assert!(Instant::now() < deadline, "{what}: not in time\n{logs:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// So many mails of the mailbox are stored by a bridge of its own store.
    fn has_read(&self, bridge: usize, mails: i64) {
        let store = self.folder.path().join(bridge.to_string()).join("state.db");
        let read = || {
            let read = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let store = rusqlite::Connection::open_with_flags(&store, read).unwrap();
            let decided = "SELECT count(*) FROM mails WHERE outcome <> 'pending'";
            let found: i64 = store.query_row(decided, [], |row| row.get(0)).unwrap();
            found >= mails
        };
        self.wait("all mails of the mailbox", read);
    }

    fn tells_nobody(&self) {
        for bridge in &self.bridges {
            assert_eq!(bridge.pages(), [""; 0], "{}", bridge.log());
        }
    }
}

#[test]
fn bridges_that_know_nothing_of_each_other_complete_their_own_canaries_alone() {
    let Some((dovecot, postfix)) = mail_system() else {
        return;
    };
    let heartbeats = [Heartbeat::start(), Heartbeat::start()];
    let configs = heartbeats
        .each_ref()
        .map(|heartbeat| config(&dovecot, &postfix, heartbeat, "sqlite:state.db"));
    let mut flock = Flock::start(&configs);
    for round in 1..=2 {
        flock.wait("each one's canary", || {
            heartbeats
                .iter()
                .all(|heartbeat| heartbeat.count() == round)
        });
        // Each has read the other's as well, but for one that came before it first looked.
        let mails = i64::try_from(2 * round - 1).unwrap();
        flock.has_read(0, mails);
        flock.has_read(1, mails);
        // Nothing is missing once its deadline is over, and nothing is completed twice.
        flock.pass(301);
        std::thread::sleep(TWO_LOOKS);
        assert!(
            heartbeats
                .iter()
                .all(|heartbeat| heartbeat.count() == round)
        );
        flock.tells_nobody();
        flock.pass(3600);
    }

    // One of them is gone: that is its own trouble, and the other's canaries come through.
    flock.bridges.pop().unwrap().kill();
    flock.wait("the canary of the one that is left", || {
        heartbeats[0].count() == 3
    });
    flock.pass(301);
    std::thread::sleep(TWO_LOOKS);
    flock.tells_nobody();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_replicas_one_sends_and_any_may_die() {
    let system = tokio::task::spawn_blocking(mail_system).await.unwrap();
    let Some((dovecot, postfix)) = system else {
        return;
    };
    let database = Database::create().await;
    let heartbeat = Heartbeat::start();
    let config = config(&dovecot, &postfix, &heartbeat, &database.url());
    tokio::task::spawn_blocking(move || {
        let mut flock = Flock::start(&[config.clone(), config.clone(), config]);
        for round in 1..=2 {
            let logs = |flock: &Flock, what: &str| {
                let logs = flock.bridges.iter().map(Bridge::log);
                logs.filter(|log| log.contains(what)).count()
            };
            flock.wait("a canary", || {
                logs(&flock, &format!("came through canary={round} ")) == flock.bridges.len()
                    // Replicas that look at the same moment may each ping.
                    && heartbeat.count() >= round
            });
            flock.pass(301);
            std::thread::sleep(TWO_LOOKS);
            let next = format!("canary={}", round + 1);
            assert_eq!(logs(&flock, &next), 0, "one of them sends");
            flock.tells_nobody();
            // The one that reads the mailbox dies.
            let reads = |bridge: &Bridge| bridge.log().contains("the mailbox is read here");
            let reader = flock.bridges.iter().position(reads).unwrap();
            flock.bridges.remove(reader).kill();
            flock.pass(3600);
        }
    })
    .await
    .unwrap();
}
