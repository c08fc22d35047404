//! What strangers send does not fill the disk: what is kept whole of it is bounded, and alerts have
//! the last of the room.

use std::{fs, path::Path};

use alertbridge::{
    cli::sample,
    clock::Clock,
    incident::Phase,
    message::{Authenticity, MailId, Message, Outcome, Release, Verdict},
    store::{Cut, Decision, Excess, Intake as _, Spare, Store, sqlite::Sqlite},
};
use serde_json::{Value, json};

use crate::{
    authenticity::{
        dnsmasq::Dnsmasq,
        signer::{KEY, signed},
    },
    delivery::trigger,
    faults::{unshared, until},
    harness::{Bridge, client, run, smtp_try},
    postgres::Database,
    store::{Home, MINUTE, both, decision, mail, noon, state},
};

both!(
    of_the_oldest_only_the_header_is_kept_and_of_what_is_proven_all,
    proven_mail_that_says_nothing_new_is_a_kind_of_its_own,
    what_was_cut_is_neither_released_nor_counted_and_its_hash_stays,
    mails_leave_the_quarantine_together_unless_they_left_it_before,
);

/// A mail of so many bytes with an outcome, by whoever sent it.
async fn stored(store: &dyn Store, bytes: usize, verdict: Verdict, outcome: Outcome) -> MailId {
    let text = format!("Subject: x\r\n\r\n{}", "y".repeat(bytes - 14));
    let judged = Authenticity::unproven(verdict, "test");
    let id = store
        .record(vec![(mail(&text), judged)], None)
        .await
        .unwrap()[0];
    let decided = Decision {
        state: None,
        applied: false,
        ..decision(outcome, state(Phase::Firing, 1), vec![])
    };
    store
        .decide(id, None, noon(), Box::new(|_| decided))
        .await
        .unwrap()
        .unwrap();
    id
}

async fn raw(store: &dyn Store, id: MailId) -> Message {
    store.mail(id).await.unwrap().unwrap().1.message
}

async fn is_whole(store: &dyn Store, id: MailId) -> bool {
    raw(store, id).await.cut_from.is_none()
}

fn too_much(bytes: u64) -> Excess {
    Excess {
        before: None,
        bytes,
    }
}

async fn of_the_oldest_only_the_header_is_kept_and_of_what_is_proven_all(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let mut ids = Vec::new();
    for (verdict, outcome) in [
        (Verdict::Pass, Outcome::Quarantined),
        (Verdict::Off, Outcome::Duplicate),
        (Verdict::Fail, Outcome::Quarantined),
        (Verdict::None, Outcome::Duplicate),
        (Verdict::TempError, Outcome::Stale),
        (Verdict::None, Outcome::Ignored),
        (Verdict::Pass, Outcome::Ignored),
    ] {
        ids.push(stored(store, 1000, verdict, outcome).await);
    }
    let undecided = store
        .record(
            vec![(mail("Subject: x\r\n\r\ny"), Authenticity::off())],
            None,
        )
        .await
        .unwrap()[0];

    assert_eq!(
        store.whole(Spare::Unproven, 0).await.unwrap(),
        (3000, ids[4])
    );
    assert_eq!(
        store.whole(Spare::Unproven, ids[3]).await.unwrap(),
        (1000, ids[4])
    );
    assert_eq!(
        store.whole(Spare::Ignored, 0).await.unwrap(),
        (2000, ids[6])
    );
    assert_eq!(
        store
            .cut(Spare::Unproven, too_much(0), noon())
            .await
            .unwrap(),
        Cut::default()
    );
    let cut = store
        .cut(Spare::Unproven, too_much(1001), noon())
        .await
        .unwrap();
    assert_eq!(
        cut,
        Cut {
            mails: 2,
            bytes: 2000,
            more: false
        }
    );
    let old = Excess {
        before: Some(noon() + MINUTE),
        bytes: 0,
    };
    let young = Excess {
        before: Some(noon()),
        bytes: 0,
    };
    assert_eq!(
        store
            .cut(Spare::Ignored, young, noon())
            .await
            .unwrap()
            .mails,
        0
    );
    assert_eq!(
        store.cut(Spare::Ignored, old, noon()).await.unwrap().mails,
        2
    );

    let mut whole = Vec::new();
    for id in &ids {
        whole.push(is_whole(store, *id).await);
    }
    assert_eq!(whole, [true, true, false, false, true, false, false]);
    assert!(is_whole(store, undecided).await);
    assert_eq!(
        store.whole(Spare::Unproven, 0).await.unwrap(),
        (1000, ids[4])
    );
    assert_eq!(
        store.concerns().await.unwrap().quarantine_cut_at,
        Some(noon())
    );
}

