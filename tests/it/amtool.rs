//! Alertmanager's API v2: what its own tools see of the bridge.

use std::process::{Command, Output};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{CONFIG, ask, get, sample},
    harness::Bridge,
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
