//! The API of the real program: what it lists, what it does, and who may ask.

use std::{collections::BTreeSet, path::Path};

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
    assert_eq!(deeds[0]["outcome"], "incident a/b is over already");
}
