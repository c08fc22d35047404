//! Commands ask a running bridge as they ask its store, and it is known who did what.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    api::{CONFIG, get, sample},
    harness::{Bridge, run},
};

fn json_of(bridge: &Bridge, arguments: &[&str]) -> Value {
    let output = bridge.command_with(arguments, &[("ALERTBRIDGE_TOKEN", "s3cret")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_the_same_of_a_running_bridge_as_of_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    for incident in ["a/b", "two"] {
        let mail = sample(folder.path(), incident, &[]);
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    bridge.settled_in_store(2).await;
    let server = ["--server", bridge.admin.as_str()];
    let both = |arguments: &[&str]| {
        let far = json_of(&bridge, &[arguments, &server[..]].concat());
        (json_of(&bridge, arguments), far)
    };

    let add = [
        "silences",
        "add",
        "app_key=\"x\"",
        "--comment",
        "moves",
        "--json",
    ];
    let added = json_of(&bridge, &[&add[..], &server[..]].concat());
    assert_eq!(added["state"], "active");
    for arguments in [
        &["mails", "list", "--json"][..],
        &["deliveries", "list", "--json"],
        &["silences", "list", "--json"],
        &["objectives", "--at", "2027-01-01", "--json"],
    ] {
        let (near, far) = both(arguments);
        assert_eq!(near, far, "{arguments:?}");
        assert_ne!(near, json!([]), "{arguments:?}");
    }
    let (near, far) = both(&["silences", "preview", "incident_id=\"two\"", "--json"]);
    for looked_through in ["incidents", "triggers", "truncated"] {
        assert_eq!(near[looked_through], far[looked_through]);
    }
    assert_eq!(near["triggers"].as_array().unwrap().len(), 1, "{near}");
    let (near, far) = both(&["incidents", "show", "a/b", "--json"]);
    assert_eq!(near["timeline"], far["timeline"]);
    let (near, far) = both(&["profiles", "list", "--json"]);
    assert_eq!(near["profiles"], json!([]));
    assert_eq!(far["profiles"][0]["name"], "atlassian-sli", "{far}");
    let more = ["silences", "add", "app_key=\"y\"", "--comment", "c"];
    let id = bridge.command(&[&more[..], &server[..]].concat()).stdout;
    assert_eq!(
        String::from_utf8(id).unwrap(),
        "2\n",
        "its id, and nothing else"
    );
    let raw = |more: &[&str]| {
        bridge
            .command(&[&["mails", "show", "1", "--raw"], more].concat())
            .stdout
    };
    assert!(!raw(&[]).is_empty());
    assert_eq!(raw(&[]), raw(&server));

    // By hand, once from here and once from afar; both stand in the audit.
    json_of(&bridge, &["incidents", "resolve", "two"]);
    json_of(
        &bridge,
        &[&["incidents", "resolve", "a/b"], &server[..]].concat(),
    );
    let again = bridge.command(&[&["incidents", "resolve", "a/b"], &server[..]].concat());
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is already over"));
    let id = added["id"].to_string();
    json_of(
        &bridge,
        &[&["silences", "expire", &id], &server[..]].concat(),
    );

    let audit = get(&bridge, "/api/v1/audit").await;
    let deeds: Vec<_> = audit["items"].as_array().unwrap().iter().rev().collect();
    let told = deeds.iter().map(|deed| {
        let text = |name: &str| deed[name].as_str().unwrap().to_owned();
        (text("via"), text("action"), text("subject"))
    });
    let told: Vec<_> = told.collect();
    let expected = [
        ("api", "silences.add", "{app_key=\"x\"}"),
        ("api", "silences.add", "{app_key=\"y\"}"),
        ("command", "incidents.resolve", "two"),
        ("api", "incidents.resolve", "a/b"),
        ("api", "incidents.resolve", "a/b"),
        ("api", "silences.expire", &*id),
    ];
    let expected =
        expected.map(|(via, action, subject)| (via.into(), action.into(), subject.into()));
    assert_eq!(told, expected, "{audit}");
    assert!(deeds[2]["by"].as_str().unwrap().contains('@'), "{audit}");

    let midway = bridge.command(&[&["silences", "expire", "2", "99"], &server[..]].concat());
    assert_eq!(midway.status.code(), Some(1));
    let error = String::from_utf8_lossy(&midway.stderr).into_owned();
    assert!(
        error.contains("99") && error.contains("before that, 2 expired"),
        "{error}"
    );

    for (server, said) in [
        ("127.0.0.1:1", "is not an address"),
        ("http://127.0.0.1:1", "cannot be reached"),
    ] {
        let output = bridge.command(&["mails", "list", "--server", server]);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn of_a_bridge_that_takes_its_time_a_command_says_that_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let slow = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        thread::sleep(Duration::from_secs(6));
        let list = r#"{"items":[],"next":null}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{list}",
            list.len()
        );
        connection.write_all(answer.as_bytes()).unwrap();
        // Whatever it asked is read, so that closing does not reset the connection.
        let _ = connection.read(&mut [0; 4096]);
    });

    let output = run(
        folder.path(),
        &["mails", "list", "--json", "--server", &address],
    );
    slow.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]");
    assert_eq!(said, format!("note: {address} does not answer yet\n"));
}
