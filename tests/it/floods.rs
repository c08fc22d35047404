//! Floods and slow clients at every door of the real program: what it takes of the machine is
//! bounded, and an honest mail and its page go through meanwhile.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use alertbridge::{
    ingress::listener,
    store::{Spare, Upkeep as _, sqlite::Sqlite},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::{
    harness::{self, Bridge, PATIENCE},
    postgres::Database,
};

const CONFIG: &str = "
store: { url: 'sqlite:alertbridge.db' }
admin: { listen: '127.0.0.1:0' }
ingress:
  http: { listen: '127.0.0.1:0' }
  webhook: [{ name: http }]
  smtp: [{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }]
route: { receiver: stdout }
receivers: [{ name: stdout, stdout_configs: [{}] }]
";

/// As many descriptors as a shell gives a program, and no more to be had.
const DESCRIPTORS: usize = 1024;
/// What the store and delivery find free whatever clients do.
const KEPT_BACK: usize = 300;

struct Doors {
    http: SocketAddr,
    smtp: SocketAddr,
    admin: SocketAddr,
}

fn start(folder: &std::path::Path) -> (Bridge, Doors) {
    listener::raise_limit();
    let bridge = Bridge::start_under(&["prlimit", "--nofile=1024:1024"], folder, CONFIG, &[]);
    let address = |url: &str| {
        url.strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let doors = Doors {
        http: address(&bridge.http),
        smtp: bridge.smtp.unwrap(),
        admin: address(&bridge.admin),
    };
    (bridge, doors)
}

/// A connection from an address of this machine; none where the server's queue is full.
async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    timeout(Duration::from_secs(5), socket.connect(to)).await?
}

/// What each of a flood says, over and over in small drops.
struct Words {
    first: &'static str,
    drop: &'static str,
}

const SILENCE: Words = Words {
    first: "",
    drop: "",
};
const HALF_HEAD: Words = Words {
    first: "POST /ingress/http HTTP/1.1\r\nhost: 127.0.0.1\r\nx-",
    drop: "x",
};
const HALF_BODY: Words = Words {
    first: "POST /ingress/http HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: message/rfc822\r\n\
        content-length: 100000\r\n\r\nSubject: ",
    drop: "x",
};
const HALF_COMMAND: Words = Words {
    first: "EHLO ",
    drop: "x",
};
const IDLE_COMMANDS: Words = Words {
    first: "EHLO c\r\n",
    drop: "NOOP\r\n",
};
const HALF_MAIL: Words = Words {
    first: "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<alerts@example.com>\r\nDATA\r\nSubject: ",
    drop: "x",
};

