use serde_json::json;

use super::{Denial, denied, is_web_page, of_json, of_text, pairs};
use crate::{
    delivery::Verdict,
    receiver::{Body, Reply, Request, partial},
};

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

fn request(body: &Body) -> Request {
    Request {
        method: "POST",
        url: "https://example.com/hook".to_owned(),
        headers: vec![("content-type".into(), "text/plain".into())],
        body: body.clone(),
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
            assert_eq!(denied(&said, || Some(request(&body))), None, "{echo}");
        }
        // One field may be the same by chance.
        let own = json!({ name: value, "title": "Nothing was posted", "msg": "It is full" });
        let said = reply(&own.to_string(), None);
        assert!(denied(&said, || Some(request(&body))).is_some(), "{own}");
    }
    let body = Body::Text("FAILED: an app\n".to_owned());
    assert_eq!(
        denied(&reply("FAILED: an app", None), || Some(request(&body))),
        None
    );
    assert!(denied(&reply("FAILED: no room", None), || Some(request(&body))).is_some());
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
        r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params."},"id":1}"#,
        r#"{"error":{"code":7,"message":"You must log in"},"id":"1","result":null}"#,
        r#"{"code":1,"message":"Error: Invalid login"}"#,
        r#"{"error_code":40035,"error_msg":"bad"}"#,
        r#"{"errorCode":"E001"}"#,
        r#"{"errno":1,"errmsg":"bad token"}"#,
        r#"{"retcode":-1,"msg":"denied"}"#,
        r#"{"ret":-1,"message":"auth error"}"#,
        r#"{"result":"NG"}"#,
        r#"{"status":"ERR","error":"100"}"#,
        r#"{"status":"unsuccessful"}"#,
        r#"{"isOk":false}"#,
        r#"{"accepted":false}"#,
        r#"{"message":"Unauthorized"}"#,
        r#"{"detail":"Invalid token"}"#,
        r#"{"error":"denied","request_id":"r-1","user_id":7}"#,
        r#"{"error":"denied","reference":"E-4711"}"#,
        r#"{"message":"Access denied","key":"abc"}"#,
        r#"{"exception":"java.lang.NullPointerException"}"#,
    ] {
        assert_eq!(
            of_json(&serde_json::from_str(refused).unwrap()),
            Some(Denial::Words),
            "{refused}"
        );
    }
    for taken in [
        r#"{"received":true,"queued":false}"#,
        r#"{"sent":false,"accepted":true}"#,
        r#"{"status":"ok","sent":0}"#,
        r#"{"alertId":"1","errors":["late"]}"#,
        r#"{"notification_id":"5","error":"none of 2 muted"}"#,
        r#"{"code":0,"message":"Failed login is recorded"}"#,
        r#"{"error_code":null,"error_message":null,"retcode":0}"#,
    ] {
        let json = serde_json::from_str(taken).unwrap();
        assert_eq!(of_json(&json), None, "{taken}");
    }
    let told = r#"{"statusCode":429,"message":"Rate limit is exceeded."}"#;
    assert_eq!(
        of_json(&serde_json::from_str(told).unwrap()),
        Some(Denial::Status(429))
    );
}

