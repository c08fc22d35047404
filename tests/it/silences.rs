//! Planned maintenance: silences made beside a running bridge, and what becomes of the mails that
//! come meanwhile.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    delivery::{aged, hook, listed, post, resolve, trigger},
    e2e::{DOORS, HOOK_SECRET},
    harness::{self, Bridge},
    postgres::Database,
    vendors::{Fake, Hook},
};

fn config(folder: &Path, hooked: &Fake<Hook>, store: &str) -> String {
    format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: all }}
receivers:
  - name: all
    {}
",
        DOORS.replace("sqlite:alertbridge.db", store),
        hook(folder, hooked, "")
    )
}

/// Adds a silence as a person would; its number.
fn add(bridge: &Bridge, arguments: &[&str]) -> String {
    let arguments = [&["silences", "add", "--comment", "CHG-17"], arguments].concat();
    let output = bridge.command_with(&arguments, &[("USER", "ann"), ("SUDO_USER", "")]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let number = String::from_utf8(output.stdout).unwrap();
    number
        .trim()
        .parse::<i64>()
        .unwrap_or_else(|_| panic!("{number:?} is not a number"));
    number.trim().to_owned()
}

fn expire(bridge: &Bridge, number: &str) {
    let expired = bridge.command(&["silences", "expire", number]);
    assert_eq!(
        String::from_utf8(expired.stdout).unwrap(),
        format!("silence {number} has been expired\n")
    );
}

fn outcomes(bridge: &Bridge) -> Vec<String> {
    let mut mails = listed(bridge, &["mails", "list", "--json"]);
    mails.reverse();
    mails
        .iter()
        .map(|mail| {
            format!(
                "{} {}",
                mail["incident_id"].as_str().unwrap(),
                mail["outcome"].as_str().unwrap()
            )
        })
        .collect()
}

/// The whole story, whichever the store: mails go to `serving`, silences are made at `beside`.
async fn a_story(serving: &Bridge, beside: &Bridge, hooked: &Fake<Hook>) {
    post(serving, &trigger("told")).await;
    assert_eq!(hooked.next_page().await.key, "told:all");
    let number = add(
        beside,
        &[
            "app_key=com.example.app",
            "incident_id!~\"loud.*\"",
            "--duration",
            "2h",
        ],
    );

    // Each waits for the last, as their order matters.
    let mut sent = 1;
    let mut take = async |mail: Vec<u8>| {
        post(serving, &mail).await;
        sent += 1;
        serving.settled(sent).await;
    };
    take(trigger("on")).await;
    take(trigger("over")).await;
    take(resolve("over")).await;
    take(aged("on", "ANOMALOUS", 3, SignedDuration::ZERO)).await;
    take(aged("on", "WORSE", 4, SignedDuration::ZERO)).await;
    assert_eq!(hooked.pages().len(), 1, "{:?}", hooked.pages());
    take(trigger("loud")).await;
    assert_eq!(
        hooked.next_page().await.key,
        "loud:all",
        "what no silence covers"
    );
    take(resolve("told")).await;
    let resolved = hooked.next_page().await;
    assert_eq!(
        (resolved.action.as_str(), resolved.key.as_str()),
        ("resolve", "told:all"),
        "a resolve is never silenced"
    );
    let counted = serving
        .metric("alertbridge_mails_total", "outcome=\"silenced\"")
        .await;
    assert!((counted - 4.0).abs() < 0.5, "{counted} are counted");

    expire(beside, &number);
    assert_eq!(
        hooked.next_page().await.key,
        "on:all",
        "what is still on is told at the end of the silence"
    );
    take(aged("on", "ANOMALOUS", 4, SignedDuration::ZERO)).await;
    take(aged("on", "ANOMALOUS", 6, SignedDuration::ZERO)).await;
    take(aged("on", "OK", 9, SignedDuration::ZERO)).await;
    assert_eq!(hooked.next_page().await.action, "resolve");
    hooked.assert_quiet();
    assert_eq!(
        outcomes(serving),
        [
            "told opened",
            "on silenced",
            "over silenced",
            "over resolved",
            "on silenced",
            "on silenced",
            "loud opened",
            "told resolved",
            "on duplicate",
            "on duplicate",
            "on resolved",
        ]
    );

    let mails = listed(
        serving,
        &["mails", "list", "--outcome", "silenced", "--json"],
    );
    for mail in &mails {
        let reason = mail["reason"].as_str().unwrap();
        assert!(reason.contains("silenced until 20"), "{reason}");
        assert!(
            reason.ends_with(&format!(" by silence {number} (ann: CHG-17)")),
            "{reason}"
        );
    }
    let show = serving.command(&["mails", "show", &mails[0]["id"].to_string()]);
    assert!(String::from_utf8_lossy(&show.stdout).contains("(ann: CHG-17)"));
    let shown = serving.command(&["incidents", "show", "over"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        shown.contains("silenced by mail") && shown.contains("nobody was told of its trigger"),
        "{shown}"
    );
    let checked = serving.command(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_made_beside_a_running_bridge_keeps_triggers_from_everybody_until_it_ends() {
    let (folder, hooked) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
    let bridge = Bridge::start(
        folder.path(),
        &config(folder.path(), &hooked, "sqlite:alertbridge.db"),
    );
    a_story(&bridge, &bridge, &hooked).await;

    let replayed = |more: &[&str]| -> Vec<String> {
        let output = bridge.command(&[&["replay", "--stored", "--json"], more].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| line["outcome"].as_str().unwrap().to_owned())
            .collect()
    };
    let happened: Vec<_> = outcomes(&bridge)
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        replayed(&[]),
        happened,
        "a replay of the store knows what was silenced"
    );
    assert!(
        !replayed(&["--at", "now"]).contains(&"silenced".to_owned()),
        "and when"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_made_at_one_replica_counts_at_the_others() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (database, hooked) = (Database::create().await, Hook::start(HOOK_SECRET).await);
    let [serving, beside] = [&here, &there].map(|folder| {
        Bridge::start(
            folder.path(),
            &config(folder.path(), &hooked, &database.url()),
        )
    });
    a_story(&serving, &beside, &hooked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_cannot_be_read_is_silenced_too_and_pages_afterwards() {
    let (folder, hooked) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
    let bridge = Bridge::start(
        folder.path(),
        &config(folder.path(), &hooked, "sqlite:alertbridge.db"),
    );
    let number = add(&bridge, &["ingress=http"]);
    let unreadable = String::from_utf8(trigger("a"))
        .unwrap()
        .replace("incidentId", "incidentIdd")
        .into_bytes();
    post(&bridge, &unreadable).await;
    bridge.settled(1).await;
    let mails = listed(&bridge, &["mails", "list", "--json"]);
    assert_eq!(mails[0]["outcome"], "silenced");
    let reason = mails[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("incidentId") && reason.contains("by silence"),
        "both: {reason}"
    );
    expire(&bridge, &number);
    assert_eq!(hooked.next_page().await.action, "trigger");
    post(&bridge, &unreadable).await;
    bridge.settled(2).await;
    hooked.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_silenced_survives_a_kill_and_goes_where_the_routes_of_then_lead() {
    let (folder, hooked) = (tempfile::tempdir().unwrap(), Hook::start(HOOK_SECRET).await);
    let config = config(folder.path(), &hooked, "sqlite:alertbridge.db");
    let mut bridge = Bridge::start(folder.path(), &config);
    add(&bridge, &["incident_id=on", "--duration", "1h"]);
    let short = add(&bridge, &["app_key=com.example.app", "--duration", "2h"]);
    post(&bridge, &trigger("on")).await;
    post(&bridge, &trigger("off")).await;
    bridge.settled(2).await;
    bridge.kill();
    let bridge = Bridge::start(
        folder.path(),
        &config
            .replace("name: all", "name: now")
            .replace("receiver: all", "receiver: now"),
    );
    expire(&bridge, &short);
    assert_eq!(
        hooked.next_page().await.key,
        "off:now",
        "the other is covered still"
    );
    hooked.assert_quiet();
    expire(&bridge, "1");
    assert_eq!(hooked.next_page().await.key, "on:now");
    post(&bridge, &resolve("on")).await;
    assert_eq!(hooked.next_page().await.action, "resolve");
    hooked.assert_quiet();
    let checked = bridge.command(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
}

#[test]
fn the_commands_are_amtools_and_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = harness::run(folder.path(), &[&["silences"], arguments].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (status, _, said) = run(&["add", "app_key=x", "--comment", "x"]);
    assert!(
        status == Some(1) && said.contains("there is no store"),
        "{status:?} {said}"
    );
    assert!(
        harness::run(folder.path(), &["store", "migrate"])
            .status
            .success()
    );

    for (wrong, why) in [
        (
            &["app_key!=x"][..],
            "at least one matcher must not match the empty string",
        ),
        (&["critical"], "`critical` is not a valid matcher"),
        (&["sli_gap>=much"], "compares numbers"),
        (
            &["app_key=x", "--start", "2099-01-02", "--end", "2099-01-01"],
            "not after its start",
        ),
        (&["app_key=x", "--duration", "0s"], "not after its start"),
        (
            &["app_key=x", "--start", "2020-01-01", "--end", "2020-01-02"],
            "ended already",
        ),
        (
            &["app_key=x", "--duration", "1h", "--end", "2099-01-01"],
            "cannot be used with",
        ),
        (
            &["app_key=x", "--duration", "soon"],
            "is not a valid duration",
        ),
        (&[], "MATCHER"),
    ] {
        let (status, out, said) = run(&[&["add", "--comment", "x"], wrong].concat());
        assert!(
            status == Some(2) && out.is_empty() && said.contains(why),
            "{wrong:?}: {status:?} {said}"
        );
    }
    assert_eq!(run(&["add", "app_key=x", "--comment", " "]).0, Some(2));
    assert_eq!(
        run(&["add", "app_key=x"]).0,
        Some(2),
        "a silence says what it is for"
    );

    let (status, out, said) = run(&[
        "add",
        "alertname=x",
        "severity=~\"warn.*\"",
        "--comment",
        "x",
        "--author",
        "bob",
    ]);
    assert_eq!((status, out.as_str()), (Some(0), "1\n"), "{said}");
    assert!(
        said.contains("note: no alert has a label `alertname`") && said.contains("silence 1 from"),
        "{said}"
    );
    let future = [
        "--start",
        "2099-01-01",
        "--end",
        "2099-01-02T03:00:00Z",
        "--comment",
        "CHG-18",
        "--author",
        "ann",
    ];
    let (_, out, _) = run(&[
        &["add", "--json", "{app_key=\"x\", sli_gap>=20}"],
        &future[..],
    ]
    .concat());
    let added: Value = serde_json::from_str(&out).unwrap();
    assert!(added["created_at"].is_string());
    let wanted = json!({
        "id": 2, "state": "pending", "matchers": ["app_key=\"x\"", "sli_gap>=20"],
        "starts_at": "2099-01-01T00:00:00Z",
        "ends_at": "2099-01-02T03:00:00Z", "author": "ann", "comment": "CHG-18",
        "created_at": added["created_at"],
    });
    assert_eq!(added, wanted);

    let standing = |arguments: &[&str]| -> Vec<String> {
        let all: Vec<Value> =
            serde_json::from_str(&run(&[&["list", "--json"], arguments].concat()).1).unwrap();
        all.iter()
            .map(|silence| format!("{} {}", silence["id"], silence["state"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(standing(&[]), ["1 active", "2 pending"]);
    let (_, table, _) = run(&["list"]);
    assert!(
        table.lines().count() == 3
            && table.contains("severity=~\"warn.*\"")
            && table.contains("CHG-18"),
        "{table}"
    );
    let (status, _, said) = run(&["expire", "1", "3"]);
    assert!(
        status == Some(1) && said.contains("there is no silence 3"),
        "{said}"
    );
    assert_eq!(
        run(&["expire", "1", "2"]).1,
        "silence 1 has been expired\nsilence 2 has been expired\n"
    );
    assert_eq!(
        (standing(&[]), standing(&["--expired"])),
        (vec![], vec!["2 expired".into(), "1 expired".into()])
    );
    assert!(
        run(&["expire", "1"])
            .2
            .contains("silence 1 has ended already")
    );
}