async fn proven_mail_that_says_nothing_new_is_a_kind_of_its_own(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let mut ids = Vec::new();
    for (verdict, outcome) in [
        (Verdict::Pass, Outcome::Opened),
        (Verdict::Pass, Outcome::Duplicate),
        (Verdict::None, Outcome::Duplicate),
        (Verdict::Pass, Outcome::Stale),
        (Verdict::Off, Outcome::Expired),
        (Verdict::Pass, Outcome::Silenced),
        (Verdict::Pass, Outcome::Quarantined),
        (Verdict::Pass, Outcome::Duplicate),
        (Verdict::Pass, Outcome::Resolved),
    ] {
        ids.push(stored(store, 1000, verdict, outcome).await);
    }
    let whole = async |spare| store.whole(spare, 0).await.unwrap();
    assert_eq!(whole(Spare::Repeated).await, (4000, ids[7]));
    assert_eq!(whole(Spare::Quarantined).await, (1000, ids[6]));
    assert_eq!(whole(Spare::Unproven).await, (1000, ids[2]));

    let now = noon() + MINUTE;
    let cut = async |spare, bytes| store.cut(spare, too_much(bytes), now).await.unwrap();
    let two = Cut {
        mails: 2,
        bytes: 2000,
        more: false,
    };
    assert_eq!(cut(Spare::Repeated, 1500).await, two, "the oldest");
    assert_eq!(whole(Spare::Repeated).await, (2000, ids[7]));
    assert_eq!(cut(Spare::Repeated, u64::MAX).await, two);
    assert_eq!(cut(Spare::Repeated, u64::MAX).await, Cut::default());
    assert_eq!(whole(Spare::Unproven).await, (1000, ids[2]), "not of it");
    assert_eq!(store.concerns().await.unwrap().quarantine_cut_at, None);

    let (row, kept) = store.mail(ids[4]).await.unwrap().unwrap();
    assert_eq!((row.outcome, row.cut_at), (Outcome::Expired, Some(now)));
    assert_eq!(kept.message.cut_from, Some(1000));
    let why = row.reason.unwrap();
    assert!(why.contains("store.ignored_mail.max_size"), "{why}");

    assert_eq!(cut(Spare::Quarantined, 1).await.mails, 1);
    let concerns = store.concerns().await.unwrap();
    assert_eq!(concerns.quarantine_cut_at, Some(now), "it is told");
    let mut kept_whole = Vec::new();
    for id in &ids {
        kept_whole.push(is_whole(store, *id).await);
    }
    let told = [true, false, true, false, false, true, false, false, true];
    assert_eq!(kept_whole, told);
}

async fn what_was_cut_is_neither_released_nor_counted_and_its_hash_stays(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let id = stored(store, 5000, Verdict::Fail, Outcome::Quarantined).await;
    let (before, _) = store.mail(id).await.unwrap().unwrap();
    assert_eq!((before.size, before.cut_at), (5000, None));
    store
        .cut(Spare::Unproven, too_much(1), noon())
        .await
        .unwrap();

    let (after, kept) = store.mail(id).await.unwrap().unwrap();
    assert_eq!(
        (after.size, after.sha256, after.cut_at),
        (5000, before.sha256, Some(noon()))
    );
    assert_eq!(
        (&kept.message.raw[..], kept.message.cut_from),
        (&b"Subject: x\r\n"[..], Some(5000))
    );
    assert_eq!(kept.cut_at, Some(noon()));
    assert!(after.reason.unwrap().contains("store.quarantine.max_size"));
    let release = Release {
        by: "me".into(),
        at: noon(),
    };
    let refused = store
        .release_mail(id, release)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("store.quarantine.max_size"), "{refused}");
    assert_eq!(
        store
            .cut(Spare::Unproven, too_much(u64::MAX), noon())
            .await
            .unwrap(),
        Cut::default(),
        "once"
    );
    store.discard_mail(id, noon()).await.unwrap();
    assert_eq!(
        store.concerns().await.unwrap().quarantine_cut_at,
        None,
        "it has left the quarantine"
    );
}

