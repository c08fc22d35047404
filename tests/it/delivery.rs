//! What becomes of a page when its receiver fails: the real program against vendors that fail on
//! demand.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, fmt::rfc2822, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, PATIENCE, tail},
    sign_in::token_of,
    vendors::{Fake, Hook, Opsgenie, PagerDuty, Slack},
};

#[expect(
    clippy::disallowed_methods,
    reason = "a mail is dated by the clock the program reads"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A mail of this age, about an incident; the `minute` orders the mails of one.
pub fn aged(incident: &str, status: &str, minute: i64, age: SignedDuration) -> Vec<u8> {
    let date = rfc2822::to_string(&(now() - age).to_zoned(TimeZone::UTC)).unwrap();
    let time: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
    let json = json!({
        "appKey": "com.example.app", "incidentId": incident, "incidentStatus": status,
        "time": (time + SignedDuration::from_mins(minute)).to_string(),
        "metricName": "Jira App \
                       Availability", "sliValue": 90.5, "sloValue": 99.9, "metricUnit": "percent",
    });
    wrapped(&date, &json.to_string())
}

fn wrapped(date: &str, json: &str) -> Vec<u8> {
    format!(
        "From: Atlassian <no-reply@am.atlassian.com>\r\nTo: alerts@example.com\r\nSubject: \
         alert\r\nDate: {date}\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
         <html><body><script type=\"application/json\" \
         id=\"incident-data\">{json}</script></body></html>\r\n"
    )
    .into_bytes()
}

pub fn trigger(incident: &str) -> Vec<u8> {
    aged(incident, "ANOMALOUS", 0, SignedDuration::ZERO)
}

pub fn resolve(incident: &str) -> Vec<u8> {
    aged(incident, "OK", 5, SignedDuration::ZERO)
}

/// A bridge with one webhook in, and what `rest` says.
pub fn start(folder: &Path, rest: &str) -> Bridge {
    start_with(folder, rest, &[])
}

/// As `start`, with variables in the environment.
pub fn start_with(folder: &Path, rest: &str, environment: &[(&str, &str)]) -> Bridge {
    let rest = if rest.contains("delivery:") {
        rest.to_owned()
    } else {
        format!("delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 4s }} }}\n{rest}")
    };
    let doors = DOORS.replace("global: { max_age: 0s }", "");
    let ingress = "ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }";
    let config = format!("{doors}\n{ingress}\n{rest}\n");
    Bridge::start_with(folder, &config, environment)
}

pub async fn post(bridge: &Bridge, mail: &[u8]) {
    assert_eq!(bridge.post(mail).await.unwrap(), 202);
}

pub fn pagerduty(folder: &Path, vendor: &Fake<PagerDuty>) -> String {
    fs::write(folder.join("pagerduty"), vendor.key()).unwrap();
    format!(
        "pagerduty_configs: [{{ routing_key_file: pagerduty, url: '{}' }}]",
        vendor.url()
    )
}

pub fn hook(folder: &Path, vendor: &Fake<Hook>, more: &str) -> String {
    fs::write(folder.join("hook"), HOOK_SECRET).unwrap();
    format!(
        "webhook_configs: [{{ url: '{}', secret_file: hook{more} }}]",
        vendor.url()
    )
}

