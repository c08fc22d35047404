//! Another configuration for a running bridge: what takes effect, what stays, what is said.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use alertbridge::{ingress::imap::Tls, store::DEAD_LETTERS};
use futures_util::future::join_all;

use crate::{
    delivery::{delivery, hook, post, resolve, said, trigger},
    dovecot::Dovecot,
    e2e::{HOOK_SECRET, wait_for_imap},
    harness::{self, Bridge, PATIENCE, tail},
    postgres::Database,
    vendors::{Fake, Hook},
};

/// What no reload changes, and the pauses of the tests.
const PROCESS: &str = "
store: { url: 'sqlite:alertbridge.db' }
admin: { listen: '127.0.0.1:0' }
ingress:
  http: { listen: '127.0.0.1:0' }
  webhook: [{ name: http }]
  smtp: [{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }]
delivery: { timeout: 1s, backoff: { initial: 1s, max: 2s } }
";

/// A configuration with these receivers; `more` is said of the first.
fn config(folder: &Path, route: &str, receivers: &[(&str, &Fake<Hook>)], more: &str) -> String {
    let receivers = receivers.iter().enumerate().map(|(place, (name, vendor))| {
        let hook = hook(folder, vendor, if place == 0 { more } else { "" });
        format!("\n  - name: {name}\n    {hook}")
    });
    format!(
        "{PROCESS}\nroute: {{ {route} }}\nreceivers:{}\n",
        receivers.collect::<String>()
    )
}

fn write(folder: &Path, config: &str) {
    fs::write(
        folder.join("alertbridge.yaml"),
        harness::unless_judged(config),
    )
    .unwrap();
}

