//! The canary by real mail servers: it goes round, and whichever part of its way is closed,
//! somebody is paged, the heartbeat stops, and both end by themselves once it is open again.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use alertbridge::{
    canary::{Canary, HEADER, Key},
    ingress::imap::Tls,
};
use tempfile::TempDir;

use crate::{
    dovecot::Dovecot,
    harness::{Bridge, PATIENCE, client},
    port::free_port,
    postfix::Postfix,
};

mod flights;
mod handed_in;
mod heartbeat;
mod several;

use heartbeat::Heartbeat;

const TO: &str = "alerts@mail.example.org";

/// A bridge that reads the mailbox, and sends canaries to it.
fn config(dovecot: &Dovecot, postfix: &Postfix, heartbeat: &Heartbeat, store: &str) -> String {
    let mailbox = dovecot.settings(Tls::None);
    format!(
        r#"
store: {{ url: "{store}" }}
admin: {{ listen: "127.0.0.1:0" }}
ingress:
  imap:
  - name: mailbox
    host: localhost
    port: {port}
    tls: none
    username: alerts
    password_file: {password}
canary:
  every: 1h
  deadline: 5m
  send_via: {{ smtp: 127.0.0.1, port: {smtp}, tls: none, from: bridge@example.org, to: {TO} }}
  heartbeat_url: "{heartbeat}"
  receiver: oncall
route: {{ receiver: others }}
receivers:
- name: others
  stdout_configs: [{{ text: "others {{{{ kind }}}}" }}]
- name: oncall
  stdout_configs: [{{ text: "{{{{ kind }}}} {{{{ state }}}} {{{{ stage }}}}|" }}]
"#,
        port = mailbox.port.unwrap(),
        password = mailbox.password_file.unwrap().display(),
        smtp = postfix.submission.port(),
        heartbeat = heartbeat.url(),
    )
}

/// A mail server whose mail for [`TO`] ends up in a mailbox; none where this is not root, whom
/// alone Postfix obeys.
fn mail_system() -> Option<(Dovecot, Postfix)> {
    let lmtp = free_port();
    let dovecot = Dovecot::receiving(lmtp);
    let transports = format!("{{ mail.example.org = lmtp:inet:127.0.0.1:{lmtp} }}");
    Some((dovecot, Postfix::with_transports(&transports)?))
}

/// A mail system, and a bridge that sends its canaries through it. Its clock is the test's.
struct Mine {
    folder: TempDir,
    dovecot: Dovecot,
    postfix: Postfix,
    heartbeat: Heartbeat,
    bridge: Bridge,
    ahead: i64,
}

impl Mine {
    /// None where this is not root, whom alone Postfix obeys.
    fn open() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (dovecot, postfix) = mail_system()?;
        let heartbeat = Heartbeat::start();