/// Of what a reply counts, or lists, and in other languages.
#[test]
fn a_count_takes_a_success_back_where_nobody_got_it_and_nobody_will() {
    for taken in [
        r#"{"sent":0,"queued":1}"#,
        r#"{"delivered":0,"queued":1}"#,
        r#"{"accepted":true,"sent":0}"#,
        r#"{"sent":1,"failed":1}"#,
        r#"{"accepted":["a@example.com"],"rejected":[]}"#,
        r#"{"errors":0}"#,
        r#"{"failed":0}"#,
        r#"{"failures":3}"#,
        r#"{"pending":0,"queued":0}"#,
        r#"{"id":"7","recipients":0}"#,
        r#"{"fehler":0,"status":"ok"}"#,
    ] {
        let json = serde_json::from_str(taken).unwrap();
        assert_eq!(of_json(&json), None, "{taken}");
    }
    for refused in [
        r#"{"sent":0,"failed":1}"#,
        r#"{"accepted":[],"rejected":["a@example.com"]}"#,
        r#"{"delivered":0,"errors":["x"]}"#,
        r#"{"erfolg":false,"fehler":"Schluessel ungueltig"}"#,
        r#"{"status":"Fehlgeschlagen"}"#,
        r#"{"result":"失败"}"#,
    ] {
        let json = serde_json::from_str(refused).unwrap();
        assert_eq!(of_json(&json), Some(Denial::Words), "{refused}");
    }
    for nobody in [
        r#"{"sent":0}"#,
        r#"{"recipients":[]}"#,
        r#"{"id":"","recipients":0}"#,
    ] {
        let json = serde_json::from_str(nobody).unwrap();
        assert_eq!(of_json(&json), Some(Denial::Doubtful), "{nobody}");
    }
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
        "RT/4.4.1 200 Ok\n\n# Ticket 27 created.\n",
        "404 alerts sent",
        "500 Miles",
        "Fehlerfrei verarbeitet",
        "Fehler: 0",
        "Erreurs : aucune",
        "操作成功",
        "登录失败告警已发送",
        "失敗通知 を 送信",
        "エラーなし",
        "<html><title>Thank you</title></html>",
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
        "<soap:Fault>x</soap:Fault>",
        "<s:Envelope><s:Body><s:Fault><faultstring>x</faultstring></s:Fault></s:Body></s:Envelope>",
        "ERR: 001, Authentication failed",
        "ERR 103",
        "NG",
        "Access denied",
        "Fehler: Token ungültig",
        "Ungültiger Schlüssel",
        "Zugriff verweigert",
        "Erreur : clé invalide",
        "Échec de l'envoi",
        "Accès refusé",
        "Acceso denegado",
        "Erro: chave inválida",
        "Falha ao enviar",
        "Ошибка: неверный ключ",
        "错误：无效的令牌",
        "发送失败",
        "送信に失敗しました。",
        "エラー: トークン",
        "RT/4.4.1 401 Credentials required\n",
        "404 page not found",
        "401 Unauthorized",
        "<html>\r\n<head><title>502 Bad Gateway</title></head></html>",
    ] {
        assert!(of_text(refused).is_some(), "{refused}");
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

/// What an alert says of itself, however an endpoint writes it, is no refusal.
#[test]
fn an_alert_s_own_words_take_no_page_back_however_they_are_written() {
    let title = "Failed backup of db1: 100% of <volumes>, error 5 \u{fc}ber \"all\"";
    let json = json!({
        "title": title, "incident": "db1", "status": "FAILED", "type": "error", "error": title,
        "severity": "critical", "n": 1, "m": 2, "ok": false,
    });
    let upper = |name: &str| json[name].as_str().unwrap()[..10].to_owned();
    for reply_json in [
        json!({ "received": true, "incident": "db1", "status": "FAILED" }),
        json!({ "incident": "db1", "status": "failed" }),
        json!({ "received": true, "status": "FAILED" }),
        json!({ "title": title, "status": "FAILED" }),
        json!({ "title": title, "error": title }),
        json!({ "TITLE": title, "STATUS": "FAILED", "TYPE": "error", "OK": false }),
        json!({ "title": upper("title"), "status": "FAILED", "error": upper("error") }),
        json!({ "result": title }),
        json!({ "status": title.to_lowercase() }),
        json!({ "data": { "status": title } }),
        json!({ "key": "ABC-1", "status": "Failed" }),
        json!({ "reference": "INC5", "result": "Failed backup alert raised" }),
        json!({ "ok": "false", "n": "1", "title": title, "message": "received" }),
    ] {
        let said = reply(&reply_json.to_string(), None);
        let body = Body::Json(json.clone());
        assert_eq!(denied(&said, || Some(request(&body))), None, "{reply_json}");
    }

    let text = format!("{title}\nand more of it");
    let html = title
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('%', "&#37;");
    for echo in [
        format!("{title} - received"),
        text.to_lowercase(),
        text.to_uppercase(),
        text[..20].to_owned(),
        text[..15].to_owned(),
        format!("\"{text}\""),
        json!(text).to_string(),
        json!(text).to_string()[..30].to_owned(),
        html,
        "Failed%20backup%20of%20db1%3A%20100%25".to_owned(),
        format!("status={title}"),
    ] {
        for body in [
            Body::Text(text.clone()),
            Body::Json(json!({ "text": text })),
        ] {
            let said = reply(&echo, None);
            assert_eq!(denied(&said, || Some(request(&body))), None, "{echo}");
        }
    }
}

/// Whether such a reply repeats the alert or refuses it nobody can tell: it is not sent again, and
/// somebody else is told.
#[test]
fn a_failure_in_a_word_that_the_alert_has_too_is_neither_a_delivery_nor_sent_again() {
    let body = Body::Json(json!({ "title": "Error rate is too high", "status": "failed" }));
    for doubtful in [
        r#"{"status":"error","message":"the room is full"}"#,
        r#"{"status":"failed"}"#,
        r#"{"status":"ERROR","title":"Error rate is too high","message":"token expired"}"#,
        r#"{"status":"ERROR","title":"Error rate is too high","message":"Error: it is expired"}"#,
        "FAILED",
        "Error",
        "Error: no such room",
    ] {
        let verdict = denied(&reply(doubtful, None), || Some(request(&body)));
        assert!(
            matches!(verdict, Some(Verdict::Permanent { .. })),
            "{doubtful}: {verdict:?}"
        );
    }
    // What was made has a state that is no word of the alert's.
    for made in [
        r#"{"id":"m-1","status":"rejected"}"#,
        r#"{"sys_id":"a1","status":"denied"}"#,
        r#"{"TicketID":"5","State":"rejected"}"#,
        r#"{"href":"https://x.example/1","status":"rejected"}"#,
        r#"{"type":"invalid","alert":{"id":"a1"}}"#,
        r#"{"result":"Invalid certificate: alert 17 created"}"#,
        "Invalid certificate on a host - alert forwarded",
        "Rejected checks: 3, page sent",
    ] {
        let verdict = denied(&reply(made, None), || Some(request(&body)));
        assert!(
            matches!(verdict, Some(Verdict::Permanent { .. })),
            "{made}: {verdict:?}"
        );
    }
    // What is certain is tried again whatever the alert says.
    for certain in [
        r#"{"ok":false,"title":"Error rate is too high"}"#,
        r#"{"statusCode":503,"message":"Error"}"#,
        r#"{"status":"failed","error":"no such room"}"#,
        r#"{"status":"invalid","message":"no such room"}"#,
        "too_many_errors",
        "Invalid token",
        "Rejected: the page was not sent",
        "ERR 103",
        "503 Service Unavailable",
    ] {
        let verdict = denied(&reply(certain, None), || Some(request(&body)));
        assert!(
            matches!(verdict, Some(Verdict::Retry { .. })),
            "{certain}: {verdict:?}"
        );
    }
    let body = Body::Text("there is no service, or backup_failed".to_owned());
    let verdict = |said| denied(&reply(said, None), || Some(request(&body)));
    assert!(matches!(verdict("no_service"), Some(Verdict::Retry { .. })));
    assert!(matches!(
        verdict("backup_failed"),
        Some(Verdict::Permanent { .. })
    ));
}

/// A reply may hold several, be cut off, or be no JSON at all.
#[test]
fn a_refusal_is_read_in_whatever_form_it_comes() {
    for refused in [
        "{\"ok\":false,\"error\":\"x\"}\n{\"ok\":false}\n",
        "{\"ok\":false,}",
        "{\"ok\":false,\"trace\":\"xxxxxxx",
        "success=false",
        "success=false&msg=x",
        "status=error\nmessage=x",
        "error=invalid+token&code=5",
        "cb({\"ok\":false});",
        "/**/ typeof cb === 'function' && cb({\"error\":\"x\"});",
        ")]}',\n{\"ok\":false}",
        "while(1);{\"ok\":false}",
        "for(;;);{\"ok\":false}",
        "\u{FEFF}{\"ok\":false}",
        "\"{\\\"ok\\\":false}\"",
        "<response><status>error</status><message>bad</message></response>",
        "<?xml version=\"1.0\"?><rsp stat=\"fail\"><err code=\"100\" msg=\"x\"/></rsp>",
        "<reply><result>failed</result></reply>",
        "<r><success>false</success></r>",
        "<r><status code=\"401\">x</status></r>",
        "<s:Envelope xmlns:s=\"x\"><s:Header/><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>\
         </s:Code></s:Fault></s:Body></s:Envelope>",
        "<e:Envelope xmlns:e=\"x\"><e:Body><Answer><ok>false</ok></Answer></e:Body></e:Envelope>",
    ] {
        let verdict = denied(&reply(refused, None), || None);
        assert!(verdict.is_some(), "{refused}");
    }
    for taken in [
        "{\"ok\":true,\"tr",
        "success=true",
        "Failed=0, sent=1",
        "a=b",
        "{\"ok\":fal",
        "cb({\"ok\":true})",
        ")]}'\n{\"id\":7,\"error\":\"late\"}",
        "sent (while(1); never ends)",
        "<response><status>ok</status><errors/></response>",
        "<response><errors>0</errors><sent>1</sent></response>",
        "<e:Envelope xmlns:e=\"x\"><e:Body><Answer><ok>true</ok></Answer></e:Body></e:Envelope>",
    ] {
        assert_eq!(denied(&reply(taken, None), || None), None, "{taken}");
    }
    assert_eq!(pairs("no pair"), None);
    assert!(partial::read("success=false").is_none());
}
