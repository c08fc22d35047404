//! The API of the real program: what it lists, what it does, and who may ask.

use std::{collections::BTreeSet, fs, path::Path};

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Bridge, client, run};

/// A bridge that prints its pages.
pub const CONFIG: &str = "
store: { url: 'sqlite:alertbridge.db' }
admin: { listen: '127.0.0.1:0' }
ingress:
  http: { listen: '127.0.0.1:0' }
  webhook: [{ name: http }]
route: { receiver: stdout }
receivers: [{ name: stdout, stdout_configs: [{}] }]
";

/// Believes Nagios' own mails, however old they are.
const NAGIOS: &str = "
global: { max_age: 0s }
alerts: { authenticity: { require: [] } }
profiles: [{ name: nagios, use: nagios, match: { from: [nagios@mon.example.com] } }]
";

pub fn sample(folder: &Path, incident: &str, more: &[&str]) -> Vec<u8> {
    let arguments = [&["sample", "--incident", incident], more].concat();
    run(folder, &arguments).stdout
}

/// Asks the API, as a tool of this host does.
pub async fn ask(bridge: &Bridge, method: Method, path: &str, body: Option<Value>) -> Response {
    let request = client().request(method, format!("{}{path}", bridge.admin));
    let request = match body {
        Some(body) => request.body(body.to_string()),
        None => request,
    };
    request.send().await.unwrap()
}

pub async fn get(bridge: &Bridge, path: &str) -> Value {
    let response = ask(bridge, Method::GET, path, None).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.json().await.unwrap()
}

