//! What is sent: valid for its vendor whatever an alert says.

use std::sync::LazyLock;

use alertbridge::{
    delivery::{Action, Doubt, Notification, Step},
    incident::page_of,
    label,
    receiver::{Body, KINDS, Keys, Parcel, Receivers, Request, sample},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{every_kind, json_of, only, parcel, request, request_of, resolve, trigger};
use crate::vendors::check;

#[test]
fn trigger_and_resolve_meet_under_the_same_key() {
    let receivers = every_kind();
    for (target, receiver) in receivers.of("oncall") {
        let pair = [trigger(), resolve()].map(|notification| request_of(receiver, &notification));
        let key = |request: &Request, pointer: &str| json_of(request).pointer(pointer).cloned();
        let alias = Some(json!("FOotlQrY5ZQ:oncall"));
        match target.kind() {
            "opsgenie" | "jsm" => {
                assert_eq!(key(&pair[0], "/alias"), alias);
                let close = "/v2/alerts/FOotlQrY5ZQ%3Aoncall/close?identifierType=alias";
                assert!(pair[1].url.ends_with(close), "{}", pair[1].url);
            }
            "pagerduty" => {
                assert!(
                    pair.iter()
                        .all(|request| key(request, "/dedup_key") == alias)
                );
                assert_eq!(key(&pair[1], "/event_action"), Some(json!("resolve")));
            }
            "webhook" => assert!(
                pair.iter()
                    .all(|request| key(request, "/data/alias") == alias)
            ),
            _ => assert_ne!(pair[0].body, pair[1].body),
        }
    }
}

#[test]
fn opsgenie_and_jsm_differ_in_their_base_alone() {
    let [opsgenie, jsm] =
        ["opsgenie", "jsm"].map(|kind| request(&only(kind, json!({})), &trigger()));
    assert_eq!(opsgenie.url, "https://api.opsgenie.com/v2/alerts");
    assert_eq!(
        jsm.url,
        "https://api.atlassian.com/jsm/ops/integration/v2/alerts"
    );
    assert_eq!((opsgenie.headers, opsgenie.body), (jsm.headers, jsm.body));
}

#[test]
fn an_accepted_request_is_asked_about_by_its_id() {
    let receivers = only(
        "opsgenie",
        json!({ "api_url": "https://api.eu.opsgenie.com/" }),
    );
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let step = Step::Confirm {
        request_id: "a/b c".into(),
        since: super::now(),
        of: Box::new(Step::Send),
    };
    let notification = trigger();
    let asked = receiver
        .request(
            &parcel(&notification, &step),
            &Keys::read(receiver).unwrap(),
        )
        .unwrap();
    assert_eq!((asked.method, asked.body), ("GET", Body::Empty));
    assert_eq!(
        asked.url,
        "https://api.eu.opsgenie.com/v2/alerts/requests/a%2Fb%20c"
    );
}

#[test]
fn the_headline_says_app_metric_measured_and_objective() {
    let alert = json_of(&request(&only("opsgenie", json!({})), &trigger()));
    assert_eq!(
        alert["message"],
        "AppName: Jira Installation Callback Success Rate 60% (objective 99%)"
    );
    assert_eq!(alert["priority"], "P1");
    assert_eq!(alert["details"]["incident_id"], "FOotlQrY5ZQ");
}

#[test]
fn too_long_names_give_way_to_the_figures_and_are_kept_in_full_elsewhere() {
    let mut notification = trigger();
    notification
        .labels
        .insert("app_name".into(), "A".repeat(500));
    notification.labels.insert("metric".into(), "M".repeat(500));
    let alert = json_of(&request(&only("opsgenie", json!({})), &notification));
    let message = alert["message"].as_str().unwrap();
    assert_eq!(message.chars().count(), 130);
    assert!(
        message.starts_with("AAA") && message.contains("…: MMM"),
        "{message}"
    );
    assert!(message.ends_with("… 60% (objective 99%)"), "{message}");
    assert!(
        alert["description"]
            .as_str()
            .unwrap()
            .contains(&"M".repeat(500))
    );
}

#[test]
fn a_title_of_the_team_s_own_that_is_too_long_is_kept_in_the_details() {
    let title = "T".repeat(2000);
    let alert = json_of(&request(
        &only("jsm", json!({ "message": title })),
        &trigger(),
    ));
    assert!(alert["description"].as_str().unwrap().starts_with(&title));
    let event = json_of(&request(
        &only("pagerduty", json!({ "summary": title })),
        &trigger(),
    ));
    assert_eq!(event["payload"]["custom_details"]["summary"], json!(title));
    let message = json_of(&request(
        &only("slack", json!({ "title": title })),
        &trigger(),
    ));
    assert!(
        message["blocks"][1]["text"]["text"]
            .as_str()
            .unwrap()
            .starts_with(&title)
    );
    let card = json_of(&request(
        &only("teams", json!({ "title": title })),
        &trigger(),
    ));
    assert_eq!(
        card["attachments"][0]["content"]["body"][1]["inlines"][0]["text"],
        json!(title)
    );
    let message = json_of(&request(
        &only("discord", json!({ "title": title })),
        &trigger(),
    ));
    assert!(
        message["embeds"][0]["description"]
            .as_str()
            .unwrap()
            .starts_with(&title)
    );
}

#[test]
fn kinds_other_than_incidents_have_titles_of_their_own() {
    let title = |notification: &Notification| {
        json_of(&request(&only("pagerduty", json!({})), notification))["payload"]["summary"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let mut notification = trigger();
    notification.labels.insert("kind".into(), "test".into());
    assert!(title(&notification).starts_with("[TEST] AppName: "));
    notification.doubt = Some(Doubt::Unverified);
    assert!(title(&notification).starts_with("[TEST] [UNVERIFIED] AppName: "));
    notification.labels.insert("kind".into(), "self".into());
    notification.doubt = None;
    notification.reason = Some("3 deliveries are dead".into());
    assert_eq!(title(&notification), "alertbridge: 3 deliveries are dead");
    let unparsed = &sample::notifications()[2].1;
    assert_eq!(
        title(unparsed),
        "An alert mail could not be read: /sliValue: \"n/a\" is not a number"
    );
    assert!(title(&resolve()).starts_with("[RESOLVED] AppName: "));
}

#[test]
fn severity_sets_the_priority_and_a_template_can_set_it_otherwise() {
    for (severity, priority, word) in [
        ("critical", "P1", "critical"),
        ("error", "P2", "error"),
        ("warning", "P3", "warning"),
        ("info", "P5", "info"),
        ("page", "P2", "error"),
    ] {
        let mut notification = trigger();
        notification
            .labels
            .insert("severity".into(), severity.into());
        assert_eq!(
            json_of(&request(&only("opsgenie", json!({})), &notification))["priority"],
            priority
        );
        let event = json_of(&request(&only("pagerduty", json!({})), &notification));
        assert_eq!(event["payload"]["severity"], word);
    }
    let template = "{% if sli_gap and sli_gap > 20 %}p4{% endif %}";
    let alert = json_of(&request(
        &only("opsgenie", json!({ "priority": template })),
        &trigger(),
    ));
    assert_eq!(alert["priority"], "P4");
}

#[test]
fn what_an_alert_says_is_text_to_slack_and_what_the_template_says_is_markup() {
    let mut notification = trigger();
    notification
        .labels
        .insert("app_name".into(), "<!channel> & <b>".into());
    for settings in [
        json!({}),
        json!({ "title": "{{ app_name }}", "text": "{{ app_name }} {{ labels.app_name | upper \
            }}" }),
    ] {
        let message = json_of(&request(&only("slack", settings), &notification)).to_string();
        assert!(
            !message.contains("<!") && message.contains("&lt;!channel&gt; &amp; &lt;b&gt;"),
            "{message}"
        );
    }
    let own = json!({ "text": "<!here> <https://a.example|{{ app_name }}>{% macro m(x) %}{{ x }}{% \
                               endmacro %} {{ m(app_name) }}" });
    let message = json_of(&request(&only("slack", own), &notification));
    let escaped = "&lt;!channel&gt; &amp; &lt;b&gt;";
    assert_eq!(
        message["blocks"][1]["text"]["text"],
        json!(format!("<!here> <https://a.example|{escaped}> {escaped}"))
    );
}

#[test]
fn what_an_alert_says_is_text_to_discord_and_what_the_template_says_is_markdown() {
    let mut notification = trigger();
    notification.labels.insert(
        "app_name".into(),
        "**a** [b](https://evil.example) <@1> `c`".into(),
    );
    let inert = r"\*\*a\*\* [b]\(https://evil.example) \<@1\> \`c\`";
    let embed = |settings| {
        json_of(&request(&only("discord", settings), &notification))["embeds"][0].clone()
    };
    assert!(
        embed(json!({}))["title"]
            .as_str()
            .unwrap()
            .starts_with(inert)
    );
    let own = json!({ "title": "**{{ app_name }}**", "message": "[{{ app_name \
        }}](https://a.example){{ app_name }}" });
    assert_eq!(embed(own.clone())["title"], json!(format!("**{inert}**")));
    let page = format!(
        "https://alerts.example.com{}",
        page_of(&notification.incident_id)
    );
    assert_eq!(
        embed(own)["description"],
        json!(format!("[{inert}](https://a.example){inert}\n{page}"))
    );
}

#[test]
fn a_card_of_many_lines_or_one_without_end_stays_below_20_kilobytes_and_is_used_up_to_it() {
    let teams = only("teams", json!({ "text": "{{ labels.partner }}" }));
    for partner in [
        "a line\n".repeat(9000),
        "\"".repeat(60_000),
        "é🚒".repeat(20_000),
        "ใ".repeat(20_000),
    ] {
        let mut notification = trigger();
        notification.labels.insert("partner".into(), partner);
        let card = json_of(&request(&teams, &notification));
        assert_eq!(check("teams", Action::Trigger, &card), Ok(()));
        let size = card.to_string().len();
        assert!((12_000..20_000).contains(&size), "{size}");
        assert!(
            card.to_string()
                .contains("AppName: Jira Installation Callback Success Rate 60% (objective 99%)")
        );
    }
}

#[test]
fn discord_is_asked_to_answer_once_the_message_is_there_and_keeps_the_thread_it_is_for() {
    for (url, asked) in [
        (
            "https://discord.com/api/webhooks/1/x",
            "https://discord.com/api/webhooks/1/x?wait=true",
        ),
        (
            "https://discord.com/api/webhooks/1/x?thread_id=2",
            "https://discord.com/api/webhooks/1/x?thread_id=2&wait=true",
        ),
    ] {
        let receivers = super::compile(
            json!([{ "name": "oncall", "discord_configs": [{ "webhook_url": url }] }]),
        )
        .ok();
        assert_eq!(request(&receivers.unwrap(), &trigger()).url, asked);
    }
}

#[test]
fn the_end_of_an_incident_edits_its_message_at_slack_where_that_is_known_and_answers_it() {
    let receivers = every_kind();
    let (_, receiver) = receivers
        .of("oncall")
        .find(|(target, _)| target.integration == "slack/1")
        .unwrap();
    let keys = Keys::read(receiver).unwrap();
    let asked = |notification: &Notification, step: Step, receipt| {
        let parcel = Parcel {
            receipt,
            ..parcel(notification, &step)
        };
        let request = receiver.request(&parcel, &keys).unwrap();
        let body = json_of(&request);
        assert_eq!(check("slack", notification.action, &body), Ok(()));
        assert_eq!(
            request.headers[0],
            ("authorization".into(), "Bearer xoxb-SECRET".to_owned())
        );
        let method = request
            .url
            .strip_prefix("https://slack.com/api/")
            .unwrap()
            .to_owned();
        (
            method,
            body["channel"].clone(),
            body["ts"].clone(),
            body["thread_ts"].clone(),
        )
    };
    let (post, update) = ("chat.postMessage".to_owned(), "chat.update".to_owned());
    let (own, known) = (json!("C0ALERTS"), Some("C1/1405894322.000001"));
    let (channel, ts) = (json!("C1"), json!("1405894322.000001"));
    let posted = (post.clone(), own, Value::Null, Value::Null);
    assert_eq!(asked(&trigger(), Step::Send, None), posted);
    assert_eq!(
        asked(&resolve(), Step::Send, known),
        (update.clone(), channel.clone(), ts.clone(), Value::Null)
    );
    assert_eq!(
        asked(&trigger(), Step::Send, known),
        (update, channel.clone(), ts.clone(), Value::Null),
        "an update of what was told"
    );
    for notification in [trigger(), resolve()] {
        assert_eq!(
            asked(&notification, Step::Reply, known),
            (post.clone(), channel.clone(), Value::Null, ts.clone())
        );
        assert_eq!(asked(&notification, Step::Apart, known), posted);
    }
    for unknown in [
        None,
        Some(""),
        Some("C1"),
        Some("C1/"),
        Some("/1405894322.000001"),
    ] {
        assert_eq!(
            asked(&resolve(), Step::Send, unknown),
            posted,
            "{unknown:?}"
        );
    }
}

#[test]
fn a_template_that_fails_on_a_real_alert_costs_its_text_and_not_the_page() {
    let mut notification = trigger();
    notification.incident = json!({ "appDetails": null });
    let template = "{% if incident %}{{ incident.appDetails.name }}{% else %}?{% endif %}";
    let alert = json_of(&request(
        &only("opsgenie", json!({ "message": template })),
        &notification,
    ));
    assert!(alert["message"].as_str().unwrap().starts_with("AppName: "));
    assert!(
        alert["details"]["alertbridge_note"]
            .as_str()
            .unwrap()
            .contains("template of `message` failed")
    );
    let message = json_of(&request(
        &only("slack", json!({ "title": template })),
        &notification,
    ));
    assert!(
        message["blocks"][2]["elements"][0]["text"]
            .as_str()
            .unwrap()
            .contains("template of `title` failed")
    );
    let card = json_of(&request(
        &only("teams", json!({ "title": template })),
        &notification,
    ));
    let note = &card["attachments"][0]["content"]["body"][1]["inlines"][0]["text"];
    assert!(
        note.as_str()
            .unwrap()
            .contains("template of `title` failed")
    );
    let message = json_of(&request(
        &only("discord", json!({ "message": template })),
        &notification,
    ));
    assert!(
        message["embeds"][0]["footer"]["text"]
            .as_str()
            .unwrap()
            .contains("template of `message` failed")
    );
    let line = request(&only("stdout", json!({ "text": template })), &notification).body;
    assert!(
        matches!(&line, Body::Text(text) if text.contains("template of `text` failed")),
        "{line:?}"
    );
}

#[test]
fn a_template_without_end_is_stopped_and_a_huge_text_is_cut() {
    let mut notification = trigger();
    notification
        .labels
        .insert("recurrence_28d".into(), "90000".into());
    let template = "{% if recurrence_28d %}{% for i in range(recurrence_28d) %}{{ i + 1 }}{% \
                    endfor %}{% endif %}.";
    let alert = json_of(&request(
        &only("opsgenie", json!({ "message": template })),
        &notification,
    ));
    assert!(
        alert["details"]["alertbridge_note"]
            .as_str()
            .unwrap()
            .contains("fuel"),
        "{alert}"
    );
    notification.incident = json!("y".repeat(5 << 20));
    let alert = json_of(&request(
        &only("opsgenie", json!({ "description": "{{ incident }}" })),
        &notification,
    ));
    assert_eq!(
        alert["description"].as_str().unwrap().chars().count(),
        15_000
    );
}

#[test]
fn an_event_too_large_for_pagerduty_goes_without_its_details() {
    let mut notification = trigger();
    notification
        .labels
        .insert("partner".into(), "p".repeat(600_000));
    let details = json!({ "a": "{{ incident.x | default('') if incident else '' }}" });
    notification.incident = json!({ "x": "\\".repeat(60_000) });
    let settings: serde_json::Map<_, _> = (0..10)
        .map(|n| (format!("d{n}"), details["a"].clone()))
        .collect();
    let event = json_of(&request(
        &only("pagerduty", json!({ "details": settings })),
        &notification,
    ));
    assert_eq!(event["payload"].get("custom_details"), None);
    assert_eq!(check("pagerduty", Action::Trigger, &event), Ok(()));
}

#[test]
fn a_webhook_keeps_its_id_and_body_across_retries_and_signs_anew() {
    let receivers = every_kind();
    let (_, receiver) = receivers
        .of("oncall")
        .find(|(target, _)| target.kind() == "webhook")
        .unwrap();
    let keys = Keys::read(receiver).unwrap();
    let notification = trigger();
    let at = |seconds: i64, delivery: i64| {
        let parcel = parcel(&notification, &Step::Send);
        let now = parcel.now + jiff::SignedDuration::from_secs(seconds);
        receiver
            .request(
                &Parcel {
                    now,
                    delivery,
                    ..parcel
                },
                &keys,
            )
            .unwrap()
    };
    let header = |request: &Request, name: &str| {
        request
            .headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .unwrap()
    };
    let (first, second, other) = (at(0, 7), at(300, 7), at(0, 8));
    assert_eq!(first.body, second.body);
    assert_eq!(header(&first, "webhook-id"), header(&second, "webhook-id"));
    assert_ne!(header(&first, "webhook-id"), header(&other, "webhook-id"));
    assert_ne!(
        header(&first, "webhook-signature"),
        header(&second, "webhook-signature")
    );
    let headers = second
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    let body = json_of(&second).to_string();
    let secret = "whsec_SECRETsecretSECRETsecretSECRET1w";
    let verified = crate::vendors::verify(
        secret,
        &headers,
        body.as_bytes(),
        super::now().as_second() + 600,
    );
    assert_eq!(verified, Ok(()));
}

#[test]
fn no_secret_shows_in_a_request_for_people_s_eyes() {
    let receivers = every_kind();
    for (target, receiver) in receivers.of("oncall") {
        for notification in [trigger(), resolve()] {
            let real = request_of(receiver, &notification);
            assert_eq!(
                format!("{real:?}").contains("SECRET"),
                !["stdout", "email"].contains(&target.kind()),
                "{real:?}"
            );
            let shown = receiver
                .request(&parcel(&notification, &Step::Send), &Keys::Hidden)
                .unwrap();
            assert!(!format!("{shown:?}").contains("SECRET"), "{shown:?}");
            assert_eq!(
                format!("{shown:?}").contains("<secret>"),
                !["stdout", "email"].contains(&target.kind()),
                "{shown:?}"
            );
        }
    }
}

/// Text as hostile as it gets.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just(String::new()),
        Just("\u{1b}[2J\u{0}\r\nInjected: header\u{202e}".to_owned()),
        Just("<!channel> &amp; <@U1> & <".to_owned()),
        "[&<>a]{0,200}",
        (1..6000_usize).prop_map(|n| "&".repeat(n)),
        (1..6000_usize).prop_map(|n| "👩‍👩‍👧‍👦".repeat(n)),
        (1..400_usize).prop_map(|n| format!("x{}", "\u{301}".repeat(n))),
        (9000..11_000_usize).prop_map(|n| "n".repeat(n)),
        (0..2000_usize, any::<char>()).prop_map(|(n, c)| format!("{}{c}", "é".repeat(n))),
    ]
}

pub fn notifications() -> impl Strategy<Value = Notification> {
    let labels = proptest::collection::vec(proptest::option::of(hostile()), label::NAMES.len());
    (
        labels,
        proptest::option::of(hostile()),
        any::<bool>(),
        hostile(),
    )
        .prop_map(|(labels, reason, over, text)| {
            let mut notification = if over { resolve() } else { trigger() };
            for (name, value) in label::NAMES.iter().zip(labels) {
                match value {
                    Some(value) => notification.labels.insert((*name).into(), value),
                    None => notification.labels.remove(*name),
                };
            }
            notification.reason = reason;
            notification.incident = json!({ "additional": text });
            notification
        })
}

fn templated() -> Value {
    let both = "{{ app_name }} {{ metric }} {{ labels.severity }} {{ incident }}";
    json!([{
        "name": "oncall",
        "opsgenie_configs": [{ "api_key": "k", "message": both, "description": both,
            "tags": ["{{ app_name }}", "{{ sli \
                                        }}", "fixed"], "details": { "a": both, "b": both } }],
        "pagerduty_configs": [{ "routing_key": "0123456789abcdef0123456789abcdef", "summary": both,
            "details": { "a": both }, "links": [{ "href": "https://a.example/{{ app_key \
                }}", "text": both }] }],
        "slack_configs": [{ "api_url": "https://hooks.slack.example/x", "title": both,
                            "text": both }],
        "teams_configs": [{ "webhook_url": "https://flow.example/x", "title": both, "text": both }],
        "discord_configs": [{ "webhook_url": "https://discord.example/x", "title": both,
                              "message": both }],
        "stdout_configs": [{ "text": both }],
    }])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None,
                                        ..ProptestConfig::default() })]

    #[test]
    fn whatever_an_alert_says_the_request_is_valid_for_its_vendor(notification in notifications()) {
        static BUILT_IN: LazyLock<Receivers> = LazyLock::new(every_kind);
        static TEMPLATED: LazyLock<Receivers> =
            LazyLock::new(|| super::compile(templated()).unwrap());
        for (target, receiver) in BUILT_IN.of("oncall").chain(TEMPLATED.of("oncall")) {
            let request = request_of(receiver, &notification);
            let valid = match &request.body {
                Body::Json(json) => check(target.kind(), notification.action, json),
                Body::Text(line) if line.trim().is_empty() => Err(format!("{line:?}")),
                Body::Text(line) if line.chars().any(char::is_control) => Err(format!("{line:?}")),
                Body::Text(_) => Ok(()),
                Body::Mail(mail) => if mail.text.trim().is_empty() || mail.text.contains('\r') {
                    Err(format!("{:?}", mail.text))
                } else {
                    Ok(())
                },
                Body::Empty => Err("nothing".into()),
            };
            prop_assert!(valid.is_ok(), "{}: {:?}: {:?}", target.integration, valid, request);
        }
    }
}

