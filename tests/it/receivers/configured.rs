//! What is wrong with a configuration is found when it is loaded, with its key and its mend.

use std::{fs, num::NonZeroU32, time::Duration};

use alertbridge::receiver::{KINDS, RateLimit, Receivers};
use serde_json::{Value, json};

use super::{compile, every_kind, json_of, only, request, trigger};

/// What is wrong with one integration of the receiver `oncall`: each problem's key and sentence.
fn problems(kind: &str, settings: &Value) -> Vec<(String, String)> {
    wrong(json!([{ "name": "oncall", (format!("{kind}_configs")): [settings] }]))
}

fn wrong(receivers: Value) -> Vec<(String, String)> {
    let Err(problems) = compile(receivers) else {
        return Vec::new();
    };
    problems
        .into_iter()
        .map(|problem| {
            assert!(!problem.mend.is_empty(), "{problem:?}");
            (problem.key, problem.what)
        })
        .collect()
}

#[test]
fn every_mistake_in_an_integration_is_named_by_its_key() {
    let key = "0123456789abcdef0123456789abcdef";
    for (kind, settings, at, says) in [
        (
            "opsgenie",
            json!({}),
            "",
            "neither `api_key_file` nor `api_key`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "api_key_file": "b" }),
            ".api_key",
            "exclude each other",
        ),
        (
            "opsgenie",
            json!({ "api_key": " " }),
            ".api_key",
            "is empty",
        ),
        (
            "jsm",
            json!({ "api_key": "a", "api_url": "api.atlassian.com" }),
            ".api_url",
            "not a valid address",
        ),
        (
            "jsm",
            json!({ "api_key": "a", "api_url": "https://a.example?x=1" }),
            ".api_url",
            "query",
        ),
        (
            "jsm",
            json!({ "api_key": "a", "api_url": "ftp://a.example" }),
            ".api_url",
            "`ftp`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "priority": "P6" }),
            ".priority",
            "`P6` is not a valid priority",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "message": "{{ sevrity }}" }),
            ".message",
            "`sevrity`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "message": "{% if labels.sevrity == 'x' %}{% endif %}" }),
            ".message",
            "`labels.sevrity`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "message": "{{ app_name" }),
            ".message",
            "cannot be read",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "message": "{{ incident.nothing }}" }),
            ".message",
            "tried on a trigger",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "message": "{{ incident.appKey }}" }),
            ".message",
            "could not be read",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "tags": ["{{ nope }}"] }),
            ".tags[0]",
            "`nope`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "details": { "runbook": "{{ nope }}" } }),
            ".details.runbook",
            "`nope`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "responders": [{ "type": "tribe", "name": "x" }] }),
            ".responders[0].type",
            "`tribe`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "responders": [{ "type": "team" }] }),
            ".responders[0]",
            "exactly one key",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "responders": [{ "type": "team", "username": "x" }] }),
            ".responders[0]",
            "`username`",
        ),
        (
            "opsgenie",
            json!({ "api_key": "a", "rate_limit": "60" }),
            ".rate_limit",
            "not a valid rate",
        ),
        (
            "pagerduty",
            json!({ "routing_key": key, "rate_limit": "0/m" }),
            ".rate_limit",
            "not a valid rate",
        ),
        (
            "pagerduty",
            json!({ "routing_key": "short" }),
            ".routing_key",
            "32",
        ),
        (
            "pagerduty",
            json!({ "routing_key": key, "severity": "bad" }),
            ".severity",
            "`bad`",
        ),
        (
            "pagerduty",
            json!({ "routing_key": key, "url": "" }),
            ".url",
            "not a valid address",
        ),
        (
            "pagerduty",
            json!({ "routing_key": key, "links": [{ "href": "{{ nope }}" }] }),
            ".links[0].href",
            "`nope`",
        ),
        (
            "slack",
            json!({}),
            "",
            "neither `api_url_file` nor `api_url`",
        ),
        (
            "slack",
            json!({ "api_url": "hooks" }),
            ".api_url",
            "not a valid address",
        ),
        (
            "slack",
            json!({ "api_url": "https://a.example", "bot_token": "xoxb" }),
            ".bot_token",
            "exclude each other",
        ),
        (
            "slack",
            json!({ "api_url": "https://a.example", "channel": "#a" }),
            ".channel",
            "only a bot has this key",
        ),
        (
            "slack",
            json!({ "api_url": "https://a.example", "update_message": true }),
            ".update_message",
            "cannot edit messages",
        ),
        (
            "slack",
            json!({ "channel": "#a" }),
            ".channel",
            "only a bot has this key",
        ),
        (
            "slack",
            json!({ "bot_token": "xoxb" }),
            ".channel",
            "a bot posts to a channel",
        ),
        (
            "slack",
            json!({ "bot_token": "x", "bot_token_file": "y", "channel": "a" }),
            ".bot_token",
            "exclude each other",
        ),
        (
            "slack",
            json!({ "bot_token": "x", "channel": "a", "bot_api_url": "slack.com" }),
            ".bot_api_url",
            "not a valid address",
        ),
        (
            "teams",
            json!({}),
            "",
            "neither `webhook_url_file` nor `webhook_url`",
        ),
        (
            "teams",
            json!({ "webhook_url": "ftp://a.example" }),
            ".webhook_url",
            "`ftp`",
        ),
        (
            "teams",
            json!({ "webhook_url": "https://a.example", "text": "{{ nope }}" }),
            ".text",
            "`nope`",
        ),
        (
            "discord",
            json!({ "webhook_url": "a", "webhook_url_file": "b" }),
            ".webhook_url",
            "exclude each other",
        ),
        (
            "discord",
            json!({ "webhook_url": "https://a.example", "message": "{{ nope }}" }),
            ".message",
            "`nope`",
        ),
        ("webhook", json!({}), "", "neither `url_file` nor `url`"),
        (
            "webhook",
            json!({ "url": "https://a.example", "secret": "whsec_*" }),
            ".secret",
            "not a signing secret",
        ),
    ] {
        let found = problems(kind, &settings);
        let key = format!("receivers[0].{kind}_configs[0]{at}");
        assert!(
            found
                .iter()
                .any(|(at, what)| *at == key && what.contains(says)),
            "{settings}: {key} {says}: {found:#?}"
        );
    }
}