async fn mails_leave_the_quarantine_together_unless_they_left_it_before(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(stored(store, 100, Verdict::Fail, Outcome::Quarantined).await);
    }
    let ignored = stored(store, 100, Verdict::Fail, Outcome::Ignored).await;
    let held = |mails: Vec<alertbridge::store::StoredMail>| {
        mails.into_iter().map(|mail| mail.id).collect::<Vec<_>>()
    };
    assert_eq!(held(store.quarantined(0, 2).await.unwrap()), ids[..2]);
    assert_eq!(held(store.quarantined(ids[1], 2).await.unwrap()), ids[2..]);

    store
        .release_mail(
            ids[1],
            Release {
                by: "me".into(),
                at: noon(),
            },
        )
        .await
        .unwrap();
    let all = vec![ids[0], ids[1], ids[2], ignored];
    assert_eq!(store.discard_mails(all.clone(), noon()).await.unwrap(), 2);
    assert_eq!(store.discard_mails(all, noon()).await.unwrap(), 0);
    assert_eq!(held(store.quarantined(0, 10).await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn a_look_costs_the_same_however_much_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path).unwrap();
    stored(&store, 100, Verdict::Fail, Outcome::Quarantined).await;
    let plan = |sql: &str| -> String {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let lines = statement
            .query_map([], |row| row.get::<_, String>("detail"))
            .unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    };
    let kind = "CASE
        WHEN cut_at IS NOT NULL OR check_at IS NOT NULL OR outcome = 'pending' THEN NULL
        WHEN outcome = 'ignored' THEN 'ignored'
        WHEN substr(authenticity, 13, 4) = 'fail' OR substr(authenticity, 13, 4) = 'none'
          OR substr(authenticity, 13, 4) = 'temp' THEN 'unproven'
        WHEN outcome = 'duplicate' OR outcome = 'stale' OR outcome = 'expired' THEN 'repeated'
        WHEN outcome = 'quarantined' THEN 'quarantined' END = 'repeated'";
    let count = plan(&format!(
        "SELECT sum(size), max(id) FROM mails WHERE {kind} AND id > 7"
    ));
    assert!(
        count.contains("COVERING INDEX mails_spare (<expr>=? AND id>?)"),
        "{count}"
    );
    let oldest = plan(&format!(
        "SELECT id, size, arrived_at FROM mails WHERE {kind} ORDER BY id LIMIT 200"
    ));
    assert!(
        oldest.contains("INDEX mails_spare (<expr>=?)") && !oldest.contains("TEMP B-TREE"),
        "{oldest}"
    );
}

/// With these settings of the store.
fn config(store: &str) -> String {
    format!(
        "
store: {{ {store} }}
admin: {{ listen: '127.0.0.1:0' }}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]
"
    )
}

fn strangers(bytes: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(bytes as u64);
    let mut mail =
        b"From: stranger@example.org\r\nTo: alerts@localhost\r\nSubject: offer\r\n\r\n".to_vec();
    while mail.len() < bytes {
        mail.extend(std::iter::repeat_with(|| rng.alphanumeric() as u8).take(70));
        mail.extend(b"\r\n");
    }
    mail
}