fn ids(list: &Value, name: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    let id = |item: &Value| match &item[name] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    items.iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_walked_without_loss_while_mail_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    for number in 0..7 {
        let mail = sample(folder.path(), &format!("i{number}"), &[]);
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    bridge.settled_in_store(7).await;

    for (list, name) in [
        ("incidents", "incident_id"),
        ("mails", "id"),
        ("deliveries", "id"),
    ] {
        let whole = ids(&get(&bridge, &format!("/api/v1/{list}")).await, name);
        assert!(whole.len() >= 7, "{list}: {whole:?}");
        let (mut walked, mut path) = (Vec::new(), format!("/api/v1/{list}?limit=2"));
        for round in 0.. {
            assert!(round < 100, "the list {list} has no end");
            let page = get(&bridge, &path).await;
            walked.extend(ids(&page, name));
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("/api/v1/{list}?limit=2&cursor={next}");
            // What comes meanwhile changes nothing of what was there, and neither does a change.
            let more = sample(folder.path(), &format!("{list}-{round}"), &[]);
            assert_eq!(bridge.post(&more).await.unwrap(), 202);
            let again = sample(folder.path(), "i0", &["--status", "OK"]);
            assert_eq!(bridge.post(&again).await.unwrap(), 202);
        }
        assert_eq!(walked, whole, "{list}");
    }

    let open = get(&bridge, "/api/v1/incidents?state=open").await;
    let over = get(&bridge, "/api/v1/incidents?state=resolved").await;
    assert_eq!(ids(&over, "incident_id"), ["i0"]);
    assert!(!ids(&open, "incident_id").contains(&"i0".to_owned()));
    let found = get(
        &bridge,
        "/api/v1/incidents?q=I3&receiver=stdout&severity=critical",
    )
    .await;
    assert_eq!(ids(&found, "incident_id"), ["i3"], "{found}");
    assert_eq!(
        ids(
            &get(&bridge, "/api/v1/incidents?q=%25").await,
            "incident_id"
        ),
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_a_problem_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", 404),
        (Method::GET, "/api/v1/incidents/none", 404),
        (Method::GET, "/api/v1/mails/17", 404),
        (Method::GET, "/api/v1/mails/x", 404),
        (Method::GET, "/api/v1/mails?outcome=odd", 400),
        (Method::GET, "/api/v1/mails?limit=1001", 400),
        (Method::GET, "/api/v1/mails?limit=0", 400),
        (Method::GET, "/api/v1/mails?cursor=AAAA", 400),
        (Method::POST, "/api/v1/silences", 400),
        (Method::POST, "/api/v1/deliveries/17/retry", 404),
        (Method::POST, "/api/v1/incidents/none/resolve", 404),
        (Method::DELETE, "/api/v1/silences/17", 404),
        (Method::POST, "/api/v1/receivers/none/test", 404),
        (Method::PUT, "/api/v1/mails", 405),
    ] {
        let response = ask(&bridge, method.clone(), path, None).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{method} {path}"
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status, "{problem}");
        let keys: BTreeSet<_> = problem
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, BTreeSet::from(["detail", "status", "title", "type"]));
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_there_is_none_of_or_a_value_that_it_does_not_take_is_refused_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    for (asked, said) in [
        (
            "incidents?sate=open",
            "there is no `sate` (did you mean `state`?); there are state, severity, profile, \
             receiver, q, limit, cursor",
        ),
        ("audit?by=ann", "there is no `by`; there are limit, cursor"),
        (
            "objectives?window=x",
            "there is no `window`; there are app, sli, at",
        ),
        (
            "receivers?x=1",
            "there is no `x`; this path takes no parameters",
        ),
        (
            "incidents?state=opne",
            "`state` is open or resolved, not `opne`",
        ),
        (
            "silences?state=on",
            "`state` is pending, active or expired, not `on`",
        ),
        (
            "mails?limit=-1",
            "`limit` is a number from 1 to 1000, not `-1`",
        ),
        (
            "objectives?at=noon",
            "`at` is a time such as 2026-03-01T03:00:00Z, not `noon`",
        ),
        (
            "mails/abc",
            "`abc` is not a number: write a number in its place",
        ),
    ] {
        let path = format!("/api/v1/{asked}");
        let problem = ask(&bridge, Method::GET, &path, None).await;
        let problem: Value = problem.json().await.unwrap();
        assert_eq!(problem["detail"], said, "{asked}");
    }
    let explain = ask(&bridge, Method::POST, "/api/v1/explain?trust=yes", None).await;
    let problem: Value = explain.json().await.unwrap();
    assert_eq!(problem["detail"], "`trust` is true or false, not `yes`");

    // What speaks to Alertmanager sends fields that are Alertmanager's.
    for tolerated in [
        "alerts?active=true&x=1",
        "silences?x=1",
        "alerts/groups?x=1",
    ] {
        get(&bridge, &format!("/api/v2/{tolerated}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_no_mail_closes_is_closed_by_hand_and_the_record_says_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    let mail = sample(folder.path(), "a/b", &[]);
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled_in_store(1).await;

    let path = "/api/v1/incidents/a%2Fb/resolve";
    let response = ask(&bridge, Method::POST, path, None).await;
    assert_eq!(response.status(), 200);
    let story: Value = response.json().await.unwrap();
    assert_eq!(
        (&story["state"], &story["status"]),
        (&json!("resolved"), &json!("RESOLVED_BY_HAND"))
    );
    let told = |event: &&Value| event["event"] == "delivery" && event["action"] == "resolve";
    assert!(
        story["timeline"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| told(&event)),
        "{story}"
    );

    let closed = story["timeline"].as_array().unwrap().iter();
    let closed: Vec<_> = closed.filter(|event| event["event"] == "deed").collect();
    assert_eq!(closed.len(), 1, "{story}");
    assert_eq!(closed[0]["by"], "local", "{story}");
    let shown = bridge.command(&["incidents", "show", "a/b"]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("by hand, by local"), "{shown}");
    let page = client().get(format!("{}/incidents/a%2Fb", bridge.admin));
    let page = page.header("accept", "text/html").send().await.unwrap();
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("Closed by hand by local")
    );

    // Once is enough; and the trigger, repeated, opens nothing.
    assert_eq!(ask(&bridge, Method::POST, path, None).await.status(), 409);
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled_in_store(2).await;
    assert_eq!(
        get(&bridge, "/api/v1/incidents/a%2Fb").await["state"],
        "resolved"
    );

    let audit = get(&bridge, "/api/v1/audit").await;
    let deeds: Vec<_> = audit["items"].as_array().unwrap().iter().collect();
    assert_eq!(deeds.len(), 2, "{audit}");
    for deed in &deeds {
        assert_eq!(
            (&deed["by"], &deed["action"], &deed["subject"]),
            (&json!("local"), &json!("incidents.resolve"), &json!("a/b"))
        );
    }
    assert_eq!(deeds[1]["outcome"], "done");
    assert_eq!(deeds[0]["outcome"], "incident a/b is already over");
}

/// One of Nagios' own mails.
fn of_nagios(name: &str) -> Vec<u8> {
    let mails = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/profiles/nagios");
    fs::read(mails.join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_is_over_is_found_by_its_severity_and_called_what_broke() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &format!("{CONFIG}{NAGIOS}"));
    let id = "nagios:web1/HTTP";
    for (number, (mail, state)) in [("problem.eml", "open"), ("recovery.eml", "resolved")]
        .into_iter()
        .enumerate()
    {
        assert_eq!(bridge.post(&of_nagios(mail)).await.unwrap(), 202);
        bridge.settled_in_store(number + 1).await;

        let path = format!("/api/v1/incidents?state={state}&severity=critical");
        let found = get(&bridge, &path).await;
        assert_eq!(ids(&found, "incident_id"), [id], "{found}");
        let one = &found["items"][0];
        assert_eq!(
            (&one["title"], &one["severity"], &one["labels"]["state"]),
            (
                &json!("HTTP on web1 is CRITICAL"),
                &json!("critical"),
                &json!(if state == "open" {
                    "firing"
                } else {
                    "resolved"
                })
            )
        );

        let listed = bridge.command(&["incidents", "list"]).stdout;
        let listed = String::from_utf8(listed).unwrap();
        let row = listed.lines().find(|line| line.starts_with(id)).unwrap();
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(words[1..4], [state, "incident", "critical"], "{listed}");
        let shown = bridge.command(&["incidents", "show", id]).stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains(&format!("{state} (")), "{shown}");
    }

    let told = bridge.printed("[critical]", 2).await;
    assert!(
        told[1].contains("[critical] [RESOLVED] HTTP on web1 is OK"),
        "the page says what the mail says: {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_could_not_be_read_was_told_once_and_is_open_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &format!("{CONFIG}{NAGIOS}"));
    let mail = String::from_utf8(of_nagios("problem.eml")).unwrap();
    let mail = mail.replace("Notification Type:", "Kind of notification:");
    assert_eq!(bridge.post(mail.as_bytes()).await.unwrap(), 202);
    bridge.settled_in_store(1).await;
    bridge.printed("could not be read", 1).await;

    let mails = get(&bridge, "/api/v1/mails?outcome=unparsed").await;
    let id = mails["items"][0]["incident_id"].as_str().unwrap();
    let one = get(&bridge, &format!("/api/v1/incidents/{id}")).await;
    assert_eq!(
        (&one["kind"], &one["state"], &one["phase"]),
        (&json!("unparsed"), &json!("resolved"), &json!("resolved"))
    );
    for list in ["/api/v1/incidents", "/api/v1/incidents?state=open"] {
        let listed = get(&bridge, list).await;
        assert_eq!(ids(&listed, "incident_id"), Vec::<String>::new(), "{list}");
    }

    let page = client().get(format!("{}/incidents/{id}", bridge.admin));
    let page = page.header("accept", "text/html").send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(
        page.contains("told: a mail that could not be read"),
        "{page}"
    );
    assert!(page.contains("href=\"/mails/1\""), "{page}");
    assert!(
        !page.contains("open for") && !page.contains("Resolve by hand"),
        "{page}"
    );
    let shown = bridge.command(&["incidents", "show", id]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("paged, because") && !shown.contains("open ("),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_the_newest_mail_that_was_seen_stays_in_the_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let expecting = "alerts: { app_keys: [com.example.none], authenticity: { require: [] } }\n";
    let bridge = Bridge::start(folder.path(), &(CONFIG.to_owned() + expecting));
    for incident in ["a", "b", "c"] {
        let mail = sample(folder.path(), incident, &[]);
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    let held = "/api/v1/mails?outcome=quarantined";
    let all_held = async {
        while ids(&get(&bridge, held).await, "id").len() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, all_held)
        .await
        .unwrap();

    // Whoever is to decide about one sees whose it says it is.
    let listed = get(&bridge, held).await;
    let first = &listed["items"][2];
    assert_eq!(first["from"], json!(["no-reply@am.atlassian.com"]));
    assert!(first["subject"].is_string(), "{first}");

    for (from, found) in [
        ("no-reply@am.atlassian.com", 3),
        ("@AM.atlassian.com", 3),
        ("@atlassian.com", 0),
        ("ann@example.com", 0),
    ] {
        let listed = get(&bridge, &format!("/api/v1/mails?from={from}")).await;
        assert_eq!(ids(&listed, "id").len(), found, "{from}");
        for more in [&[][..], &["--server", &bridge.admin]] {
            let list = ["mails", "list", "--json", "--from", from];
            let listed = bridge.command(&[&list, more].concat()).stdout;
            let listed: Value = serde_json::from_slice(&listed).unwrap();
            assert_eq!(listed.as_array().unwrap().len(), found, "{from} {more:?}");
        }
        let page = ask(&bridge, Method::GET, &format!("/mails?from={from}"), None).await;
        let page = page.text().await.unwrap();
        assert_eq!(page.matches("<li class=\"row\">").count(), found, "{page}");
        assert!(
            !page.contains("id=\"discard-these\""),
            "it would discard others too"
        );
    }
    let one = bridge.command(&[
        "mails",
        "list",
        "--from",
        "@am.atlassian.com",
        "--limit",
        "1",
    ]);
    assert_eq!(
        String::from_utf8(one.stdout)
            .unwrap()
            .matches("no-reply@")
            .count(),
        1
    );
    let other = "/api/v1/mails?outcome=opened&from=ann@example.com";
    let other = ask(&bridge, Method::GET, other, None).await;
    assert_eq!(other.status(), StatusCode::BAD_REQUEST);
    let other = [
        "mails",
        "list",
        "--outcome",
        "opened",
        "--from",
        "ann@example.com",
    ];
    let other = bridge.command(&other);
    assert_eq!(other.status.code(), Some(2));

    let path = "/api/v1/mails/discard";
    // When somebody looked is no filter.
    for slip in [
        json!({ "up_to": 2 }),
        json!({ "seen_at": "2026-01-01T00:00:00Z" }),
    ] {
        let slip = ask(&bridge, Method::POST, path, Some(slip)).await;
        assert_eq!(slip.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let seen = json!({ "ingress": "http", "up_to": 2 });
    let gone = ask(&bridge, Method::POST, path, Some(seen)).await;
    let gone: Value = gone.json().await.unwrap();
    assert_eq!(gone, json!({ "discarded": 2, "newer": 1 }));
    let left = get(&bridge, held).await;
    assert_eq!(ids(&left, "id"), ["3"]);
    let audit = get(&bridge, "/api/v1/audit").await;
    assert_eq!(
        audit["items"][0]["subject"],
        "2 mails: through http, up to mail 2"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_is_what_the_commands_say_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let profile = |name: &str| {
        format!(
            "{{ name: {name}, match: {{ from: ['@example.com'] }}, fields: {{ key: '{{{{ subject }}}}', status: failed }} }}"
        )
    };
    let profiles = format!("profiles: [{}, {}]\n", profile("backup"), profile("second"));
    let bridge = Bridge::start(folder.path(), &(CONFIG.to_owned() + &profiles));
    let mail = sample(folder.path(), "tried", &[]);
    let explain = |query: &str| {
        let url = format!("{}/api/v1/explain{query}", bridge.admin);
        client().post(url).body(mail.clone()).send()
    };

    let explained: Value = explain("?trust=true").await.unwrap().json().await.unwrap();
    assert_eq!(explained["outcome"], "opened", "{explained}");
    assert_eq!(explained["receivers"], json!(["stdout"]));
    assert_eq!(explained["items"][0]["labels"]["incident_id"], "tried");
    assert_eq!(explained["profile"], "atlassian-sli");
    // By another profile alone it is nobody's alert.
    let alone = explain("?trust=true&profile=backup").await.unwrap();
    let alone: Value = alone.json().await.unwrap();
    assert_eq!(
        (&alone["outcome"], &alone["profile"]),
        (&json!("ignored"), &json!(null)),
        "{alone}"
    );
    assert_eq!(alone["misses"].as_array().unwrap().len(), 1, "{alone}");
    let alone = explain("?trust=true&profile=atlassian-sli").await.unwrap();
    assert_eq!(alone.json::<Value>().await.unwrap()["outcome"], "opened");
    // And by a profile that comes second, where the first would take it.
    let backup = "From: backup@example.com\r\nSubject: Backup failed\r\nDate: Sun, 1 Mar 2026 10:00:00 +0000\r\n\r\nx\r\n";
    for (query, profile) in [
        ("", "backup"),
        ("&profile=backup", "backup"),
        ("&profile=second", "second"),
    ] {
        let url = format!("{}/api/v1/explain?trust=true{query}", bridge.admin);
        let told = client().post(url).body(backup).send().await.unwrap();
        let told: Value = told.json().await.unwrap();
        assert_eq!(
            (&told["profile"], &told["outcome"]),
            (&json!(profile), &json!("opened")),
            "{query}: {told}"
        );
    }
    assert_eq!(explain("?ingress=none").await.unwrap().status(), 422);
    assert_eq!(explain("?profile=none").await.unwrap().status(), 422);
    assert_eq!(explain("?at=tomorrow").await.unwrap().status(), 400);
    assert_eq!(get(&bridge, "/api/v1/mails").await["items"], json!([]));

    let labels = json!({ "labels": { "severity": "critical" } });
    let reached = ask(&bridge, Method::POST, "/api/v1/routes/test", Some(labels)).await;
    let reached: Value = reached.json().await.unwrap();
    assert_eq!(reached["receivers"], json!(["stdout"]));
    assert_eq!(reached["routes"].as_array().unwrap().len(), 1);

    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled_in_store(1).await;
    let other = format!(
        "{}  - {{ name: chat, stdout_configs: [{{}}] }}\n",
        CONFIG
            .replace("receiver: stdout", "receiver: chat")
            .replace(
                "receivers: [{ name: stdout, stdout_configs: [{}] }]",
                "receivers:\n  - { name: stdout, stdout_configs: [{}] }"
            )
    );
    let other = crate::harness::unless_judged(&other);
    let diff = |body: String| {
        let url = format!("{}/api/v1/replay/diff", bridge.admin);
        client().post(url).body(body).send()
    };
    let moved: Value = diff(other).await.unwrap().json().await.unwrap();
    assert_eq!(moved["mails"], 1, "{moved}");
    assert_eq!(moved["differences"][0]["changes"][0]["change"], "moved");
    assert_eq!(diff("nonsense: [".into()).await.unwrap().status(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objective_says_what_its_breaches_have_spent() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(
        folder.path(),
        &format!("{CONFIG}objectives: [{{ slo: 99.5 }}]\n"),
    );
    for (incident, status) in [("a", "ANOMALOUS"), ("a", "OK"), ("b", "ANOMALOUS")] {
        let mail = sample(folder.path(), incident, &["--status", status]);
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    bridge.settled_in_store(3).await;

    let found = get(&bridge, "/api/v1/objectives").await;
    let one = &found["items"][0];
    assert_eq!(one["breaches"], 2, "{found}");
    assert_eq!(one["budget_seconds"], 12096.0, "0.5 % of 28 days");
    assert_eq!(one["ladder"], "remediation");
    let sum = one["spent"].as_f64().unwrap() + one["left"].as_f64().unwrap();
    assert!((sum - 1.0).abs() < 1e-5, "{one}");
    let later = get(&bridge, "/api/v1/objectives?at=2000-01-01T00:00:00Z").await;
    assert_eq!(later["items"][0]["breaches"], 0);
    let other = get(&bridge, "/api/v1/objectives?app=none").await;
    assert_eq!(other["items"], json!([]));

    let csv = client()
        .get(format!("{}/api/v1/objectives", bridge.admin))
        .header("accept", "text/csv")
        .send()
        .await
        .unwrap();
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
    let csv = csv.text().await.unwrap();
    assert!(csv.starts_with("app_key,sli,slo,breaches,"), "{csv}");
    assert_eq!(csv.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_hears_what_changes_and_the_others_are_still_answered() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    let watch = || {
        client()
            .get(format!("{}/api/v1/events", bridge.admin))
            .send()
    };
    let mut watched = watch().await.unwrap();
    assert_eq!(watched.headers()["content-type"], "text/event-stream");
    let first = watched.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).starts_with("event: ready"));

    let mail = sample(folder.path(), "seen", &[]);
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    let heard = async {
        let mut heard = String::new();
        while !heard.contains("\"incidents\"") {
            heard += &String::from_utf8_lossy(&watched.chunk().await.unwrap().unwrap());
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, heard)
        .await
        .unwrap();

    // More than there is room for are sent away, and take nobody's place.
    let mut watching = Vec::new();
    loop {
        let response = watch().await.unwrap();
        if response.status() != 200 {
            assert_eq!(response.status(), 503);
            break;
        }
        watching.push(response);
        assert!(watching.len() < 200, "watchers are not capped");
    }
    assert_eq!(
        ask(&bridge, Method::GET, "/api/v1/mails", None)
            .await
            .status(),
        200
    );
    assert!(
        bridge.stop().success(),
        "those who watch keep nobody from stopping"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_with_a_key_is_done_once_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::start(folder.path(), CONFIG);
    let silence = json!({ "matchers": ["app_key=\"a\""], "comment": "once" });
    let post = |bridge: &Bridge, key: &str, body: &Value| {
        let url = format!("{}/api/v1/silences", bridge.admin);
        client()
            .post(url)
            .header("idempotency-key", key.to_owned())
            .body(body.to_string())
            .send()
    };
    let first = post(&bridge, "k1", &silence).await.unwrap();
    assert_eq!(first.status(), 201);
    let first = first.text().await.unwrap();
    bridge.kill();

    let bridge = Bridge::start(folder.path(), CONFIG);
    let again = post(&bridge, "k1", &silence).await.unwrap();
    assert_eq!(
        (again.status(), again.text().await.unwrap()),
        (StatusCode::CREATED, first)
    );
    let other = json!({ "matchers": ["app_key=\"b\""], "comment": "once" });
    assert_eq!(post(&bridge, "k1", &other).await.unwrap().status(), 422);
    assert_eq!(post(&bridge, "k2", &other).await.unwrap().status(), 201);
    assert_eq!(post(&bridge, "", &other).await.unwrap().status(), 400);
    let all = get(&bridge, "/api/v1/silences").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");

    // What is printed is taken, and a preview says what would be kept.
    let printed = bridge.command(&["silences", "list", "--json"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(
        post(&bridge, "k3", &printed[0]).await.unwrap().status(),
        201
    );
    let mail = sample(folder.path(), "quiet", &[]);
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled_in_store(1).await;
    let plan = json!({ "matchers": ["incident_id=\"quiet\""] });
    let preview = ask(
        &bridge,
        Method::POST,
        "/api/v1/silences/preview",
        Some(plan),
    )
    .await;
    let preview: Value = preview.json().await.unwrap();
    assert_eq!(preview["incidents"][0]["incident_id"], "quiet", "{preview}");
    assert_eq!(preview["triggers"][0]["outcome"], "opened");
}
