//! A night of every starter's sender through the program, in every encoding that its mails may come
//! in: what becomes of each mail, and what is told.

use std::collections::BTreeMap;

use alertbridge::profile::starters::STARTERS;
use futures_util::future::join_all;
use serde_json::Value;

use crate::{
    e2e::DOORS,
    harness::{Bridge, client},
};

mod letter;
pub(super) mod sender;

use letter::{ENCODINGS, Letter};
use sender::{SENDERS, Sender};

/// How often each night happens, each time in other encodings.
const NIGHTS: usize = 2;

/// What is mailed.
#[derive(Clone, Copy)]
enum Mail {
    /// That something else is over, of which nobody was told.
    OtherOver,
    On,
    Worse,
    Over,
    /// A person answers, and quotes the alert.
    Reply,
    /// The sender writes of something else.
    News,
    /// An alert that lacks a field.
    Lacking,
}

/// The second of a mail's Date and of the time in it, and what it becomes.
const NIGHT: [(Mail, u32, &str); 16] = [
    (Mail::OtherOver, 0, "resolved"),
    (Mail::On, 10, "opened"),
    (Mail::On, 11, "duplicate"),
    // Two mails in one second.
    (Mail::Worse, 11, "changed"),
    (Mail::On, 12, "changed"),
    (Mail::Reply, 13, "ignored"),
    (Mail::News, 13, "ignored"),
    (Mail::Lacking, 14, "unparsed"),
    (Mail::Over, 20, "resolved"),
    (Mail::On, 20, "reopened"),
    // Out of order.
    (Mail::Over, 15, "stale"),
    (Mail::Over, 30, "resolved"),
    (Mail::On, 25, "stale"),
    (Mail::On, 40, "reopened"),
    (Mail::Worse, 41, "changed"),
    (Mail::Over, 50, "resolved"),
];

/// What the program must make of a mail of this sender; none where it has no such mail.
fn expected(sender: &Sender, place: usize) -> Option<&'static str> {
    let (mail, _, outcome) = NIGHT[place];
    let says_nothing_new = match mail {
        Mail::Over | Mail::OtherOver if sender.over.is_none() => return None,
        Mail::Lacking if sender.lost.is_none() => return None,
        Mail::On => sender.over.is_none() && place > 1,
        _ => false,
    };
    let unchanged = outcome == "changed" && sender.severity.is_none();

    Some(if says_nothing_new || unchanged {
        "duplicate"
    } else {
        outcome
    })
}

/// What is told of it.
fn told(place: usize, outcome: &str) -> Option<&'static str> {
    match (NIGHT[place].0, outcome) {
        (Mail::OtherOver, _) => None,
        // Whoever cannot be shown a change is told where it got worse.
        (_, "opened" | "reopened") | (Mail::Worse, "changed") => Some("trigger"),
        (_, "resolved") => Some("resolve"),
        _ => None,
    }
}

/// The mail as its sender writes it that night.
fn written(sender: &Sender, night: usize, place: usize) -> Letter {
    let (mail, second, _) = NIGHT[place];
    // Where both are of one second the times in them are not: only a newer one reopens.
    let said_at = second + u32::from(place == 9);
    let id = format!("Prüf{night}");

    match mail {
        Mail::OtherOver => sender.over(&format!("{id}b"), said_at).unwrap(),
        Mail::On => sender.on(&id, said_at, false),
        Mail::Worse => sender.on(&id, said_at, true),
        Mail::Over => sender.over(&id, said_at).unwrap(),
        Mail::Reply => sender.on(&id, said_at, false).answered(),
        Mail::News => sender.on(&id, said_at, false).news(),
        Mail::Lacking => sender.lacking(&id, said_at),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_of_every_sender_is_told_as_it_happened_in_every_encoding() {
    assert_eq!(
        SENDERS.map(|sender| sender.name),
        STARTERS.map(|(name, _)| name)
    );
    let profiles = SENDERS.map(|sender| {
        let (name, from) = (sender.name, sender.address());
        format!("\n- {{ name: {name}, use: {name}, match: {{ from: ['{from}'] }} }}")
    });
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{DOORS}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: out }}
receivers:
- name: out
  stdout_configs: [{{ text: '{{{{ action }}}} {{{{ kind }}}} {{{{ incident_id }}}}' }}]
profiles:{}",
        profiles.concat()
    );
    let bridge = Bridge::start(folder.path(), &config);

    let mut cases = BTreeMap::new();
    for place in 0..NIGHT.len() {
        let tales = SENDERS
            .iter()
            .flat_map(|sender| (0..NIGHTS).map(move |night| (sender, night)))
            .filter(|(sender, _)| expected(sender, place).is_some());
        let posts = tales.map(async |(sender, night)| {
            let encoding = ENCODINGS[(place + night * ENCODINGS.len() / NIGHTS) % ENCODINGS.len()];
            let number = place * NIGHTS + night;
            let mail = written(sender, night, place).mail(NIGHT[place].1, number, encoding);
            (
                post(&bridge, &mail).await,
                (sender, night, place, encoding, mail),
            )
        });
        cases.extend(join_all(posts).await);
        bridge.settled(u32::try_from(cases.len()).unwrap()).await;
    }

    let listed = bridge.command(&["mails", "list", "--limit", "10000", "--json"]);
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.len(), cases.len());

    let mut wrong = Vec::new();
    let mut pages: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (number, (sender, night, place, encoding, mail)) in &cases {
        let row = listed.iter().find(|row| row["id"] == *number).unwrap();
        let outcome = expected(sender, *place).unwrap();
        let key = sender.key(&format!("Prüf{night}"));
        let is_its = matches!(NIGHT[*place].0, Mail::On | Mail::Worse | Mail::Over);
        if row["outcome"] != outcome || (is_its && row["incident_id"] != key.as_str()) {
            let mail = String::from_utf8_lossy(mail);
            wrong.push(format!(
                "{key} mail {place} as {encoding:?}: not {outcome}: {row:#}\n{mail}"
            ));
        }
        if let Some(action) = told(*place, outcome) {
            pages.entry(key).or_default().push(action);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );

    let owed = pages.values().map(Vec::len).sum();
    let mut printed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in bridge.printed(" incident ", owed).await {
        let (action, key) = line.split_once(" incident ").unwrap();
        printed
            .entry(key.to_owned())
            .or_default()
            .push(action.to_owned());
    }
    for (key, told) in &pages {
        assert_eq!(printed.get(key).unwrap(), told, "{key}");
    }
    assert_eq!(
        printed.len(),
        pages.len(),
        "nobody is told of anything else"
    );
}

/// Its number in the store.
async fn post(bridge: &Bridge, mail: &[u8]) -> u64 {
    let request = client()
        .post(&bridge.http)
        .header("content-type", "message/rfc822")
        .body(mail.to_vec());
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 202);
    let body: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    body["id"].as_u64().unwrap()
}