pub fn listed(bridge: &Bridge, arguments: &[&str]) -> Vec<Value> {
    let output = bridge.command(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until a delivery is as wanted.
pub async fn delivery(bridge: &Bridge, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = listed(bridge, &["deliveries", "list", "--json"]);
        if let Some(found) = all.iter().find(|row| wanted(row)) {
            return found.clone();
        }
        assert!(
            Instant::now() < deadline,
            "waited in vain: {what}; {all:#?}\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

pub fn said(row: &Value, text: &str) -> bool {
    row["detail"]
        .as_str()
        .is_some_and(|detail| detail.contains(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_asks_for_a_pause_gets_it_and_no_other_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (pager, hooked) = (PagerDuty::start().await, Hook::start(HOOK_SECRET).await);
    pager.fail_next(1, 429, &[("retry-after", "3")]);
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}\n    {}",
            pagerduty(folder.path(), &pager),
            hook(folder.path(), &hooked, "")
        ),
    );
    post(&bridge, &trigger("first")).await;
    pager
        .wait_until("the refusal", |pager| pager.history().len() == 1)
        .await;
    let refused = Instant::now();
    hooked.next_page().await;
    // Another incident's page to the paused receiver waits too; elsewhere it goes out at once.
    post(&bridge, &trigger("second")).await;
    hooked.next_page().await;
    assert!(
        refused.elapsed() < Duration::from_secs(2),
        "the other receiver waited {:?}",
        refused.elapsed()
    );
    pager.next_page().await;
    assert!(
        refused.elapsed() >= Duration::from_millis(2900),
        "asked again after {:?}",
        refused.elapsed()
    );
    pager.next_page().await;
    assert_eq!(pager.history().len(), 3, "nothing was sent into the pause");
    pager.assert_quiet();
    hooked.assert_quiet();
}

/// However long a pause a receiver asks for, it is probed: within half a minute where it says that
/// it is down, within five minutes where it limits how often it is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_receiver_can_ask_to_be_left_alone_for_an_hour() {
    for (status, most) in [(503, 30), (429, 300)] {
        let folder = tempfile::tempdir().unwrap();
        let pager = PagerDuty::start().await;
        pager.fail_next(1, status, &[("retry-after", "3600")]);
        let bridge = start(
            folder.path(),
            &format!(
                "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}",
                pagerduty(folder.path(), &pager)
            ),
        );
        post(&bridge, &trigger("first")).await;
        let row = delivery(&bridge, "the refusal", |row| row["failures"] == 1).await;
        let next: Timestamp = row["next_at"].as_str().unwrap().parse().unwrap();
        let pause = next.duration_since(now()).as_secs();
        assert!((most - 10..=most).contains(&pause), "{status}: {pause} s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_is_tried_again_with_growing_pauses_and_delivered_once() {
    let folder = tempfile::tempdir().unwrap();
    let pager = PagerDuty::start().await;
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}",
            pagerduty(folder.path(), &pager)
        ),
    );
    pager.fail_next(1, 500, &[]);
    pager.hang(1);
    pager.drop_connection(1);
    pager.lose_reply(1);
    post(&bridge, &trigger("a")).await;
    post(&bridge, &resolve("a")).await;
    let page = pager.next_page_within(PATIENCE).await;
    assert_eq!(page.action, "trigger");
    assert_eq!(pager.next_page_within(PATIENCE).await.action, "resolve");
    assert_eq!(
        pager.repeats(),
        ["trigger a:all"],
        "the lost reply's page was sent again, under its key"
    );
    assert!(pager.open_alerts().is_empty());
    pager.assert_quiet();
    bridge.settled(2).await;
    let timeline = bridge.command(&["incidents", "show", "a", "--json"]);
    let timeline = String::from_utf8(timeline.stdout).unwrap();
    for result in ["server_error", "timeout", "network", "delivered"] {
        assert!(
            timeline.contains(&format!("\"result\":\"{result}\"")),
            "{result} is missing: {timeline}"
        );
    }
    let rows = listed(&bridge, &["deliveries", "list", "--json"]);
    assert!(rows.iter().any(|row| row["failures"] == 4), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_a_dead_letter_at_once_and_goes_out_when_the_file_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let (opsgenie, hooked) = (Opsgenie::start().await, Hook::start(HOOK_SECRET).await);
    fs::write(folder.path().join("key"), "a-wrong-key-of-somebody-else").unwrap();
    let begun = Instant::now();
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    fallback: {{ \
             receiver: backup, after: 5m }}\n    opsgenie_configs: [{{ api_key_file: key, api_url: \
             '{}' }}]\n  - name: backup\n    {}",
            opsgenie.url(),
            hook(folder.path(), &hooked, "")
        ),
    );
    post(&bridge, &trigger("a")).await;
    assert_eq!(hooked.next_page().await.key, "a:backup");
    assert!(
        begun.elapsed() < Duration::from_mins(1),
        "the fallback is told at once, not after its time"
    );
    let dead = delivery(&bridge, "the dead letter", |row| row["state"] == "dead").await;
    assert!(said(&dead, "401"), "{dead}");
    assert!(opsgenie.open_alerts().is_empty());

    fs::write(folder.path().join("key"), opsgenie.key()).unwrap();
    let retried = bridge.command(&["deliveries", "retry", "--dead"]);
    assert!(
        retried.status.success(),
        "{}",
        String::from_utf8_lossy(&retried.stderr)
    );
    assert_eq!(opsgenie.next_page().await.key, "a:oncall");
    post(&bridge, &resolve("a")).await;
    assert_eq!(opsgenie.next_page().await.action, "resolve");
    assert_eq!(hooked.next_page().await.action, "resolve");
    hooked.assert_quiet();
}