#[test]
fn a_page_that_may_not_be_genuine_is_marked_by_every_receiver_whatever_its_templates_say() {
    for (doubt, mark) in [
        (Doubt::Unverified, "UNVERIFIED"),
        (Doubt::Unchecked, "UNVERIFIED SO FAR"),
    ] {
        let notification = Notification {
            doubt: Some(doubt),
            ..trigger()
        };
        let said = "all is {{ labels.state }}";
        let every = [
            ("opsgenie", json!({ "message": said })),
            ("jsm", json!({ "message": said })),
            ("pagerduty", json!({ "summary": said })),
            ("slack", json!({ "title": said })),
            ("webhook", json!({})),
            ("teams", json!({ "title": said })),
            ("discord", json!({ "title": said })),
            ("alertmanager", json!({})),
            ("email", json!({ "subject": said, "text": "well" })),
            ("stdout", json!({ "text": said })),
        ];
        assert_eq!(every.each_ref().map(|(kind, _)| *kind), KINDS);
        for (kind, own) in every {
            for settings in [json!({}), own] {
                let request = request(&only(kind, settings.clone()), &notification);
                let subject = request.headers.iter().find(|(name, _)| name == "Subject");
                let subject = subject.map(|(_, value)| json!(value));
                let body = match request.body {
                    Body::Json(json) => json,
                    Body::Mail(mail) => {
                        assert!(mail.text.contains(mark), "{}", mail.text);
                        subject.unwrap_or_default()
                    }
                    Body::Text(text) => json!(text),
                    Body::Empty => panic!("{kind} says nothing"),
                };
                let headline = match kind {
                    "opsgenie" | "jsm" => &body["message"],
                    "pagerduty" => &body["payload"]["summary"],
                    "slack" => &body["blocks"][0]["text"]["text"],
                    "webhook" => &body["data"]["title"],
                    "teams" => &body["attachments"][0]["content"]["body"][0]["inlines"][0]["text"],
                    "discord" => &body["embeds"][0]["title"],
                    "alertmanager" => &body[0]["labels"]["alertname"],
                    _ => &body,
                };
                let headline = headline.as_str().unwrap();
                assert!(
                    headline.contains(&format!("[{mark}] ")),
                    "{kind} {settings}: {headline}"
                );
            }
        }
        let details = json_of(&request(&only("pagerduty", json!({})), &notification));
        assert_eq!(
            details["payload"]["custom_details"]["severity"],
            format!("critical ({mark})")
        );
    }
}
