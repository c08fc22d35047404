//! What goes wrong around the bridge, and what it does then: the faults of `deploy/RUNBOOK.md`,
//! each as it is described there. What receivers answer is in `delivery.rs`, what mailboxes do in
//! `imap.rs`.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    delivery::{delivery, hook, listed, pagerduty, post, resolve, said, trigger},
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, PATIENCE, PROGRAM, run, tail},
    vendors::{Fake, Hook, PagerDuty},
};

fn config(rest: &str) -> String {
    let doors = DOORS.replace("global: { max_age: 0s }", "");
    format!(
        "{doors}\ningress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] \
         }}\n{rest}\n"
    )
}

/// Pages printed, and nothing else.
fn printing() -> String {
    config("route: { receiver: out }\nreceivers: [{ name: out, stdout_configs: [{}] }]")
}

/// A clock the test sets: so many seconds before or after the machine's.
struct ClockFile(std::path::PathBuf);

impl ClockFile {
    fn new(folder: &Path) -> Self {
        let clock = Self(folder.join("clock"));
        clock.set(0);
        clock
    }

    fn set(&self, ahead: i64) {
        // Never seen half written.
        let whole = self.0.with_extension("new");
        fs::write(&whole, ahead.to_string()).unwrap();
        fs::rename(whole, &self.0).unwrap();
    }

    fn start(&self, folder: &Path, config: &str) -> Bridge {
        Bridge::start_with(
            folder,
            config,
            &[("ALERTBRIDGE_CLOCK", self.0.to_str().unwrap())],
        )
    }
}

pub async fn until(what: &str, bridge: &Bridge, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(
            Instant::now() < deadline,
            "waited in vain: {what}\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn assert_sound(folder: &Path) {
    let checked = run(folder, &["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_down_for_an_hour_gets_everything_within_half_a_minute_of_its_return() {
    const INCIDENTS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let (pager, backup) = (PagerDuty::start().await, PagerDuty::start().await);
    let receiver = |name: &str, more: &str, vendor: &Fake<PagerDuty>| {
        format!(
            "  - name: {name}\n{more}    {}\n",
            pagerduty(folder.path(), vendor)
        )
    };
    let clock = ClockFile::new(folder.path());
    let bridge = clock.start(
        folder.path(),
        &config(&format!(
            "route: {{ receiver: oncall }}\nreceivers:\n{}{}",
            receiver(
                "oncall",
                "    fallback: { receiver: backup, after: 5m }\n",
                &pager
            ),
            receiver("backup", "", &backup)
        )),
    );
    pager.fail_next(100_000, 503, &[]);
    for number in 0..INCIDENTS {
        post(&bridge, &trigger(&format!("i{number}"))).await;
    }
    post(&bridge, &resolve("i0")).await;
    until("all is decided", &bridge, async || {
        bridge.metric("alertbridge_mails_total", "").await
            >= f64::from(u32::try_from(INCIDENTS + 1).unwrap())
    })
    .await;
    until("the circuit is open", &bridge, async || {
        bridge.metric("alertbridge_circuit_open", "oncall").await > 0.5
    })
    .await;
    assert!(bridge.log().contains("does not answer"));
    let before = pager.history().len();
    for tenth in 1..=6 {
        let asked = pager.history().len();
        clock.set(tenth * 600);
        until("a probe", &bridge, async || pager.history().len() > asked).await;
    }
    assert!(
        pager.history().len() - before < 3 * 6,
        "{} requests into the outage",
        pager.history().len() - before
    );
    assert_eq!(
        backup.pages().len(),
        INCIDENTS - 1,
        "the fallback was told of what is open"
    );
    let pending = listed(
        &bridge,
        &["deliveries", "list", "--state", "pending", "--json"],
    );
    assert_eq!(pending.len(), INCIDENTS + 1, "nothing was dropped");

    pager.heal();
    clock.set(3600 + 30);
    for _ in 0..=INCIDENTS {
        pager.next_page().await;
    }
    let of_the_first: Vec<_> = pager
        .pages()
        .into_iter()
        .filter(|page| page.key == "i0:oncall")
        .collect();
    assert_eq!(
        of_the_first
            .iter()
            .map(|page| page.action.as_str())
            .collect::<Vec<_>>(),
        ["trigger", "resolve"]
    );
    until("the circuit is closed", &bridge, async || {
        bridge.metric("alertbridge_circuit_open", "oncall").await == 0.0
    })
    .await;
    assert!(bridge.log().contains("answers again"));
    pager.assert_quiet();
    assert!(bridge.stop().success());
    assert_sound(folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_refusals_for_too_much_at_once_cost_no_page_and_no_request_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let pager = PagerDuty::start().await;
    let bridge = Bridge::start(
        folder.path(),
        &config(&format!(
            "delivery: {{ backoff: {{ initial: 1s, max: 1s }} }}\nroute: {{ receiver: all \
             }}\nreceivers:\n  - name: all\n    {}",
            pagerduty(folder.path(), &pager)
        )),
    );
    pager.fail_next(8, 429, &[("retry-after", "1")]);
    for number in 0..20 {
        post(&bridge, &trigger(&format!("i{number}"))).await;
    }
    for _ in 0..20 {
        pager.next_page_within(PATIENCE).await;
    }
    bridge.settled(20).await;
    assert_eq!(pager.history().len(), 28, "each refusal was obeyed");
    assert!(
        bridge.metric("alertbridge_circuit_open", "").await < 0.5,
        "an answer is an answer"
    );
    pager.assert_quiet();
}

/// A server that reads one request a connection and answers as told; how often it is asked is told
/// to `answer`.
async fn raw<F: Future<Output = ()> + Send + 'static>(
    answer: impl Fn(tokio::net::TcpStream, usize) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1 << 16];
            let mut read = 0;
            while !whole(&request[..read]) {
                read += stream.read(&mut request[read..]).await.unwrap();
            }
            tokio::spawn(answer(stream, number));
        }
    });
    address
}