fn listed(bridge: &Bridge) -> Vec<Value> {
    let listed = bridge.command(&["mails", "list", "--json"]);
    serde_json::from_slice(&listed.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ignored_mail_so_much_is_kept_whole_and_of_the_rest_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = config("url: 'sqlite:alertbridge.db', ignored_mail: { max_size: 100KiB }");
    let bridge = Bridge::start(folder.path(), &yaml);
    for _ in 0..30 {
        assert_eq!(bridge.post(&strangers(10_000)).await.unwrap(), 202);
    }
    assert_eq!(bridge.post(&trigger("real")).await.unwrap(), 202);
    bridge.settled(31).await;
    until("the oldest are cut", &bridge, async || {
        listed(&bridge)
            .iter()
            .filter(|mail| mail["cut_at"].is_null())
            .count()
            <= 12
    })
    .await;
    let mails = listed(&bridge);
    assert_eq!(mails.len(), 31, "each is still known");
    let whole: Vec<i64> = mails
        .iter()
        .filter(|mail| mail["cut_at"].is_null())
        .map(|mail| mail["id"].as_i64().unwrap())
        .collect();
    assert!(
        whole.len() >= 9 && whole.contains(&31) && whole.contains(&30) && !whole.contains(&1),
        "{whole:?}"
    );
    let first = bridge.command(&["mails", "show", "1", "--raw"]).stdout;
    assert!(
        first.starts_with(b"From: stranger@example.org") && first.len() < 200,
        "{}",
        first.len()
    );
    let shown = bridge.command(&["mails", "show", "1"]).stdout;
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("only its header is still kept"), "{shown}");
    let checked = bridge.command(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    assert!(
        bridge
            .metric("alertbridge_mails_cut_total", "ignored")
            .await
            >= 19.0
    );
}

const REPLAYS: u32 = 200;
/// Nearly all that a header may have: what is longer is read by nobody, and proves nothing.
const PADDING: usize = 240 << 10;
const ALLOWED: u64 = 1 << 20;

/// The mail with a header field before it that nothing signs, of bytes that do not compress.
fn padded(mail: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut padded = b"X-Padding:".to_vec();
    while padded.len() < PADDING {
        padded.extend(b" ");
        padded.extend(std::iter::repeat_with(|| rng.alphanumeric() as u8).take(70));
        padded.extend(b"\r\n");
    }
    padded.extend(mail);
    padded
}

/// One signed mail, posted again and again with other padding: each is proven, and says nothing
/// new. Returns the bridge, over a store that holds little of them.
async fn one_signed_mail_again_and_again(folder: &Path, url: &str) -> Bridge {
    const DOMAIN: &str = "am.atlassian.com";
    let zone = Dnsmasq::start(&[(&format!("s1._domainkey.{DOMAIN}"), &KEY.record)]);
    let yaml = config(&format!(
        "url: '{url}', ignored_mail: {{ max_size: {ALLOWED}B }}"
    ));
    let yaml = format!(
        "{yaml}alerts: {{ authenticity: {{ dns: ['{}'] }} }}\n",
        zone.address
    );
    let bridge = Bridge::start(folder, &yaml);
    let now = Clock::system().now();
    let mail = sample::mail("ANOMALOUS", Some("inc-1"), now).into_bytes();
    let mail = signed(&mail, DOMAIN, json!({}));
    for number in 0..=REPLAYS {
        let padded = padded(&mail, number.into());
        assert_eq!(bridge.post(&padded).await.unwrap(), 202);
    }
    bridge.settled(REPLAYS + 1).await;
    assert_eq!(bridge.pages().len(), 1, "it is told once");

    // It is cut at once where much comes, and within seconds where the rest is a little too much.
    let whole = || {
        let bytes = |mail: &Value| mail["cut_at"].is_null() && mail["id"] != 1;
        let listed = bridge.command(&["mails", "list", "--limit", "300", "--json"]);
        let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
        assert_eq!(listed.len(), REPLAYS as usize + 1, "each is still known");
        let whole = listed.iter().filter(|mail| bytes(mail)).count();
        (whole * PADDING) as u64
    };
    let shown = bridge.command(&["mails", "show", "1"]).stdout;
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("pass"), "it is proven: {shown}");
    until("the oldest are cut", &bridge, async || whole() <= ALLOWED).await;
    bridge
}

