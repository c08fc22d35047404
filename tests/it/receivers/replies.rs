//! What every status means to every receiver.

use std::time::Duration;

use alertbridge::{
    delivery::{Action, FailureReason, Step, Verdict},
    receiver::{Keys, Reply},
};

use super::{every_kind, now};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Delivered,
    Accepted,
    NotYet,
    Retry,
    Permanent,
}
use Class::{Accepted, Delivered, NotYet, Permanent, Retry};

fn class(verdict: &Verdict) -> Class {
    match verdict {
        Verdict::Delivered { .. } => Delivered,
        Verdict::Accepted { .. } => Accepted,
        Verdict::NotYet => NotYet,
        Verdict::Retry { .. } => Retry,
        Verdict::Permanent { .. } => Permanent,
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, headers, body: body.into() }
}

/// The verdict of the first integration of a kind.
fn judge(kind: &str, step: &Step, action: Action, reply: &Reply) -> Verdict {
    let receivers = every_kind();
    let (_, receiver) = receivers.of("oncall").find(|(target, _)| target.kind() == kind).unwrap();
    receiver.judge(step, action, reply)
}

fn sent(kind: &str, reply: &Reply) -> Verdict {
    judge(kind, &Step::Send, Action::Trigger, reply)
}

fn asked(action: Action, reply: &Reply) -> Verdict {
    judge("opsgenie", &Step::Confirm { request_id: "r".into(), since: now() }, action, reply)
}

/// What failure every receiver makes of a status, whatever its body.
fn failure(status: u16) -> Class {
    match status {
        408 | 425 | 429 | 500 | 502..=504 | 506..=599 => Retry,
        _ => Permanent,
    }
}

#[test]
fn every_status_has_its_class_at_every_receiver() {
    let receivers = every_kind();
    for (target, receiver) in receivers.of("oncall") {
        for status in 200..=599 {
            for body in ["", "ok", "<html>busy</html>", r#"{"status":"success"}"#] {
                let verdict = receiver.judge(&Step::Send, Action::Trigger, &reply(status, &[], body));
                let success = match target.kind() {
                    "opsgenie" | "jsm" => false,
                    "pagerduty" => status == 202 || body.contains("success"),
                    "slack" => status == 200 && body == "ok",
                    "teams" => status == 202 || !matches!(body, "ok" | "<html>busy</html>"),
                    "discord" => status == 204,
                    _ => true,
                };
                let expected = match status {
                    200..300 if success => Delivered,
                    // Nothing says it arrived: a proxy's page, not the vendor's answer.
                    200..300 => Retry,
                    _ => failure(status),
                };
                assert_eq!(class(&verdict), expected, "{} {status} {body:?}: {verdict:?}", target.integration);
            }
        }
    }
}

#[test]
fn an_accepted_alert_is_delivered_only_once_it_is_confirmed() {
    for accepted in [r#"{"requestId":"r-1","result":"…"}"#, r#"{"data":{"requestId":"r-1"}}"#] {
        let verdict = sent("jsm", &reply(202, &[], accepted));
        assert_eq!(verdict, Verdict::Accepted { request_id: "r-1".into() });
    }
    let header = reply(202, &[("x-request-id", "r-2")], "{}");
    assert_eq!(sent("opsgenie", &header), Verdict::Accepted { request_id: "r-2".into() });

    let not_yet = reply(404, &[("x-opsgenie-errortype", "RequestNotProcessed")], "{}");
    assert_eq!(class(&asked(Action::Trigger, &not_yet)), NotYet);
    assert_eq!(class(&asked(Action::Trigger, &reply(404, &[], "{}"))), Permanent);
    assert_eq!(class(&asked(Action::Trigger, &reply(503, &[], "{}"))), Retry);
    for done in [r#"{"data":{"isSuccess":true,"alertId":"a-1"}}"#, r#"{"isSuccess":true,"alertId":"a-1"}"#] {
        let verdict = asked(Action::Trigger, &reply(200, &[], done));
        assert_eq!(verdict, Verdict::Delivered { receipt: Some("a-1".into()) });
    }
}