/// A person sends them again on the incident's page. A trigger alone would open an alert that nobody
/// closes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_pages_of_an_incident_that_is_over_are_sent_again_together_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    hooked.fail_next(1, 503, &[]);
    let receiver = hook(folder.path(), &hooked, "");
    let bridge = start(
        folder.path(),
        &format!(
            "delivery: {{ timeout: 1s, backoff: {{ initial: 3s, max: 4s }} }}\nroute: {{ receiver: \
             oncall }}\nreceivers: [{{ name: oncall, {receiver} }}]"
        ),
    );
    post(&bridge, &trigger("a")).await;
    delivery(&bridge, "a failed attempt", |row| row["failures"] == 1).await;
    hooked.fail_next(2, 400, &[]);
    post(&bridge, &resolve("a")).await;
    for action in ["trigger", "resolve"] {
        let is_dead = |row: &Value| row["action"] == action && row["state"] == "dead";
        delivery(&bridge, "the dead letter", is_dead).await;
    }

    let cookie = format!("alertbridge_csrf={}", "b".repeat(43));
    let again = crate::harness::client().post(format!("{}/incidents/a/again", bridge.admin));
    let again = again
        .header("origin", &bridge.admin)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("csrf={}", token_of(&cookie)))
        .header("cookie", cookie);
    let answer = again.send().await.unwrap();
    assert_eq!(answer.url().query(), Some("done=again"), "{answer:?}");
    for action in ["trigger", "resolve"] {
        assert_eq!(hooked.next_page().await.action, action);
    }
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_receiver_has_its_fallback_told_goes_on_trying_and_both_hear_the_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let (pager, slack, hooked) = (
        PagerDuty::start().await,
        Slack::start().await,
        Hook::start(HOOK_SECRET).await,
    );
    fs::write(folder.path().join("slack"), slack.url()).unwrap();
    pager.fail_next(3, 503, &[]);
    slack.fail_next(3, 503, &[]);
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    fallback: {{ \
             receiver: backup, after: 1s }}\n    {}\n    slack_configs: [{{ api_url_file: slack \
             }}]\n  - name: backup\n    {}",
            pagerduty(folder.path(), &pager),
            hook(folder.path(), &hooked, "")
        ),
    );
    post(&bridge, &trigger("a")).await;
    assert_eq!(hooked.next_page().await.key, "a:backup");
    assert!(
        pager.pages().is_empty() && pager.history().len() < 4,
        "the first has not been reached yet"
    );
    pager.next_page_within(PATIENCE).await;
    slack.next_page_within(PATIENCE).await;
    // Two integrations were late: the fallback was told once.
    post(&bridge, &resolve("a")).await;
    for page in [
        pager.next_page().await,
        slack.next_page().await,
        hooked.next_page().await,
    ] {
        assert_eq!(page.action, "resolve");
    }
    bridge.settled(2).await;
    pager.assert_quiet();
    slack.assert_quiet();
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_never_confirmed_is_sent_again_then_dead_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let opsgenie = Opsgenie::start_slow(1_000_000).await;
    let hooked = Hook::start(HOOK_SECRET).await;
    fs::write(folder.path().join("key"), opsgenie.key()).unwrap();
    let bridge = start(
        folder.path(),
        &format!(
            "delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }}, give_up_after: 4s }}\n\
             route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    \
             opsgenie_configs: [{{ api_key_file: key, api_url: '{}', confirm_timeout: 1s }}]\n    \
             {}",
            opsgenie.url(),
            hook(folder.path(), &hooked, "")
        ),
    );
    let begun = Instant::now();
    post(&bridge, &trigger("a")).await;
    post(&bridge, &trigger("b")).await;
    hooked.next_page().await;
    hooked.next_page().await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    opsgenie
        .wait_until("both were promised", |opsgenie| posts(opsgenie) >= 2)
        .await;
    let dead = delivery(&bridge, "given up", |row| row["state"] == "dead").await;
    assert!(
        said(&dead, "given up after 4s") && said(&dead, "request-"),
        "{dead}"
    );
    assert!(posts(&opsgenie) > 2, "it was sent again");
    assert!(
        bridge
            .metric("alertbridge_notifications_failed_total", "unconfirmed")
            .await
            > 0.0
    );
}