/// Whether an HTTP request has its whole body.
fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next()?.parse().ok());
        body.len() >= length.unwrap_or(0)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_comes_in_drips_is_given_up_in_time_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let slow = raw(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let bridge = Bridge::start(
        folder.path(),
        &config(&format!(
            "delivery: {{ timeout: 1s }}\nroute: {{ receiver: all, routes: [{{ receiver: slow, \
             continue: true }}, {{ receiver: all }}] }}
receivers:\n  - {{ name: slow, webhook_configs: [{{ url: 'http://{slow}/' }}] }}\n  - name: \
all\n    {}",
            hook(folder.path(), &hooked, "")
        )),
    );
    let begun = Instant::now();
    for number in 0..40 {
        post(&bridge, &trigger(&format!("i{number}"))).await;
    }
    for _ in 0..40 {
        hooked.next_page().await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "the others took {:?}",
        begun.elapsed()
    );
    let late = delivery(&bridge, "a time-out", |row| {
        row["receiver"] == "slow" && said(row, "no reply in time")
    })
    .await;
    assert_eq!(late["state"], "pending");
    until("the circuit is open", &bridge, async || {
        bridge.metric("alertbridge_circuit_open", "slow").await > 0.5
    })
    .await;
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_reset_before_the_reply_has_its_header_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let torn = raw(|mut stream, number| async move {
        let reply: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789";
        // In the midst of the status, of the header, and of the body: that page is taken.
        stream
            .write_all(&reply[..[5, 25, 50][number]])
            .await
            .unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let bridge = Bridge::start(
        folder.path(),
        &config(&format!(
            "delivery: {{ backoff: {{ initial: 1s, max: 1s }} }}\nroute: {{ receiver: torn }}
receivers: [{{ name: torn, webhook_configs: [{{ url: 'http://{torn}/' }}] }}]"
        )),
    );
    post(&bridge, &trigger("a")).await;
    let row = delivery(&bridge, "delivered", |row| row["state"] == "delivered").await;
    assert_eq!(row["failures"], 2, "{row}");
    assert!(
        bridge
            .metric(
                "alertbridge_notifications_failed_total",
                "reason=\"unconfirmed\""
            )
            .await
            > 1.5
    );
}

/// What ends a conversation in which a page was sent, before its reply is known, and whether the
/// page may have been taken: a gateway may have passed it on.
const ENDS: [(&str, &str, bool); 13] = [
    ("closed", "", true),
    ("status", "HTTP/1.1 200 O", true),
    ("header", "HTTP/1.1 200 OK\r\nConte", true),
    ("reset", "HTTP/1.1 200 OK\r\nConte", true),
    ("silent", "", true),
    (
        "torn",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        true,
    ),
    (
        "stalled",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        true,
    ),
    (
        "late",
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
        true,
    ),
    (
        "gateway",
        "HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n",
        true,
    ),
    (
        "cloud",
        "HTTP/1.1 524 A Timeout Occurred\r\ncontent-length: 0\r\n\r\n",
        true,
    ),
    (
        "busy",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        false,
    ),
    (
        "broken",
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        false,
    ),
    (
        "down",
        "HTTP/1.1 521 Web Server Is Down\r\ncontent-length: 0\r\n\r\n",
        false,
    ),
];

/// Every way to lose a reply, from receivers with keys and without: the page may have been taken
/// each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_reply_is_lost_is_sent_four_times_where_its_receiver_knows_no_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let refused = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let (mut receivers, mut counts) = (String::new(), Vec::new());
    for (end, reply, may_be_taken) in ENDS {
        for more in ["", ", deduplicates: true"] {
            let count = Arc::new(AtomicUsize::new(0));
            let heard = Arc::clone(&count);
            let lost = raw(move |mut stream, _| {
                heard.fetch_add(1, Ordering::SeqCst);
                async move {
                    let _ = stream.write_all(reply.as_bytes()).await;
                    match end {
                        "reset" => stream.set_zero_linger().unwrap(),
                        "silent" | "stalled" => tokio::time::sleep(PATIENCE).await,
                        _ => {}
                    }
                }
            })
            .await;
            let name = format!("{end}{}", more.len());
            receivers += &format!(
                "  - name: {name}\n    fallback: {{ receiver: backup, after: 1h }}\n    \
                 webhook_configs: [{{ url: 'http://{lost}/', success_body: whole{more} }}]\n"
            );
            counts.push((name, may_be_taken && more.is_empty(), count));
        }
    }
    let routes: String = counts
        .iter()
        .map(|(name, ..)| {
            format!("{{ receiver: {name}, matchers: ['kind=\"incident\"'], continue: true }}, ")
        })
        .collect();
    let bridge = Bridge::start(
        folder.path(),
        &config(&format!(
            "delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}\nroute: {{ receiver: \
             refused, routes: [{routes}{{ receiver: refused }}] }}\nreceivers:\n{receivers}  - \
             {{ name: refused, webhook_configs: [{{ url: 'http://{refused}/' }}] }}\n  - name: \
             backup\n    {}",
            hook(folder.path(), &hooked, "")
        )),
    );
    post(&bridge, &trigger("a")).await;

    for (name, is_bounded, _) in
        counts
            .iter()
            .chain([&("refused".to_owned(), false, Arc::default())])
    {
        let row = delivery(&bridge, name, |row| {
            let failed = row["failures"].as_u64().unwrap_or(0);
            row["receiver"] == name.as_str() && (row["state"] == "dead" || failed > 4)
        })
        .await;
        let is_dead = row["state"] == "dead";
        assert_eq!(is_dead, *is_bounded, "{row}");
        assert_eq!(said(&row, "it was sent 4 times"), *is_bounded, "{row}");
    }
    for (name, is_bounded, count) in &counts {
        let count = count.load(Ordering::SeqCst);
        assert_eq!(count == 4, *is_bounded, "{name}: {count}");
    }
    // Whoever is the fallback of several is told once.
    assert_eq!(hooked.next_page().await.key, "a:backup");
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_resolve_is_tried_again_and_the_fallback_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let bridge = Bridge::start(
        folder.path(),
        &config(&format!(
            "route: {{ receiver: lost }}\nreceivers:\n  - name: lost\n    fallback: {{ receiver: \
             backup, after: 1s }}
    webhook_configs: [{{ url: 'https://pager.invalid/' }}]\n  - name: backup\n    {}",
            hook(folder.path(), &hooked, "")
        )),
    );
    post(&bridge, &trigger("a")).await;
    assert_eq!(hooked.next_page().await.key, "a:backup");
    let row = delivery(&bridge, "a failure", |row| {
        row["receiver"] == "lost" && row["failures"] != 0
    })
    .await;
    assert_eq!(row["state"], "pending");
    assert!(said(&row, "no connection"), "{row}");
}

/// `unshare` as this user may use it, for a file system of one's own; none where the machine allows
/// it to nobody.
pub fn unshared() -> Option<Vec<&'static str>> {
    [vec!["unshare", "-m"], vec!["unshare", "-rm"]]
        .into_iter()
        .find(|command| {
            Command::new(command[0])
                .args(&command[1..])
                .arg("true")
                .output()
                .is_ok_and(|output| output.status.success())
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_mail_is_refused_and_taken_again_when_there_is_room() {
    let Some(unshare) = unshared() else {
        eprintln!("SKIPPED: this machine lets nobody make a small disk");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // Room for a store, and a file that leaves little more.
    let script = format!(
        "mount -t tmpfs -o size=4m small {0} && head -c 2m /dev/zero > {0}/ballast && exec \"$@\"",
        disk.display()
    );
    let under = [&unshare[..], &["sh", "-ec", &script, "sh"]].concat();
    let config = printing().replace("sqlite:alertbridge.db", "sqlite:disk/store.db");
    let bridge = Bridge::start_under(&under, folder.path(), &config, &[]);
    let mut taken = 0;
    let mut refused = 0;
    let mut rng = fastrand::Rng::with_seed(9);
    while refused < 5 {
        // Letters at random, which do not compress.
        let mut mail = trigger(&format!("i{taken}"));
        mail.extend(std::iter::repeat_with(|| rng.alphanumeric() as u8).take(60_000));
        match bridge.post(&mail).await.unwrap() {
            202 => taken += 1,
            503 => refused += 1,
            status => panic!("{status}"),
        }
        assert!(taken < 200, "the disk does not fill");
    }
    // What little room is left is soon used up.
    let mut small = 0;
    while bridge.ready().await.0 == 200 {
        taken += usize::from(
            bridge
                .post(&trigger(&format!("small{small}")))
                .await
                .unwrap()
                == 202,
        );
        small += 1;
        assert!(small < 500, "readiness does not see it");
    }
    let (status, why) = bridge.ready().await;
    assert!(
        status == 503 && why.contains("disk is full"),
        "{status} {why}"
    );
    assert!(bridge.metric("alertbridge_store_failures_total", "").await >= 5.0);
    assert!(
        bridge.log().contains("disk is full"),
        "{}",
        tail(&bridge.log())
    );

    fs::remove_file(bridge.sees(&disk.join("ballast"))).unwrap();
    until("it is ready", &bridge, async || {
        bridge.ready().await.0 == 200
    })
    .await;
    post(&bridge, &trigger("after")).await;
    // The bridge's own page of a store near full is not among them.
    let told = || {
        bridge
            .pages()
            .iter()
            .filter(|page| page.contains("com.example.app"))
            .count()
    };
    until("all are told", &bridge, async || {
        told() > taken && bridge.metric("alertbridge_deliveries", "pending").await == 0.0
    })
    .await;
    assert_eq!(
        told(),
        taken + 1,
        "those taken, once each, and none that was refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_read_only_is_said_at_the_start() {
    let Some(unshare) = unshared() else {
        eprintln!("SKIPPED: this machine lets nobody make a read-only disk");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let config = printing().replace("sqlite:alertbridge.db", "sqlite:disk/store.db");
    assert!(Bridge::start(folder.path(), &config).stop().success());
    let script = format!(
        "mount --bind {0} {0} && mount -o remount,ro,bind {0} && exec \"$@\"",
        disk.display()
    );
    let words = [
        &unshare[1..],
        &["sh", "-ec", &script, "sh", PROGRAM, "serve"],
    ]
    .concat();
    let refused = Command::new(unshare[0])
        .args(words)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("store.url: disk/store.db") && said.contains("read-only"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_another_process_locks_the_file_mail_is_refused_and_afterwards_all_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &printing());
    post(&bridge, &trigger("before")).await;
    bridge.settled(1).await;
    let other = Connection::open(folder.path().join("alertbridge.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(bridge.post(&trigger("during")).await.unwrap(), 503);
    let (status, why) = bridge.ready().await;
    // Readiness answers within three seconds, which may be sooner than the store gives up waiting
    // for the lock.
    let said = ["locked by another process", "store: it does not answer"]
        .iter()
        .any(|what| why.contains(what));
    assert!(status == 503 && said, "{status} {why}");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    post(&bridge, &trigger("during")).await;
    until("both are told", &bridge, async || bridge.pages().len() == 2).await;
    assert_eq!(bridge.ready().await.0, 200);
    assert!(bridge.stop().success());
    assert_sound(folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_its_end_costs_what_was_in_it_and_no_alert_opens_twice() {
    let folder = tempfile::tempdir().unwrap();
    let pager = PagerDuty::start().await;
    let config = config(&format!(
        "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}",
        pagerduty(folder.path(), &pager)
    ));
    let mut bridge = Bridge::start(folder.path(), &config);
    for number in 0..20 {
        post(&bridge, &trigger(&format!("i{number}"))).await;
    }
    bridge.settled(20).await;
    bridge.kill();
    let log = fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join("alertbridge.db-wal"))
        .unwrap();
    let length = log.metadata().unwrap().len();
    log.set_len(length * 2 / 3 + 1000).unwrap();
    let bridge = Bridge::start(folder.path(), &config);
    let checked = bridge.command(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    let left = listed(&bridge, &["mails", "list", "--json"]).len();
    assert!((1..20).contains(&left), "{left} mails are left");
    // The same mails come again, from the mailbox or by replay: what is open at the vendor stays
    // one alert.
    for number in 0..20 {
        post(&bridge, &trigger(&format!("i{number}"))).await;
    }
    post(&bridge, &resolve("i19")).await;
    // A mail whose decision alone was lost is decided beside these.
    until("the resolved one is closed", &bridge, async || {
        pager.open_alerts().len() == 19
    })
    .await;
    bridge.settled(21).await;
    assert_eq!(pager.pages().len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_by_a_day_and_back_stalls_and_doubles_nothing() {
    const DAY: i64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let pager = PagerDuty::start().await;
    let clock = ClockFile::new(folder.path());
    let bridge = clock.start(
        folder.path(),
        &config(&format!(
            "global: {{ max_age: 0s }}\nroute: {{ receiver: all }}\nreceivers:\n  - name: all\n    \
             {}",
            pagerduty(folder.path(), &pager)
        )),
    );
    for (number, ahead) in [0, DAY, -DAY, DAY, 0, -DAY, 0].into_iter().enumerate() {
        clock.set(ahead);
        let incident = format!("i{number}");
        // What waits for its next attempt when the clock jumps goes out after it.
        pager.fail_next(1, 503, &[]);
        post(&bridge, &trigger(&incident)).await;
        let asked = pager.history().len();
        until("the failure", &bridge, async || {
            pager.history().len() > asked || !pager.pages().is_empty()
        })
        .await;
        clock.set(-ahead);
        until("the page", &bridge, async || {
            pager.pages().len() > 2 * number
        })
        .await;
        assert_eq!(pager.next_page().await.action, "trigger");
        post(&bridge, &resolve(&incident)).await;
        assert_eq!(pager.next_page().await.action, "resolve");
    }
    bridge.settled(14).await;
    assert!(bridge.log().contains("the clock was set back"));
    assert!(pager.open_alerts().is_empty() && pager.repeats().is_empty());
    pager.assert_quiet();
    assert!(bridge.stop().success());
    assert_sound(folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_while_a_page_is_sent_sends_it_no_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&count);
    let slow = raw(move |mut stream, _| {
        heard.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_secs(6)).await;
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(reply).await;
        }
    })
    .await;
    let clock = ClockFile::new(folder.path());
    let config = config(&format!(
        "global: {{ max_age: 0s }}\nroute: {{ receiver: slow }}\nreceivers: [{{ name: slow, \
         webhook_configs: [{{ url: 'http://{slow}/' }}] }}]"
    ));
    let bridge = clock.start(folder.path(), &config);

    post(&bridge, &trigger("a")).await;
    until("the request", &bridge, async || {
        count.load(Ordering::SeqCst) == 1
    })
    .await;
    clock.set(3600);
    let row = delivery(&bridge, "delivered", |row| row["state"] == "delivered").await;
    assert_eq!(row["failures"], 0, "{row}");
    // The next page shows that nothing else is owed.
    post(&bridge, &resolve("a")).await;
    bridge.settled(2).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_sound(folder.path());
}