#[test]
fn names_are_there_once_and_fallbacks_lead_somewhere_else() {
    let fallback = |name: &str, to: &str| json!({ "name": name, "fallback": { "receiver": to } });
    for (receivers, key, says) in [
        (json!([{ "name": "" }]), "receivers[0].name", "no name"),
        (
            json!([{ "name": "a" }, { "name": "a" }]),
            "receivers[1].name",
            "already",
        ),
        (
            json!([fallback("a", "b")]),
            "receivers[0].fallback.receiver",
            "no receiver `b`",
        ),
        (
            json!([fallback("a", "a")]),
            "receivers[0].fallback.receiver",
            "leads back",
        ),
        (
            json!([fallback("a", "b"), fallback("b", "a")]),
            "receivers[1].fallback.receiver",
            "leads back",
        ),
    ] {
        let found = wrong(receivers);
        assert!(
            found
                .iter()
                .any(|(at, what)| at == key && what.contains(says)),
            "{key} {says}: {found:?}"
        );
    }
    let chain = compile(json!([fallback("a", "b"), fallback("b", "c"), { "name": "c" }]))
        .ok()
        .unwrap();
    assert_eq!(
        (chain.fallbacks.len(), chain.names, chain.integrations.len()),
        (2, vec!["a".into(), "b".into(), "c".into()], 0)
    );
}

#[test]
fn all_problems_are_reported_at_once_and_hold_no_secret() {
    let found = wrong(
        json!([{ "name": "", "slack_configs": [{ "api_url": "SECRET://x y", "title": "{{ nope \
            }}" }],
        "pagerduty_configs": [{ "routing_key": "SECRET" }],
        "webhook_configs": [{ "url": "SECRET", "secret": "SECRET*" }] }]),
    );
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(!format!("{found:?}").contains("SECRET"), "{found:#?}");
}

#[test]
fn integrations_come_in_the_order_they_are_written() {
    let many: Vec<Value> = (0..12).map(|_| json!({})).collect();
    let receivers = compile(json!([{ "name": "oncall", "stdout_configs": many,
                 "slack_configs": [{ "api_url": "https://a.example" }] }]));
    let names: Vec<_> = receivers
        .ok()
        .unwrap()
        .of("oncall")
        .map(|(target, _)| target.integration.clone())
        .collect();
    let expected: Vec<_> = ["slack/0".to_owned()]
        .into_iter()
        .chain((0..12).map(|n| format!("stdout/{n}")))
        .collect();
    assert_eq!(names, expected);
    let mut kinds: Vec<_> = every_kind()
        .of("oncall")
        .map(|(target, _)| target.kind().to_owned())
        .collect();
    kinds.dedup();
    assert_eq!(kinds, KINDS, "`every_kind` has no such receiver");
}