fn posts(opsgenie: &Fake<Opsgenie>) -> usize {
    opsgenie
        .history()
        .iter()
        .filter(|call| call.method == "POST")
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_paces_without_a_failed_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}",
            hook(folder.path(), &hooked, ", rate_limit: 2/s")
        ),
    );
    let begun = Instant::now();
    for n in 0..5 {
        post(&bridge, &trigger(&format!("i{n}"))).await;
    }
    for n in 0..5 {
        assert_eq!(
            hooked.next_page().await.key,
            format!("i{n}:all"),
            "in order of arrival"
        );
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(1950),
        "five pages took {:?}",
        begun.elapsed()
    );
    bridge.settled(5).await;
    let rows = listed(&bridge, &["deliveries", "list", "--json"]);
    assert!(rows.iter().all(|row| row["failures"] == 0), "{rows:?}");
    assert_eq!(hooked.history().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_nobody_trusts_is_reported_as_tls_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let address = untrusted().await;
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    webhook_configs: [{{ url: \
             'https://localhost:{}/x' }}]",
            address.port()
        ),
    );
    post(&bridge, &trigger("a")).await;
    let row = delivery(&bridge, "a second failure", |row| {
        row["failures"].as_u64() >= Some(2)
    })
    .await;
    assert_eq!(row["state"], "pending");
    assert!(said(&row, "TLS"), "{row}");
    assert!(
        bridge
            .metric("alertbridge_notifications_failed_total", "reason=\"tls\"")
            .await
            >= 2.0
    );
}

