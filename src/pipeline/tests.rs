//! A pipeline over a real store, with time, mails and deliveries under a test's control.

use std::{sync::Mutex, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    config::{Config, Files, Loaded, Source},
    deliver::{Client, Terms},
    delivery::Action,
    message::Release,
    silence::{Plan, SilenceId},
    store::{Next, Settlement, Store, sqlite::Sqlite},
};

mod anew;
mod cut;
mod ends;
mod future;
mod held;
mod led_elsewhere;
mod model;
mod nights;
mod profiles;
mod races;
mod renamed;
mod silenced;
mod unread;

/// The configuration of the tests. `SLEEP` stands for the times of the mute: see [`sleeping`].
const CONFIGURATION: &str = "
alerts: { app_keys: [com.example.known], authenticity: { require: [] } }
ingress: { webhook: [{ name: hook }] }
time_intervals: [{ name: sleep, time_intervals: [{ times: [SLEEP] }] }]
route:
  receiver: chat
  routes:
    - { receiver: pager, matchers: ['severity=critical'], continue: true }
    - { receiver: night, mute_time_intervals: [sleep], continue: true }
    - { receiver: off, mute_time_intervals: [sleep], on_mute: drop, continue: true }
    - { receiver: chat }
receivers:
  - { name: chat, webhook_configs: [{ url: 'http://127.0.0.1:9/chat' }] }
  - { name: night, webhook_configs: [{ url: 'http://127.0.0.1:9/night' }] }
  - { name: off, webhook_configs: [{ url: 'http://127.0.0.1:9/off' }] }
  - name: pager
    pagerduty_configs: [{ routing_key: 0123456789abcdef0123456789abcdef, url: \
    'http://127.0.0.1:9/pager' }]
";

/// A configuration without the receivers of these deliveries, so that they wait for the test to
/// claim them.
const ELSEWHERE: &str = "
ingress: { webhook: [{ name: hook }] }
route: { receiver: none }
receivers: [{ name: none, stdout_configs: [{}] }]
";

const LEASE: Duration = Duration::from_mins(1);

/// A page that somebody received.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    receiver: String,
    action: Action,
    incident: String,
    severity: String,
    mail: MailId,
}

/// A bridge during a simulated night.
struct Night {
    pipeline: Pipeline,
    store: Arc<dyn Store>,
    now: Arc<Mutex<Timestamp>>,
    /// The number of mails so far. It determines their own times: each is newer than the last.
    mails: i64,
    in_force: watch::Sender<Arc<InForce>>,
}

/// Returns the configuration in which `night` and `off` sleep in these minutes after midnight.
fn sleeping(minutes: &[(i64, i64)]) -> String {
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let times: Vec<_> = minutes
        .iter()
        .map(|(from, until)| {
            let (from, until) = (clock(*from), clock(*until));
            format!("{{ start_time: '{from}', end_time: '{until}' }}")
        })
        .collect();
    CONFIGURATION.replace("SLEEP", &times.join(", "))
}

fn in_force(configuration: &str) -> Arc<InForce> {
    let Loaded { config, rules, .. } = loaded(configuration);
    Arc::new(InForce {
        authenticator: config.authenticator(&rules.profiles).unwrap(),
        rules,
        canary: None,
    })
}

