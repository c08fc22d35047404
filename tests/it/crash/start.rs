//! kill -9 before the bridge has greeted for the first time: while it makes its store.

use std::process::Stdio;

use super::*;
use crate::harness::PROGRAM;

const CONFIG: &str = "
ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }
route: { receiver: out }
receivers: [{ name: out, stdout_configs: [{}] }]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_is_killed_leaves_a_store_that_opens_and_takes_mail() {
    let config = format!("{DOORS}{CONFIG}");
    let mail = generator::generate(1, 50)
        .into_iter()
        .find(|mail| mail.truth.outcome == Outcome::Opened)
        .unwrap();
    let mut rng = fastrand::Rng::with_seed(3);
    let points = ["migrating:1", "migrated:1", "commit:1", "committed:1"].map(Some);
    for (round, point) in points.into_iter().chain([None; 40]).enumerate() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("alertbridge.yaml"),
            crate::harness::unless_judged(&config),
        )
        .unwrap();
        let mut starting = std::process::Command::new(PROGRAM)
            .args(["serve"])
            .current_dir(folder.path())
            .env("ALERTBRIDGE_CRASH", point.unwrap_or("none"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut after = Duration::from_micros(rng.u64(..50_000));
        if point.is_none() {
            // At any time, or when most of the schema is in the log, and its commits follow.
            if round % 2 == 0 {
                let (log, deadline) = (
                    folder.path().join("alertbridge.db-wal"),
                    Instant::now() + PATIENCE,
                );
                while fs::metadata(&log).map_or(0, |log| log.len()) < 100_000 {
                    assert!(Instant::now() < deadline, "no schema is made");
                    std::hint::spin_loop();
                }
                after /= 10;
            }
            std::thread::sleep(after);
            starting.kill().unwrap();
        }
        assert!(!starting.wait().unwrap().success());
        let when = format!("killed at {point:?}, or after {after:?}");
        let bridge = Bridge::start(folder.path(), &config);
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202, "{when}");
        at_rest(&bridge).await;
        assert_eq!(bridge.pages().len(), 1, "{when}:\n{}", tail(&bridge.log()));
        let store = folder.path().join("alertbridge.db");
        assert_sound(&store, &when);
        let vacuum = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let vacuum = Connection::open(&store)
            .unwrap()
            .query_row("PRAGMA auto_vacuum", [], vacuum)
            .unwrap();
        assert_eq!(vacuum, 2, "{when}: what retention frees can be given back");
    }
}