/// An HTTPS server whose certificate is its own.
async fn untrusted() -> std::net::SocketAddr {
    use tokio_rustls::{TlsAcceptor, rustls};
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let settings = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(settings));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { drop(acceptor.accept(stream).await) });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (hooked, elsewhere) = (
        Hook::start(HOOK_SECRET).await,
        Hook::start(HOOK_SECRET).await,
    );
    hooked.fail_next(1, 307, &[("location", elsewhere.url().as_str())]);
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}",
            hook(folder.path(), &hooked, "")
        ),
    );
    post(&bridge, &trigger("a")).await;
    let dead = delivery(&bridge, "the dead letter", |row| row["state"] == "dead").await;
    assert!(said(&dead, "307"), "{dead}");
    assert!(elsewhere.history().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_that_waits_is_sent_before_its_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    hooked.fail_next(2, 500, &[]);
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}",
            hook(folder.path(), &hooked, "")
        ),
    );
    post(&bridge, &trigger("a")).await;
    post(&bridge, &resolve("a")).await;
    assert_eq!(hooked.next_page().await.action, "trigger");
    assert_eq!(hooked.next_page().await.action, "resolve");
    bridge.settled(2).await;
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_holds_or_drops_and_what_is_resolved_meanwhile_is_told_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (pager, hooked) = (PagerDuty::start().await, Hook::start(HOOK_SECRET).await);
    let bridge = start(
        folder.path(),
        &format!(
            "
time_intervals: [{{ name: always, time_intervals: [{{ times: [{{ start_time: '00:00', end_time: \
'24:00' }}] }}] }}]
route:
  receiver: all
  routes:
    - {{ receiver: held, matchers: ['incident_id=~held.*'], mute_time_intervals: [always] }}
    - {{ receiver: held, matchers: ['incident_id=~dropped.*'], mute_time_intervals: [always], \
    on_mute: drop }}
receivers:
  - name: held
    {}
  - name: all
    {}",
            pagerduty(folder.path(), &pager),
            hook(folder.path(), &hooked, "")
        ),
    );
    for incident in ["held-1", "held-2", "dropped-1"] {
        post(&bridge, &trigger(incident)).await;
    }
    post(&bridge, &resolve("held-1")).await;
    post(&bridge, &resolve("dropped-1")).await;
    post(&bridge, &trigger("loud")).await;
    hooked.next_page().await;
    bridge.settled(6).await;
    let held = listed(
        &bridge,
        &["deliveries", "list", "--state", "held", "--json"],
    );
    assert_eq!(held.len(), 1);
    assert_eq!(held[0]["incident_id"], "held-2");
    assert!(pager.history().is_empty());
    hooked.assert_quiet();
    let dropped = bridge.command(&["mails", "list", "--outcome", "silenced", "--json"]);
    assert!(String::from_utf8_lossy(&dropped.stdout).contains("dropped-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_trigger_wakes_nobody_and_its_fresh_copy_does() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let bridge = start(
        folder.path(),
        &format!(
            "global: {{ max_age: 1h }}\nroute: {{ receiver: all }}\nreceivers:\n  - name: all\n    \
             {}",
            hook(folder.path(), &hooked, "")
        ),
    );
    post(
        &bridge,
        &aged("a", "ANOMALOUS", 0, SignedDuration::from_hours(3)),
    )
    .await;
    bridge.settled(1).await;
    assert!(hooked.history().is_empty());
    post(&bridge, &trigger("a")).await;
    assert_eq!(hooked.next_page().await.key, "a:all");
    post(&bridge, &aged("a", "OK", 5, SignedDuration::from_hours(3))).await;
    assert_eq!(
        hooked.next_page().await.action,
        "resolve",
        "a resolve does not expire"
    );
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_cannot_be_read_pages_once_however_often_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    {}",
            hook(folder.path(), &hooked, "")
        ),
    );
    for minutes in [2, 1, 0] {
        let sent = now() - SignedDuration::from_mins(minutes);
        let date = rfc2822::to_string(&sent.to_zoned(TimeZone::UTC)).unwrap();
        post(&bridge, &wrapped(&date, "{ \"incidentId\": \"a\" }")).await;
    }
    assert!(hooked.next_page().await.key.starts_with("unparsed-"));
    bridge.settled(3).await;
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_receivers_in_one_account_each_get_their_alert_and_one_wants_no_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let pager = PagerDuty::start().await;
    let one = pagerduty(folder.path(), &pager);
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: one, routes: [{{ receiver: one, continue: true }}, {{ receiver: \
             two }}] }}\nreceivers:\n  - name: one\n    {one}\n  - name: two\n    {}",
            one.replace(" }]", ", send_resolved: false }]")
        ),
    );
    post(&bridge, &trigger("a")).await;
    pager.next_page().await;
    pager.next_page().await;
    assert_eq!(pager.open_alerts(), ["a:one", "a:two"]);
    post(&bridge, &resolve("a")).await;
    let page = pager.next_page().await;
    assert_eq!(
        (page.action.as_str(), page.key.as_str()),
        ("resolve", "a:one")
    );
    bridge.settled(2).await;
    assert_eq!(pager.open_alerts(), ["a:two"]);
    pager.assert_quiet();
}

/// Every credential of the configuration below, or the telling part of one that is an address.
const SECRETS: [&str; 6] = [
    "genie-5f1d5a3c4e0b4c61",
    "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "qJ8k2mXw0pZr4tVy6uB9sLdN",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "ingress-token-1b2c3d4e5f",
    "admin-token-9a8b7c6d5e",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_any_log_error_or_output_whatever_goes_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let [genie, routing, slack, signing, ingress, admin] = SECRETS;
    let vendor = Echo::start().await;
    let origins = [
        vendor.origin.clone(),
        // Nobody listens there.
        "http://127.0.0.1:9".to_owned(),
        format!("https://localhost:{}", untrusted().await.port()),
    ];
    let mut receivers = String::new();
    for (index, origin) in origins.iter().enumerate() {
        fs::write(
            path.join(format!("slack{index}")),
            format!("{origin}/services/T00000000/B00000000/{slack}"),
        )
        .unwrap();
        receivers += &format!(
            "
  - name: r{index}
    opsgenie_configs: [{{ api_key_file: genie, api_url: '{origin}' }}, {{ api_key: {genie}, \
    api_url: '{origin}' }}]
    pagerduty_configs: [{{ routing_key_file: routing, url: '{origin}/v2/enqueue' }}]
    slack_configs: [{{ api_url_file: slack{index} }}]
    webhook_configs: [{{ url_file: slack{index}, secret_file: signing }}, {{ url: \
    '{origin}/{slack}' }}]"
        );
    }
    for (name, text) in [
        ("genie", genie),
        ("routing", routing),
        ("ingress", ingress),
        ("admin", admin),
        ("bad", "ht!tp:/x"),
    ] {
        fs::write(path.join(name), text).unwrap();
    }
    fs::write(path.join("signing"), format!("whsec_{signing}")).unwrap();
    fs::write(path.join("alert.eml"), trigger("explained")).unwrap();
    let config = format!(
        "store: {{ url: 'sqlite:alertbridge.db' }}
admin: {{ listen: '127.0.0.1:0', token_file: admin }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http, token_file: ingress }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }}, give_up_after: 3s }}
route:
  receiver: r0
  routes: [{{ receiver: r1, continue: true }}, {{ receiver: r2, continue: true }}, {{ receiver: r0 \
  }}]
