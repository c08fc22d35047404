//! kill -9 between any two steps: whatever was acknowledged is decided, and nobody has two open alerts of an incident.
//!
//! Senders do as mail servers do: what was not acknowledged is sent again, so every crash makes duplicates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use alertbridge::{delivery::alias, ingress::imap::Tls};

use crate::{
    dovecot::Dovecot,
    e2e::{DOORS, Vendors, aliases, open_at_the_end},
    generator::{self, Generated, Outcome},
    harness::{Bridge, PATIENCE, client, smtp_try, tail},
    vendors::{Opsgenie, Page},
};

fn config(vendors: &Vendors, folder: &Path) -> String {
    format!(
        "{DOORS}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
route: {{ receiver: oncall, routes: [{{ receiver: jsm, continue: true }}, {{ receiver: oncall }}] }}
delivery: {{ timeout: 5s, backoff: {{ initial: 1s, max: 1s }} }}
{}",
        vendors.receivers(folder)
    )
}

/// Where the bridge is reached now; none while it is down.
#[derive(Clone, Default)]
struct Doors(Arc<Mutex<Option<(String, SocketAddr)>>>);

impl Doors {
    fn open(&self, bridge: &Bridge) {
        *self.0.lock().unwrap() = Some((bridge.http.clone(), bridge.smtp.unwrap()));
    }

