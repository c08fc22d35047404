//! Incidents that get worse, or better, while they are open.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use jiff::SignedDuration;
use serde_json::json;

use crate::{
    delivery::{aged, delivery, hook, listed, pagerduty, post, resolve, said},
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, PATIENCE, tail},
    postgres::Database,
    vendors::{
        Alertmanager, Answer, Call, Fake, Hook, Memory, Opsgenie, PagerDuty, SlackBot, Vendor,
    },
};

/// A warning.
fn bad(incident: &str, minute: i64) -> Vec<u8> {
    aged(incident, "ANOMALOUS", minute, SignedDuration::ZERO)
}

/// The same so much worse that it is critical.
fn worse(incident: &str, minute: i64) -> Vec<u8> {
    let mail = String::from_utf8(bad(incident, minute)).unwrap();
    mail.replace("90.5", "1.5").into_bytes()
}

fn started(folder: &Path, store: &str, rest: &str) -> Bridge {
    let doors = DOORS.replace("sqlite:alertbridge.db", store);
    let ingress = "ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }";
    Bridge::start(folder, &format!("{doors}\n{ingress}\n{rest}\n"))
}

fn outcomes(bridge: &Bridge) -> Vec<String> {
    let mut mails = listed(bridge, &["mails", "list", "--json"]);
    mails.reverse();
    mails
        .iter()
        .map(|mail| mail["outcome"].as_str().unwrap().to_owned())
        .collect()
}

