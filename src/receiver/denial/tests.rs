use serde_json::json;

use super::{Denial, denied, is_web_page, of_json, of_text};
use crate::receiver::{Body, Reply};

fn reply(body: &str, media_type: Option<&str>) -> Reply {
    Reply {
        status: 200,
        headers: media_type
            .map(|media_type| ("content-type".to_owned(), media_type.to_owned()))
            .into_iter()
            .collect(),
        body: body.into(),
    }
}

/// What an endpoint posted is named or approved of, whatever numbers and words are beside it.
#[test]
fn a_yes_or_an_id_counts_before_what_a_vendor_counts_and_lists() {
    let beside = [
        json!({ "code": 1000, "msg": "处理完毕" }),
        json!({ "code": 19001, "msg": "queued for 2 of 3" }),
        json!({ "errors": ["one of two is not subscribed"] }),
        json!({ "errors": { "invalid_aliases": { "external_id": ["x"] } } }),
        json!({ "error": "deprecated", "data": { "success": false } }),
        json!({ "errcode": 7 }),
    ];
    let said = [
        json!({ "success": true }),
        json!({ "ok": "true" }),
        json!({ "isSuccess": 1 }),
        json!({ "id": "b15ba6e5" }),
        json!({ "message_id": 7 }),
        json!({ "messageIds": ["a"] }),
    ];
    for beside in &beside {
        for said in &said {
            let mut both = beside.clone();
            let more = said.as_object().unwrap().clone();
            both.as_object_mut().unwrap().extend(more);
            assert_eq!(of_json(&both), None, "{both}");
        }
    }
    // A vendor that made nothing has no name for it.
    for id in [json!(""), json!(0), json!(null), json!([])] {
        let said = json!({ "id": id, "errors": ["nobody is subscribed"] });
        assert_eq!(of_json(&said), Some(Denial::Words), "{said}");
    }
}

#[test]
fn a_number_that_no_word_explains_as_a_failure_is_none() {
    for taken in [
        r#"{"code":20000,"msg":"操作完了"}"#,
        r#"{"code":"80000000","msg":"완료","requestId":"1"}"#,
        r#"{"code":1000,"msg":"処理済み"}"#,
        r#"{"code":20001,"msg":"发送成功"}"#,
        r#"{"code":20001,"msg":"Message sent successfully"}"#,
        r#"{"status":1,"status_message":"queued for delivery"}"#,
        r#"{"status":0,"status_message":"ok","message_token":5}"#,
        r#"{"error":{"code":0,"message":"success"}}"#,
        r#"{"error":"NO_ERROR"}"#,
        r#"{"error":"No error"}"#,
        r#"{"errorMessage":"Success","errorCode":0}"#,
        r#"{"errors":[{"code":"0","message":""}]}"#,
        r#"{"code":0,"data":{"error":"SUCCESS","errno":0}}"#,
        r#"{"messages":[{"status":"0"},{"status":"4","error-text":"Bad"}]}"#,
        r#"{"data":[{"status":"ok"},{"status":"error"}]}"#,
        r#"{"success":1,"failure":1,"results":[{"error":"NotRegistered"}]}"#,
    ] {
        let json = serde_json::from_str(taken).unwrap();
        assert_eq!(of_json(&json), None, "{taken}");
    }
    for refused in [
        r#"{"code":903,"msg":"无效的用户令牌"}"#,
        r#"{"code":40000,"msg":"参数"}"#,
        r#"{"code":20001,"msg":"发送不成功"}"#,
        r#"{"status":2,"status_message":"invalidAuthToken"}"#,
        r#"{"status":6,"status_message":"receiverNotSubscribed"}"#,
        r#"{"message-count":"1","messages":[{"status":"4","error-text":"Bad Credentials"}]}"#,
        r#"{"data":[{"status":"error","message":"not a registered recipient"}]}"#,
        r#"{"data":{"success":false,"error":"quota"}}"#,
        r#"{"response":{"results":[{"ok":false}]}}"#,
        r#"{"error":{"code":7,"message":"denied"}}"#,
    ] {
        let json = serde_json::from_str(refused).unwrap();
        assert_eq!(of_json(&json), Some(Denial::Words), "{refused}");
    }
}

/// Every way to speak of a failure, in what is sent: an endpoint that keeps what it gets, and
/// returns it, has said nothing.
#[test]
fn what_repeats_the_request_says_nothing_of_it() {
    for (name, value) in [
        ("status", json!("FAILED")),
        ("status", json!(503)),
        ("error", json!("p95 is over 3 s")),
        ("success", json!(false)),
        ("code", json!(19001)),
        ("type", json!("error")),
    ] {
        let sent = json!({ "title": "An app is down", name: value, "msg": "a b", "n": 1 });
        let body = Body::Json(sent.clone());
        let mut kept = sent.clone();
        kept["created_at"] = "2026-01-01".into();
        for echo in [
            sent.clone(),
            kept.clone(),
            json!([kept]),
            json!({ "data": kept }),
            json!({ "json": sent, "url": "https://example.com" }),
        ] {
            let said = reply(&echo.to_string(), None);
            assert_eq!(denied(&said, || body.clone()), None, "{echo}");
        }
        // One field may be the same by chance.
        let own = json!({ name: value, "title": "Nothing was posted", "msg": "It is full" });
        let said = reply(&own.to_string(), None);
        assert!(denied(&said, || body.clone()).is_some(), "{own}");
    }
    let body = Body::Text("FAILED: an app\n".to_owned());
    assert_eq!(
        denied(&reply("FAILED: an app", None), || body.clone()),
        None
    );
    assert!(denied(&reply("FAILED: no room", None), || body.clone()).is_some());
}