    fn shut(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn now(&self) -> Option<(String, SocketAddr)> {
        self.0.lock().unwrap().clone()
    }
}

/// A mail server: sends its mails in order, each until it is acknowledged.
struct Sender {
    mails: Vec<Generated>,
    smtp: bool,
    doors: Doors,
    /// How many of its mails may be on their way by now.
    released: Arc<AtomicUsize>,
}

impl Sender {
    /// The numbers under which HTTP acknowledged.
    async fn run(self) -> Vec<i64> {
        let mut numbers = Vec::new();
        for (index, mail) in self.mails.iter().enumerate() {
            while self.released.load(Ordering::SeqCst) <= index {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            while !self.acknowledged(&mail.eml, &mut numbers).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        numbers
    }

    async fn acknowledged(&self, mail: &[u8], numbers: &mut Vec<i64>) -> bool {
        let Some((http, smtp)) = self.doors.now() else { return false };
        if self.smtp {
            let mail = mail.to_vec();
            return tokio::task::spawn_blocking(move || smtp_try(smtp, &mail)).await.unwrap().is_ok();
        }
        let request = client().post(http).header("content-type", "message/rfc822").body(mail.to_vec());
        let Ok(reply) = request.send().await else { return false };
        let accepted = reply.status() == 202;
        let Ok(json) = reply.json::<serde_json::Value>().await else { return accepted };
        numbers.extend(json["id"].as_i64());
        accepted
    }
}

/// The mails of one incident keep to one sender: servers have no order among them.
fn senders(mails: &[Generated], doors: &Doors, released: &Arc<AtomicUsize>) -> Vec<Sender> {
    let mut shares: [Vec<Generated>; 3] = Default::default();
    for mail in mails {
        let share = mail.truth.incident_id.as_ref().map_or(0, |id| id.bytes().map(usize::from).sum::<usize>() % 3);
        shares[share].push(mail.clone());
    }
    shares
        .into_iter()
        .zip([false, true, false])
        .map(|(mails, smtp)| Sender { mails, smtp, doors: doors.clone(), released: Arc::clone(released) })
        .collect()
}

/// Runs the senders to their end.
async fn all(senders: Vec<tokio::task::JoinHandle<Vec<i64>>>) -> Vec<i64> {
    let mut numbers = Vec::new();
    for sender in senders {
        numbers.extend(tokio::time::timeout(PATIENCE, sender).await.expect("a sender hangs").unwrap());
    }
    numbers
}

/// Waits until nothing is undecided and nothing owed, by the store itself: a restart forgets its counters.
pub async fn at_rest(bridge: &Bridge) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let empty = |arguments: &[&str]| {
            let output = bridge.command(arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout.trim_ascii() == b"[]"
        };
        if bridge.metric("alertbridge_deliveries", "pending").await == 0.0
            && empty(&["mails", "list", "--outcome", "pending", "--json"])
            && empty(&["deliveries", "list", "--state", "pending", "--json"])
        {
            return;
        }
        assert!(Instant::now() < deadline, "it does not come to rest:\n{}", tail(&bridge.log()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn listed(bridge: &Bridge, arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = bridge.command(arguments);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What each incident's receivers are to hear, in order.
fn truth(mails: &[Generated]) -> BTreeMap<String, Vec<&'static str>> {
    let mut told: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for mail in mails {
        let Some(id) = &mail.truth.incident_id else { continue };
        match mail.truth.outcome {
            Outcome::Opened | Outcome::Reopened => told.entry(id.clone()).or_default().push("trigger"),
            Outcome::Resolved => told.entry(id.clone()).or_default().push("resolve"),
            _ => {}
        }
    }
    told
}

fn heard(pages: &[Page], key: &str) -> Vec<String> {
    pages.iter().filter(|page| page.key == key).map(|page| page.action.clone()).collect()
}

/// Everything promised, after `crashes` crashes.
pub fn audit(vendors: &Vendors, bridge: &Bridge, mails: &[Generated], numbers: &[i64], crashes: usize) {
    let stored = listed(bridge, &["mails", "list", "--limit", "100000", "--json"]);
    let ids: BTreeSet<i64> = stored.iter().map(|mail| mail["id"].as_i64().unwrap()).collect();
    assert!(numbers.iter().all(|number| ids.contains(number)), "an acknowledged mail is gone");
    assert!(stored.len() >= mails.len(), "{} of {} mails are stored", stored.len(), mails.len());
    assert!(listed(bridge, &["deliveries", "list", "--state", "dead", "--json"]).is_empty());

    vendors.assert_no_violation();
    let open = open_at_the_end(mails);
    let incidents = |open: Vec<String>| -> BTreeSet<String> {
        open.into_iter().filter(|alias| !alias.starts_with("unparsed-")).collect()
    };
    assert_eq!(incidents(vendors.opsgenie.open_alerts()), aliases(&open, &["oncall", "jsm"]));
    assert_eq!(incidents(vendors.pagerduty.open_alerts()), aliases(&open, &["oncall"]));
    assert_eq!(incidents(vendors.hook.open_alerts()), aliases(&open, &["oncall"]));
    let (opsgenie, pagerduty, hook) = (vendors.opsgenie.pages(), vendors.pagerduty.pages(), vendors.hook.pages());
    for (incident, told) in truth(mails) {
        let oncall = alias(&incident, "oncall");
        assert_eq!(heard(&opsgenie, &oncall), told, "Opsgenie, {oncall}");
        assert_eq!(heard(&opsgenie, &alias(&incident, "jsm")), told, "JSM, {incident}");
        assert_eq!(heard(&pagerduty, &oncall), told, "PagerDuty, {oncall}");
        assert_eq!(heard(&hook, &oncall), told, "the webhook, {oncall}");
    }
    // Without a key at the other end, a page may be seen once more for each crash, and no oftener.
    let most = |seen: BTreeMap<String, usize>| seen.into_values().max().unwrap_or(0);
    let mut by_id = BTreeMap::new();
    for call in vendors.hook.history() {
        *by_id.entry(call.header("webhook-id").to_owned()).or_default() += 1;
    }
    assert!(most(by_id) <= 1 + crashes, "one webhook-id too often");
    let mut by_text = BTreeMap::new();
    for message in vendors.slack.messages() {
        *by_text.entry(message.to_string()).or_default() += 1;
    }
    assert!(most(by_text) <= 1 + crashes, "one Slack message too often");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_point_loses_no_mail_and_opens_no_second_alert() {
    let begun = Instant::now();
    let mut crashed = 0;
    for (number, point) in ["commit", "recorded", "decided", "claimed", "sent", "settled"].into_iter().enumerate() {
        for nth in [1, 2, 7] {
            let folder = tempfile::tempdir().unwrap();
            let vendors = Vendors::start().await;
            let config = config(&vendors, folder.path());
            let mails = generator::generate(100 + number as u64 * 10 + nth, 30);
            let doors = Doors::default();
            let released = Arc::new(AtomicUsize::new(usize::MAX));
            // The first commits are the start's own.
            let plan = format!("{point}:{}", if point == "commit" { nth + 2 } else { nth });
            let mut bridge = Bridge::start_with(folder.path(), &config, &[("ALERTBRIDGE_CRASH", plan.as_str())]);
            doors.open(&bridge);
            let senders: Vec<_> =
                senders(&mails, &doors, &released).into_iter().map(|sender| tokio::spawn(sender.run())).collect();
            let deadline = Instant::now() + PATIENCE;
            while !bridge.ended() {
                assert!(Instant::now() < deadline, "{plan} was not reached");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            crashed += 1;
            doors.shut();
            bridge = Bridge::start(folder.path(), &config);
            doors.open(&bridge);
            let numbers = all(senders).await;
            at_rest(&bridge).await;
            eprintln!("{plan}: {} requests to webhooks", vendors.hook.history().len());
            audit(&vendors, &bridge, &mails, &numbers, 1);
        }
    }
    eprintln!("{crashed} crashes in {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_no_mail_and_open_no_second_alert() {
    const ROUNDS: usize = 20;
    let begun = Instant::now();
    let mut rng = fastrand::Rng::with_seed(20);
    let folder = tempfile::tempdir().unwrap();
    let vendors = Vendors::start().await;
    let config = config(&vendors, folder.path());
    let mails = generator::generate(2020, 400);
    let doors = Doors::default();
    let released = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> =
        senders(&mails, &doors, &released).into_iter().map(|sender| tokio::spawn(sender.run())).collect();
    for _ in 0..ROUNDS {
        let mut bridge = Bridge::start(folder.path(), &config);
        doors.open(&bridge);
        released.fetch_add(mails.len() / 3 / ROUNDS + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(rng.u64(5..350))).await;
        bridge.kill();
        doors.shut();
    }
    released.store(usize::MAX, Ordering::SeqCst);
    let bridge = Bridge::start(folder.path(), &config);
    doors.open(&bridge);
    let numbers = all(senders).await;
    at_rest(&bridge).await;
    audit(&vendors, &bridge, &mails, &numbers, ROUNDS);
    eprintln!("{ROUNDS} kills in {:?}; {} repeats at the webhook", begun.elapsed(), vendors.hook.repeats().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_a_confirmation_is_awaited_asks_on_and_does_not_create_again() {
    let folder = tempfile::tempdir().unwrap();
    let opsgenie = Opsgenie::start_slow(3).await;
    fs::write(folder.path().join("key"), opsgenie.key()).unwrap();
    let config = format!(
        "{DOORS}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: oncall }}
receivers: [{{ name: oncall, opsgenie_configs: [{{ api_key_file: key, api_url: '{}' }}] }}]",
        opsgenie.url()
    );
    let mail = generator::generate(1, 50).into_iter().find(|mail| mail.truth.outcome == Outcome::Opened).unwrap();
    let mut bridge = Bridge::start_with(folder.path(), &config, &[("ALERTBRIDGE_CRASH", "settled:1")]);
    let _ = bridge.post(&mail.eml).await;
    let deadline = Instant::now() + PATIENCE;
    while !bridge.ended() {
        assert!(Instant::now() < deadline, "it did not crash:\n{}", tail(&bridge.log()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(opsgenie.open_alerts().is_empty(), "promised, and not there yet");
    let bridge = Bridge::start(folder.path(), &config);
    at_rest(&bridge).await;
    opsgenie.next_page().await;
    let creates = opsgenie.history().iter().filter(|call| call.method == "POST").count();
    assert_eq!(creates, 1);
    assert!(opsgenie.history().len() > 3, "it was asked about until it was there");
    opsgenie.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_commit_and_the_flag_reads_no_mail_twice_and_loses_none() {
    for point in ["commit:3", "recorded:1", "recorded:2"] {
        let folder = tempfile::tempdir().unwrap();
        let dovecot = Dovecot::start();
        let mailbox = dovecot.settings(Tls::Implicit);
        let config = format!(
            "{DOORS}
ingress:
  imap: [{{ name: imap, host: localhost, port: {}, ca_file: '{}', username: {}, password_file: '{}', after: delete, backfill: 1d }}]
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]",
            mailbox.port.unwrap(),
            mailbox.ca_file.unwrap().display(),
            mailbox.username,
            mailbox.password_file.unwrap().display(),
        );
        let mails: Vec<_> = generator::generate(3, 60)
            .into_iter()
            .filter(|mail| mail.truth.outcome == Outcome::Opened)
            .take(6)
            .collect();
        for mail in &mails[..3] {
            dovecot.deliver(&mail.eml);
        }
        let mut bridge = Bridge::start_with(folder.path(), &config, &[("ALERTBRIDGE_CRASH", point)]);
        let deadline = Instant::now() + PATIENCE;
        let mut rest = mails[3..].iter();
        while !bridge.ended() {
            // The later crash needs later mail.
            if let Some(mail) = rest.next() {
                dovecot.deliver(&mail.eml);
            }
            assert!(Instant::now() < deadline, "{point} was not reached:\n{}", tail(&bridge.log()));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        rest.for_each(|mail| dovecot.deliver(&mail.eml));
        let bridge = Bridge::start(folder.path(), &config);
        bridge.settled_in_store(mails.len()).await;
        at_rest(&bridge).await;
        let stored = listed(&bridge, &["mails", "list", "--limit", "1000", "--json"]);
        let mut found: Vec<_> = stored.iter().map(|mail| mail["incident_id"].as_str().unwrap().to_owned()).collect();
        let mut sent: Vec<_> = mails.iter().map(|mail| mail.truth.incident_id.clone().unwrap()).collect();
        found.sort();
        sent.sort();
        assert_eq!(found, sent, "each mail once, after {point}");
        assert!(stored.iter().all(|mail| mail["outcome"] == "opened"), "{point}");
    }
}
