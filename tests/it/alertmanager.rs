//! Pages at a real Alertmanager (Debian's package prometheus-alertmanager): it has an alert as long
//! as the incident is open, whoever of the two is restarted in between, and no longer.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use alertbridge::{
    delivery::{Action, Notification, Step},
    receiver::{Body, Keys, Parcel, Receivers, Settings, sample},
};
use serde_json::{Value, json};

use crate::{
    delivery::{aged, post, resolve, start, trigger},
    e2e::DOORS,
    harness::{Bridge, PATIENCE, client},
    port::free_port,
    postgres::Database,
    vendors::{Alertmanager, Fake},
};

/// A running Alertmanager. Dropping it kills it.
struct Real {
    process: Child,
    port: u16,
}

impl Real {
    async fn start(folder: &Path, port: u16) -> Self {
        let config = folder.join("alertmanager.yml");
        fs::write(
            &config,
            "route: { receiver: none }\nreceivers: [{ name: none }]\n",
        )
        .unwrap();
        let log = fs::File::create(folder.join("alertmanager.log")).unwrap();
        let process = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("install the package prometheus-alertmanager");
        let real = Self { process, port };
        let deadline = Instant::now() + PATIENCE;
        while client().get(real.url("/-/ready")).send().await.is_err() {
            assert!(Instant::now() < deadline, "Alertmanager does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        real
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The alerts that are active.
    async fn alerts(&self) -> Vec<Value> {
        let reply = client().get(self.url("/api/v2/alerts")).send().await;
        serde_json::from_str(&reply.unwrap().text().await.unwrap()).unwrap()
    }

    /// Waits until those of these incidents and no others are active.
    async fn has(&self, incidents: &[&str]) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let alerts = self.alerts().await;
            let mut ids: Vec<_> = alerts
                .iter()
                .map(|alert| alert["labels"]["incident_id"].as_str().unwrap().to_owned())
                .collect();
            ids.sort();
            if ids == incidents {
                return alerts;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {incidents:?}: {alerts:#?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bridge(folder: &Path, port: u16) -> Bridge {
    start(
        folder,
        &format!(
            "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    \
             alertmanager_configs: [{{ url: 'http://127.0.0.1:{port}', resend_delay: 1s }}]"
        ),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alertmanager_has_an_alert_until_its_end_whoever_is_restarted() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = free_port();
    let real = Real::start(own.path(), port).await;
    let running = bridge(folder.path(), port);

    post(&running, &trigger("a")).await;
    let alerts = real.has(&["a"]).await;
    assert_eq!(alerts[0]["labels"]["alertname"], "Jira App Availability");
    assert_eq!(alerts[0]["labels"]["alias"], "a:oncall");
    assert_eq!(alerts[0]["status"]["state"], "active");
    assert_eq!(
        alerts[0]["annotations"]["summary"],
        "com.example.app: Jira App Availability 90.5% (objective 99.9%)"
    );

    // It forgets what it had in memory.
    drop(real);
    let real = Real::start(own.path(), port).await;
    real.has(&["a"]).await;

    // So it does while the bridge is down.
    assert!(running.stop().success());
    drop(real);
    let real = Real::start(own.path(), port).await;
    assert_eq!(real.alerts().await, Vec::<Value>::new());
    let running = bridge(folder.path(), port);
    real.has(&["a"]).await;

    post(&running, &trigger("b")).await;
    real.has(&["a", "b"]).await;
    post(&running, &resolve("a")).await;
    real.has(&["b"]).await;

    // What is over is not told again, whatever else is.
    drop(real);
    let real = Real::start(own.path(), port).await;
    real.has(&["b"]).await;
    post(&running, &resolve("b")).await;
    real.has(&[]).await;

    // Opened again it is the same alert.
    post(
        &running,
        &aged("a", "ANOMALOUS", 9, jiff::SignedDuration::ZERO),
    )
    .await;
    real.has(&["a"]).await;
    running.settled_in_store(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_severity_that_changes_leaves_one_alert() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = free_port();
    let real = Real::start(own.path(), port).await;
    let running = start(
        folder.path(),
        &format!(
            "alerts: {{ severity: [{{ matchers: ['sli_gap>=20'], severity: critical }}, {{ \
             severity: warning }}], authenticity: {{ require: [] }} }}\n\
             route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    \
             alertmanager_configs: [{{ url: 'http://127.0.0.1:{port}/api/v2/alerts', resend_delay: \
             1s }}]"
        ),
    );
    let mail = |minute, measured| {
        let mail = aged("a", "ANOMALOUS", minute, jiff::SignedDuration::ZERO);
        let text = String::from_utf8(mail).unwrap();
        text.replace("90.5", measured).into_bytes()
    };
    post(&running, &mail(0, "90.5")).await;
    let alerts = real.has(&["a"]).await;
    assert_eq!(alerts[0]["labels"]["severity"], "warning");

    post(&running, &mail(1, "50.5")).await;
    let deadline = Instant::now() + PATIENCE;
    while real.has(&["a"]).await[0]["labels"]["severity"] != "critical" {
        assert!(Instant::now() < deadline, "{:#?}", real.alerts().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    post(&running, &resolve("a")).await;
    real.has(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_replicas_one_tells_what_stands_again_and_another_when_it_is_gone() {
    let (database, vendor) = (Database::create().await, Alertmanager::start().await);
    let config = format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: oncall }}
receivers: [{{ name: oncall, alertmanager_configs: [{{ url: '{}', resend_delay: 1s }}] }}]",
        DOORS.replace("sqlite:alertbridge.db", &database.url()),
        vendor.origin()
    );
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut replicas: Vec<_> = folders
        .iter()
        .map(|folder| Bridge::start(folder.path(), &config))
        .collect();

    post(&replicas[0], &trigger("a")).await;
    assert_eq!(vendor.next_page_within(PATIENCE).await.action, "trigger");
    let (begun, before) = (Instant::now(), vendor.repeats().len());
    vendor
        .wait_until("four repetitions", |vendor| {
            vendor.repeats().len() >= before + 4
        })
        .await;
    assert!(
        begun.elapsed() >= Duration::from_millis(2500),
        "more than one tells: {:?}",
        begun.elapsed()
    );

    replicas.iter_mut().take(2).for_each(Bridge::kill);
    let before = vendor.repeats().len();
    vendor
        .wait_until("the last replica's repetitions", |vendor| {
            vendor.repeats().len() >= before + 3
        })
        .await;
    post(&replicas[2], &resolve("a")).await;
    assert_eq!(vendor.next_page_within(PATIENCE).await.action, "resolve");
    replicas[2].settled_in_store(2).await;
    vendor.assert_quiet();
    assert!(vendor.open_alerts().is_empty());
}

fn compiled() -> Receivers {
    let settings: Vec<Settings> = serde_json::from_value(json!([{
        "name": "oncall", "alertmanager_configs": [{ "url": "http://127.0.0.1:9093/" }],
    }]))
    .unwrap();
    Receivers::compile(&settings, &[]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn posted(receivers: &Receivers, notification: &Notification, receipt: Option<&str>) -> Value {
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let parcel = Parcel {
        delivery: 1,
        alias: "a:oncall",
        notification,
        step: &Step::Send,
        receipt,
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        external_url: Some("https://alerts.example.com"),
    };
    let request = receiver.request(&parcel, &Keys::Hidden).unwrap();
    assert_eq!(request.url, "http://127.0.0.1:9093/api/v2/alerts");
    match request.body {
        Body::Json(json) => json,
        body => panic!("{body:?}"),
    }
}

#[test]
fn a_change_ends_the_alert_of_the_labels_before_where_they_differ() {
    let receivers = compiled();
    let trigger = sample::notifications()[0].1.clone();
    let labels = posted(&receivers, &trigger, None)[0]["labels"].clone();
    let changed = |severity: &str| {
        let mut change = trigger.clone();
        change.action = Action::Change;
        change.labels.insert("severity".into(), severity.into());
        posted(&receivers, &change, Some(&labels.to_string()))
    };

    let same = changed("critical");
    assert_eq!(same.as_array().unwrap().len(), 1, "{same}");
    let other = changed("info");
    assert_eq!(other[0]["labels"], labels);
    assert_eq!(other[0]["endsAt"], "2026-01-02T03:04:05Z");
    assert_eq!(other[1]["labels"]["severity"], "info");
    assert_eq!(other[1]["endsAt"], "2026-01-02T03:34:05Z");
}

/// A bridge that has told a fake of so many incidents, `i0` and on.
async fn told_of(folder: &Path, vendor: &Fake<Alertmanager>, count: usize) -> Bridge {
    let rest = format!(
        "route: {{ receiver: oncall }}\nreceivers: [{{ name: oncall, alertmanager_configs: [{{ \
         url: '{}', resend_delay: 1s }}] }}]",
        vendor.origin()
    );
    let bridge = start(folder, &rest);
    for number in 0..count {
        post(&bridge, &trigger(&format!("i{number}"))).await;
    }
    vendor
        .wait_until("all pages", |vendor| vendor.pages().len() == count)
        .await;
    bridge.settled(u32::try_from(count).unwrap()).await;
    vendor.expect_all();
    bridge
}

/// Waits until these incidents were repeated two more times.
async fn repeated(vendor: &Fake<Alertmanager>, incidents: impl Iterator<Item = usize> + Clone) {
    let before = vendor.repeats().len();
    let twice = |vendor: &Fake<Alertmanager>| {
        let repeats = vendor.repeats().split_off(before);
        incidents.clone().all(|number| {
            let alias = format!("i{number}:oncall");
            repeats.iter().filter(|repeat| **repeat == alias).count() >= 2
        })
    };
    vendor.wait_until("two repetitions of each", twice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_open_alerts_only_the_one_at_fault_is_not_repeated_and_no_request_is_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Alertmanager::start().await;
    let bridge = told_of(folder.path(), &vendor, 11).await;
    vendor.refuse(|aliases| match aliases {
        _ if aliases.len() > 4 => Some(413),
        _ if aliases.contains(&"i3:oncall") => Some(422),
        _ if aliases.contains(&"i9:oncall") => Some(400),
        _ => None,
    });
    let others = (0..11).filter(|number| ![3, 9].contains(number));
    repeated(&vendor, others).await;
    let log = bridge.log();
    assert_eq!(log.matches("could not be repeated").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_alerts_that_are_refused_keep_those_of_later_requests_from_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Alertmanager::start().await;
    let _bridge = told_of(folder.path(), &vendor, 510).await;
    vendor.refuse(|aliases| aliases.contains(&"i0:oncall").then_some(503));
    repeated(&vendor, 500..510).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_refuses_every_alert_is_not_asked_about_each() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Alertmanager::start().await;
    let _bridge = told_of(folder.path(), &vendor, 64).await;
    vendor.refuse(|_| Some(400));
    let begun = Instant::now();
    let before = vendor.history().len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let asked = vendor.history().len() - before;
    // 64, 32, 16, 8, 8 single alerts with the halves between them.
    let most = 19 * (1 + usize::try_from(begun.elapsed().as_secs()).unwrap());
    assert!((1..=most).contains(&asked), "{asked} of {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_go_cannot_read_is_left_out_of_an_alert() {
    let own = tempfile::tempdir().unwrap();
    let real = Real::start(own.path(), free_port()).await;
    let receivers = compiled();
    let pieces = [
        "", "/", "%", "%4", "%41", "%zz", "%E2%8", " ", "\t", "#", "?", "\\", "é", "@", ":", "[",
    ];
    let mut links = 0;
    for (first, second) in pieces.iter().flat_map(|a| pieces.map(|b| (*a, b))) {
        for url in [
            format!("https://a.example/{first}x{second}"),
            format!("https://a{first}.example{second}"),
        ] {
            let mut trigger = sample::notifications()[0].1.clone();
            trigger.labels.insert("url".into(), url.clone());
            let alerts = posted(&receivers, &trigger, None);
            let own = alerts[0]["generatorURL"].as_str().unwrap_or_default();
            links += usize::from(own.starts_with("https://a"));

            let post = client().post(real.url("/api/v2/alerts")).json(&alerts);
            let reply = post.send().await.unwrap();
            let (status, said) = (reply.status(), reply.text().await.unwrap());
            assert!(status.is_success(), "{url} as {own}: {said}");
        }
    }
    assert!(links > 200, "{links} have their own address");

    let mut trigger = sample::notifications()[0].1.clone();
    let stray = "https://a.example/100%";
    trigger.labels.insert("url".into(), stray.into());
    let link = posted(&receivers, &trigger, None)[0]["generatorURL"].clone();
    assert!(
        link.as_str()
            .unwrap()
            .starts_with("https://alerts.example.com/")
    );
}