fn loaded(text: &str) -> Loaded {
    Config::parse(Source::Embedded, text, Files::Unneeded, &|_| None)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn midnight() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

impl Night {
    fn begin() -> Self {
        Self::under(&sleeping(&model::SLEEP[0]))
    }

    fn under(configuration: &str) -> Self {
        let in_force = watch::Sender::new(in_force(configuration));
        let now = Arc::new(Mutex::new(midnight()));
        let read = Arc::clone(&now);
        let clock = Clock::from_fn(move || *read.lock().unwrap());
        let store: Arc<dyn Store> = Arc::new(Sqlite::throw_away().unwrap());
        let Loaded { config, rules, .. } = loaded(ELSEWHERE);
        let client = Client::new(&rules.receivers, LEASE, &|_| None).unwrap();
        let terms = Terms::new(
            Arc::clone(&rules.receivers),
            config.delivery.clone(),
            None,
            client,
        );
        let deliverer = Deliverer::new(
            Arc::clone(&store) as _,
            terms,
            clock.clone(),
            Arc::default(),
        );
        let (receiver, deliverer) = (in_force.subscribe(), Arc::new(deliverer));
        Self {
            pipeline: Pipeline::new(Arc::clone(&store) as _, receiver, clock, deliverer),
            store,
            now,
            mails: 0,
            in_force,
        }
    }

    /// Puts another configuration into force.
    async fn reload(&self, configuration: &str) {
        self.in_force.send_replace(in_force(configuration));
        self.store.look_at_held(self.now()).await.unwrap();
    }

    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn pass(&self, minutes: i64) {
        *self.now.lock().unwrap() += SignedDuration::from_mins(minutes);
    }

    /// Returns a mail about an incident, newer than all before it.
    fn mail(&mut self, incident: &str, status: &str, severity: &str, app: &str) -> Vec<u8> {
        self.mails += 1;
        let time = midnight() + SignedDuration::from_secs(self.mails);
        let measured = match (status, severity) {
            ("OK", _) => 99.9,
            (_, "critical") => 60.0,
            _ => 90.5,
        };
        let json = serde_json::json!({
            "appKey": app, "incidentId": incident, "incidentStatus": status, "metricName": "m",
            "metricUnit": "PERCENT", "time": time, "sliValue": measured, "sloValue": 99.0,
        });
        let date = self.now().strftime("%a, %d %b %Y %H:%M:%S +0000");
        format!(
            "From: no-reply@am.atlassian.com\r\nSubject: x\r\nDate: {date}\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/html; charset=utf-8\r\n\r\n\
             <script type=\"application/json\" id=\"incident-data\">{json}</script>\r\n"
        )
        .into_bytes()
    }

    /// Accepts a mail and decides it.
    async fn take(&self, raw: Vec<u8>) -> MailId {
        let message = Message {
            ingress: "hook".into(),
            arrived_at: self.now(),
            raw: raw.into(),
            cut_from: None,
            withheld: None,
            envelope: None,
        };
        let ids = self.pipeline.accept(vec![message], None).await.unwrap();
        let never = CancellationToken::new();
        self.pipeline.catch_up(MailId::MAX, &never).await.unwrap();
        ids[0]
    }

    /// Does once what the bridge does every second beside the main path of new mail.
    async fn sweep(&self) {
        let mutes = self.pipeline.in_force().rules.mutes();
        self.store.release_held(mutes, self.now()).await.unwrap();
        while self.pipeline.tell_unsilenced().await.unwrap() > 0 {}
        self.pipeline.look_at_due().await.unwrap();
    }

    async fn silence(&self, matcher: &str, from: Timestamp, until: Timestamp) -> SilenceId {
        let matchers = [matcher.to_owned()];
        let plan = Plan::new(&matchers, (from, until), "ann", "works", self.now()).unwrap();
        self.store.add_silence(plan, self.now()).await.unwrap().id
    }

    async fn expire(&self, silence: SilenceId) {
        let expired = self.store.expire_silences(vec![silence], self.now());
        expired.await.unwrap();
    }

    /// Delivers everything that is due and returns the pages.
    async fn delivered(&self) -> Vec<Page> {
        let mut pages = Vec::new();
        loop {
            let due = self.store.agenda().await.unwrap().due;
            let wanted = due.into_iter().map(|(target, _)| (target, 100)).collect();
            let claims = self.store.claim(self.now(), LEASE, wanted).await;
            let claims = claims.unwrap();
            if claims.is_empty() {
                return pages;
            }
            for claim in claims {
                let settlement = Settlement {
                    at: self.now(),
                    next: Next::Delivered { receipt: None },
                    attempt: None,
                    fallback: Vec::new(),
                };
                let settled = self.store.settle(claim.id, claim.lease, settlement).await;
                settled.unwrap();
                pages.push(Page {
                    receiver: claim.target.receiver,
                    action: claim.notification.action,
                    incident: claim.notification.incident_id,
                    severity: claim.notification.labels["severity"].clone(),
                    mail: claim.notification.mail.unwrap(),
                });
            }
        }
    }
}

#[tokio::test]
async fn an_incident_that_is_open_for_longer_than_is_counted_does_not_hide_one_that_came_since() {
    let app = "com.example.known";
    let mut night = Night::begin();
    let long_ago = night.mail("a", "ANOMALOUS", "critical", app);
    night.take(long_ago).await;
    night.pass(29 * 24 * 60);

    for (incident, status, earlier) in [("b", "ANOMALOUS", "0"), ("b", "OK", "0"), ("a", "OK", "1")]
    {
        let mail = night.mail(incident, status, "critical", app);
        let id = night.take(mail).await;
        let (row, _) = night.store.mail(id).await.unwrap().unwrap();
        assert_eq!(row.labels["recurrence_28d"], earlier, "{incident} {status}");
    }
}