/// Asks for a reload of what is written; the status and what is said.
async fn ask(bridge: &Bridge) -> (u16, String) {
    let reply = harness::client()
        .post(format!("{}/-/reload", bridge.admin))
        .send()
        .await
        .unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

/// What is said of every configuration here, whatever was reloaded.
fn is_warning(line: &str) -> bool {
    [
        "authenticity.require is empty",
        "no route reaches",
        "others can read",
    ]
    .iter()
    .any(|what| line.contains(what))
}

async fn reload(bridge: &Bridge, folder: &Path, config: &str) {
    write(folder, config);
    let told = ask(bridge).await;
    let remarks: Vec<_> = told.1.lines().filter(|line| !is_warning(line)).collect();
    assert_eq!(
        (told.0, remarks),
        (200, vec!["reloaded"]),
        "{}",
        tail(&bridge.log())
    );
}

async fn until(what: &str, bridge: &Bridge, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(
            Instant::now() < deadline,
            "waited in vain: {what}\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn last_was_successful(bridge: &Bridge) -> bool {
    bridge
        .metric("alertbridge_config_last_reload_successful", "")
        .await
        > 0.5
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_stream_of_mails_each_goes_by_the_one_route_or_the_other_and_once() {
    const SENDERS: usize = 4;
    const EACH: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let [to_a, to_b] = ["receiver: a", "receiver: b"]
        .map(|route| config(folder, route, &[("a", &a), ("b", &b)], ""));
    let bridge = Bridge::start(folder, &harness::unless_judged(&to_a));
    let done = AtomicBool::new(false);
    let sending = async {
        join_all((0..SENDERS).map(async |sender| {
            for mail in 0..EACH {
                post(&bridge, &trigger(&format!("incident-{sender}-{mail}"))).await;
            }
        }))
        .await;
        done.store(true, Ordering::Relaxed);
    };
    let turning = async {
        while !done.load(Ordering::Relaxed) {
            reload(&bridge, folder, &to_b).await;
            reload(&bridge, folder, &to_a).await;
        }
    };
    tokio::join!(sending, turning);
    bridge.settled(u32::try_from(SENDERS * EACH).unwrap()).await;

    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (receiver, vendor) in [("a", &a), ("b", &b)] {
        assert!(
            vendor.pages().len() > 5,
            "{receiver} was told of {}",
            vendor.pages().len()
        );
        assert_eq!(vendor.repeats(), [""; 0]);
        for page in vendor.pages() {
            let (incident, to) = page.key.rsplit_once(':').unwrap();
            assert_eq!(to, receiver);
            told.entry(incident.to_owned())
                .or_default()
                .push(to.to_owned());
        }
        vendor.expect_all();
        vendor.assert_quiet();
    }
    assert_eq!(told.len(), SENDERS * EACH, "none is lost");
    assert!(
        told.values().all(|receivers| receivers.len() == 1),
        "none is told twice: {told:?}"
    );

    // What is posted after the answer goes by what was answered for.
    reload(&bridge, folder, &to_b).await;
    post(&bridge, &trigger("after")).await;
    b.wait_until("the page", |b| {
        b.pages().iter().any(|page| page.key == "after:b")
    })
    .await;
}

/// One way to spoil a good configuration, another for each number.
fn spoilt(good: &str, number: usize) -> String {
    match number % 7 {
        0 => format!("{good}unknown_{number}: 1\n"),
        1 => good.replace(
            "route: { receiver: ",
            &format!("route: {{ receiver: no{number}"),
        ),
        2 => format!("{good}global: {{ max_age: {number}parsecs }}\n"),
        3 => format!("{good}\t{number}: [\n"),
        4 => good.replace("timeout: 1s", &format!("timeout: [{number}]")),
        5 => format!("{good}templates: [gone-{number}.j2]\n"),
        _ => good.replace("receivers:", &format!("receiver_{number}:")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_wrong_files_between_good_ones_lose_and_double_nothing() {
    const SENDERS: usize = 2;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let good = ["receiver: a", "receiver: b"]
        .map(|route| config(folder, route, &[("a", &a), ("b", &b)], ""));
    let bridge = Bridge::start(folder, &harness::unless_judged(&good[0]));

    let done = AtomicBool::new(false);
    let sending = join_all((0..SENDERS).map(async |sender| {
        let mut sent = 0;
        while !done.load(Ordering::Relaxed) {
            post(&bridge, &trigger(&format!("incident-{sender}-{sent}"))).await;
            sent += 1;
        }
        sent
    }));
    let turning = async {
        for number in 0..50 {
            write(folder, &spoilt(&good[number % 2], number));
            let (status, told) = ask(&bridge).await;
            assert_eq!(status, 500, "number {number} was taken: {told}");
            reload(&bridge, folder, &good[number % 2]).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let (sent, ()) = tokio::join!(sending, turning);
    let sent: usize = sent.into_iter().sum();
    bridge.settled(u32::try_from(sent).unwrap()).await;

    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for vendor in [&a, &b] {
        assert_eq!(vendor.repeats(), [""; 0]);
        for page in vendor.pages() {
            let (incident, _) = page.key.rsplit_once(':').unwrap();
            *told.entry(incident.to_owned()).or_default() += 1;
        }
        vendor.expect_all();
        vendor.assert_quiet();
    }
    assert!(sent > 50, "only {sent} mails came meanwhile");
    assert_eq!(told.len(), sent, "none is lost");
    assert!(
        told.values().all(|times| *times == 1),
        "none is doubled: {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_file_leaves_the_old_one_in_force_and_every_fault_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let both = [("a", &a), ("b", &b)];
    let bridge = Bridge::start(
        folder,
        &harness::unless_judged(&config(folder, "receiver: a", &both, "")),
    );
    let taken_at = bridge
        .metric(
            "alertbridge_config_last_reload_success_timestamp_seconds",
            "",
        )
        .await;
    assert!(
        last_was_successful(&bridge).await && taken_at > 1.7e9,
        "{taken_at}"
    );

    let wrong = config(folder, "receiver: b, mathcers: [x=y]", &both, "")
        .replace("timeout: 1s", "timout: 1s");
    write(folder, &wrong);
    let (status, told) = ask(&bridge).await;
    assert_eq!(status, 500, "{told}");
    assert!(
        told.starts_with("not reloaded, the old configuration remains in force:\n"),
        "{told}"
    );
    for fault in [
        "route.mathcers: there is no key `mathcers` here",
        "delivery.timout: there is no key `timout` here",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
        until(fault, &bridge, async || bridge.log().contains(fault)).await;
    }
    assert!(told.contains("alertbridge.yaml:"), "{told}");
    assert!(!last_was_successful(&bridge).await);
    post(&bridge, &trigger("meanwhile")).await;
    assert_eq!(a.next_page().await.key, "meanwhile:a");

    // What `serve` would not start with is not taken either.
    write(
        folder,
        &config(folder, "receiver: b", &both, "")
            .replace("webhook: [{ name: http }]", "")
            .replace("smtp: [", "imap: [] #"),
    );
    let (status, told) = ask(&bridge).await;
    assert!(
        status == 500 && told.contains("no ingress is configured"),
        "{told}"
    );

    reload(&bridge, folder, &config(folder, "receiver: b", &both, "")).await;
    assert!(last_was_successful(&bridge).await);
    assert!(
        bridge
            .metric(
                "alertbridge_config_last_reload_success_timestamp_seconds",
                ""
            )
            .await
            > taken_at
    );
    post(&bridge, &trigger("mended")).await;
    assert_eq!(b.next_page().await.key, "mended:b");
    a.assert_quiet();
    b.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reloads_and_a_wrong_file_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let both = [("a", &a), ("b", &b)];
    let bridge = Bridge::start(
        folder,
        &harness::unless_judged(&config(folder, "receiver: a", &both, "")),
    );
    write(folder, "route: [");
    bridge.signal("HUP");
    until("the refusal", &bridge, async || {
        !last_was_successful(&bridge).await
    })
    .await;
    until("the log of it", &bridge, async || {
        bridge.log().contains("the old one remains in force")
    })
    .await;
    write(folder, &config(folder, "receiver: b", &both, ""));
    bridge.signal("HUP");
    until("the reload", &bridge, async || {
        last_was_successful(&bridge).await
    })
    .await;
    post(&bridge, &trigger("one")).await;
    assert_eq!(b.next_page().await.key, "one:b");
    a.assert_quiet();
    assert!(bridge.stop().success());
}

/// A mute is no reason to keep quiet about a page that can be told to nobody.
const ALWAYS: &str = "time_intervals: [{ name: always, time_intervals: [{ times: [{ start_time: \
                      '00:00', end_time: '24:00' }] }] }]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_goes_where_the_routes_lead_after_a_reload_and_after_a_restart() {
    for (restarts, stays) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (a, b) = (
            Hook::start(HOOK_SECRET).await,
            Hook::start(HOOK_SECRET).await,
        );
        let muted = "receiver: b, routes: [{ receiver: a, mute_time_intervals: [always] }]";
        let before = config(folder, muted, &[("a", &a), ("b", &b)], "") + ALWAYS;
        let mut bridge = Bridge::start(folder, &harness::unless_judged(&before));
        post(&bridge, &trigger("one")).await;
        delivery(&bridge, "the held page", |row| row["state"] == "held").await;

        // Its receiver is there still, or is gone.
        let receivers: &[_] = if stays {
            &[("b", &b), ("a", &a)]
        } else {
            &[("b", &b)]
        };
        let after = config(folder, "receiver: b", receivers, "");
        if restarts {
            assert!(bridge.stop().success());
            bridge = Bridge::start(folder, &harness::unless_judged(&after));
        } else {
            write(folder, &after);
            assert_eq!(ask(&bridge).await.0, 200);
        }
        assert_eq!(b.next_page().await.key, "one:b");
        post(&bridge, &resolve("one")).await;
        assert_eq!(b.next_page().await.action, "resolve");
        let passed = delivery(&bridge, "what was held", |row| row["receiver"] == "a").await;
        assert_eq!(passed["state"], "discarded", "{passed}");
        assert!(
            said(&passed, "its routes now lead to other receivers"),
            "{passed}"
        );
        a.assert_quiet();
        b.assert_quiet();
        assert!(bridge.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_for_an_integration_that_is_gone_ends_in_the_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let muted = "receiver: b, routes: [{ receiver: a, mute_time_intervals: [always] }]";
    let with = config(folder, muted, &[("a", &a), ("b", &b)], "") + ALWAYS;
    let bridge = Bridge::start(folder, &harness::unless_judged(&with));
    post(&bridge, &trigger("one")).await;
    delivery(&bridge, "the held page", |row| row["state"] == "held").await;

    // The routes lead to its receiver still, which prints now.
    write(
        folder,
        &with.replace(&hook(folder, &a, ""), "stdout_configs: [{}]"),
    );
    assert_eq!(ask(&bridge).await.0, 200);
    let dead = delivery(&bridge, "the dead letter", |row| row["state"] == "dead").await;
    assert!(said(&dead, "has no integration webhook/0"), "{dead}");
    a.assert_quiet();
    assert!(bridge.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_owed_to_a_receiver_that_is_gone_ends_in_the_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    a.fail_next(1000, 503, &[]);
    let bridge = Bridge::start(
        folder,
        &harness::unless_judged(&config(folder, "receiver: a", &[("a", &a)], "")),
    );
    for incident in ["one", "two", "three"] {
        post(&bridge, &trigger(incident)).await;
    }
    let circuit = async || {
        bridge
            .metric("alertbridge_circuit_open", "receiver=\"a\"")
            .await
    };
    until("its circuit opens", &bridge, async || circuit().await > 0.5).await;

    write(folder, &config(folder, "receiver: b", &[("b", &b)], ""));
    let (status, remarks) = ask(&bridge).await;
    let lost = "the configuration no longer has webhook/0 of the receiver `a`: the pages owed to \
                it become dead letters (3)";
    assert!(status == 200 && remarks.contains(lost), "{remarks}");
    until("its dead letters", &bridge, async || {
        bridge.metric("alertbridge_deliveries", "dead").await > 2.5
    })
    .await;
    let dead = delivery(&bridge, "the dead letter", |row| row["state"] == "dead").await;
    assert!(
        said(
            &dead,
            "the configuration has no integration webhook/0 of receiver a any more"
        ),
        "{dead}"
    );
    assert!(
        circuit().await < 0.5,
        "whether it answers concerns nobody any more"
    );
    post(&bridge, &trigger("four")).await;
    // The new one is told of what is new, and that something was not told.
    let told = |key: String| move |b: &Fake<Hook>| b.pages().iter().any(|page| page.key == key);
    b.wait_until("the page", told("four:b".into())).await;
    b.wait_until("the alarm", told(format!("{DEAD_LETTERS}:b")))
        .await;
    b.expect_all();
    b.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_under_way_ends_as_it_began_and_the_next_goes_to_the_new_address() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    a.hang(1);
    let bridge = Bridge::start(
        folder,
        &harness::unless_judged(&config(folder, "receiver: oncall", &[("oncall", &a)], "")),
    );
    post(&bridge, &trigger("one")).await;
    a.wait_until("the attempt", |a| a.history().len() == 1)
        .await;
    reload(
        &bridge,
        folder,
        &config(folder, "receiver: oncall", &[("oncall", &b)], ""),
    )
    .await;
    assert_eq!(b.next_page().await.key, "one:oncall");
    let row = delivery(&bridge, "the delivery", |row| row["state"] == "delivered").await;
    assert_eq!(
        row["failures"], 1,
        "the one that hung was judged by its own time-out: {row}"
    );
    assert_eq!(a.history().len(), 1);
    b.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_was_asked_for_outlives_a_reload_unless_its_receiver_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let route = "receiver: b, routes: [{ receiver: a, continue: true }, { receiver: b }]";
    let both = [("a", &a), ("b", &b)];
    a.fail_next(1, 429, &[("retry-after", "3600")]);
    let bridge = Bridge::start(
        folder,
        &harness::unless_judged(&config(folder, route, &both, "")),
    );
    post(&bridge, &trigger("one")).await;
    delivery(&bridge, "the refusal", |row| row["failures"] == 1).await;

    // Another receiver is new, so whatever waits is due again; the one that asked for the pause has
    // it all the same.
    reload(
        &bridge,
        folder,
        &config(folder, route, &[both[0], both[1], ("c", &b)], ""),
    )
    .await;
    for incident in ["two", "three"] {
        post(&bridge, &trigger(incident)).await;
        b.wait_until("the other's page", |b| {
            b.pages()
                .iter()
                .any(|page| page.key == format!("{incident}:b"))
        })
        .await;
    }
    assert_eq!(a.history().len(), 1, "it is left alone");

    reload(
        &bridge,
        folder,
        &config(folder, route, &both, ", send_resolved: false"),
    )
    .await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(a.next_page().await.key);
    }
    keys.sort();
    assert_eq!(keys, ["one:a", "three:a", "two:a"]);
    a.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_restart_is_named_and_the_rest_takes_effect() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let both = [("a", &a), ("b", &b)];
    let first = config(folder, "receiver: a", &both, "");
    let bridge = Bridge::start(folder, &harness::unless_judged(&first));
    let second = config(folder, "receiver: b", &both, "")
        .replace(
            "recipients: ['alerts@example.com']",
            "recipients: ['other@example.com'], max_message_size: 1MiB",
        )
        .replace("alertbridge.db'", "other.db', mail_retention: 1d");
    write(folder, &second);
    let (status, told) = ask(&bridge).await;
    assert_eq!(status, 200, "{told}");
    let lines: Vec<_> = told
        .lines()
        .filter(|line| !line.starts_with("warning: "))
        .collect();
    let expected = [
        "reloaded",
        "store.url needs a restart",
        "store.mail_retention needs a restart",
        "ingress.smtp[0].recipients[0] needs a restart",
        "ingress.smtp[0].max_message_size needs a restart",
    ];
    assert_eq!(lines, expected);
    until("the log of it", &bridge, async || {
        expected[1..].iter().all(|line| bridge.log().contains(line))
    })
    .await;
    // By the door as it was, and the route as it is.
    harness::smtp_try(bridge.smtp.unwrap(), &trigger("one")).unwrap();
    assert_eq!(b.next_page().await.key, "one:b");
    assert!(!folder.join("other.db").exists());

    reload(&bridge, folder, &first).await;
    post(&bridge, &trigger("two")).await;
    assert_eq!(a.next_page().await.key, "two:a");
    a.assert_quiet();
    b.assert_quiet();
}

/// A configuration with one receiver that also reads the mailbox, whose certificate is copied to
/// `ca.pem` in the folder.
fn with_a_mailbox(folder: &Path, receiver: &Fake<Hook>, dovecot: &Dovecot) -> String {
    let mailbox = dovecot.settings(Tls::Implicit);
    let ca = folder.join("ca.pem");
    fs::copy(mailbox.ca_file.unwrap(), &ca).unwrap();
    let imap = format!(
        "ingress:\n  imap: [{{ name: imap, host: localhost, port: {}, ca_file: '{}', username: {}, \
         password_file: '{}' }}]",
        mailbox.port.unwrap(),
        ca.display(),
        mailbox.username,
        mailbox.password_file.unwrap().display(),
    );
    config(folder, "receiver: a", &[("a", receiver)], "").replace("ingress:", &imap)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_that_cannot_be_set_up_again_is_not_ready_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, dovecot) = (Hook::start(HOOK_SECRET).await, Dovecot::start());
    let config = with_a_mailbox(folder, &a, &dovecot);
    let bridge = Bridge::start(folder, &harness::unless_judged(&config));
    wait_for_imap(&bridge).await;
    assert_eq!(bridge.ready().await.0, 200);

    // The mailbox is set up anew because of `max_age`, by the settings of the start.
    let ca = folder.join("ca.pem");
    let other = folder.join("other.pem");
    fs::rename(&ca, &other).unwrap();
    let moved = config.replace("ca.pem", "other.pem");
    write(folder, &format!("global: {{ max_age: 2h }}\n{moved}"));
    let (status, said) = ask(&bridge).await;
    assert_eq!(status, 200, "{said}");
    until("not ready", &bridge, async || bridge.ready().await.0 == 503).await;
    for _ in 0..10 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let (status, said) = bridge.ready().await;
        assert_eq!((status, said.contains("ca.pem")), (503, true), "{said}");
    }

    fs::rename(&other, &ca).unwrap();
    until("ready", &bridge, async || bridge.ready().await.0 == 200).await;
    dovecot.deliver(&trigger("one"));
    assert_eq!(a.next_page().await.key, "one:a");
}

/// Pages lead to the address whose host the admin listener takes, and both change together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_external_address_is_in_force_as_a_whole_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let a = Hook::start(HOOK_SECRET).await;
    let known_at = |url: &str| {
        let global = format!("global: {{ external_url: '{url}' }}\n");
        global + &config(folder, "receiver: a", &[("a", &a)], "")
    };
    let leads_to = |page: usize| {
        let call = a.history()[page].json().unwrap();
        call["data"]["external_url"].as_str().unwrap().to_owned()
    };
    let takes = async |bridge: &Bridge, host: &str| {
        let asked = harness::client().get(format!("{}/incidents", bridge.admin));
        let answer = asked.header("host", host).send().await.unwrap();
        answer.status().is_success()
    };
    let first = known_at("https://first.example.com");
    let bridge = Bridge::start(folder, &harness::unless_judged(&first));

    write(folder, &known_at("https://second.example.com"));
    let (status, told) = ask(&bridge).await;
    assert_eq!(status, 200, "{told}");
    let named = told.lines().filter(|line| !line.starts_with("warning: "));
    let expected = ["reloaded", "global.external_url needs a restart"];
    assert_eq!(named.collect::<Vec<_>>(), expected);
    post(&bridge, &trigger("one")).await;
    assert_eq!(a.next_page().await.key, "one:a");
    assert_eq!(leads_to(0), "https://first.example.com");
    let test = format!("{}/api/v1/receivers/a/test", bridge.admin);
    let tested = harness::client().post(test).send().await.unwrap();
    assert!(tested.status().is_success(), "{tested:?}");
    assert_eq!(leads_to(1), "https://first.example.com");
    assert!(takes(&bridge, "first.example.com").await);
    assert!(!takes(&bridge, "second.example.com").await);

    let tests = a.history().len();
    assert!(bridge.stop().success());
    let second = known_at("https://second.example.com");
    let bridge = Bridge::start(folder, &harness::unless_judged(&second));
    post(&bridge, &trigger("two")).await;
    a.wait_until("the page of after", |a| a.history().len() > tests)
        .await;
    assert_eq!(leads_to(tests), "https://second.example.com");
    assert!(takes(&bridge, "second.example.com").await);
    assert!(!takes(&bridge, "first.example.com").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_goes_on_by_another_max_age_and_no_mail_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, dovecot) = (Hook::start(HOOK_SECRET).await, Dovecot::start());
    let config = with_a_mailbox(folder, &a, &dovecot);
    let bridge = Bridge::start(folder, &harness::unless_judged(&config));
    wait_for_imap(&bridge).await;
    dovecot.deliver(&trigger("one"));
    assert_eq!(a.next_page().await.key, "one:a");
    reload(
        &bridge,
        folder,
        &format!("global: {{ max_age: 2h }}\n{config}"),
    )
    .await;
    dovecot.deliver(&trigger("two"));
    let taken = || bridge.log().matches("the mailbox is read here").count();
    until("another turn", &bridge, async || taken() == 2).await;
    dovecot.deliver(&trigger("three"));
    let mut keys = [a.next_page().await.key, a.next_page().await.key];
    keys.sort();
    assert_eq!(keys, ["three:a", "two:a"]);
    a.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_not_reloaded_yet_leaves_what_it_does_not_know_to_those_that_are() {
    let database = Database::create().await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (a, b) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    let shared = |config: String| config.replace("sqlite:alertbridge.db", &database.url());
    let [first, second] = folders.each_ref().map(|folder| {
        let config = shared(config(folder.path(), "receiver: a", &[("a", &a)], ""));
        Bridge::start(folder.path(), &harness::unless_judged(&config))
    });
    let next = shared(config(
        folders[0].path(),
        "receiver: b",
        &[("a", &a), ("b", &b)],
        "",
    ));
    reload(&first, folders[0].path(), &next).await;
    // While its receiver does not answer, what is new waits in the store, where either replica may
    // take it.
    b.fail_next(1000, 503, &[]);
    post(&first, &trigger("one")).await;
    post(&first, &trigger("two")).await;
    until("the circuit opens", &first, async || {
        first.metric("alertbridge_circuit_open", "").await > 0.5
    })
    .await;
    post(&first, &trigger("three")).await;
    let probes = b.history().len() + 2;
    until("more probes", &first, async || b.history().len() >= probes).await;
    b.heal();
    first.settled(3).await;
    let mut keys: Vec<_> = b.pages().into_iter().map(|page| page.key).collect();
    keys.sort();
    assert_eq!(
        keys,
        ["one:b", "three:b", "two:b"],
        "{}",
        tail(&second.log())
    );
    b.expect_all();
    b.assert_quiet();
    assert!(first.metric("alertbridge_deliveries", "dead").await < 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_in_a_browser_reloads_and_who_has_no_token_neither() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let a = Hook::start(HOOK_SECRET).await;
    let open = config(folder, "receiver: a", &[("a", &a)], "");
    let bridge = Bridge::start(folder, &harness::unless_judged(&open));
    let request = |bridge: &Bridge| harness::client().post(format!("{}/-/reload", bridge.admin));
    for (name, value) in [
        ("origin", "https://elsewhere.example"),
        ("origin", "null"),
        // A name of theirs that leads to this machine makes it one origin.
        ("origin", bridge.admin.as_str()),
        ("sec-fetch-site", "cross-site"),
    ] {
        let reply = request(&bridge).header(name, value).send().await.unwrap();
        assert_eq!(reply.status(), 403, "{name}: {value}");
    }
    let got = harness::client()
        .get(format!("{}/-/reload", bridge.admin))
        .send()
        .await
        .unwrap();
    assert_eq!(got.status(), 405);
    assert!(!bridge.log().contains("reloaded"), "{}", bridge.log());
    assert!(bridge.stop().success());

    let bridge = Bridge::start(
        folder,
        &harness::unless_judged(&open.replace("admin: { ", "admin: { token: s3cret, ")),
    );
    assert_eq!(ask(&bridge).await.0, 401);
    assert_eq!(
        request(&bridge)
            .bearer_auth("another")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    let from_page = request(&bridge)
        .bearer_auth("s3cret")
        .header("origin", "https://elsewhere.example");
    assert_eq!(from_page.send().await.unwrap().status(), 403);
    assert!(!bridge.log().contains("reloaded"), "{}", bridge.log());
    assert_eq!(
        request(&bridge)
            .bearer_auth("s3cret")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}