#[test]
fn a_close_of_what_does_not_exist_is_done_and_a_create_that_failed_is_not() {
    let gone = reply(200, &[], r#"{"data":{"isSuccess":false,"status":"Alert does not exist"}}"#);
    assert_eq!(class(&asked(Action::Resolve, &gone)), Delivered);
    assert_eq!(class(&asked(Action::Trigger, &gone)), Permanent);
    let at_once = reply(404, &[], r#"{"message":"Alert does not exist"}"#);
    assert_eq!(class(&judge("opsgenie", &Step::Send, Action::Resolve, &at_once)), Delivered);
    assert_eq!(class(&sent("opsgenie", &at_once)), Permanent);
}

#[test]
fn slack_s_word_wins_over_its_status() {
    for (status, word, expected) in [
        (500, "no_service", Permanent),
        (503, "invalid_token", Permanent),
        (200, "no_text", Permanent),
        (400, "rollup_error", Retry),
        (410, "channel_is_archived", Permanent),
        (400, "invalid_payload", Permanent),
    ] {
        assert_eq!(class(&sent("slack", &reply(status, &[], word))), expected, "{status} {word}");
    }
    let refused = sent("slack", &reply(403, &[], "invalid_token"));
    assert!(matches!(refused, Verdict::Permanent { reason: FailureReason::Unauthorized, .. }), "{refused:?}");
}

#[test]
fn a_receiver_that_asks_for_a_pause_gets_it() {
    let after = |verdict: Verdict| match verdict {
        Verdict::Retry { after, .. } => after,
        verdict => panic!("{verdict:?}"),
    };
    for kind in ["opsgenie", "pagerduty", "slack", "webhook", "teams", "discord"] {
        for status in [429, 503] {
            let asked = reply(status, &[("retry-after", "17")], "");
            assert_eq!(after(sent(kind, &asked)), Some(Duration::from_secs(17)), "{kind} {status}");
        }
        if kind != "webhook" {
            assert_eq!(after(sent(kind, &reply(429, &[], ""))), None, "{kind}");
        }
    }
    let limited = reply(429, &[("retry-after", "1")], r#"{"message":"slow down","retry_after":0.345,"global":false}"#);
    assert_eq!(after(sent("discord", &limited)), Some(Duration::from_millis(345)), "to the millisecond");
    let period = reply(429, &[("x-ratelimit-period-in-sec", "60"), ("retry-after", "1")], "");
    assert_eq!(after(sent("jsm", &period)), Some(Duration::from_mins(1)));
    for status in [429, 502, 504] {
        assert_eq!(after(sent("webhook", &reply(status, &[], ""))), Some(Duration::from_secs(5)), "{status}");
    }
}

#[test]
fn a_message_at_discord_is_there_once_it_has_an_id() {
    let posted = reply(200, &[], r#"{"id":"1310000000000000001","type":0}"#);
    assert_eq!(sent("discord", &posted), Verdict::Delivered { receipt: Some("1310000000000000001".into()) });
    assert_eq!(class(&sent("discord", &reply(200, &[], "{}"))), Retry);
}

#[test]
fn a_flow_may_answer_in_its_own_words_and_a_connector_that_failed_is_no_success() {
    assert_eq!(class(&sent("teams", &reply(200, &[], r#"{"posted":true}"#))), Delivered);
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429";
    assert_eq!(class(&sent("teams", &reply(200, &[], failed))), Retry);
}

#[test]
fn a_refusal_says_why() {
    let detail = |verdict: Verdict| match verdict {
        Verdict::Permanent { detail, .. } => detail,
        verdict => panic!("{verdict:?}"),
    };
    let errors = reply(400, &[], r#"{"status":"invalid event","errors":["Length of 'summary'","'x' is missing"]}"#);
    assert_eq!(detail(sent("pagerduty", &errors)), "HTTP 400: Length of 'summary'; 'x' is missing");
    assert!(detail(sent("opsgenie", &reply(401, &[], "{}"))).contains("region"));
    let errors =
        reply(400, &[], r#"{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":"too long"}}}"#);
    assert_eq!(detail(sent("discord", &errors)), r#"HTTP 400: Invalid Form Body: {"embeds":{"0":"too long"}}"#);
    let off = reply(400, &[], r#"{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"the flow is off"}}"#);
    assert_eq!(detail(sent("teams", &off)), "HTTP 400: WorkflowTriggerIsNotEnabled: the flow is off");
    assert!(detail(sent("webhook", &reply(410, &[], ""))).contains("wants no more"));
    assert!(detail(sent("slack", &reply(302, &[], &"é".repeat(70_000)))).chars().count() <= 300);
}

#[test]
fn a_reply_that_repeats_a_credential_is_scrubbed_of_it() {
    let receivers = every_kind();
    for (target, receiver) in receivers.of("oncall").filter(|(target, _)| target.kind() != "stdout") {
        let keys = Keys::read(receiver).unwrap();
        for secret in receiver.secrets() {
            let secret = keys.reveal(secret);
            let parts = [secret, secret.trim_start_matches("https://hooks.slack.example"), &format!("key={secret}.")];
            for echoed in parts {
                let scrubbed = keys.scrub(echoed);
                assert!(!scrubbed.contains("SECRET"), "{}: {scrubbed}", target.integration);
            }
        }
    }
}
