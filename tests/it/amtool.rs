//! Alertmanager's API v2: what its own tools see of the bridge.

use std::process::{Command, Output};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    api::{CONFIG, ask, get, sample},
    delivery::{now, trigger},
    harness::{Bridge, client, run},
};

fn amtool(bridge: &Bridge, arguments: &[&str]) -> Output {
    let url = format!("--alertmanager.url={}", bridge.admin);
    Command::new("amtool")
        .arg(url)
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Alertmanager's own OpenAPI document (Swagger 2.0), which its program carries.
fn document() -> Value {
    let found = Command::new("which")
        .arg("prometheus-alertmanager")
        .output();
    let path = said(&found.unwrap());
    let program = std::fs::read(path.trim()).unwrap();
    let (begins, is_v2) = (&b"{\n  \"consumes\""[..], &b"\"swagger\": \"2.0\""[..]);
    let at = memchr::memmem::find_iter(&program, begins)
        .find(|at| memchr::memmem::find(&program[*at..at + 500], is_v2).is_some());
    let mut documents =
        serde_json::Deserializer::from_slice(&program[at.unwrap()..]).into_iter::<Value>();
    documents.next().unwrap().unwrap()
}

/// What is wrong with an answer of 200 by the document.
fn wrong(document: &Value, path: &str, answer: &Value) -> Vec<String> {
    let schema = &document["paths"][path]["get"]["responses"]["200"]["schema"];
    assert!(schema.is_object(), "{path} is not described");
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft4)
        .should_validate_formats(true)
        .build(&json!({ "allOf": [schema], "definitions": document["definitions"] }))
        .unwrap();
    let errors = validator.iter_errors(answer);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_works_unchanged_and_every_answer_fits_alertmanagers_document() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    for incident in ["one", "two"] {
        let mail = sample(folder.path(), incident, &[]);
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    bridge.settled_in_store(2).await;

    let alerts = said(&amtool(&bridge, &["alert", "query", "-o", "json"]));
    let alerts: Value = serde_json::from_str(&alerts).unwrap();
    assert_eq!(alerts.as_array().unwrap().len(), 2, "{alerts}");
    let name = alerts[0]["labels"]["alertname"]
        .as_str()
        .unwrap()
        .to_owned();
    let one = said(&amtool(
        &bridge,
        &["alert", "query", "incident_id=one", "-o", "json"],
    ));
    assert_eq!(
        serde_json::from_str::<Value>(&one)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // A silence by the name that its tools show.
    let by_name = format!("alertname={name}");
    let added = amtool(
        &bridge,
        &[
            "silence",
            "add",
            &by_name,
            "incident_id=one",
            "-c",
            "moves",
            "-d",
            "1h",
        ],
    );
    let id = said(&added).trim().to_owned();
    let silences = said(&amtool(&bridge, &["silence", "query", "-o", "json"]));
    let silences: Value = serde_json::from_str(&silences).unwrap();
    assert_eq!(silences[0]["id"], id.as_str(), "{silences}");
    let query = async |extra: &str| get_all(&bridge, extra).await;
    assert_eq!(query("?silenced=false").await.len(), 1);
    assert_eq!(query("?active=false").await.len(), 1);
    assert_eq!(
        query("?active=false").await[0]["status"]["silencedBy"],
        json!([id])
    );
    assert_eq!(query("?receiver=std.*").await.len(), 2);
    assert_eq!(query("?receiver=std").await.len(), 0);
    assert_eq!(query("?filter=incident_id%3D%22two%22").await.len(), 1);

    let document = document();
    for path in [
        "/status",
        "/receivers",
        "/alerts",
        "/alerts/groups",
        "/silences",
    ] {
        let answer = get(&bridge, &format!("/api/v2{path}")).await;
        let wrong = wrong(&document, path, &answer);
        assert!(wrong.is_empty(), "{path}: {wrong:?}: {answer}");
        assert_ne!(answer, json!([]), "{path}");
    }
    // What is not there is told.
    let spoilt = json!([{ "name": 1 }, {}]);
    assert_eq!(wrong(&document, "/receivers", &spoilt).len(), 2);
    let shown = get(&bridge, &format!("/api/v2/silence/{id}")).await;
    assert_eq!(wrong(&document, "/silence/{silenceID}", &shown), [""; 0]);
    assert_eq!(shown["status"]["state"], "active");

    said(&amtool(&bridge, &["silence", "expire", &id]));
    let shown = get(&bridge, &format!("/api/v2/silence/{id}")).await;
    assert_eq!(shown["status"]["state"], "expired");
    let listed = said(&amtool(&bridge, &["silence", "query", "-q"]));
    assert_eq!(listed.trim(), "", "it is over");
    said(&amtool(&bridge, &["config", "show"]));

    for (method, path, status) in [
        (Method::POST, "/api/v2/alerts", 405),
        (Method::GET, "/api/v2/silence/none", 404),
        (
            Method::DELETE,
            "/api/v2/silence/00000000-0000-4000-8000-0000000000ff",
            404,
        ),
        (Method::GET, "/api/v2/alerts?filter=%7B%7B", 400),
        (Method::GET, "/api/v2/alerts?active=perhaps", 400),
        (Method::POST, "/api/v2/silences", 400),
    ] {
        let response = ask(&bridge, method.clone(), path, None).await;
        assert_eq!(response.status(), status, "{method} {path}");
    }
}

async fn get_all(bridge: &Bridge, query: &str) -> Vec<Value> {
    let alerts = get(bridge, &format!("/api/v2/alerts{query}")).await;
    alerts.as_array().unwrap().clone()
}

/// Where programs sign in by a token, and a receiver is muted.
const WITH_TOKEN: &str = r#"
admin: { listen: '127.0.0.1:0', token_file: token }
ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }
alerts: { authenticity: { require: [] } }
global: { max_age: 0s }
time_intervals: [{ name: always, time_intervals: [{ times: [{ start_time: '00:00', end_time: '24:00' }] }] }]
route:
  receiver: std
  routes:
    - { receiver: std, matchers: ['sli_gap>=0.1', 'app_key=~"(?<vendor>com|org)[.].*"'], continue: true }
    - { receiver: held, mute_time_intervals: [always] }
receivers: [{ name: std, stdout_configs: [{}] }, { name: held, stdout_configs: [{}] }]
"#;

/// A request as karma's own proxy passes it on: with the token of its configuration, and with the
/// Origin of the page that a person looks at.
async fn passed_on(
    bridge: &Bridge,
    method: Method,
    path: &str,
    token: &str,
    body: Value,
) -> Response {
    let request = client().request(method, format!("{}{path}", bridge.admin));
    let request = request
        .header("authorization", format!("Bearer {token}"))
        .header("origin", "http://karma.example.com:8080")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_passes_on_what_its_page_sends_acts_by_the_token() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "s3cret-token").unwrap();
    let bridge = Bridge::start(folder.path(), WITH_TOKEN);
    let mail = trigger("one");
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled_in_store(1).await;

    let send = async |method, path: &str, body| {
        let response = passed_on(&bridge, method, path, "s3cret-token", body).await;
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap_or_default())
    };
    let get = async |path: &str| send(Method::GET, path, Value::Null).await.1;

    // Every error is a JSON string, whoever refuses.
    let (path, now) = ("/api/v2/silences", now());
    let wrong = passed_on(&bridge, Method::POST, path, "wr0ng", json!({})).await;
    assert_eq!(wrong.status(), 403);
    assert!(
        wrong
            .json::<String>()
            .await
            .unwrap()
            .contains("another origin")
    );
    let unknown = client()
        .get(format!("{}{path}", bridge.admin))
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 401);
    assert!(unknown.json::<String>().await.unwrap().contains("token"));
    for (method, path, body, expected) in [
        (Method::POST, path, json!({}), 400),
        (Method::POST, path, json!("x".repeat(2 << 20)), 413),
        (Method::GET, "/api/v2/silence/x", Value::Null, 404),
        (Method::GET, "/api/v2/nothing", Value::Null, 404),
        (Method::POST, "/api/v2/alerts", json!([]), 405),
    ] {
        let (status, said) = send(method, path, body).await;
        assert_eq!(
            (status, said.is_string()),
            (expected, true),
            "{path}: {said}"
        );
    }

    // What changes with every mail is no label: a silence of all labels holds.
    let alerts = get("/api/v2/alerts").await;
    let (labels, annotations) = (&alerts[0]["labels"], &alerts[0]["annotations"]);
    assert_eq!(labels["incident_id"], "one");
    for name in ["status", "sli_value", "sli_gap", "title"] {
        assert_eq!(labels[name], Value::Null, "{labels}");
        assert!(annotations[name].is_string(), "{annotations}");
    }
    assert_eq!(
        get("/api/v2/alerts?filter=sli_gap%3E-1000")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let all = labels.as_object().unwrap().iter();
    let all = all.map(
        |(name, value)| json!({ "name": name, "value": value, "isRegex": false, "isEqual": true }),
    );
    let silence = |id: Option<&str>, matchers: Value, hours: i64| {
        let end = now + jiff::SignedDuration::from_hours(hours);
        json!({ "id": id, "matchers": matchers, "startsAt": now, "endsAt": end,
                "createdBy": "jane", "comment": "moves" })
    };
    let (status, posted) = send(Method::POST, path, silence(None, all.collect(), 1)).await;
    assert_eq!(status, 200, "{posted}");
    let again = String::from_utf8(mail).unwrap().replace("90.5", "88.5");
    assert_eq!(bridge.post(again.as_bytes()).await.unwrap(), 202);
    bridge.settled_in_store(2).await;
    assert_eq!(
        get("/api/v2/alerts").await[0]["status"]["silencedBy"],
        json!([posted["silenceID"]])
    );
    let one = format!("/api/v2/silence/{}", posted["silenceID"].as_str().unwrap());
    assert_eq!(send(Method::DELETE, &one, Value::Null).await.0, 200);

    // A comparison of numbers stays one when its silence is edited.
    let token = ["--server", &bridge.admin, "--token-file", "token"];
    let add = ["silences", "add", "sli_gap>=-1000", "-c", "moves"];
    said(&run(folder.path(), &[&add[..], &token[..]].concat()));
    let shown = get(path).await[0].clone();
    assert_eq!(shown["matchers"][0]["value"], ">=-1000", "{shown}");
    let edited = silence(shown["id"].as_str(), shown["matchers"].clone(), 5);
    let (status, posted) = send(Method::POST, path, edited).await;
    assert_eq!(status, 200, "{posted}");
    assert_eq!(
        get("/api/v2/alerts").await[0]["status"]["silencedBy"],
        json!([posted["silenceID"]])
    );
    let active = get("/api/v2/silences?expired=false").await;
    assert_eq!(active.as_array().unwrap().len(), 1, "{active}");
    let one = format!("/api/v2/silence/{}", posted["silenceID"].as_str().unwrap());
    assert_eq!(send(Method::DELETE, &one, Value::Null).await.0, 200);

    // A mute is the receiver's whom it keeps from being told.
    let groups = get("/api/v2/alerts/groups").await;
    let state = |receiver: &str| {
        let group = groups.as_array().unwrap().iter();
        let mut group = group.filter(|group| group["receiver"]["name"] == receiver);
        group.next().unwrap()["alerts"][0]["status"].clone()
    };
    assert_eq!(state("std")["state"], "active");
    assert_eq!(state("held")["mutedBy"], json!(["always"]));
    assert_eq!(
        get("/api/v2/alerts/groups?muted=false")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // The routes are readable to Alertmanager's own parser.
    let status = get("/api/v2/status").await;
    let original = status["config"]["original"].as_str().unwrap();
    assert!(
        original.contains("(?P<vendor>") && original.contains("sli_gap=~"),
        "{original}"
    );
    let file = folder.path().join("original.yml");
    std::fs::write(&file, original).unwrap();
    let checked = Command::new("amtool")
        .arg("check-config")
        .arg(&file)
        .output()
        .unwrap();
    said(&checked);

    let audit = get("/api/v1/audit").await;
    assert_eq!(audit["items"][0]["via"], "api", "{audit}");
}
