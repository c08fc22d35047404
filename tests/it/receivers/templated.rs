//! A webhook in an endpoint's own words: what an alert says changes neither where it goes nor what
//! it is, and what can be known to be wrong is told when the configuration is loaded.

use std::fs;

use alertbridge::{
    config::{Config, Files, Source},
    delivery::{Doubt, FailureReason, Notification, Step, Verdict},
    receiver::{Body, Keys, Parcel, Receivers, RenderError, Reply, Request},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{compile, only, parcel, requests::notifications, resolve, trigger};
use crate::{
    delivery::{delivery, post, resolve as over, said, start, trigger as opened},
    harness::PATIENCE,
    vendors::Rootly,
};

fn webhook(settings: &Value) -> Receivers {
    compile(json!([{ "name": "oncall", "webhook_configs": [settings] }]))
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn problems(settings: &Value) -> String {
    let found = compile(json!([{ "name": "oncall", "webhook_configs": [settings] }]));
    format!("{:#?}", found.err().unwrap_or_default())
}

fn asked(
    receivers: &Receivers,
    notification: &Notification,
    receipt: Option<&str>,
    keys: Option<&Keys>,
) -> Result<Request, RenderError> {
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let own = Keys::read(receiver).unwrap();
    let parcel = Parcel {
        receipt,
        ..parcel(notification, &Step::Send)
    };
    receiver.request(&parcel, keys.unwrap_or(&own))
}

fn judged(receivers: &Receivers, notification: &Notification, status: u16, body: &str) -> Verdict {
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let reply = Reply {
        status,
        body: body.as_bytes().to_vec(),
        ..Reply::default()
    };
    receiver.judge(&parcel(notification, &Step::Send), &reply)
}

/// `open` by POST, and by its id the end by PUT.
fn two_calls() -> Value {
    json!({
        "url": "https://api.example/v1/alerts/{{ app_key }}?metric={{ metric }}",
        "headers": { "X-App": "{{ app_name }}", "Content-Type": "application/json" },
        "body": "{ \"title\": {{ headline | tojson }}, \"gap\": {{ (sli_gap or 0) | tojson }} }",
        "receipt": "/data/id",
        "success": ["200-201", "409"],
        "resolved": {
            "url": "https://api.example/v1/alerts/{{ receipt }}/close",
            "method": "PUT",
            "body": "{ \"by\": {{ receipt | tojson }} }",
        },
    })
}

#[test]
fn trigger_and_resolve_are_two_calls_that_meet_by_the_receipt() {
    let receivers = webhook(&two_calls());
    let request = asked(&receivers, &trigger(), None, None).unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.url,
        "https://api.example/v1/alerts/com.example.appkey\
         ?metric=Jira%20Installation%20Callback%20Success%20Rate"
    );
    let title = "AppName: Jira Installation Callback Success Rate 60% (objective 99%)";
    assert_eq!(
        request.body,
        Body::Json(json!({ "title": title, "gap": 39 }))
    );

    let taken = judged(&receivers, &trigger(), 201, r#"{"data":{"id":77}}"#);
    assert_eq!(
        taken,
        Verdict::Delivered {
            receipt: Some("77".into())
        }
    );
    let request = asked(&receivers, &resolve(), Some("77"), None).unwrap();
    assert_eq!(request.method, "PUT");
    assert_eq!(request.url, "https://api.example/v1/alerts/77/close");
    assert_eq!(request.body, Body::Json(json!({ "by": "77" })));
}

#[test]
fn a_resolve_that_needs_a_receipt_and_has_none_is_given_up_and_says_why() {
    let error = asked(&webhook(&two_calls()), &resolve(), None, None).unwrap_err();
    assert!(matches!(error, RenderError::Impossible(_)), "{error}");
    assert!(
        error.to_string().contains("has nothing at /data/id"),
        "{error}"
    );
}

#[test]
fn who_begins_an_alert_by_a_receipt_is_told_that_nobody_knows_it_yet() {
    for (url, warns) in [
        ("https://a.example/{{ receipt }}", true),
        ("https://a.example/{{ receipt }}/open", true),
        (
            "https://a.example/{{ receipt | upper }}/x?y={{ alias }}",
            true,
        ),
        ("https://a.example/x?id={{ receipt or '' }}", true),
        (
            "https://a.example/x?id={{ receipt | default('') }}&b=c",
            true,
        ),
        (
            "https://a.example/{{ app_key }}/{{ receipt }}/{{ metric }}",
            true,
        ),
        ("https://a.example/{{ receipt or 'new' }}", false),
        (
            "https://a.example/x{% if receipt %}/{{ receipt }}{% endif %}",
            false,
        ),
        (
            "https://a.example/x{% if action == 'resolve' %}/{{ receipt }}{% endif %}",
            false,
        ),
        ("https://a.example/{{ alias }}", false),
        ("https://a.example/receipt", false),
    ] {
        for resolved in [
            json!({}),
            json!({ "url": "https://a.example/{{ receipt }}/end" }),
        ] {
            let settings = json!({ "url": url, "receipt": "/id", "resolved": resolved });
            let warnings = only("webhook", json!({})).warnings.len();
            assert_eq!(warnings, 0);
            let said = format!("{:?}", webhook(&settings).warnings);
            assert_eq!(
                said.contains("webhook_configs[0].url") && said.contains("resolved: { url"),
                warns,
                "{url}: {said}"
            );
        }
    }
}

#[test]
fn an_end_that_needs_its_receipt_is_told_of_each_and_one_that_does_not_once() {
    let ends = |settings: &Value, page: &Notification| {
        let receivers = webhook(settings);
        let (_, receiver) = receivers.of("oncall").next().unwrap();
        receiver.ends_each(&Parcel {
            receipt: Some("7"),
            ..parcel(page, &Step::Send)
        })
    };
    let resolved = |what: &str, text: &str| {
        json!({ "url": "https://a.example/x", "receipt": "/id", "body": "x",
                "headers": { "X-Id": "{{ receipt }}" },
                "resolved": { (what): text } })
    };
    let optional = "{% if receipt is defined %}{{ receipt }}{% endif %}";
    for (text, each) in [
        ("{{ receipt }}", true),
        ("{% if receipt %}{{ receipt }}{% endif %}", true),
        (optional, false),
        ("{{ receipt | default(alias) }}", false),
        ("{{ alias }}", false),
    ] {
        for (what, text) in [
            ("url", format!("https://a.example/{text}")),
            ("body", format!("id {text}")),
        ] {
            let mut settings = resolved(what, &text);
            settings["headers"] = json!({});
            assert_eq!(ends(&settings, &resolve()), each, "{what}: {text}");
            assert!(!ends(&settings, &trigger()), "{what}: {text}");
        }
    }
    assert!(ends(&resolved("body", "x"), &resolve()), "by a header");
    assert!(!ends(&json!({ "url": "https://a.example" }), &resolve()));
    assert!(ends(&two_calls(), &resolve()));
}

#[test]
fn every_alert_that_a_resolve_ends_is_told_under_an_id_of_its_own() {
    let receivers = webhook(&two_calls());
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let id = |step: &Step| {
        let resolve = resolve();
        let parcel = Parcel {
            receipt: Some("7"),
            ..parcel(&resolve, step)
        };
        let request = receiver.request(&parcel, &Keys::read(receiver).unwrap());
        let headers = request.unwrap().headers;
        headers
            .into_iter()
            .find(|(name, _)| name == "webhook-id")
            .unwrap()
            .1
    };
    let ends = |left: &[&str]| Step::Ends {
        left: left.iter().map(|&receipt| receipt.into()).collect(),
        refused: Vec::new(),
    };
    let ids = [id(&Step::Send), id(&ends(&["1", "0"])), id(&ends(&["2"]))];
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
    assert_eq!(
        ids[1],
        id(&ends(&["1"])),
        "it is the same when it is sent again"
    );
}

#[test]
fn where_a_body_that_means_success_is_given_it_alone_decides() {
    let mut settings = two_calls();
    settings["success_body"] = json!("^(100|101)$");
    let receivers = webhook(&settings);
    for (status, body, taken) in [
        (200, "100", true),
        (201, "101", true),
        (409, "100", true),
        (200, "900", false),
        (200, "", false),
        (200, r#"{"status":"ok"}"#, false),
        (409, "conflict", false),
    ] {
        match judged(&receivers, &trigger(), status, body) {
            Verdict::Delivered { .. } => assert!(taken, "{status} {body}"),
            Verdict::Retry { detail, .. } => {
                assert!(
                    !taken && detail.contains("`success_body` does not match"),
                    "{detail}"
                );
            }
            other => panic!("{status} {body}: {other:?}"),
        }
    }
    // The words of a refusal say nothing then, and another status is what it was.
    settings["success_body"] = json!("code");
    let receivers = webhook(&settings);
    let denied = r#"{"ok":false,"code":7}"#;
    assert!(matches!(
        judged(&receivers, &trigger(), 200, denied),
        Verdict::Delivered { .. }
    ));
    assert!(matches!(
        judged(&receivers, &trigger(), 400, denied),
        Verdict::Permanent { .. }
    ));
}

#[test]
fn the_statuses_that_are_listed_and_no_others_are_a_success() {
    let receivers = webhook(&two_calls());
    for status in [200, 201, 409] {
        let verdict = judged(&receivers, &trigger(), status, "{}");
        assert!(
            matches!(verdict, Verdict::Delivered { receipt: None }),
            "{status}"
        );
    }
    for (status, reason) in [
        (204, FailureReason::UnexpectedReply),
        (400, FailureReason::Rejected),
        (410, FailureReason::Rejected),
        (302, FailureReason::UnexpectedReply),
    ] {
        let verdict = judged(&receivers, &trigger(), status, "{}");
        assert!(
            matches!(verdict, Verdict::Permanent { reason: why, .. } if why == reason),
            "{status}: {verdict:?}"
        );
    }
    assert!(matches!(
        judged(&receivers, &trigger(), 503, ""),
        Verdict::Retry { .. }
    ));
    let limited = r#"{"parameters":{"retry_after":7}}"#;
    assert!(matches!(
        judged(&receivers, &trigger(), 429, limited),
        Verdict::Retry { after: Some(pause), .. } if pause.as_secs() == 7
    ));
}

#[test]
fn what_an_alert_says_stays_one_piece_of_the_address_and_one_line_of_a_header() {
    let receivers = webhook(&two_calls());
    for (name, value, url) in [
        (
            "app_key",
            "a/../../admin?x=1#y",
            "/v1/alerts/a%2F..%2F..%2Fadmin%3Fx%3D1%23y?",
        ),
        (
            "app_key",
            "@evil.example:443/",
            "/v1/alerts/%40evil.example%3A443%2F?",
        ),
        (
            "app_key",
            "a\r\nHost: evil",
            "/v1/alerts/a%0D%0AHost%3A%20evil?",
        ),
        ("app_key", "%2e%2e", "/v1/alerts/%252e%252e?"),
        ("metric", "x&admin=1", "?metric=x%26admin%3D1"),
    ] {
        let mut notification = trigger();
        notification.labels.insert(name.into(), value.into());
        let request = asked(&receivers, &notification, None, None).unwrap();
        let rest = request.url.strip_prefix("https://api.example").unwrap();
        assert!(rest.contains(url), "{rest}");
    }

    for up in [".", ".."] {
        let mut notification = trigger();
        notification.labels.insert("app_key".into(), up.into());
        let error = asked(&receivers, &notification, None, None).unwrap_err();
        assert!(matches!(error, RenderError::Impossible(_)), "{up}: {error}");
    }

    let mut notification = trigger();
    let injected = "a\r\nX-Injected: yes\n\nbody";
    notification
        .labels
        .insert("app_name".into(), injected.into());
    let request = asked(&receivers, &notification, None, None).unwrap();
    let header = request.headers.iter().find(|(name, _)| name == "X-App");
    assert_eq!(header.unwrap().1, "a X-Injected: yes body");
}

#[test]
fn no_filter_lets_a_value_out_of_its_piece_of_the_address() {
    for filter in [
        "safe",
        "urlencode",
        "tojson",
        "replace('x', '/')",
        "join('/')",
    ] {
        let receivers = compile(json!([{ "name": "oncall", "webhook_configs": [{
            "url": format!("https://api.example/a/{{{{ app_key | {filter} }}}}"),
            "body": "text",
        }] }]));
        let mut notification = trigger();
        notification
            .labels
            .insert("app_key".into(), "x/../y?z".into());
        let request = asked(&receivers.unwrap(), &notification, None, None).unwrap();
        let piece = request.url.strip_prefix("https://api.example/a/").unwrap();
        assert!(!piece.contains(['/', '?', '#', '"']), "{filter}: {piece}");
    }
}

#[test]
fn a_value_between_quotes_stays_between_them() {
    let odd = "a \"b\"\\\n</script> {{ c }} \u{1}ß";
    let mut notification = trigger();
    for name in ["title", "metric"] {
        notification.labels.insert(name.into(), odd.into());
    }
    let receivers = webhook(&json!({
        "url": "https://api.example/x",
        "body": "{ \"a\": \"<{{ title }}>\", \"b\": {{ metric | tojson }}, \"c\": \"{{ kind }}\", \
                 \"d\": \"{% if title %}{{ title ~ metric }}{% endif %}\" }",
    }));
    let request = asked(&receivers, &notification, None, None).unwrap();
    let shown = odd.replace('\u{1}', "");
    let expected = json!({
        "a": format!("<{shown}>"), "b": shown, "c": "incident", "d": format!("{shown}{shown}"),
    });
    assert_eq!(request.body, Body::Json(expected));
}

#[test]
fn no_hidden_character_reaches_a_page_in_a_body_of_ones_own() {
    let bodies = [
        "{ \"a\": \"at {{ title }}\", \"b\": [{{ title | tojson }}] }",
        "at {{ title }}\r\n\tso",
    ];
    for hidden in [
        '\0',
        '\u{1b}',
        '\u{9b}',
        '\u{202e}',
        '\u{2066}',
        '\u{200b}',
        '\u{feff}',
        '\u{e0041}',
    ] {
        let mut notification = trigger();
        let odd = format!("down{hidden}town");
        notification.labels.insert("title".into(), odd);
        for body in bodies {
            let receivers = webhook(&json!({ "url": "https://api.example/x", "body": body }));
            let request = asked(&receivers, &notification, None, None).unwrap();
            let expected = if body.starts_with('{') {
                Body::Json(json!({ "a": "at downtown", "b": ["downtown"] }))
            } else {
                Body::Text("at downtown\r\n\tso".into())
            };
            assert_eq!(request.body, expected, "{hidden:?}");
        }
    }
}

#[test]
fn what_a_profiles_mail_held_is_told_and_of_another_alert_reads_as_empty() {
    let receivers = webhook(&json!({
        "url": "https://api.example/x",
        "body": "{ \"job\": \"{{ incident.fields.job }}\", \"disk\": {{ incident.pairs.Disk | default('?') | tojson }} }",
    }));
    let mut notification = trigger();
    let said = |notification: &Notification| {
        let request = asked(&receivers, notification, None, None).unwrap();
        request.body
    };
    assert_eq!(
        said(&notification),
        Body::Json(json!({ "job": "", "disk": "?" }))
    );
    notification.incident = json!({ "fields": { "job": "j1" }, "pairs": { "Disk": "sda" } });
    assert_eq!(
        said(&notification),
        Body::Json(json!({ "job": "j1", "disk": "sda" }))
    );

    // Of Atlassian's own alert everything is known.
    let misspelt =
        json!({ "url": "https://a.example/x", "body": "{{ incident.appDetials.name }}" });
    assert!(problems(&misspelt).contains("tried on a trigger"));

    // An address leads nowhere by half.
    let receivers = webhook(&json!({
        "url": "https://api.example/x/{{ incident.fields.job }}", "body": "text",
    }));
    let asked_for = |notification: &Notification| asked(&receivers, notification, None, None);
    assert_eq!(
        asked_for(&notification).unwrap().url,
        "https://api.example/x/j1"
    );
    assert!(asked_for(&trigger()).is_err());
}

#[test]
fn a_host_is_written_out_and_a_json_body_is_json_whatever_it_says() {
    let body = |body: &str| json!({ "url": "https://a.example/x", "body": body });
    for (settings, says) in [
        (
            json!({ "url": "https://{{ app_key }}.example/x", "body": "t" }),
            "an alert must not choose where it is sent",
        ),
        (
            json!({ "url": "https://a.example/x", "body": "t", "resolved": { "url": "{{ app_key \
                }}" } }),
            "webhook_configs[0].resolved.url",
        ),
        (
            json!({ "url": "ftp://a.example/{{ app_key }}", "body": "t" }),
            "not https or http",
        ),
        (
            body("{ \"a\": {{ metric }} }"),
            "it does not give valid JSON",
        ),
        (
            body("{ \"a\": {{ sli_gap }} }"),
            "tried on an alert that could not be read",
        ),
        (body("{ \"a\": 1, }"), "it does not give valid JSON"),
        (
            body("[{{ metric }}]"),
            "set the header Content-Type to text/plain",
        ),
        (
            json!({ "url": "https://a.example/x", "body": "{{ metric \
                }}", "headers": { "content-type": "application/vnd.api+json" } }),
            "{{ … | tojson }}",
        ),
        (
            json!({ "url": "https://a.example/x", "body": "t", "resolved": { "body": "{ \"a\": {{ reason }} }" } }),
            "webhook_configs[0].resolved.body",
        ),
        (
            json!({ "url": "https://a.example/x", "resolved": { "url": "https://a.example/{{ \
                receipt }}" } }),
            "name its place as a JSON pointer",
        ),
        (
            json!({ "url": "https://a.example/x", "receipt": "data.id" }),
            "it is not a valid JSON pointer",
        ),
        (
            json!({ "url": "https://a.example/x", "headers": { "content-type": "text/plain" } }),
            "the request's own headers are not replaced",
        ),
        (body("{{ metrik }}"), "`metrik`, which is not a label"),
        (
            json!({ "url": "https://a.example/{{ metrik }}", "body": "t" }),
            "`metrik`, which is not a label",
        ),
    ] {
        let found = problems(&settings);
        assert!(found.contains(says), "{settings}: {found}");
    }

    for fine in [
        "{ \"a\": {{ metric | tojson }}, \"b\": {{ incident | tojson }}, \"c\": [{{ labels | \
         tojson }}] }",
        "{% set a = 1 %}{ \"a\": {{ a }} }",
        "{{ { 'a': metric } | tojson }}",
        "{{ metric }} is at {{ sli_value }}",
        "plain",
    ] {
        webhook(&body(fine));
    }
}

#[test]
fn a_body_that_is_too_long_for_a_field_is_whole() {
    let receivers = webhook(&json!({
        "url": "https://a.example/x", "body": "{ \"all\": {{ incident | tojson }} }",
    }));
    let mut notification = trigger();
    notification.incident = json!({ "long": "\"".repeat(300_000) });
    let request = asked(&receivers, &notification, None, None).unwrap();
    assert_eq!(
        request.body,
        Body::Json(json!({ "all": notification.incident }))
    );
}

#[test]
fn what_may_not_be_genuine_says_so_whatever_the_template_says() {
    for (body, marked) in [
        ("{{ metric }}", true),
        (
            "{ \"key\": {{ alias | tojson }}, \"text\": {{ metric | tojson }} }",
            true,
        ),
        ("{ \"text\": {{ headline | tojson }} }", true),
        ("{ \"key\": {{ alias | tojson }} }", false),
    ] {
        let receivers = webhook(&json!({ "url": "https://a.example/x", "body": body }));
        let mut notification = trigger();
        notification.doubt = Some(Doubt::Unverified);
        let request = asked(&receivers, &notification, None, None).unwrap();
        let said = match &request.body {
            Body::Json(json) => json.to_string(),
            Body::Text(text) => text.clone(),
            Body::Empty | Body::Mail(_) => String::new(),
        };
        assert_eq!(
            said.matches("[UNVERIFIED]").count(),
            usize::from(marked),
            "{said}"
        );
        assert!(
            !said.contains("[UNVERIFIED] FOotl"),
            "a key is a key: {said}"
        );
    }
}

/// A mail that pretends to be marked already, in one field or another, is marked all the same, where
/// it is named.
#[test]
fn a_mark_of_the_mail_s_own_is_none() {
    let fields = ["metric", "partner", "app_name", "app_key"];
    for (body, headline) in [
        ("{{ metric }}\n{{ partner }}", "/text"),
        (
            "{ \"meta\": {{ partner | tojson }}, \"title\": {{ metric | tojson }}, \"app\": {{ app_key \
             | tojson }} }",
            "/title",
        ),
        (
            "{ \"in\": [{ \"title\": {{ (metric ~ ' of ' ~ app_name) | tojson }} }], \"x\": {{ partner | \
             tojson }} }",
            "/in/0/title",
        ),
        (
            "{ \"title\": {{ headline | tojson }}, \"x\": {{ partner | tojson }} }",
            "/title",
        ),
    ] {
        let receivers = webhook(&json!({ "url": "https://a.example/x", "body": body }));
        for doubt in [Doubt::Unverified, Doubt::Unchecked] {
            let mark = format!("[{}]", doubt.mark());
            for field in fields {
                for said in [mark.clone(), format!("{mark} x"), format!("Rate {mark}")] {
                    let mut notification = trigger();
                    notification.doubt = Some(doubt);
                    notification.labels.insert(field.into(), said.clone());
                    let request = asked(&receivers, &notification, None, None).unwrap();
                    let json = match request.body {
                        Body::Json(json) => json,
                        Body::Text(text) => json!({ "text": text }),
                        other => panic!("{other:?}"),
                    };
                    let title = json.pointer(headline).and_then(Value::as_str).unwrap();
                    assert!(title.starts_with(&mark), "{field} says {said}: {json}");
                    let rest = title.strip_prefix(&mark).unwrap();
                    assert!(field != "metric" || rest.contains(&mark), "{json}");
                }
            }
        }
    }
}

#[test]
fn a_page_without_a_text_says_in_a_header_that_it_may_not_be_genuine_and_check_warns() {
    let url = "https://a.example/x";
    for (settings, place) in [
        (
            json!({ "url": url, "body": "{ \"key\": {{ alias | tojson }} }" }),
            Some("body"),
        ),
        (
            json!({ "url": url, "body": "[{{ app_key | tojson }}]" }),
            Some("body"),
        ),
        (
            json!({ "url": url, "body": "{ \"n\": {{ 1 + 1 }} }" }),
            Some("body"),
        ),
        (
            json!({ "url": url, "body": "{ {{ metric | tojson }}: 1 }" }),
            Some("body"),
        ),
        (
            json!({ "url": format!("{url}?text={{{{ metric }}}}"), "method": "GET" }),
            Some("url"),
        ),
        (
            json!({ "url": format!("{url}/{{{{ title }}}}"), "method": "DELETE" }),
            Some("url"),
        ),
        (
            json!({ "url": format!("{url}?text={{{{ headline }}}}"), "method": "GET" }),
            None,
        ),
        (
            json!({ "url": url, "body": "{ \"text\": {{ metric | tojson }} }" }),
            None,
        ),
        (json!({ "url": url }), None),
    ] {
        let receivers = webhook(&settings);
        let warned = receivers
            .warnings
            .iter()
            .find(|warning| warning.what.contains("alertbridge-mark"))
            .map(|warning| warning.key.rsplit('.').next().unwrap_or_default());
        assert_eq!(warned, place, "{settings}");

        let mut notification = trigger();
        for doubt in [None, Some(Doubt::Unverified)] {
            notification.doubt = doubt;
            let request = asked(&receivers, &notification, None, None).unwrap();
            let header = request
                .headers
                .iter()
                .find(|(name, _)| name == "alertbridge-mark");
            assert_eq!(
                header.map(|(_, value)| value.as_str()),
                doubt.map(Doubt::mark),
                "{settings}"
            );
        }
    }
}

#[test]
fn an_ending_by_delete_says_nothing_but_its_address() {
    let receivers = webhook(&json!({
        "url": "https://a.example/x", "body": "open {{ alias }}",
        "resolved": { "url": "https://a.example/x/{{ alias }}", "method": "DELETE" },
    }));
    let request = asked(&receivers, &resolve(), None, None).unwrap();
    assert_eq!((request.method, &request.body), ("DELETE", &Body::Empty));
    assert_eq!(request.url, "https://a.example/x/FOotlQrY5ZQ%3Aoncall");
}

#[test]
fn a_body_of_one_s_own_is_signed_as_it_is_sent() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for body in ["plain {{ metric }}", "{ \"a\": {{ metric | tojson }} }"] {
        let receivers =
            webhook(&json!({ "url": "https://a.example/x", "body": body, "secret": secret }));
        let request = asked(&receivers, &trigger(), None, None).unwrap();
        let call = crate::vendors::Call::of(&request);
        let verified =
            crate::vendors::verify(secret, &call.headers, &call.body, super::now().as_second());
        assert_eq!(verified, Ok(()));
    }
}

#[test]
fn what_the_environment_gave_shows_nowhere() {
    let text = "route: { receiver: oncall }\nreceivers:\n  - name: oncall\n    webhook_configs:\n\
                \x20     - url: 'https://a.example/v1/${TOKEN}/{{ app_key }}?key=${TOKEN}'\n\
                \x20       headers: { X-Room: 'room ${TOKEN}' }\n\
                \x20       body: '{ \"token\": \"${TOKEN}\", \"key\": {{ alias | tojson }} }'\n";
    let environment = |name: &str| (name == "TOKEN").then(|| "hunter2-hunter2".to_owned());
    let loaded = Config::parse(Source::Embedded, text, Files::Unneeded, &environment)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let receivers = &loaded.rules.receivers;
    let (target, _) = receivers.of("oncall").next().unwrap();

    let sent = asked(receivers, &trigger(), None, None).unwrap();
    assert_eq!(
        sent.body,
        Body::Json(json!({ "token": "hunter2-hunter2", "key": "FOotlQrY5ZQ:oncall" }))
    );
    let shown = asked(receivers, &trigger(), None, Some(&Keys::Hidden)).unwrap();
    let shown = receivers.without_given(target, shown);
    assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
    assert_eq!(
        shown.body,
        Body::Json(json!({ "token": "<secret>", "key": "FOotlQrY5ZQ:oncall" }))
    );
    assert!(
        shown.url.ends_with("/com.example.appkey?key=<secret>"),
        "{}",
        shown.url
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None,
                                        ..ProptestConfig::default() })]

    #[test]
    fn whatever_an_alert_says_a_request_is_of_its_shape(notification in notifications()) {
        let receivers = webhook(&two_calls());
        match asked(&receivers, &notification, Some("1"), None) {
            Err(error) => prop_assert!(matches!(error, RenderError::Impossible(_)), "{}", error),
            Ok(request) => {
                prop_assert!(request.url.starts_with("https://api.example/v1/alerts/"));
                prop_assert!(request.url.is_ascii());
                prop_assert!(matches!(request.body, Body::Json(Value::Object(_))));
                for (_, value) in &request.headers {
                    prop_assert!(!value.contains(['\r', '\n', '\0']));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_outlives_the_program_and_a_resolve_without_one_is_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let rootly = Rootly::start().await;
    fs::write(folder.path().join("token"), rootly.key()).unwrap();
    let url = rootly.url();
    let rest = format!(
        "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    webhook_configs:\n      \
         - {{ use: rootly, url: {url}, bearer_file: token, resolved: {{ url: '{url}/{{{{ receipt \
         }}}}/resolve' }} }}"
    );

    let bridge = start(folder.path(), &rest);
    post(&bridge, &opened("a")).await;
    rootly.next_page_within(PATIENCE).await;
    delivery(&bridge, "the trigger with its receipt", |row| {
        row["state"] == "delivered" && said(row, "584db460-8c5d-4f34-9364-000000000001")
    })
    .await;
    assert!(bridge.stop().success());

    let bridge = start(folder.path(), &rest);
    post(&bridge, &over("a")).await;
    assert_eq!(rootly.next_page_within(PATIENCE).await.action, "resolve");
    assert!(rootly.open_alerts().is_empty());

    rootly.fail_next_with(1, 201, &[], r#"{"data":{}}"#);
    post(&bridge, &opened("b")).await;
    rootly
        .wait_until("the trigger whose reply says nothing", |rootly| {
            rootly.history().len() == 3
        })
        .await;
    post(&bridge, &over("b")).await;
    let dead = delivery(&bridge, "the resolve as a dead letter", |row| {
        row["state"] == "dead"
    })
    .await;
    assert!(said(&dead, "has nothing at /data/id"), "{dead}");
    assert_eq!(rootly.history().len(), 3, "nothing else was asked");
    rootly.assert_quiet();
}