        let config = config(&dovecot, &postfix, &heartbeat, "sqlite:state.db");
        let clock = folder.path().join("clock");
        fs::write(&clock, "0").unwrap();
        let bridge = Bridge::start_with(
            folder.path(),
            &config,
            &[("ALERTBRIDGE_CLOCK", clock.to_str().unwrap())],
        );
        let mut mine = Self {
            folder,
            dovecot,
            postfix,
            heartbeat,
            bridge,
            ahead: 0,
        };
        mine.comes_through(1);
        Some(mine)
    }

    fn database(&self) -> rusqlite::Connection {
        let path = self.folder.path().join("state.db");
        rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap()
    }

    fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "{what}: not in time\n{}\n{:?}",
                self.bridge.log(),
                self.bridge.pages()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The bridge's clock goes on by so many seconds.
    fn pass(&mut self, seconds: i64) {
        self.ahead += seconds;
        let clock = self.folder.path().join("clock");
        let new = self.folder.path().join("clock.new");
        fs::write(&new, self.ahead.to_string()).unwrap();
        fs::rename(new, clock).unwrap();
    }

    fn begun(&self) -> i64 {
        let newest = "SELECT coalesce(max(number), 0) FROM canaries";
        self.database()
            .query_row(newest, [], |row| row.get(0))
            .unwrap()
    }

    /// Canaries whose sending has ended.
    fn tried(&self) -> i64 {
        let tried =
            "SELECT count(*) FROM canaries WHERE sent_at IS NOT NULL OR failure IS NOT NULL";
        self.database()
            .query_row(tried, [], |row| row.get(0))
            .unwrap()
    }

    /// Waits for the heartbeat of the next canary: so many in all.
    fn comes_through(&mut self, heartbeats: usize) {
        self.wait("a canary to come through", |mine| {
            mine.heartbeat.count() >= heartbeats
        });
        assert_eq!(self.heartbeat.count(), heartbeats);
    }

    /// An hour passes, the next canary is begun and given to the mail server as far as that takes
    /// it, and its deadline passes.
    fn miss_one(&mut self) {
        let tried = self.tried();
        self.pass(3600);
        self.wait("a canary to be sent", |mine| mine.tried() > tried);
        self.pass(301);
    }

    fn is_paged(&self, pages: &[&str]) {
        self.wait("the page", |mine| mine.bridge.pages().len() >= pages.len());
        assert_eq!(self.pages(), pages, "{}", self.bridge.log());
    }

    fn pages(&self) -> Vec<String> {
        let pages = self.bridge.pages().into_iter();
        pages
            .map(|page| page.split('|').next().unwrap().to_owned())
            .collect()
    }

    /// One way of closing it: it is paged within the deadline with its stage, the heartbeat stops,
    /// and once it is open again the next canary ends the page.
    fn closed_and_opened(
        mut self,
        stage: &str,
        close: impl FnOnce(&mut Self),
        open: impl FnOnce(&mut Self),
    ) {
        close(&mut self);
        self.miss_one();
        let fired = format!("canary firing {stage}");
        self.is_paged(&[&fired]);
        // It is told once, however often it is missing.
        self.miss_one();
        assert_eq!(self.heartbeat.count(), 1, "the heartbeat went on");

        open(&mut self);
        // One that is delivered at last is too old to count.
        self.pass(3600);
        self.comes_through(2);
        self.is_paged(&[&fired, "canary resolved "]);
        assert_eq!(self.pages().len(), 2);

        let checked = self.bridge.command(&["store", "check"]);
        assert!(checked.status.success(), "{checked:?}");
        assert_eq!(self.bridge.stop().code(), Some(0));
    }
}

#[test]
fn a_mail_server_that_is_stopped_is_told_as_not_sent() {
    let Some(mine) = Mine::open() else { return };
    mine.closed_and_opened(
        "sent",
        |mine| assert!(mine.postfix.control("stop").status.success()),
        |mine| assert!(mine.postfix.control("start").status.success()),
    );
}

#[test]
fn a_mailbox_that_is_stopped_is_told_as_not_arrived() {
    let Some(mine) = Mine::open() else { return };
    mine.closed_and_opened(
        "arrived",
        |mine| mine.dovecot.stop(),
        |mine| mine.dovecot.start_again(),
    );
}

#[test]
fn a_mailbox_that_hangs_without_closing_is_told_as_not_arrived() {
    let Some(mine) = Mine::open() else { return };
    mine.closed_and_opened(
        "arrived",
        |mine| {
            mine.wait("IMAP to be stopped", |mine| {
                mine.dovecot.signal("STOP", "imap") > 0
            });
        },
        |mine| {
            mine.dovecot.signal("KILL", "imap");
        },
    );
}

#[test]
fn a_mail_that_is_swallowed_is_told_as_not_arrived() {
    let Some(mine) = Mine::open() else { return };
    mine.closed_and_opened(
        "arrived",
        |mine| mine.postfix.reroute("{ mail.example.org = discard: }"),
        |mine| mine.postfix.reroute_back(),
    );
}

#[test]
fn a_mailbox_that_is_full_is_told_as_not_arrived() {
    let Some(mine) = Mine::open() else { return };
    mine.closed_and_opened(
        "arrived",
        |mine| mine.dovecot.set_full(true),
        |mine| mine.dovecot.set_full(false),
    );
}

