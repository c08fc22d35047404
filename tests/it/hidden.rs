//! What a mail holds reaches no terminal, log or page raw where it could move a cursor, turn the
//! direction of writing, or not be seen.

use std::{fs, path::Path, process::Output};

use alertbridge::message::hidden::is_hidden;
use serde_json::{Value, json};

use crate::{
    e2e::DOORS,
    harness::{Bridge, run},
};

/// One of each kind: ANSI's escape, C1's, marks of direction, zero-width characters, the byte order
/// mark, a tag, fillers.
const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{202e}b\u{2066}c\u{200b}d\u{200d}\u{feff}\
                       e\u{e0041}\u{e007f}\u{61c}\u{3164}\u{fe0f}\u{ad}f";

const RECEIVERS: &str = "
ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: http }] }
alerts: { authenticity: { require: [] } }
route: { receiver: all }
receivers:
  - name: all
    opsgenie_configs: [{ api_key: k }]
    jsm_configs: [{ api_key: k }]
    pagerduty_configs: [{ routing_key: '0123456789abcdef0123456789abcdef' }]
    slack_configs: [{ api_url: 'https://hooks.slack.com/services/T/B/x' }]
    teams_configs: [{ webhook_url: 'https://x.webhook.office.com/y' }]
    discord_configs: [{ webhook_url: 'https://discord.com/api/webhooks/1/x' }]
    stdout_configs: [{}]
";

/// A mail that puts it wherever it can.
fn mail(incident: &str, status: &str) -> Vec<u8> {
    mail_with(HOSTILE, incident, status)
}

fn mail_with(hostile: &str, incident: &str, status: &str) -> Vec<u8> {
    let json = json!({
        "appKey": format!("com.{hostile}"), "appName": hostile,
        "incidentId": format!("{incident}{hostile}"),
        "incidentStatus": format!("{status}{hostile}"), "time": "2026-01-05T08:00:00Z",
        "metricName": format!("m{hostile}"),
        "sliValue": 90.5, "sloValue": 99.9, "metricUnit": hostile, "partnerName": hostile,
        format!("x{hostile}"): 1,
    });
    format!(
        "From: Atlassian <no-reply@am.atlassian.com>\r\nTo: alerts@example.com\r\nSubject: \
         x{hostile}\r\n\
         Date: Mon, 5 Jan 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/html; \
         charset=utf-8\r\n\r\n\
         <html><body><script type=\"application/json\" \
         id=\"incident-data\">{json}</script></body></html>\r\n"
    )
    .into_bytes()
}

fn shown_safely(what: &str, output: &[u8]) -> String {
    let text = String::from_utf8(output.to_vec()).unwrap();
    let raw: Vec<_> = text
        .chars()
        .filter(|c| !matches!(c, '\n' | '\t') && is_hidden(*c))
        .collect();
    assert!(
        raw.is_empty(),
        "{what} shows {raw:?} raw: {}",
        text.escape_debug()
    );
    text
}

