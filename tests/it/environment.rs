//! Values of the environment (`${NAME}`) in the settings of a receiver, which its vendor returns as
//! parts of what it calls an alert.

use std::{fs, path::Path};

use crate::{
    delivery::{aged, post, resolve, start_with, trigger},
    harness::{Bridge, PATIENCE},
    vendors::{Alertmanager, Fake, SlackBot},
};

/// A channel that the fake knows, and one that it does not.
const CHANNELS: [(&str, &str); 2] = [("CRIT", "C0ALERTS99"), ("WARN", "C0NOTHING9")];

const BY_APP: &str = "{{ '${CRIT}' if app_key == 'com.example.app' else '${WARN}' }}";

fn bot(folder: &Path, slack: &Fake<SlackBot>, channel: &str, more: &str) -> Bridge {
    fs::write(folder.join("token"), slack.key()).unwrap();
    let rest = format!(
        "alerts: {{ severity: [{{ matchers: ['sli_gap>=20'], severity: critical }}, {{ severity: \
         warning }}], authenticity: {{ require: [] }} }}\nroute: {{ receiver: chat \
         }}\nreceivers:\n  - name: chat\n    slack_configs:\n      - {{ bot_token_file: token, \
         bot_api_url: '{}', channel: \"{channel}\"{more} }}",
        slack.url()
    );
    start_with(folder, &rest, &CHANNELS)
}

/// What a command of a bridge with a bot prints.
fn shown(bridge: &Bridge, arguments: &[&str]) -> String {
    let output = bridge.command_with(arguments, &CHANNELS);
    String::from_utf8(output.stdout).unwrap()
}

/// A trigger whose severity has risen.
fn worse(incident: &str) -> Vec<u8> {
    let mail = aged(incident, "ANOMALOUS", 1, jiff::SignedDuration::ZERO);
    let text = String::from_utf8(mail).unwrap();
    text.replace("90.5", "50.5").into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_a_channel_of_the_environment_is_edited_and_answered() {
    for channel in [BY_APP, "${CRIT}"] {
        let folder = tempfile::tempdir().unwrap();
        let slack = SlackBot::start().await;
        let bridge = bot(folder.path(), &slack, channel, ", update_message: true");
        post(&bridge, &trigger("a")).await;
        slack.next_page_within(PATIENCE).await;
        bridge.settled(1).await;
        post(&bridge, &worse("a")).await;
        let is_edited = |slack: &Fake<SlackBot>| slack.messages()[0].edits == 1;
        slack.wait_until("the edit", is_edited).await;
        bridge.settled(2).await;
        post(&bridge, &resolve("a")).await;
        slack.next_page_within(PATIENCE).await;
        bridge.settled(3).await;
        slack.assert_quiet();

        let messages = slack.messages();
        assert_eq!(messages.len(), 2, "{messages:#?}");
        assert!(
            messages[0].text.starts_with("[RESOLVED] ") && messages[0].edits == 2,
            "{messages:#?}"
        );
        assert_eq!(messages[1].thread.as_ref(), Some(&messages[0].ts));
        assert!(!bridge.log().contains(CHANNELS[0].1), "{}", bridge.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_goes_to_the_channel_of_its_trigger_and_no_attempt_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let slack = SlackBot::start().await;
    let bridge = bot(folder.path(), &slack, BY_APP, "");
    post(&bridge, &trigger("a")).await;
    slack.next_page_within(PATIENCE).await;
    bridge.settled(1).await;

    post(&bridge, &resolve("a")).await;
    assert_eq!(slack.next_page_within(PATIENCE).await.action, "resolve");
    bridge.settled(2).await;
    slack.assert_quiet();
    assert_eq!(slack.messages().len(), 2);

    let shown = shown(&bridge, &["incidents", "show", "a"]);
    assert!(
        shown.contains("delivered as <secret>/1405894322"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_echoed_as_a_receipt_is_neither_kept_nor_shown() {
    let folder = tempfile::tempdir().unwrap();
    let slack = SlackBot::start().await;
    let bridge = bot(folder.path(), &slack, BY_APP, "");
    let echo = format!(
        r#"{{"ok":true,"channel":"{0}","ts":"{0}"}}"#,
        slack.key().replace('-', "\\u002d")
    );
    slack.fail_next_with(1, 200, &[], &echo);
    post(&bridge, &trigger("a")).await;
    bridge.settled(1).await;
    let told = shown(&bridge, &["deliveries", "list", "--json"]);
    assert!(told.contains("\"<secret>/<secret>\""), "{told}");

    assert!(!bridge.log().contains(slack.key()), "{}", bridge.log());
    for file in ["alertbridge.db", "alertbridge.db-wal"] {
        let stored = fs::read(folder.path().join(file)).unwrap_or_default();
        let token = slack.key().as_bytes();
        let has_token = stored.windows(token.len()).any(|part| part == token);
        assert!(!has_token, "the token is in {file}");
    }
}

/// The address of Alertmanager is also a part of the alert's labels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_whose_labels_contain_a_value_of_the_environment_stays_one_alert() {
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = Alertmanager::start().await;
    let url = alertmanager
        .origin()
        .replace("//127.0.0.1:", "//alertbridge:password@${HOST}:");
    let rest = format!(
        "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    alertmanager_configs: \
         [{{ url: '{url}', resend_delay: 1s }}]"
    );
    let bridge = start_with(folder.path(), &rest, &[("HOST", "127.0.0.1")]);

    let incident = "disk of 127.0.0.1, told by alertbridge";
    post(&bridge, &trigger(incident)).await;
    assert_eq!(
        alertmanager.next_page_within(PATIENCE).await.action,
        "trigger"
    );
    alertmanager
        .wait_until("two repetitions", |vendor| vendor.repeats().len() >= 2)
        .await;

    post(&bridge, &resolve(incident)).await;
    assert_eq!(
        alertmanager.next_page_within(PATIENCE).await.action,
        "resolve"
    );
    bridge.settled(2).await;
    alertmanager.assert_quiet();
    assert_eq!(alertmanager.open_alerts(), [""; 0]);
    assert_eq!(alertmanager.violations(), [""; 0]);
}