/// A mail with a token, put into the mailbox.
fn letter(token: &str) -> Vec<u8> {
    format!("From: bridge@example.org\r\nTo: {TO}\r\nSubject: x\r\n{HEADER}: {token}\r\n\r\nx\r\n")
        .into_bytes()
}

#[test]
fn canaries_that_are_old_replayed_or_forged_complete_nothing() {
    let Some(mut mine) = Mine::open() else { return };
    let (key, begun_at): (Vec<u8>, i64) = mine
        .database()
        .query_row(
            "SELECT key, (SELECT begun_at FROM canaries WHERE number = 1) FROM canary_key",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let token = |key: &[u8], number, seconds| {
        let begun_at = jiff::Timestamp::from_second(seconds).unwrap();
        Key::new(key).token(Canary { number, begun_at })
    };
    let seconds = begun_at / 1_000_000;

    // The way is closed: what comes back now is not of the bridge.
    assert!(mine.postfix.control("stop").status.success());
    mine.miss_one();
    mine.is_paged(&["canary firing sent"]);

    for token in [
        token(&key, 1, seconds),
        token(&key, 2, seconds),
        token(&key, 99, seconds + 7200),
        token(&[7; 32], 2, seconds + 3600),
    ] {
        mine.dovecot.deliver(&letter(&token));
    }
    let ignored = "SELECT count(*) FROM mails WHERE outcome = 'ignored'";
    mine.wait("the mails to be decided", |mine| {
        let ignored: i64 = mine
            .database()
            .query_row(ignored, [], |row| row.get(0))
            .unwrap();
        ignored == 5
    });
    let completed = "SELECT count(*) FROM deliveries WHERE receiver = 'self:canary'";
    let completed: i64 = mine
        .database()
        .query_row(completed, [], |row| row.get(0))
        .unwrap();
    assert_eq!((completed, mine.heartbeat.count()), (1, 1));
    assert_eq!(mine.pages(), ["canary firing sent"]);
}

#[tokio::test]
async fn each_stage_has_its_time_and_the_metrics_and_readiness_show_it() {
    let mine = tokio::task::spawn_blocking(Mine::open).await.unwrap();
    let Some(mine) = mine else { return };
    let stages = "SELECT begun_at <= sent_at, arrived_at <= judged_at, judged_at <= read_at,
                  read_at <= decided_at FROM canaries";
    let in_order: [bool; 4] = mine
        .database()
        .query_row(stages, [], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        })
        .unwrap();
    assert_eq!(in_order, [true; 4]);

    let name = "alertbridge_canary_last_success_timestamp_seconds";
    let decided = "SELECT decided_at / 1e6 FROM canaries";
    let decided: f64 = mine
        .database()
        .query_row(decided, [], |row| row.get(0))
        .unwrap();
    let delivered = mine.bridge.metric(name, "").await;
    // The metric has milliseconds.
    let took = delivered - decided;
    assert!((-0.01..60.0).contains(&took), "{took}");
    let stages = mine
        .bridge
        .metric("alertbridge_canary_stage_seconds", "stage=")
        .await;
    assert!(stages > 0.0, "{stages}");

    let (status, text) = mine.bridge.ready().await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("canary 1 came through: sent "), "{text}");
    assert!(text.contains(", delivered "), "{text}");
    let now = client().get(&mine.bridge.admin).send().await.unwrap();
    let now = now.text().await.unwrap();
    assert!(now.contains("the last canary came through"), "{now}");
    assert_eq!(mine.begun(), 1);
    for (asked, shown) in [("", false), ("&canary=1", true)] {
        let mails = format!("{}/mails?outcome=ignored{asked}", mine.bridge.admin);
        let mails = client().get(mails).send().await.unwrap();
        let mails = mails.text().await.unwrap();
        let is_listed = mails.contains("a canary of the bridge");
        assert_eq!(is_listed, shown, "{asked}: {mails}");
    }

    let listed = mine.bridge.command(&["incidents", "list", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(!listed.contains("firing"), "{listed}");
}