fn all_safe(what: &str, output: &Output) -> String {
    shown_safely(what, &output.stderr);
    shown_safely(what, &output.stdout)
}

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(map) => map.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[test]
fn no_page_that_people_read_holds_a_hidden_character() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("alertbridge.yaml"),
        format!("{DOORS}{RECEIVERS}"),
    )
    .unwrap();
    fs::write(folder.path().join("m.eml"), mail("i", "ANOMALOUS")).unwrap();
    let explained = run(folder.path(), &["explain", "m.eml", "--json"]);
    assert!(
        explained.status.success(),
        "{}",
        String::from_utf8_lossy(&explained.stderr)
    );
    let explained: Value = serde_json::from_str(&all_safe("explain --json", &explained)).unwrap();
    let requests = explained["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 7);
    assert_eq!(
        explained["incident"]["appName"], HOSTILE,
        "JSON means what the mail said"
    );
    for request in requests {
        let mut found = Vec::new();
        texts(&request["body"], &mut found);
        for text in found {
            let raw = text
                .chars()
                .find(|c| !matches!(c, '\n' | '\t') && is_hidden(*c));
            assert_eq!(
                raw,
                None,
                "{}: {}",
                request["integration"],
                text.escape_debug()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_and_no_log_shows_a_hidden_character_raw() {
    let folder = tempfile::tempdir().unwrap();
    let config = RECEIVERS
        .lines()
        .filter(|line| !line.contains("_configs") || line.contains("stdout"))
        .collect::<Vec<_>>()
        .join("\n");
    let bridge = Bridge::start(folder.path(), &format!("{DOORS}{config}\n"));
    fs::create_dir(folder.path().join("mails")).unwrap();
    for (n, status) in ["ANOMALOUS", "NEW", "OK"].into_iter().enumerate() {
        let mail = mail("i", status);
        fs::write(folder.path().join(format!("mails/{n}.eml")), &mail).unwrap();
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
        bridge.settled(u32::try_from(n).unwrap() + 1).await;
    }
    let unparsed = String::from_utf8(mail("u", "OK"))
        .unwrap()
        .replace("90.5", "\"no\u{202e} number\"");
    assert_eq!(bridge.post(unparsed.as_bytes()).await.unwrap(), 202);
    let stranger = String::from_utf8(mail("s", "OK"))
        .unwrap()
        .replace("no-reply@", &format!("{HOSTILE}@"));
    assert_eq!(bridge.post(stranger.as_bytes()).await.unwrap(), 202);
    bridge.settled(5).await;

    let id = format!("i{HOSTILE}");
    let path = Path::new("mails").join("0.eml");
    for command in [
        vec!["mails", "list"],
        vec!["mails", "show", "1"],
        vec!["mails", "show", "4"],
        vec!["incidents", "list"],
        vec!["incidents", "show", &id],
        vec!["deliveries", "list"],
        vec!["explain", path.to_str().unwrap()],
        vec!["replay", "mails"],
        vec!["replay", "--stored"],
        vec!["store", "check"],
    ] {
        let what = command.join(" ").escape_debug().to_string();
        assert!(
            all_safe(&what, &bridge.command(&command)).len() > 2,
            "{what}"
        );
    }
    for command in [
        vec!["mails", "list", "--json"],
        vec!["mails", "show", "1", "--json"],
        vec!["incidents", "list", "--json"],
        vec!["incidents", "show", &id, "--json"],
        vec!["deliveries", "list", "--json"],
        vec!["replay", "mails", "--json"],
    ] {
        let what = command.join(" ").escape_debug().to_string();
        let said = all_safe(&what, &bridge.command(&command));
        for line in said.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
    let refused = bridge.command(&["incidents", "show", &format!("nobody{HOSTILE}")]);
    assert_eq!(refused.status.code(), Some(1));
    all_safe("an error", &refused);
    shown_safely("the log", bridge.log().as_bytes());
    for page in bridge.pages() {
        shown_safely("a page", page.as_bytes());
    }
}

#[test]
fn the_end_of_an_incident_that_edits_its_message_is_shown_as_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{DOORS}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
alerts: {{ authenticity: {{ require: [] }} }}
route: {{ receiver: chat }}
receivers: [{{ name: chat, slack_configs: [{{ bot_token: xoxb-1, channel: C1, update_message: true \
}}] }}]
"
    );
    fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    fs::write(folder.path().join("1.eml"), mail_with("", "i", "ANOMALOUS")).unwrap();
    let over = String::from_utf8(mail_with("", "i", "OK"))
        .unwrap()
        .replace("08:00:00", "08:05:00");
    fs::write(folder.path().join("2.eml"), over).unwrap();
    let replayed = run(folder.path(), &["replay", "--json", "1.eml", "2.eml"]);
    let lines: Vec<Value> = String::from_utf8_lossy(&replayed.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let methods = |line: &Value| {
        let requests = line["requests"].as_array().unwrap();
        let method = |request: &Value| {
            request["url"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        };
        requests.iter().map(method).collect::<Vec<_>>()
    };
    assert_eq!(methods(&lines[0]), ["chat.postMessage"], "{}", lines[0]);
    assert_eq!(
        methods(&lines[1]),
        ["chat.update", "chat.postMessage"],
        "{}",
        lines[1]
    );
    assert_eq!(
        lines[1]["requests"][1]["body"]["thread_ts"],
        lines[1]["requests"][0]["body"]["ts"]
    );
}

/// A body that `curl` would print, as it came.
async fn raw_answer(bridge: &Bridge, path: &str) -> String {
    let answer = crate::harness::client().get(format!("{}{path}", bridge.admin));
    answer.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_leaves_over_http_holds_no_hidden_character_raw_and_means_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let hook = crate::vendors::Hook::start(crate::e2e::HOOK_SECRET).await;
    let config = format!(
        "{DOORS}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
alerts: {{ authenticity: {{ require: [] }} }}
route: {{ receiver: all }}
receivers:
  - name: all
    {}
",
        crate::delivery::hook(folder.path(), &hook, "")
    );
    let bridge = Bridge::start(folder.path(), &config);
    assert_eq!(bridge.post(&mail("i", "ANOMALOUS")).await.unwrap(), 202);
    // It checks the signature over the bytes that it got.
    hook.next_page().await;
    assert_eq!(hook.violations(), [""; 0]);
    let sent = hook.history();
    let body = str::from_utf8(&sent[0].body).unwrap();
    shown_safely("a webhook", body.as_bytes());
    let labels = &serde_json::from_str::<Value>(body).unwrap();
    let mut found = Vec::new();
    texts(labels, &mut found);
    assert!(found.iter().any(|text| text.contains(HOSTILE)), "{body}");

    let listed = raw_answer(&bridge, "/api/v1/incidents").await;
    let listed: Value =
        serde_json::from_str(&shown_safely("incidents", listed.as_bytes())).unwrap();
    let id = listed["items"][0]["incident_id"].as_str().unwrap();
    assert_eq!(id, format!("i{HOSTILE}"));
    let id: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for path in [
        &format!("/api/v1/incidents/{id}"),
        "/api/v1/incidents/none%E2%80%AE",
        "/api/v1/mails",
        "/api/v1/mails/1",
        "/api/v1/deliveries",
        "/api/v2/alerts",
        "/api/v2/alerts/groups",
        "/api/v1/objectives",
        "/api/v1/profiles",
    ] {
        let answer = raw_answer(&bridge, path).await;
        let json: Value = serde_json::from_str(&shown_safely(path, answer.as_bytes())).unwrap();
        assert!(!json.is_null(), "{path}");
    }
}
