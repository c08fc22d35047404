use serde_json::json;

use super::{Denial, is_web_page, of_json, sentence::of_text};
use crate::receiver::{Body, Reply, Request};

mod echo;
mod forms;
mod services;

fn reply(body: &str, media_type: Option<&str>) -> Reply {
    Reply {
        status: 200,
        headers: media_type
            .map(|media_type| ("content-type".to_owned(), media_type.to_owned()))
            .into_iter()
            .collect(),
        body: body.into(),
        ..Reply::default()
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

/// Whether the denial is a refusal beyond doubt.
fn is_plain(denial: Option<Denial>) -> bool {
    matches!(denial, Some(Denial::Words | Denial::Word))
}

/// An endpoint that posted something names or approves it, whatever numbers and words are beside
/// that.
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
    // A vendor that made nothing has no id for it.
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
        assert!(is_plain(of_json(&json)), "{refused}");
    }
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
        let json = serde_json::from_str(refused).unwrap();
        assert!(is_plain(of_json(&json)), "{refused}");
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

/// Covers what a reply counts or lists, and other languages.
#[test]
fn a_count_takes_a_success_back_where_nobody_got_it_and_nobody_will() {
    for taken in [
        r#"{"sent":0,"queued":1}"#,
        r#"{"delivered":0,"queued":1}"#,
        r#"{"accepted":true,"sent":0}"#,
        r#"{"sent":1,"failed":1}"#,
        r#"{"sent":1,"failed":1,"errors":[{"to":"+49170","error":"invalid number"}]}"#,
        r#"{"accepted":["a@example.com"],"rejected":["b@"],"error":"550 no such user"}"#,
        r#"{"result":{"sent":2},"errors":["+49170: invalid number"]}"#,
        r#"{"message":"Failed for 1 of 2","sent":1}"#,
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
        r#"{"recipients":1,"error":"quota exceeded"}"#,
        r#"{"sent":1764468000,"error":"invalid token"}"#,
        r#"{"erfolg":false,"fehler":"Schluessel ungueltig"}"#,
        r#"{"status":"Fehlgeschlagen"}"#,
        r#"{"result":"失败"}"#,
    ] {
        let json = serde_json::from_str(refused).unwrap();
        assert!(is_plain(of_json(&json)), "{refused}");
    }
    for doubtful in [
        r#"{"sent":0}"#,
        r#"{"success":false,"sent":1,"failed":1}"#,
        r#"{"status":"failed","sent":1,"failed":1}"#,
        r#"{"code":500,"sent":1,"failed":1}"#,
        r#"{"recipients":[]}"#,
        r#"{"id":"","recipients":0}"#,
    ] {
        let json = serde_json::from_str(doubtful).unwrap();
        assert_eq!(of_json(&json), Some(Denial::Doubtful), "{doubtful}");
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