receivers:{receivers}
"
    );
    let bridge = Bridge::start_with(path, &config, &[("RUST_LOG", "debug")]);
    let say = async |incident: &str| {
        let request = crate::harness::client()
            .post(&bridge.http)
            .bearer_auth(ingress)
            .body(trigger(incident));
        let reply = request
            .header("content-type", "message/rfc822")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 202);
    };
    // Each class of answer to every integration, quoting what was asked; then silence.
    for status in [401, 403, 404, 422, 400, 500, 200, 202, HANG] {
        let before = vendor.answer_with(status);
        say(&format!("answered-{status}")).await;
        vendor.heard(before + 6).await;
    }
    delivery(&bridge, "silence", |row| said(row, "no reply in time")).await;
    // The files are broken in turn: an address that is none, an empty one, none.
    fs::write(path.join("slack0"), "ht!tp:/x").unwrap();
    fs::write(path.join("signing"), format!("wrong {signing}")).unwrap();
    fs::write(path.join("genie"), "").unwrap();
    fs::remove_file(path.join("routing")).unwrap();
    vendor.answer_with(403);
    say("broken").await;
    let broken = delivery(&bridge, "a missing file", |row| said(row, "routing")).await;
    assert_ne!(broken["state"], "delivered");

    let mut outputs = vec![
        ("standard error", bridge.log()),
        ("standard output", bridge.pages().join("\n")),
    ];
    let metrics = crate::harness::client()
        .get(format!("{}/metrics", bridge.admin))
        .bearer_auth(admin);
    outputs.push((
        "/metrics",
        metrics.send().await.unwrap().text().await.unwrap(),
    ));
    for arguments in [
        &["deliveries", "list", "--json"][..],
        &["deliveries", "list"],
        &["incidents", "show", "answered-401", "--json"],
        &["incidents", "show", "answered-422"],
        &["incidents", "show", "answered-0", "--json"],
        &["incidents", "show", "broken", "--json"],
        &["explain", "alert.eml", "--json"],
        &["explain", "alert.eml"],
        &["replay", "alert.eml", "--json"],
        &["check"],
        &["routes", "show"],
        &["mails", "list", "--json"],
        &["receivers", "test", "r0"],
    ] {
        let output = bridge.command(arguments);
        outputs.push((arguments[0], String::from_utf8(output.stdout).unwrap()));
        outputs.push((arguments[0], String::from_utf8(output.stderr).unwrap()));
    }
    for (name, output) in &outputs {
        for secret in SECRETS {
            // Half a secret is one too.
            for part in [&secret[..12], &secret[secret.len() - 12..]] {
                let line = output.lines().find(|line| line.contains(part));
                assert_eq!(line, None, "{part} of a secret is in {name}");
            }
        }
    }
    assert!(
        outputs
            .iter()
            .any(|(_, output)| output.contains("<secret>")),
        "what was echoed was scrubbed"
    );
    for class in [
        "unauthorized",
        "rejected",
        "server_error",
        "timeout",
        "network",
        "tls",
        "configuration",
    ] {
        assert!(
            outputs[2].1.contains(&format!("reason=\"{class}\"")),
            "{class} was not met: {}",
            outputs[2].1
        );
    }
}