#[test]
fn a_body_takes_a_success_back_only_where_it_says_so() {
    for taken in [
        r#"{"success":true}"#,
        r#"{"ok":true,"error":"deprecated"}"#,
        r#"{"success":true,"errors":["one of two"]}"#,
        r#"{"error":null}"#,
        r#"{"error":"","errors":[]}"#,
        r#"{"error":false,"message":"sent"}"#,
        r#"{"status":"ok"}"#,
        r#"{"type":"message","hasErrors":false,"exception":null}"#,
        r#"{"status":200}"#,
        r#"{"status":"success","code":"000000"}"#,
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{"code":0,"msg":"success"}"#,
        r#"{"code":1000,"msg":"success"}"#,
        r#"{"result":"success","msg":""}"#,
        r#"{"id":"1","text":"error budget is spent"}"#,
        r#"[{"ok":true},{"ok":false}]"#,
        "{}",
        "[]",
        "1",
        "0",
        "null",
        "true",
    ] {
        assert_eq!(
            of_json(&serde_json::from_str(taken).unwrap()),
            None,
            "{taken}"
        );
    }
    for refused in [
        r#"{"ok":false}"#,
        r#"{"Success":false}"#,
        r#"{"success":"false"}"#,
        r#"{"success":0,"failure":1}"#,
        r#"{"ok":false,"status":"ok"}"#,
        r#"{"error":"no such room"}"#,
        r#"{"errors":{"text":"is missing"}}"#,
        r#"{"error":true,"message":"off"}"#,
        r#"{"status":"error","message":"off"}"#,
        r#"{"result":"failure"}"#,
        r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
        r#"{"code":19001,"msg":"param invalid"}"#,
        r#"[{"ok":false}]"#,
        "false",
        r#""invalid_token""#,
        r#"{"isError":true}"#,
        r#"{"type":"error","text":"off"}"#,
        r#"{"fault":{"faultstring":"Invalid ApiKey"}}"#,
        r#"{"exception":"java.lang.NullPointerException"}"#,
    ] {
        assert_eq!(
            of_json(&serde_json::from_str(refused).unwrap()),
            Some(Denial::Words),
            "{refused}"
        );
    }
    let told = r#"{"statusCode":429,"message":"Rate limit is exceeded."}"#;
    assert_eq!(
        of_json(&serde_json::from_str(told).unwrap()),
        Some(Denial::Status(429))
    );
}

#[test]
fn a_sentence_is_a_failure_where_it_begins_as_one_or_is_slacks() {
    for taken in [
        "",
        "ok",
        "OK",
        "Accepted",
        "message sent",
        "1",
        "no errors",
        "notified",
        "thank_you",
        "Noted.",
        "errors: 0",
        "Failed=0, sent=1",
        "error = none",
        "<errors>0</errors>",
        "<?xml version=\"1.0\"?><response><errors/></response>",
        "NO_ERROR",
        "no_content",
        "no_errors_found",
        "fail2ban notified",
        "error: none",
    ] {
        assert_eq!(of_text(taken), None, "{taken}");
    }
    for refused in [
        "no_service",
        "a_new_error",
        "Error: off",
        "Error: no such room",
        "error: 0x80004005",
        "error500 in it",
        "errors: 10",
        "error:",
        "failed",
        "FAILED",
        "Invalid webhook",
        "Not Found",
        "System.Net.HttpRequestException: x",
        "<Error><Code>AccessDenied</Code></Error>",
        "<?xml version=\"1.0\"?>\n<!-- a --><error code='5'/>",
    ] {
        assert_eq!(of_text(refused), Some(Denial::Words), "{refused}");
    }
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint \
                  returned HTTP error 429";
    assert_eq!(of_text(failed), Some(Denial::Status(429)));
    assert_eq!(
        of_text("Webhook message delivery failed with error: x"),
        Some(Denial::Words)
    );
}

#[test]
fn a_web_page_is_one_behind_comments_and_a_declaration_too() {
    for page in [
        "<!DOCTYPE html><html>",
        "\u{FEFF}\n <HTML lang=en>",
        "\n<!-- login --><!-- x -->\n<html><body>",
        "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC",
        "<head>",
    ] {
        assert!(is_web_page(&reply(page, None)), "{page}");
    }
    for other in [
        "",
        "ok",
        "<header>ok</header>",
        "<!-- <html>",
        "<response/>",
        "1 <html>",
    ] {
        assert!(
            !is_web_page(&reply(other, Some("text/html"))) || other.starts_with('<'),
            "{other}"
        );
        assert!(!is_web_page(&reply(other, None)), "{other}");
    }
}