/// So many clients that say these words and never end, from each address in turn; whoever is sent
/// away comes again.
fn flood(
    clients: &mut JoinSet<()>,
    count: u8,
    from: &[Ipv4Addr],
    to: SocketAddr,
    words: &'static Words,
) {
    for number in 0..count {
        let from = from[usize::from(number) % from.len()];
        clients.spawn(async move {
            loop {
                if let Ok(mut stream) = connect(from, to).await {
                    let _ = stream.write_all(words.first.as_bytes()).await;
                    let mut heard = [0; 512];
                    loop {
                        match timeout(Duration::from_millis(200), stream.read(&mut heard)).await {
                            Ok(Ok(0) | Err(_)) => break,
                            Ok(Ok(_)) => {}
                            Err(_) => drop(stream.write_all(words.drop.as_bytes()).await),
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
}

/// Posts a mail as a provider does: again while it is told to come again.
async fn honest_post(bridge: &Bridge, mail: &[u8]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match bridge.post(mail).await {
            Ok(202) => return,
            other => assert!(
                Instant::now() < deadline,
                "{other:?}\n{}",
                harness::tail(&bridge.log())
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn honest_smtp(bridge: &Bridge, mail: &[u8]) {
    let deadline = Instant::now() + PATIENCE;
    let (address, mail) = (bridge.smtp.unwrap(), mail.to_vec());
    loop {
        let mail = mail.clone();
        match tokio::task::spawn_blocking(move || harness::smtp_try(address, &mail))
            .await
            .unwrap()
        {
            Ok(()) => return,
            Err(error) => assert!(
                Instant::now() < deadline,
                "{error}\n{}",
                harness::tail(&bridge.log())
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until one door has turned somebody away, so that all its places are taken.
async fn crowded(bridge: &Bridge, from: Ipv4Addr, to: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while bridge.descriptors() < 400 {
        assert!(
            Instant::now() < deadline,
            "{} descriptors",
            bridge.descriptors()
        );
        let _ = connect(from, to).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An honest mail by each door and its page, and the pages of the operator, while a flood lasts.
async fn honest_mail_goes_through(bridge: &Bridge, folder: &std::path::Path) {
    let sample = |id: &str| harness::run(folder, &["sample", "--incident", id]).stdout;
    honest_post(bridge, &sample("by-http")).await;
    honest_smtp(bridge, &sample("by-smtp")).await;
    let deadline = Instant::now() + PATIENCE;
    let told = |id: &str| bridge.pages().iter().any(|page| page.contains(id));
    while !(told("by-http") && told("by-smtp")) {
        assert!(
            Instant::now() < deadline,
            "{:?}\n{}",
            bridge.pages(),
            harness::tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answered = false;
    while !answered && Instant::now() < deadline {
        let ready = harness::client()
            .get(format!("{}/-/ready", bridge.admin))
            .send()
            .await;
        answered = ready.is_ok_and(|reply| reply.status() == 200);
    }
    assert!(answered, "the admin listener does not answer");
    let (descriptors, memory) = (bridge.descriptors(), bridge.peak_memory());
    println!("{descriptors} descriptors, {} MiB at most", memory >> 20);
    assert!(
        descriptors < DESCRIPTORS - KEPT_BACK,
        "{descriptors} descriptors"
    );
    assert!(memory < 350 << 20, "{memory} bytes");
}

/// How long whoever watches the bridge waits for an answer.
const PROBED_WITHIN: Duration = Duration::from_secs(3);
/// Readiness is asked for several times before it is believed to be gone.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Asks for health and readiness over and over, as an orchestrator does: each answer comes in its
/// time. Ends when it is dropped.
async fn probed(bridge: &Bridge) -> std::convert::Infallible {
    let probes = [("/-/healthy", PROBED_WITHIN), ("/-/ready", READY_WITHIN)];
    for (path, within) in probes.into_iter().cycle() {
        let begun = Instant::now();
        let mut answered = false;
        while !answered {
            let probe = harness::client()
                .get(format!("{}{path}", bridge.admin))
                .timeout(PROBED_WITHIN);
            let answer = probe.send().await;
            answered = answer.as_ref().is_ok_and(|reply| reply.status() == 200);
            assert!(begun.elapsed() < within, "{path}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    unreachable!("the paths go round")
}

/// Senders of genuine mail, each as fast as it is acknowledged, until the set is dropped.
fn genuine(folder: &std::path::Path, to: &str) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for number in 0..4 {
        let incident = format!("genuine-{number}");
        let mail = harness::run(folder, &["sample", "--incident", &incident]).stdout;
        let to = to.to_owned();
        senders.spawn(async move {
            loop {
                let post = harness::client()
                    .post(&to)
                    .header("content-type", "message/rfc822");
                let _ = post.body(mail.clone()).send().await;
            }
        });
    }
    senders
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_silent_or_drips_at_any_door_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let (bridge, doors) = start(folder.path());
    let mut clients = JoinSet::new();
    let here = [Ipv4Addr::LOCALHOST];
    for (to, words) in [
        (doors.admin, &SILENCE),
        (doors.admin, &HALF_HEAD),
        (doors.http, &SILENCE),
        (doors.http, &HALF_HEAD),
        (doors.http, &HALF_BODY),
        (doors.smtp, &SILENCE),
        (doors.smtp, &HALF_COMMAND),
        (doors.smtp, &IDLE_COMMANDS),
        (doors.smtp, &HALF_MAIL),
    ] {
        flood(&mut clients, 160, &here, to, words);
    }
    crowded(&bridge, here[0], doors.http).await;
    honest_mail_goes_through(&bridge, folder.path()).await;
    clients.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_many_addresses_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let (bridge, doors) = start(folder.path());
    let mut clients = JoinSet::new();
    let many: Vec<Ipv4Addr> = (2..=250)
        .map(|last| Ipv4Addr::new(127, 0, 0, last))
        .collect();
    for (to, words) in [
        (doors.admin, &SILENCE),
        (doors.admin, &HALF_HEAD),
        (doors.http, &HALF_BODY),
        (doors.http, &HALF_HEAD),
        (doors.smtp, &HALF_MAIL),
        (doors.smtp, &IDLE_COMMANDS),
    ] {
        flood(&mut clients, 250, &many, to, words);
    }
    crowded(&bridge, many[0], doors.http).await;
    let mut senders = genuine(folder.path(), &bridge.http);
    tokio::select! {
        () = honest_mail_goes_through(&bridge, folder.path()) => {}
        never = probed(&bridge) => match never {},
    }
    senders.shutdown().await;
    clients.shutdown().await;
}

/// 9 MiB of a mail of 10, by HTTP with and without a length told, and by SMTP; then nothing, or a
/// drip.
async fn unfinished(from: Ipv4Addr, number: u8, doors: &Doors) -> Option<TcpStream> {
    let mail = vec![b'x'; 64 << 10];
    let by_http =
        "POST /ingress/http HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: message/rfc822\r\n";
    let (to, first, chunked) = match number % 3 {
        0 => (
            doors.http,
            format!("{by_http}content-length: 10000000\r\n\r\n"),
            false,
        ),
        1 => (
            doors.http,
            format!("{by_http}transfer-encoding: chunked\r\n\r\n"),
            true,
        ),
        _ => (doors.smtp, HALF_MAIL.first.to_owned(), false),
    };
    let mut stream = connect(from, to).await.ok()?;
    let sent = timeout(Duration::from_secs(20), async {
        stream.write_all(first.as_bytes()).await?;
        for _ in 0..9 << 4 {
            if chunked {
                stream.write_all(b"10000\r\n").await?;
            }
            stream.write_all(&mail).await?;
            if chunked {
                stream.write_all(b"\r\n").await?;
            }
        }
        io::Result::Ok(())
    });
    // Who is refused may be cut off; who is not keeps what it has sent.
    let _ = sent.await;
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_mails_take_no_more_memory_than_all_may() {
    let folder = tempfile::tempdir().unwrap();
    let (bridge, doors) = start(folder.path());
    let held = (0..200_u8)
        .map(|number| unfinished(Ipv4Addr::new(127, 0, 0, 2 + number % 3), number, &doors));
    let held = futures_util::future::join_all(held);
    let (held, ()) = tokio::join!(held, honest_mail_goes_through(&bridge, folder.path()));
    assert!(held.iter().flatten().count() > 100, "most came in");
    // A large one finds room as soon as those who stopped have lost theirs.
    let large = format!("Subject: a\r\n\r\n{}\r\n", "x".repeat(5 << 20));
    honest_post(&bridge, large.as_bytes()).await;
    let memory = bridge.peak_memory();
    println!("{} MiB at most for 200 unfinished mails", memory >> 20);
    assert!(memory < 350 << 20, "{memory} bytes");
}

/// So much is kept whole of either kind, so much more between two looks, and so much may be on its
/// way: a mail of each of the eight, and what is not decided yet.
const QUOTA: u64 = 512 << 10;
const BETWEEN_TWO_LOOKS: u64 = 4 << 20;
const ON_ITS_WAY: u64 = 2 << 20;
const SENT_BY_EACH: usize = 60;
const SIZE: usize = 100_000;

fn with_quotas(store: &str) -> String {
    let store = format!(
        "store: {{ url: '{store}', ignored_mail: {{ max_size: 512KiB }}, quarantine: {{ max_size: 512KiB }} }}"
    );
    let config = CONFIG.replace("store: { url: 'sqlite:alertbridge.db' }", &store);
    format!(
        "{config}
alerts: {{ authenticity: {{ dns: ['127.0.0.1:9'], unverified: {{ trigger: quarantine }} }} }}
profiles:
  - name: inhouse
    match: {{ from: [ops@example.com] }}
    authenticity: {{ require: [] }}
    regex: {{ subject: '^down: (?<what>.+)$' }}
    fields: {{ key: '{{{{ re.what }}}}', status: down }}
"
    )
}

/// Mail of somebody else, or an alert that nothing proves; no two alike, and none that compresses.
fn strangers(unproven: bool, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (from, first) = if unproven {
        let json = serde_json::json!({
            "appKey": "com.example.app", "incidentId": format!("forged-{seed}"),
            "incidentStatus": "ANOMALOUS", "metricName": "m", "time": "2026-03-01T12:00:00Z",
        });
        let element =
            format!("<script type=\"application/json\" id=\"incident-data\">{json}</script>\r\n");
        ("no-reply@am.atlassian.com", element)
    } else {
        ("stranger@example.org", String::new())
    };
    let mut mail = format!(
        "From: {from}\r\nTo: alerts@example.com\r\nSubject: offer {seed}\r\nContent-Type: text/html\r\n\r\n{first}"
    )
    .into_bytes();
    while mail.len() < SIZE {
        mail.extend(std::iter::repeat_with(|| rng.alphanumeric() as u8).take(70));
        mail.extend(b"\r\n");
    }
    mail
}

/// Eight who send all they can, half of them by SMTP, while honest mail is released and told.
async fn eight_send_all_they_can(folder: &std::path::Path, store: &str) -> Bridge {
    listener::raise_limit();
    let under = ["prlimit", "--nofile=1024:1024"];
    let bridge = Bridge::start_under(&under, folder, &with_quotas(store), &[]);
    let (client, http, smtp) = (harness::client(), bridge.http.clone(), bridge.smtp.unwrap());
    let mut eight = JoinSet::new();
    for number in 0..8_u64 {
        let (client, http) = (client.clone(), http.clone());
        eight.spawn(async move {
            let mut taken = 0;
            for sent in 0..SENT_BY_EACH as u64 {
                let mail = strangers(number % 4 < 2, number << 32 | sent);
                taken += usize::from(if number % 2 == 0 {
                    let post = client.post(&http).header("content-type", "message/rfc822");
                    post.body(mail)
                        .send()
                        .await
                        .is_ok_and(|reply| reply.status() == 202)
                } else {
                    let send = move || harness::smtp_try(smtp, &mail);
                    tokio::task::spawn_blocking(send).await.unwrap().is_ok()
                });
            }
            taken
        });
    }
    let slowest = honest_pages(&bridge, 6).await;
    let taken: usize = eight.join_all().await.into_iter().sum();
    println!(
        "{taken} mails of 480 taken; an honest page after {slowest:?} at most; {} MiB, {} descriptors",
        bridge.peak_memory() >> 20,
        bridge.descriptors()
    );
    assert!(taken > 200, "{taken} of 480 were taken: that is no flood");
    assert!(bridge.peak_memory() < 300 << 20);
    assert!(bridge.descriptors() < DESCRIPTORS - KEPT_BACK);
    bridge
}

/// One after the other, each told before the next is sent; how long the slowest took.
async fn honest_pages(bridge: &Bridge, count: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in 0..count {
        let what = format!("disk-{number}-of-ours");
        let mail = format!("From: ops@example.com\r\nSubject: down: {what}\r\n\r\nx\r\n");
        let begun = Instant::now();
        honest_post(bridge, mail.as_bytes()).await;
        bridge.printed(&what, 1).await;
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

fn is_within(kept: u64, what: &str) {
    println!("{} KiB of {what} kept whole", kept >> 10);
    assert!(
        kept <= QUOTA + BETWEEN_TWO_LOOKS + ON_ITS_WAY,
        "{kept} bytes of {what} are kept whole"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_who_send_all_they_can_fill_no_quota() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = eight_send_all_they_can(folder.path(), "sqlite:alertbridge.db").await;
    let store = Sqlite::open(&folder.path().join("alertbridge.db")).unwrap();
    for spare in Spare::ALL {
        is_within(store.whole(spare, 0).await.unwrap().0, spare.as_str());
    }
    let file = std::fs::metadata(folder.path().join("alertbridge.db")).unwrap();
    println!("{} KiB of store", file.len() >> 10);
    assert!(
        file.len() < 16 << 20,
        "{} bytes for 48 MB of strangers' mail",
        file.len()
    );
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_who_send_all_they_can_fill_no_quota_of_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create().await;
    let bridge = eight_send_all_they_can(folder.path(), &database.url()).await;
    let store = database.open().await;
    for spare in Spare::ALL {
        is_within(store.whole(spare, 0).await.unwrap().0, spare.as_str());
    }
    drop(bridge);
}