/// The status that stands for never answering.
const HANG: u16 = 0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_secret_and_short_is_shown_nowhere_and_changes_no_judgement() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Echo::start().await;
    let host = vendor.origin.strip_prefix("http://").unwrap();
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: all }}
receivers:
  - name: all
    webhook_configs: [{{ url: 'http://qZ:9xK@{host}/h?pin=b7Q2&at=4%2F7&mode=json&v=422' }}]
    discord_configs: [{{ webhook_url: 'http://ok:error@{host}/d?key=x1&ok=true' }}]"
        ),
    );
    vendor.answer_with(422);
    post(&bridge, &trigger("a")).await;
    for _ in 0..2 {
        bridge.settled(1).await;
    }
    let dead = delivery(&bridge, "a dead letter", |row| row["state"] == "dead").await;
    assert!(
        said(&dead, "HTTP 422: ") && said(&dead, "<secret>"),
        "{dead}"
    );
    let api = async |path: &str| {
        let answer = crate::harness::client().get(format!("{}{path}", bridge.admin));
        answer.send().await.unwrap().text().await.unwrap()
    };
    let mut outputs = vec![
        bridge.log(),
        api("/api/v1/deliveries").await,
        api("/api/v1/incidents/a").await,
        api("/incidents/a").await,
        api("/deliveries").await,
    ];
    for arguments in [
        &["deliveries", "list", "--json"][..],
        &["deliveries", "list"],
        &["incidents", "show", "a", "--json"],
        &["incidents", "show", "a"],
        &["receivers", "test", "all"],
        &["doctor", "--json"],
    ] {
        let output = bridge.command(arguments);
        outputs.push(String::from_utf8(output.stdout).unwrap());
        outputs.push(String::from_utf8(output.stderr).unwrap());
    }
    for output in &outputs {
        // The Base64 of user and password too.
        for secret in [
            "9xK",
            "b7Q2",
            "4/7",
            "4%2F7",
            "cVo6OXhL",
            "b2s6ZXJyb3I=",
            "qZ:",
            "key=x1",
        ] {
            let line = output.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is shown");
        }
    }

    // What replies are judged by is taken for what it says.
    vendor.answer_with(200);
    let before = vendor.state.lock().unwrap().1;
    post(&bridge, &trigger("b")).await;
    vendor.heard(before + 2).await;
}

/// A vendor that quotes in its answer all it was sent, where a summary of it would cut a credential
/// in half.
struct Echo {
    origin: String,
    state: std::sync::Arc<std::sync::Mutex<(u16, usize)>>,
}

impl Echo {
    async fn start() -> Self {
        use axum::{body::Bytes, http};
        let state = std::sync::Arc::new(std::sync::Mutex::new((200, 0)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shared = std::sync::Arc::clone(&state);
        let app = axum::Router::new().fallback(
            async move |uri: http::Uri, headers: http::HeaderMap, body: Bytes| {
                let (status, number) = {
                    let mut state = shared.lock().unwrap();
                    state.1 += 1;
                    *state
                };
                if status == HANG {
                    std::future::pending::<()>().await;
                }
                let key = headers
                    .get("authorization")
                    .map_or("", |value| value.to_str().unwrap());
                let json: Value = serde_json::from_slice(&body).unwrap_or_default();
                let routing = json["routing_key"].as_str().unwrap_or_default();
                let quoted = format!("{} {key}{routing} {uri}", "x".repeat(255 + number % 40));
                let said = match number % 3 {
                    0 => quoted,
                    1 => {
                        json!({ "message": quoted, "errors": [quoted], "status": "invalid event" })
                            .to_string()
                    }
                    _ => json!({ "requestId": quoted, "error": quoted })
                        .to_string()
                        .replace('/', "\\/"),
                };
                let id = key.trim_start_matches("GenieKey ").to_owned();
                (
                    http::StatusCode::from_u16(status).unwrap(),
                    [("x-request-id", id)],
                    said,
                )
            },
        );
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { origin, state }
    }

    /// From now on; returns how many requests there were.
    fn answer_with(&self, status: u16) -> usize {
        let mut state = self.state.lock().unwrap();
        state.0 = status;
        state.1
    }

    async fn heard(&self, requests: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.state.lock().unwrap().1 < requests {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {requests} requests"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