#[test]
fn plain_http_is_a_warning_off_loopback() {
    for (url, warns) in [
        ("http://127.0.0.1:9/x", false),
        ("http://[::1]:9", false),
        ("http://localhost", false),
        ("https://a.example", false),
        ("http://a.example", true),
    ] {
        let receivers = only("jsm", json!({ "api_url": url }));
        assert_eq!(!receivers.warnings.is_empty(), warns, "{url}");
    }
}

#[test]
fn a_rate_limit_is_a_number_a_second_a_minute_or_an_hour() {
    for (text, requests, seconds) in [("60/m", 60, 60), ("1/s", 1, 1), (" 5 / h ", 5, 3600)] {
        let receivers = only("slack", json!({ "rate_limit": text }));
        let limit = receivers.of("oncall").next().unwrap().1.rate_limit();
        let requests = NonZeroU32::new(requests).unwrap();
        assert_eq!(
            limit,
            Some(RateLimit {
                requests,
                per: Duration::from_secs(seconds)
            }),
            "{text}"
        );
    }
    assert_eq!(
        every_kind()
            .of("oncall")
            .find_map(|(_, receiver)| receiver.rate_limit()),
        None
    );
}

#[test]
fn template_files_are_included_and_imported_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("titles.jinja");
    fs::write(
        &file,
        "{% macro title() %}{{ caller_less }}{% endmacro %}{% macro short(app) %}<{{ app }}>{% \
         endmacro %}",
    )
    .unwrap();
    let settings = |title: &str| {
        let settings = json!([{ "name": "oncall",
                                "opsgenie_configs": [{ "api_key": "a", "message": title }] }]);
        serde_json::from_value::<Vec<_>>(settings).unwrap()
    };
    let title = "{% from 'titles.jinja' import short %}{{ short(app_name or 'nobody') }}";
    let receivers = Receivers::compile(&settings(title), std::slice::from_ref(&file))
        .ok()
        .unwrap();
    assert_eq!(
        json_of(&request(&receivers, &trigger()))["message"],
        "<AppName>"
    );

    let missing = Receivers::compile(
        &settings("{% include 'other' %}"),
        std::slice::from_ref(&file),
    )
    .err()
    .unwrap();
    assert!(missing[0].what.contains("other"), "{missing:?}");
    let twice = Receivers::compile(&settings("x"), &[file.clone(), file])
        .err()
        .unwrap();
    assert_eq!(twice[0].key, "templates[1]");
    fs::write(folder.path().join("bad"), "{% if %}").unwrap();
    let bad = Receivers::compile(
        &settings("x"),
        &[folder.path().join("bad"), folder.path().join("none")],
    )
    .err()
    .unwrap();
    assert_eq!(bad.len(), 2, "{bad:?}");
}

#[test]
fn secrets_files_are_tried_on_demand_and_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let receivers = compile(json!([{ "name": "oncall",
        "opsgenie_configs": [{ "api_key_file": path("opsgenie") }],
        "pagerduty_configs": [{ "routing_key_file": path("pagerduty") }],
        "slack_configs": [
            { "api_url_file": path("slack") },
            { "bot_token_file": path("bot"), "channel": "C0ALERTS" },
        ],
        "webhook_configs": [{ "url_file": path("url"), "secret_file": path("secret") }],
        "teams_configs": [{ "webhook_url_file": path("teams") }],
        "discord_configs": [{ "webhook_url_file": path("discord") }] }]))
    .ok()
    .unwrap();
    assert_eq!(receivers.try_secrets().len(), 8, "none of the files exists");
    for (name, text) in [
        ("opsgenie", "k"),
        ("pagerduty", "SECRET"),
        ("slack", "SECRET"),
        ("url", "https://a.example"),
        ("secret", "SECRET*"),
        ("bot", "SECRET of somebody"),
        ("teams", "SECRET"),
        ("discord", "SECRET"),
    ] {
        fs::write(path(name), text).unwrap();
    }
    let wrong = receivers.try_secrets();
    assert_eq!(wrong.len(), 6, "{wrong:#?}");
    assert!(!format!("{wrong:?}").contains("SECRET"), "{wrong:#?}");
    for (name, text) in [
        ("pagerduty", "0123456789abcdef0123456789abcdef\n"),
        ("slack", "https://a.example/x\n"),
        ("bot", "xoxb-1-2\n"),
        ("teams", "https://a.example/x\n"),
        ("discord", "https://a.example/x\n"),
        ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"),
    ] {
        fs::write(path(name), text).unwrap();
    }
    assert_eq!(receivers.try_secrets(), []);
}