async fn who_is_on_call_for_the_worse_is_told(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (chat, pager) = (Hook::start(HOOK_SECRET).await, PagerDuty::start().await);
    let rest = format!(
        "route: {{ receiver: chat, routes: [{{ matchers: ['severity=critical'], receiver: pager \
         }}] }}
receivers:
  - name: chat
    {}
  - name: pager
    {}",
        hook(folder.path(), &chat, ""),
        pagerduty(folder.path(), &pager)
    );
    let bridge = started(folder.path(), store, &rest);
    post(&bridge, &bad("a", 0)).await;
    assert_eq!(chat.next_page().await.action, "trigger");
    post(&bridge, &worse("a", 1)).await;
    assert_eq!(
        pager.next_page().await.key,
        "a:pager",
        "by the routes of its new severity"
    );
    assert_eq!(chat.next_page().await.action, "change", "told anew");
    assert_eq!(pager.severity("a:pager").as_deref(), Some("critical"));
    post(&bridge, &worse("a", 2)).await;
    post(&bridge, &bad("a", 2)).await;
    pager
        .wait_until("the fall", |pager| {
            pager.severity("a:pager").as_deref() == Some("warning")
        })
        .await;
    bridge.settled(4).await;
    chat.assert_quiet();
    pager.assert_quiet();
    post(&bridge, &resolve("a")).await;
    assert_eq!(chat.next_page().await.action, "resolve");
    assert_eq!(pager.next_page().await.action, "resolve");
    bridge.settled(5).await;
    assert_eq!(
        outcomes(&bridge),
        ["opened", "changed", "duplicate", "changed", "resolved"]
    );
    let counted = bridge
        .metric("alertbridge_mails_total", "outcome=\"changed\"")
        .await;
    assert!((counted - 2.0).abs() < 0.5, "{counted} are counted");
    assert_eq!(
        listed(
            &bridge,
            &["mails", "list", "--outcome", "changed", "--json"]
        )
        .len(),
        2
    );
    let checked = bridge.command(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    assert!(
        chat.violations().is_empty() && pager.violations().is_empty(),
        "{:?}",
        chat.violations()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_call_for_the_worse_is_told_of_a_change_in_a_file() {
    who_is_on_call_for_the_worse_is_told("sqlite:alertbridge.db").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_call_for_the_worse_is_told_of_a_change_in_postgres() {
    let database = Database::create().await;
    who_is_on_call_for_the_worse_is_told(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_change_what_they_have_does() {
    let folder = tempfile::tempdir().unwrap();
    let (genie, slack) = (Opsgenie::start().await, SlackBot::start().await);
    fs::write(folder.path().join("genie"), genie.key()).unwrap();
    fs::write(folder.path().join("slack"), slack.key()).unwrap();
    let rest = format!(
        "route: {{ receiver: all }}
receivers:
  - name: all
    opsgenie_configs: [{{ api_key_file: genie, api_url: '{}', message: '{{{{ severity }}}} {{{{ \
    metric }}}}' }}]
    slack_configs: [{{ bot_token_file: slack, channel: alerts, bot_api_url: '{}', title: '{{{{ \
    severity }}}}', text: '{{{{ severity }}}}' }}]",
        genie.url(),
        slack.url()
    );
    let bridge = started(folder.path(), "sqlite:alertbridge.db", &rest);
    post(&bridge, &bad("a", 0)).await;
    genie.next_page().await;
    slack.next_page().await;
    post(&bridge, &worse("a", 1)).await;
    let is = |priority: &'static str, severity: &'static str| {
        move |genie: &Fake<Opsgenie>| {
            let alert = genie.alert("a:all").unwrap();
            alert.body["priority"] == priority
                && alert.body["message"]
                    .as_str()
                    .unwrap()
                    .starts_with(severity)
        }
    };
    genie
        .wait_until("the new priority and message", is("P1", "critical"))
        .await;
    slack
        .wait_until("the edited message", |slack| slack.messages()[0].edits == 1)
        .await;
    assert!(
        slack.messages()[0].text.contains("critical"),
        "{:?}",
        slack.messages()[0].text
    );
    post(&bridge, &bad("a", 2)).await;
    genie.wait_until("those before", is("P3", "warning")).await;
    slack
        .wait_until("the edited message", |slack| slack.messages()[0].edits == 2)
        .await;
    assert_eq!(
        genie
            .alert("a:all")
            .map(|alert| (alert.openings, alert.count)),
        Some((1, 1)),
        "it pages nobody twice"
    );
    post(&bridge, &resolve("a")).await;
    assert_eq!(genie.next_page().await.action, "resolve");
    slack
        .wait_until("the end", |slack| slack.messages().len() == 2)
        .await;
    assert!(
        genie.violations().is_empty() && slack.violations().is_empty(),
        "{:?}",
        genie.violations()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_can_be_of_no_interest() {
    let (folder, chat) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
    let rest = format!(
        "alerts: {{ notify_on_change: [], authenticity: {{ require: [] }} }}\nroute: {{ receiver: \
         chat }}\nreceivers: [{{ name: chat, {} }}]",
        hook(folder.path(), &chat, "")
    );
    let bridge = started(folder.path(), "sqlite:alertbridge.db", &rest);
    post(&bridge, &bad("a", 0)).await;
    chat.next_page().await;
    post(&bridge, &worse("a", 1)).await;
    bridge.settled(2).await;
    assert_eq!(outcomes(&bridge), ["opened", "duplicate"]);
    chat.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_under_a_silence_is_told_as_it_is_at_its_end() {
    let (folder, chat) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
    let rest = format!(
        "route: {{ receiver: chat }}\nreceivers: [{{ name: chat, {} }}]",
        hook(folder.path(), &chat, "")
    );
    let bridge = started(folder.path(), "sqlite:alertbridge.db", &rest);
    let (mut sent, silence) = (0, |command: &[&str]| {
        let output = bridge.command(&[&["silences"], command].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
    let mut take = async |mail: Vec<u8>| {
        post(&bridge, &mail).await;
        sent += 1;
        bridge.settled(sent).await;
    };
    take(bad("back", 0)).await;
    take(bad("worse", 0)).await;
    chat.next_page().await;
    chat.next_page().await;
    silence(&["add", "app_key=com.example.app", "--comment", "x"]);
    for incident in ["back", "worse"] {
        take(worse(incident, 1)).await;
    }
    take(bad("back", 2)).await;
    take(worse("worse", 2)).await;
    chat.assert_quiet();
    silence(&["expire", "1"]);
    let page = chat.next_page().await;
    assert_eq!(
        (page.action.as_str(), page.key.as_str()),
        ("change", "worse:chat")
    );
    take(resolve("back")).await;
    assert_eq!(chat.next_page().await.key, "back:chat");
    chat.assert_quiet();
}

/// An API that numbers whatever it is told of, and ends nothing but by that number.
#[derive(Default)]
struct Numbered {
    /// By number: whether it is open, and under which `webhook-id` it was ended.
    alerts: BTreeMap<usize, Option<String>>,
}

impl Vendor for Numbered {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let Some(number) = call.target.strip_prefix("/close/") else {
            let number = self.alerts.len() + 1;
            self.alerts.insert(number, None);
            return Answer::json(201, &json!({ "data": { "id": number } }));
        };
        let id = call.header("webhook-id").to_owned();
        let alert = number.parse().ok();
        match alert.and_then(|number| self.alerts.get_mut(&number)) {
            None => {
                memory.violations.push(format!("there is no {number}"));
                return Answer::new(404, "");
            }
            Some(Some(before)) if *before == id => memory.repeats.push(number.to_owned()),
            Some(Some(_)) => memory.violations.push(format!("{number} is ended twice")),
            Some(alert @ None) => *alert = Some(id),
        }
        Answer::new(200, "")
    }

    fn open(&self) -> Vec<String> {
        let open = self.alerts.iter().filter(|(_, ended)| ended.is_none());
        open.map(|(number, _)| number.to_string()).collect()
    }
}

/// A mail of a sender whose titles say how it is.
fn says(host: &str, status: &str, severity: &str) -> Vec<u8> {
    let now = jiff::fmt::rfc2822::to_string(&crate::delivery::now().in_tz("UTC").unwrap());
    format!(
        "From: alerts@vendor.example\r\nTo: bridge@example.com\r\nSubject: {host}\r\nDate: \
         {}\r\nMessage-ID: <{}@vendor.example>\r\n\r\nHost: {host}\r\nStatus: \
         {status}\r\nSev: {severity}\r\n",
        now.unwrap(),
        fastrand::u64(..)
    )
    .into_bytes()
}

/// A profile that reads them, and a receiver `all` of an API by number and of what more is given.
fn by_number(numbered: &Fake<Numbered>, more: &str) -> String {
    let origin = numbered.origin();
    format!(
        "alerts: {{ authenticity: {{ require: [] }} }}
profiles:
  - name: p
    match: {{ from: [alerts@vendor.example] }}
    fields: {{ key: \"{{{{ pairs['Host'] }}}}\", status: \"{{{{ pairs['Status'] }}}}\", severity: \
         \"{{{{ pairs['Sev'] }}}}\", title: \"{{{{ pairs['Host'] }}}} is {{{{ pairs['Status'] }}}} \
         {{{{ pairs['Sev'] }}}}\" }}
    status: {{ trigger: [down], resolve: [up], update: [ack, worked] }}
delivery: {{ backoff: {{ initial: 1s, max: 1s }} }}
route: {{ receiver: all }}
receivers:
  - name: all
    webhook_configs:
      - url: '{origin}/open'
        body: '{{ \"title\": {{{{ title | tojson }}}} }}'
        receipt: /data/id
        resolved: {{ url: '{origin}/close/{{{{ receipt }}}}' }}
    {more}"
    )
}

/// What a mail can say of what is open: another severity, or a status that is an update.
const NEWS: [(&str, &str); 4] = [
    ("down", "critical"),
    ("down", "info"),
    ("ack", "warning"),
    ("worked", "critical"),
];

async fn whatever_happened_meanwhile_there_is_one_alert_and_none_after_its_end(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let numbered = Fake::serve(Numbered::default(), "").await;
    let (manager, slack) = (Alertmanager::start().await, SlackBot::start().await);
    fs::write(folder.path().join("slack"), slack.key()).unwrap();
    let more = format!(
        "alertmanager_configs: [{{ url: '{}' }}]\n    slack_configs: [{{ bot_token_file: slack, \
         channel: alerts, bot_api_url: '{}', update_message: true }}]",
        manager.origin(),
        slack.url()
    );
    let bridge = started(folder.path(), store, &by_number(&numbered, &more));

    // Every pair of news, one after the other, and each news alone.
    let words: Vec<(String, Vec<usize>)> = (0..NEWS.len())
        .flat_map(|first| {
            let pairs = (0..NEWS.len()).map(move |second| vec![first, second]);
            pairs.chain([vec![first]])
        })
        .map(|word| {
            (
                format!("h{}", word.iter().map(usize::to_string).collect::<String>()),
                word,
            )
        })
        .collect();
    let hosts = words.len();
    let mut sent = 0;
    for step in 0..4_usize {
        for (host, word) in &words {
            let mail = match (step, word.get(step.saturating_sub(1))) {
                (0, _) => says(host, "down", "warning"),
                (3, _) => says(host, "up", "warning"),
                (_, Some(news)) => says(host, NEWS[*news].0, NEWS[*news].1),
                (_, None) => continue,
            };
            post(&bridge, &mail).await;
            sent += 1;
        }
        bridge.settled(sent).await;

        let open = if step < 3 { hosts } else { 0 };
        let mut keys = manager.open_alerts();
        assert_eq!(keys.len(), open, "after {step}: {keys:?}");
        keys.dedup();
        assert_eq!(keys.len(), open, "after {step}: {keys:?}");
        if step < 3 {
            assert!(numbered.open_alerts().len() >= hosts);
            let messages = slack.messages();
            let posted = messages.iter().filter(|message| message.thread.is_none());
            assert_eq!(posted.count(), hosts, "after {step}: {messages:#?}");
        }
    }

    assert_eq!(numbered.open_alerts(), [""; 0]);
    let messages = slack.messages();
    let (posted, replies): (Vec<_>, Vec<_>) = messages
        .iter()
        .partition(|message| message.thread.is_none());
    // An update is a reply besides: nobody is told of an edit. A change of the severity is not.
    let updates = words.iter().map(|(_, word)| {
        let updates = word.iter().filter(|news| NEWS[**news].0 != "down");
        updates.count()
    });
    let updates: usize = updates.sum();
    let (ends, news): (Vec<_>, Vec<_>) = replies
        .into_iter()
        .partition(|reply| reply.text.starts_with("[RESOLVED] "));
    assert_eq!(
        (posted.len(), ends.len(), news.len()),
        (hosts, hosts, updates),
        "{messages:#?}"
    );
    for message in posted {
        assert!(message.text.starts_with("[RESOLVED] "), "{message:?}");
    }
    for violations in [
        numbered.violations(),
        manager.violations(),
        slack.violations(),
    ] {
        assert_eq!(violations, [""; 0]);
    }
    assert_eq!(numbered.repeats(), [""; 0]);
    let again = manager.repeats();
    assert!(
        !again.iter().any(|one| one.starts_with("resolve")),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happened_meanwhile_there_is_one_alert_and_none_after_its_end_in_a_file() {
    whatever_happened_meanwhile_there_is_one_alert_and_none_after_its_end("sqlite:alertbridge.db")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happened_meanwhile_there_is_one_alert_and_none_after_its_end_in_postgres() {
    let database = Database::create().await;
    whatever_happened_meanwhile_there_is_one_alert_and_none_after_its_end(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_of_an_end_leaves_no_alert_open_and_ends_the_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let numbered = Fake::serve(Numbered::default(), "").await;
    let config = format!(
        "{DOORS}\ningress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}\n{}",
        by_number(&numbered, "")
    );
    for (round, plan) in ["claimed", "sent", "settled"]
        .into_iter()
        .flat_map(|point| (1..=3).map(move |time| format!("{point}:{time}")))
        .enumerate()
    {
        let host = format!("h{round}");
        let bridge = Bridge::start(folder.path(), &config);
        for (told, severity) in (1..).zip(["info", "warning", "critical"]) {
            post(&bridge, &says(&host, "down", severity)).await;
            bridge.settled(told).await;
        }
        let open = numbered.open_alerts();
        assert_eq!(open.len(), 3, "{plan}: {open:?}");
        assert!(bridge.stop().success());

        let before = numbered.history().len();
        let mut bridge =
            Bridge::start_with(folder.path(), &config, &[("ALERTBRIDGE_CRASH", &plan)]);
        let _cut_short = bridge.post(&says(&host, "up", "info")).await;
        let deadline = std::time::Instant::now() + PATIENCE;
        while !bridge.ended() {
            let waits = std::time::Instant::now() < deadline;
            assert!(waits, "{plan} was never reached:\n{}", tail(&bridge.log()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let bridge = Bridge::start(folder.path(), &config);
        numbered
            .wait_until("the end of all", |numbered| {
                numbered.open_alerts().is_empty()
            })
            .await;
        bridge.settled(0).await;

        let mut ended: Vec<String> = numbered.history()[before..]
            .iter()
            .map(|call| call.target.replace("/close/", ""))
            .collect();
        ended.dedup();
        let newest_first: Vec<String> = open.iter().rev().cloned().collect();
        assert_eq!(ended, newest_first, "{plan}");
        assert_eq!(numbered.violations(), [""; 0], "{plan}");
        assert!(bridge.stop().success());
    }
    let rounds = numbered.repeats().len();
    assert_eq!(rounds, 3, "what was sent and not settled is sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_cannot_be_ended_is_a_dead_letter_and_keeps_no_other_open() {
    let folder = tempfile::tempdir().unwrap();
    let numbered = Fake::serve(Numbered::default(), "").await;
    let bridge = started(
        folder.path(),
        "sqlite:alertbridge.db",
        &by_number(&numbered, ""),
    );
    for (told, severity) in (1..).zip(["info", "warning", "critical"]) {
        post(&bridge, &says("h", "down", severity)).await;
        bridge.settled(told).await;
    }
    numbered.fail_next(1, 404, &[]);
    post(&bridge, &says("h", "up", "info")).await;
    let dead = delivery(&bridge, "the dead letter", |row| row["state"] == "dead").await;
    assert!(
        said(&dead, "3 could not be closed: ") && said(&dead, "404"),
        "{dead}"
    );
    assert_eq!(numbered.open_alerts(), ["3"]);
}
