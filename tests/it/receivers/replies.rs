//! What every status means to every receiver.

use std::time::Duration;

use alertbridge::{
    delivery::{Action, FailureReason, Notification, Step, Verdict},
    receiver::{Keys, Parcel, Reply},
};

use super::{every_kind, now, parcel, resolve, trigger};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Delivered,
    Accepted,
    NotYet,
    Partly,
    Retry,
    Permanent,
}
use Class::{Accepted, Delivered, NotYet, Partly, Permanent, Retry};

fn class(verdict: &Verdict) -> Class {
    match verdict {
        Verdict::Delivered { .. } => Delivered,
        Verdict::Accepted { .. } => Accepted,
        Verdict::NotYet => NotYet,
        Verdict::Partly { .. } => Partly,
        Verdict::Retry { .. } => Retry,
        Verdict::Permanent { .. } => Permanent,
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Reply {
        status,
        headers,
        body: body.into(),
        ..Reply::default()
    }
}

/// The verdict of the first integration of a kind.
fn judge(kind: &str, step: &Step, action: Action, reply: &Reply) -> Verdict {
    let receivers = every_kind();
    let (_, receiver) = receivers
        .of("oncall")
        .find(|(target, _)| target.kind() == kind)
        .unwrap();
    let notification = if action == Action::Trigger {
        trigger()
    } else {
        resolve()
    };
    receiver.judge(&parcel(&notification, step), reply)
}

fn sent(kind: &str, reply: &Reply) -> Verdict {
    judge(kind, &Step::Send, Action::Trigger, reply)
}

fn asked(action: Action, reply: &Reply) -> Verdict {
    judge(
        "opsgenie",
        &Step::Confirm {
            request_id: "r".into(),
            since: now(),
            of: Box::new(Step::Send),
        },
        action,
        reply,
    )
}

/// What failure every receiver makes of a status, whatever its body.
fn failure(status: u16) -> Class {
    match status {
        407 | 408 | 425 | 429 | 500 | 502..=504 | 506..=599 => Retry,
        _ => Permanent,
    }
}

#[test]
fn every_status_has_its_class_at_every_receiver() {
    let (receivers, notification) = (every_kind(), trigger());
    // Mail has statuses of its own.
    let over_http = |target: &alertbridge::delivery::Target| target.kind() != "email";
    for (target, receiver) in receivers
        .of("oncall")
        .filter(|(target, _)| over_http(target))
    {
        for status in 200..=599 {
            for body in ["", "ok", "<html>busy</html>", r#"{"status":"success"}"#] {
                let verdict = receiver.judge(
                    &parcel(&notification, &Step::Send),
                    &reply(status, &[], body),
                );
                let took = match target.kind() {
                    // Sent again under the same key, it is the same alert.
                    "pagerduty" if body.contains("success") => Delivered,
                    "pagerduty" if status == 202 && !body.contains("html") => Delivered,
                    "opsgenie" | "jsm" | "pagerduty" => Retry,
                    // What Slack took is not posted again; a page in its place took nothing.
                    "slack" if target.integration == "slack/1" && !body.contains("html") => {
                        Delivered
                    }
                    "slack" if target.integration == "slack/1" => Retry,
                    "alertmanager" if body.contains("html") => Retry,
                    // A proxy's page: whether anything was posted nobody knows.
                    "slack" | "teams" | "discord" if body.contains("html") => Permanent,
                    _ => Delivered,
                };
                let expected = if (200..300).contains(&status) {
                    took
                } else {
                    match target.kind() {
                        // A page in place of an API is of something in between.
                        "opsgenie" | "jsm" | "pagerduty" | "alertmanager"
                            if status < 500 && body.contains("html") =>
                        {
                            Retry
                        }
                        "slack" if target.integration == "slack/1" && status < 500 => {
                            if body.contains("html") {
                                Retry
                            } else {
                                failure(status)
                            }
                        }
                        _ => failure(status),
                    }
                };
                let expected = if status / 100 == 3 {
                    Permanent
                } else {
                    expected
                };
                assert_eq!(
                    class(&verdict),
                    expected,
                    "{} {status} {body:?}: {verdict:?}",
                    target.integration
                );
            }
        }
    }
}

/// What receivers without keys answer where they took it, and where they did not.
#[test]
fn a_success_without_a_key_is_a_delivery_unless_its_body_says_otherwise() {
    let took = [
        "",
        "ok",
        "1",
        "Accepted",
        "message sent",
        r#"{"success":true}"#,
        r#"{"ok":true}"#,
        r#"{"result":"success","msg":""}"#,
        r#"{"posted":true}"#,
        r#"{"errors":[]}"#,
        "{}",
    ];
    let failed = [
        (r#"{"ok":false}"#, Retry),
        (r#"{"success":false,"error":"no room"}"#, Retry),
        (r#"{"status":"error","message":"off"}"#, Retry),
        (r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, Retry),
        (r#"{"statusCode":503}"#, Retry),
        (r#"{"statusCode":404,"message":"no such flow"}"#, Permanent),
        ("a_word_not_found", Retry),
        (
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP \
             error 429",
            Retry,
        ),
        (
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP \
             error 413",
            Permanent,
        ),
    ];
    for kind in ["slack", "teams", "discord", "webhook"] {
        for status in 200..300 {
            for body in took {
                assert_eq!(
                    class(&sent(kind, &reply(status, &[], body))),
                    Delivered,
                    "{kind} {status} {body}"
                );
            }
            for (body, expected) in failed {
                let verdict = sent(kind, &reply(status, &[], body));
                assert_eq!(
                    class(&verdict),
                    expected,
                    "{kind} {status} {body}: {verdict:?}"
                );
            }
        }
    }
    let limited = sent("teams", &reply(200, &[], failed[7].0));
    assert!(
        matches!(
            limited,
            Verdict::Retry {
                reason: FailureReason::RateLimited,
                ..
            }
        ),
        "{limited:?}"
    );
}

#[test]
fn what_pagerduty_took_it_says_and_what_it_refuses_or_limits_too() {
    for (status, body, expected) in [
        (
            202,
            r#"{"status":"success","message":"Event processed"}"#,
            Delivered,
        ),
        (202, "", Delivered),
        (202, r#"{"status":"invalid event","errors":["x"]}"#, Retry),
        (202, r#"{"error":"x"}"#, Retry),
        (202, r#"{"id":"1","status":"rejected"}"#, Retry),
        (202, "<!DOCTYPE html><title>Are you a robot?</title>", Retry),
        (
            400,
            r#"{"status":"throttle exceeded","message":"too quickly"}"#,
            Retry,
        ),
        (
            400,
            r#"{"status":"throttle exceeded","errors":["x"]}"#,
            Retry,
        ),
        (403, r#"{"status":"throttle exceeded"}"#, Retry),
        (
            400,
            r#"{"status":"invalid event","errors":["`x` is missing"]}"#,
            Permanent,
        ),
        (400, "<html>400 Bad Request</html>", Retry),
        (403, "{}", Permanent),
        (404, "not found", Permanent),
    ] {
        let verdict = sent("pagerduty", &reply(status, &[], body));
        assert_eq!(class(&verdict), expected, "{status} {body}: {verdict:?}");
    }
}

#[test]
fn an_accepted_alert_is_delivered_only_once_it_is_confirmed() {
    for accepted in [
        r#"{"requestId":"r-1","result":"…"}"#,
        r#"{"data":{"requestId":"r-1"}}"#,
    ] {
        let verdict = sent("jsm", &reply(202, &[], accepted));
        assert_eq!(
            verdict,
            Verdict::Accepted {
                request_id: "r-1".into()
            }
        );
    }
    let header = reply(202, &[("x-request-id", "r-2")], "{}");
    assert_eq!(
        sent("opsgenie", &header),
        Verdict::Accepted {
            request_id: "r-2".into()
        }
    );

    let not_yet = reply(
        404,
        &[("x-opsgenie-errortype", "RequestNotProcessed")],
        "{}",
    );
    assert_eq!(class(&asked(Action::Trigger, &not_yet)), NotYet);
    let in_words = r#"{"message":"Request not found. It might not be processed, yet."}"#;
    let not_yet = reply(404, &[], in_words);
    assert_eq!(class(&asked(Action::Trigger, &not_yet)), NotYet);
    assert_eq!(
        class(&asked(Action::Trigger, &reply(404, &[], "{}"))),
        Permanent
    );
    assert_eq!(
        class(&asked(Action::Trigger, &reply(503, &[], "{}"))),
        Retry
    );
    for done in [
        r#"{"data":{"isSuccess":true,"alertId":"a-1"}}"#,
        r#"{"isSuccess":true,"alertId":"a-1"}"#,
    ] {
        let verdict = asked(Action::Trigger, &reply(200, &[], done));
        assert_eq!(
            verdict,
            Verdict::Delivered {
                receipt: Some("a-1".into())
            }
        );
    }
}

#[test]
fn a_close_of_what_does_not_exist_is_done_and_a_create_that_failed_is_not() {
    let gone = reply(
        200,
        &[],
        r#"{"data":{"isSuccess":false,"status":"Alert does not exist"}}"#,
    );
    assert_eq!(class(&asked(Action::Resolve, &gone)), Delivered);
    assert_eq!(class(&asked(Action::Trigger, &gone)), Permanent);
    let at_once = reply(404, &[], r#"{"message":"Alert does not exist"}"#);
    assert_eq!(
        class(&judge("opsgenie", &Step::Send, Action::Resolve, &at_once)),
        Delivered
    );
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
        assert_eq!(
            class(&sent("slack", &reply(status, &[], word))),
            expected,
            "{status} {word}"
        );
    }
    let refused = sent("slack", &reply(403, &[], "invalid_token"));
    assert!(
        matches!(
            refused,
            Verdict::Permanent {
                reason: FailureReason::Unauthorized,
                ..
            }
        ),
        "{refused:?}"
    );
}

/// What the bot that edits makes of a reply. Only a first trigger has no message yet.
fn of_bot(step: &Step, action: Action, reply: &Reply) -> Verdict {
    let posted = (action != Action::Trigger).then_some("C1/1405894322.000001");
    of_bot_after(posted, step, action, reply)
}

/// What the bot that edits makes of a reply, where the trigger's message is this one.
fn of_bot_after(posted: Option<&str>, step: &Step, action: Action, reply: &Reply) -> Verdict {
    let receivers = every_kind();
    let (_, receiver) = receivers
        .of("oncall")
        .find(|(target, _)| target.integration == "slack/1")
        .unwrap();
    let told = match action {
        Action::Trigger => trigger(),
        Action::Change | Action::Resolve => resolve(),
    };
    let notification = Notification { action, ..told };
    receiver.judge(
        &Parcel {
            receipt: posted,
            ..parcel(&notification, step)
        },
        reply,
    )
}

#[test]
fn slack_s_bot_goes_by_the_word_and_not_by_the_status() {
    for (word, expected) in [
        ("ratelimited", Retry),
        ("rate_limited", Retry),
        ("internal_error", Retry),
        ("fatal_error", Retry),
        ("service_unavailable", Retry),
        ("request_timeout", Retry),
        ("team_added_to_org", Retry),
        ("a_word_of_next_year", Retry),
        ("channel_not_found", Permanent),
        ("not_in_channel", Permanent),
        ("is_archived", Permanent),
        ("invalid_auth", Permanent),
        ("token_revoked", Permanent),
        ("missing_scope", Permanent),
        ("invalid_blocks", Permanent),
        ("msg_too_long", Permanent),
        ("restricted_action", Permanent),
    ] {
        for status in [200, 403, 500] {
            let verdict = of_bot(&Step::Send, Action::Trigger, &said(status, word));
            assert_eq!(class(&verdict), expected, "{status} {word}: {verdict:?}");
        }
    }
    let scope = reply(
        200,
        &[],
        r#"{"ok":false,"error":"missing_scope","needed":"chat:write"}"#,
    );
    let verdict = of_bot(&Step::Send, Action::Trigger, &scope);
    let detail = "HTTP 200: missing_scope: the token lacks chat:write".to_owned();
    assert_eq!(
        verdict,
        Verdict::Permanent {
            reason: FailureReason::Unauthorized,
            detail
        }
    );
    let limited = reply(
        429,
        &[("retry-after", "30")],
        r#"{"ok":false,"error":"ratelimited"}"#,
    );
    let verdict = of_bot(&Step::Send, Action::Trigger, &limited);
    assert!(
        matches!(verdict, Verdict::Retry { after: Some(after), .. } if after.as_secs() == 30),
        "{verdict:?}"
    );
}

/// What Slack took is not posted again, however little of the reply arrives or can be read.
#[test]
fn a_reply_of_slack_s_that_is_cut_off_or_unreadable_takes_no_message_back() {
    let whole = r#"{"ok":true,"channel":"C1","ts":"1.2","message":{"text":"Bücher"}}"#;
    for end in 0..=whole.len() {
        let cut = Reply {
            body: whole.as_bytes()[..end].to_vec(),
            ..reply(200, &[], "")
        };
        let verdict = of_bot(&Step::Send, Action::Trigger, &cut);
        assert_eq!(class(&verdict), Delivered, "{end}: {verdict:?}");
        let receipt = Some("C1/1.2".to_owned());
        let knows = end >= r#"{"ok":true,"channel":"C1","ts":"1.2""#.len();
        assert_eq!(verdict == Verdict::Delivered { receipt }, knows, "{end}");
        // An edit that succeeded is announced.
        let verdict = of_bot(&Step::Send, Action::Resolve, &cut);
        assert_eq!(class(&verdict), Partly, "{end}: {verdict:?}");
    }
    let big = whole.replace("Bücher", &"x".repeat(80_000));
    for body in [
        [b"\xEF\xBB\xBF", whole.as_bytes()].concat(),
        big.as_bytes()[..65_536].to_vec(),
        whole.replace("true", "\"true\"").into_bytes(),
        whole
            .bytes()
            .map(|byte| if byte > 127 { 0xFC } else { byte })
            .collect(),
        b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\xFF".to_vec(),
    ] {
        let odd = Reply {
            body,
            ..reply(200, &[], "")
        };
        let verdict = of_bot(&Step::Send, Action::Trigger, &odd);
        assert_eq!(class(&verdict), Delivered, "{verdict:?}");
    }

    for (body, expected) in [
        (r#"{"ok":false,"error":"not_in_channel","resp"#, Permanent),
        (r#"{"ok":false,"err"#, Retry),
        ("\u{FEFF}{\"ok\":false,\"error\":\"internal_error\"}", Retry),
        ("<!DOCTYPE html><title>Sign in</title>", Retry),
    ] {
        let verdict = of_bot(&Step::Send, Action::Trigger, &reply(200, &[], body));
        assert_eq!(class(&verdict), expected, "{body}: {verdict:?}");
    }
}

fn said(status: u16, word: &str) -> Reply {
    reply(status, &[], &format!(r#"{{"ok":false,"error":"{word}"}}"#))
}

#[test]
fn a_message_at_slack_is_the_receipt_and_its_end_comes_in_two_parts() {
    let ok = reply(
        200,
        &[],
        r#"{"ok":true,"channel":"C0ALERTS","ts":"1405894322.000002"}"#,
    );
    let delivered = Verdict::Delivered {
        receipt: Some("C0ALERTS/1405894322.000002".into()),
    };
    let root = "C1/1405894322.000001";
    let update = |step: &Step| of_bot_after(Some(root), step, Action::Trigger, &ok);
    assert_eq!(of_bot(&Step::Send, Action::Trigger, &ok), delivered);
    assert_eq!(of_bot(&Step::Reply, Action::Resolve, &ok), delivered);
    assert_eq!(of_bot(&Step::Apart, Action::Resolve, &ok), delivered);
    assert_eq!(
        update(&Step::Reply),
        Verdict::Delivered {
            receipt: Some(root.into())
        },
        "the resolve edits the first message, not what was said below it"
    );
    assert_eq!(update(&Step::Apart), delivered);
    let next_of =
        |action, step: &Step, reply: &Reply| match of_bot_after(Some(root), step, action, reply) {
            Verdict::Partly { next, .. } => Some(next),
            _ => None,
        };
    let next = |step: &Step, reply: &Reply| {
        let next = next_of(Action::Resolve, step, reply);
        assert_eq!(
            next_of(Action::Trigger, step, reply),
            next,
            "an update and a resolve go the same way"
        );
        next
    };
    assert_eq!(next(&Step::Send, &ok), Some(Step::Reply));
    assert_eq!(next_of(Action::Change, &Step::Send, &ok), None);
    for (step, word, expected) in [
        (Step::Send, "message_not_found", Some(Step::Apart)),
        (Step::Send, "channel_not_found", Some(Step::Apart)),
        (Step::Send, "edit_window_closed", Some(Step::Reply)),
        (Step::Send, "cant_update_message", Some(Step::Reply)),
        (Step::Send, "internal_error", None),
        (Step::Send, "invalid_auth", None),
        (Step::Reply, "thread_not_found", Some(Step::Apart)),
        (
            Step::Reply,
            "restricted_action_thread_locked",
            Some(Step::Apart),
        ),
        (Step::Reply, "not_in_channel", None),
        (Step::Apart, "channel_not_found", None),
    ] {
        assert_eq!(next(&step, &said(200, word)), expected, "{step:?} {word}");
    }
}

#[test]
fn a_receiver_that_asks_for_a_pause_gets_it() {
    let after = |verdict: Verdict| match verdict {
        Verdict::Retry { after, .. } => after,
        verdict => panic!("{verdict:?}"),
    };
    for kind in [
        "opsgenie",
        "pagerduty",
        "slack",
        "webhook",
        "teams",
        "discord",
    ] {
        for status in [429, 503] {
            let asked = reply(status, &[("retry-after", "17")], "");
            assert_eq!(
                after(sent(kind, &asked)),
                Some(Duration::from_secs(17)),
                "{kind} {status}"
            );
        }
        if kind != "webhook" {
            assert_eq!(after(sent(kind, &reply(429, &[], ""))), None, "{kind}");
        }
    }
    let limited = reply(
        429,
        &[("retry-after", "1")],
        r#"{"message":"slow down","retry_after":0.345,"global":false}"#,
    );
    assert_eq!(
        after(sent("discord", &limited)),
        Some(Duration::from_millis(345)),
        "to the millisecond"
    );
    // An early version of the API counts in milliseconds, its header never did.
    let early = reply(
        429,
        &[("x-ratelimit-reset-after", "6.0"), ("retry-after", "6000")],
        r#"{"message":"slow down","retry_after":6000,"global":false}"#,
    );
    assert_eq!(after(sent("discord", &early)), Some(Duration::from_secs(6)));
    let global = reply(
        429,
        &[("x-ratelimit-reset-after", "0.5")],
        r#"{"message":"slow down","retry_after":64.5,"global":true}"#,
    );
    assert_eq!(
        after(sent("discord", &global)),
        Some(Duration::from_millis(64_500))
    );
    let period = reply(
        429,
        &[("x-ratelimit-period-in-sec", "60"), ("retry-after", "1")],
        "",
    );
    assert_eq!(after(sent("jsm", &period)), Some(Duration::from_mins(1)));
    for status in [429, 502, 504] {
        assert_eq!(
            after(sent("webhook", &reply(status, &[], ""))),
            Some(Duration::from_secs(5)),
            "{status}"
        );
    }
}

#[test]
fn a_message_at_discord_is_there_once_it_has_an_id() {
    let posted = reply(200, &[], r#"{"id":"1310000000000000001","type":0}"#);
    assert_eq!(
        sent("discord", &posted),
        Verdict::Delivered {
            receipt: Some("1310000000000000001".into())
        }
    );
    assert_eq!(
        sent("discord", &reply(200, &[], "{}")),
        Verdict::Delivered { receipt: None }
    );
    let unknown = reply(200, &[], r#"{"message":"Unknown Webhook","code":10015}"#);
    assert_eq!(class(&sent("discord", &unknown)), Retry);
}

#[test]
fn a_flow_may_answer_in_its_own_words_and_a_connector_that_failed_is_no_success() {
    assert_eq!(
        class(&sent("teams", &reply(200, &[], r#"{"posted":true}"#))),
        Delivered
    );
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned \
                  HTTP error 429";
    assert_eq!(class(&sent("teams", &reply(200, &[], failed))), Retry);
}

#[test]
fn a_refusal_says_why() {
    let detail = |verdict: Verdict| match verdict {
        Verdict::Permanent { detail, .. } => detail,
        verdict => panic!("{verdict:?}"),
    };
    let errors = reply(
        400,
        &[],
        r#"{"status":"invalid event","errors":["Length of 'summary'","'x' is missing"]}"#,
    );
    assert_eq!(
        detail(sent("pagerduty", &errors)),
        "HTTP 400: Length of 'summary'; 'x' is missing"
    );
    assert!(detail(sent("opsgenie", &reply(401, &[], "{}"))).contains("region"));
    let errors = reply(
        400,
        &[],
        r#"{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":"too long"}}}"#,
    );
    assert_eq!(
        detail(sent("discord", &errors)),
        r#"HTTP 400: Invalid Form Body: {"embeds":{"0":"too long"}}"#
    );
    let off = reply(
        400,
        &[],
        r#"{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"the flow is off"}}"#,
    );
    assert_eq!(
        detail(sent("teams", &off)),
        "HTTP 400: WorkflowTriggerIsNotEnabled: the flow is off"
    );
    assert!(detail(sent("webhook", &reply(410, &[], ""))).contains("asks for no more requests"));
    assert!(
        detail(sent("slack", &reply(302, &[], &"é".repeat(70_000))))
            .chars()
            .count()
            <= 300
    );
}

#[test]
fn a_reply_that_repeats_a_credential_is_scrubbed_of_it() {
    let receivers = every_kind();
    for (target, receiver) in receivers
        .of("oncall")
        .filter(|(target, _)| target.kind() != "stdout")
    {
        let keys = Keys::read(receiver).unwrap();
        for secret in receiver.secrets() {
            let secret = keys.reveal(secret);
            let parts = [
                secret,
                secret.trim_start_matches("https://hooks.slack.example"),
                &format!("key={secret}."),
            ];
            for echoed in parts {
                let scrubbed = keys.scrub(echoed);
                assert!(
                    !scrubbed.contains("SECRET"),
                    "{}: {scrubbed}",
                    target.integration
                );
            }
        }
    }
}