/// What is known of the mails, of which the first opened the incident.
fn the_first_is_whole_and_the_rest_explained(bridge: &Bridge) {
    let bytes = |id: &str| bridge.command(&["mails", "show", id, "--raw"]).stdout.len();
    assert!(bytes("1") > PADDING, "the first is whole");
    assert!(bytes(&(REPLAYS + 1).to_string()) > PADDING, "the last, too");
    assert!(bytes("2") < 20_000);
    let shown = bridge.command(&["mails", "show", "2"]).stdout;
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        shown.contains("duplicate") && shown.contains("store.ignored_mail.max_size"),
        "{shown}"
    );
    let checked = bridge.command(&["store", "check"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_signed_mail_again_and_again_fills_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    let url = "sqlite:alertbridge.db";
    let bridge = one_signed_mail_again_and_again(folder.path(), url).await;
    the_first_is_whole_and_the_rest_explained(&bridge);
    let cut = bridge
        .metric("alertbridge_mails_cut_total", "repeated")
        .await;
    assert!(cut >= 196.0, "{cut}");
    let file = fs::metadata(folder.path().join("alertbridge.db")).unwrap();
    println!("{} KiB of store for 47 MiB of mail", file.len() >> 10);
    assert!(file.len() < 20 << 20, "{} bytes", file.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_signed_mail_again_and_again_fills_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create().await;
    let bridge = one_signed_mail_again_and_again(folder.path(), &database.url()).await;
    the_first_is_whole_and_the_rest_explained(&bridge);
    let kept = "SELECT sum(length(raw))::bigint FROM bodies";
    let kept = database.client().await.query_one(kept, &[]).await.unwrap();
    let kept: i64 = kept.get(0);
    println!("{} KiB of bodies", kept >> 10);
    assert!(kept < 6 << 20, "{kept} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_is_nearly_full_strangers_are_refused_and_alerts_are_taken() {
    let Some(unshare) = unshared() else {
        eprintln!("SKIPPED: this machine lets nobody make a small disk");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A twentieth of it is left, where a tenth is kept for alerts.
    let script = format!(
        "mount -t tmpfs -o size=64m small {0} && head -c 61m /dev/zero > {0}/ballast && exec \
         \"$@\"",
        disk.display()
    );
    let under = [&unshare[..], &["sh", "-ec", &script, "sh"]].concat();
    let bridge = Bridge::start_under(
        &under,
        folder.path(),
        &config("url: 'sqlite:disk/store.db'"),
        &[],
    );
    let post = async |mail: Vec<u8>| {
        let url = bridge.http.clone();
        client()
            .post(url)
            .header("content-type", "message/rfc822")
            .body(mail)
            .send()
            .await
            .unwrap()
    };

    let refused = post(strangers(2000)).await;
    assert_eq!(refused.status().as_u16(), 507);
    assert!(refused.headers().contains_key("retry-after"));
    let error = smtp_try(bridge.smtp.unwrap(), &strangers(2000))
        .unwrap_err()
        .to_string();
    assert!(error.contains("452"), "{error}");
    for n in 0..5 {
        assert_eq!(
            bridge.post(&trigger(&format!("http{n}"))).await.unwrap(),
            202
        );
        smtp_try(bridge.smtp.unwrap(), &trigger(&format!("smtp{n}"))).unwrap();
    }
    until("all are told", &bridge, async || {
        bridge
            .pages()
            .iter()
            .filter(|page| page.contains("com.example.app"))
            .count()
            == 10
    })
    .await;

    fs::remove_file(bridge.sees(&disk.join("ballast"))).unwrap();
    assert_eq!(post(strangers(2000)).await.status().as_u16(), 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_filled_the_quarantine_with_is_discarded_by_filter() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("alertbridge.db")).unwrap();
    for (from, ingress) in [
        ("a@example.org", "smtp"),
        ("b@example.org", "http"),
        ("c@example.com", "http"),
    ] {
        let message = Message {
            ingress: ingress.into(),
            arrived_at: noon(),
            raw: format!("From: {from}\r\n\r\nx").into(),
            cut_from: None,
            envelope: None,
            withheld: None,
        };
        let judged = Authenticity::unproven(Verdict::Fail, "test");
        let id = store.record(vec![(message, judged)], None).await.unwrap()[0];
        let decided = Decision {
            state: None,
            applied: false,
            ..decision(Outcome::Quarantined, state(Phase::Firing, 1), vec![])
        };
        store
            .decide(id, None, noon(), Box::new(|_| decided))
            .await
            .unwrap()
            .unwrap();
    }
    let discard = |more: &[&str]| {
        let output = run(folder.path(), &[&["mails", "discard"], more].concat());
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code().unwrap(), said)
    };
    assert_eq!(discard(&[]).0, 2);
    assert_eq!(discard(&["--yes"]).0, 2, "all of them must be asked for");
    assert_eq!(discard(&["1", "--from", "@example.org"]).0, 2);
    assert_eq!(discard(&["--outcome", "opened", "--yes"]).0, 2);
    let (status, said) = discard(&["--from", "@example.org"]);
    assert!(
        status == 2 && said.contains("--yes"),
        "there is nobody to ask: {status} {said}"
    );
    assert_eq!(
        discard(&["--older", "36500d", "--yes"]),
        (0, "0 mails are discarded\n".into())
    );
    assert_eq!(
        discard(&["--from", "@EXAMPLE.org", "--ingress", "smtp", "--yes"]),
        (0, "1 mail is discarded\n".into())
    );
    assert_eq!(
        discard(&["--outcome", "quarantined", "--up-to", "2", "--yes"]),
        (0, "1 mail is discarded\n".into())
    );
    assert_eq!(
        discard(&["--outcome", "quarantined", "--yes"]),
        (0, "1 mail is discarded\n".into())
    );
}
