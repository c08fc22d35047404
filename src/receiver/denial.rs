//! A success that its body contradicts: the meaning of a 2xx from a receiver without dedup keys.
//!
//! If such a receiver has accepted a message, sending it again posts a second one. A 2xx is
//! therefore a delivery whatever the body says, unless the body says that nothing was posted:
//! `"ok": false`, an error's status or words, or one of Slack's. What repeats the request says
//! nothing: an alert may speak of an error in any field.

use serde_json::{Map, Value};

use super::{Body, Reply, status, text};
use crate::delivery::{FailureReason, Verdict};

mod echo;

// The names of fields, as [`plain`] has them.

/// Fields that say with yes or no whether it succeeded.
const FLAGS: [&str; 5] = ["ok", "success", "succeeded", "issuccess", "delivered"];
/// Fields that say so with a word, or with the number of a status.
const STATES: [&str; 6] = ["status", "type", "result", "state", "outcome", "statuscode"];
/// Fields with a number of the vendor's own.
const CODES: [&str; 2] = ["code", "errcode"];
/// Fields that are present, or not empty, if it failed.
const ERRORS: [&str; 9] = [
    "error",
    "errors",
    "errormessage",
    "errortext",
    "exception",
    "fault",
    "haserror",
    "haserrors",
    "iserror",
];
/// Fields that name what was made: only what was posted has one.
const IDS: [&str; 5] = ["id", "messageid", "messageids", "sid", "uuid"];
/// Fields that hold the answer proper.
const WITHIN: [&str; 7] = [
    "data",
    "items",
    "messages",
    "response",
    "responses",
    "result",
    "results",
];
/// Deeper answers are not read.
const DEEPEST: usize = 3;

/// The beginnings of sentences and states that report a failure.
const FAILED: [&str; 15] = [
    "bad",
    "denied",
    "error",
    "errors",
    "exception",
    "fail",
    "failed",
    "failure",
    "forbidden",
    "invalid",
    "ko",
    "nok",
    "rejected",
    "unauthorized",
    "undelivered",
];
const DONE: [&str; 10] = [
    "accepted",
    "created",
    "delivered",
    "done",
    "ok",
    "posted",
    "queued",
    "sent",
    "success",
    "succeeded",
];
/// The values of an error field that mean no error, as [`plain`] has them.
const NONE: [&str; 14] = [
    "",
    "0",
    "false",
    "na",
    "no",
    "noerror",
    "noerrors",
    "none",
    "null",
    "ok",
    "okay",
    "success",
    "successful",
    "succeeded",
];
/// Words of which one is in each sentence that says why a number is no success.
const WHY: [&str; 19] = [
    "bad",
    "blocked",
    "cannot",
    "denied",
    "error",
    "exceeded",
    "expired",
    "failed",
    "failure",
    "forbidden",
    "incompatible",
    "invalid",
    "missing",
    "no",
    "not",
    "suspended",
    "too",
    "unauthorized",
    "unsupported",
];

/// The families of Slack's one-word errors, which compatible services share.
const BEGINNINGS: [&str; 5] = ["invalid_", "missing_", "no_", "not_", "too_many_"];
/// What begins like one of them, and reports nothing wrong.
const FINE: [&str; 15] = [
    "no_action",
    "no_alert",
    "no_change",
    "no_content",
    "no_error",
    "no_exception",
    "no_failure",
    "no_fault",
    "no_issue",
    "no_op",
    "no_problem",
    "no_reply",
    "no_response",
    "no_warning",
    "not_modified",
];
const ENDINGS: [&str; 10] = [
    "_archived",
    "_denied",
    "_disabled",
    "_error",
    "_expired",
    "_failed",
    "_limited",
    "_not_found",
    "_prohibited",
    "_revoked",
];

/// Whether a reply may be judged by this word, which is in lower case.
pub fn reads(word: &str) -> bool {
    [
        &FLAGS[..],
        &STATES,
        &CODES,
        &ERRORS,
        &IDS,
        &WITHIN,
        &FAILED,
        &DONE,
        &NONE,
        &WHY,
    ]
    .iter()
    .any(|words| words.contains(&plain(word).as_str()))
}

/// The verdict on an endpoint whose reply may be anything.
pub fn judge(reply: &Reply) -> Verdict {
    judge_echo(reply, || Body::Empty)
}

/// The same, where the endpoint may repeat what was `sent`, which is made only if the reply could.
pub fn judge_echo(reply: &Reply, sent: impl FnOnce() -> Body) -> Verdict {
    match status::verdict(reply) {
        Verdict::Delivered { .. } => {
            denied(reply, sent).unwrap_or(Verdict::Delivered { receipt: None })
        }
        verdict => verdict,
    }
}

/// The verdict on a vendor whose API documents its replies, none of which is a web page: that comes
/// from a sign-in or a proxy in between, and nobody was paged. A page by a key may be sent again.
pub fn judge_api(reply: &Reply, sent: impl FnOnce() -> Body) -> Verdict {
    if (200..300).contains(&reply.status) && is_web_page(reply) {
        return status::unexpected(reply);
    }

    judge_echo(reply, sent)
}

/// The verdict on a chat. A chat does not reply with a web page: one comes from a proxy or a
/// sign-in in between. Then it is unknown whether something was posted, so it is not repeated; the
/// dead letter says so, and the fallback is notified.
pub fn judge_chat(reply: &Reply) -> Verdict {
    if (200..300).contains(&reply.status) && is_web_page(reply) {
        let detail = format!(
            "a web page answered in place of the chat: {}",
            status::detail(reply)
        );
        return Verdict::Permanent {
            reason: FailureReason::UnexpectedReply,
            detail,
        };
    }

    judge(reply)
}

fn denied(reply: &Reply, sent: impl FnOnce() -> Body) -> Option<Verdict> {
    let said = String::from_utf8_lossy(&reply.body);
    let said = said.trim_start_matches('\u{FEFF}').trim();
    let denial = match serde_json::from_str::<Value>(said) {
        Ok(mut json) => {
            if json.is_object() || json.is_array() {
                echo::forget_in(&mut json, &sent());
            }
            of_json(&json)
        }
        Err(_) => of_text(text::head(said, 8192)).filter(|_| !echo::begins(said, &sent())),
    }?;

    Some(match denial {
        Denial::Status(code) => status::as_if(code, reply),
        Denial::Words => Verdict::Retry {
            reason: FailureReason::UnexpectedReply,
            detail: format!("the reply says that it failed: {}", status::detail(reply)),
            after: status::retry_after(reply),
        },
    })
}

/// How a body contradicts its own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denial {
    /// The status that it should have had.
    Status(u16),
    Words,
}

fn of_json(json: &Value) -> Option<Denial> {
    within(json, 0)
}

fn within(json: &Value, depth: usize) -> Option<Denial> {
    match json {
        Value::Bool(false) if depth == 0 => Some(Denial::Words),
        Value::String(said) if depth == 0 => of_text(said),
        // If one of several messages was posted, it must not be repeated.
        Value::Array(items) => {
            let each = items.iter().map(|item| within(item, depth));
            each.reduce(Option::and).flatten()
        }
        Value::Object(fields) => of_object(fields, depth),
        _ => None,
    }
}

/// What is plain counts first: a yes, a status, a no, a word. An id says more than the vendor's own
/// numbers and than errors, which may concern one recipient of several.
fn of_object(fields: &Map<String, Value>, depth: usize) -> Option<Denial> {
    let all = |names: &'static [&str]| {
        let is_one = move |name: &str| names.contains(&plain(name).as_str());
        fields.iter().filter(move |(name, _)| is_one(name))
    };
    let any = |names, holds: &dyn Fn(&Value) -> bool| all(names).any(|(_, value)| holds(value));
    let says_no = any(&FLAGS, &|flag| truth(flag) == Some(false));
    let says_yes = any(&FLAGS, &|flag| truth(flag) == Some(true));
    if says_yes && !says_no {
        return None;
    }

    let is_status = |value: &Value| {
        let code = number(value).and_then(|code| u16::try_from(code).ok());
        code.filter(|code| (400..600).contains(code))
    };
    let is_made = any(&IDS, &is_id);
    let mut statuses = all(&STATES).chain(all(if is_made { &[] } else { &CODES }));
    // A number says more than a no.
    if let Some(code) = statuses.find_map(|(_, value)| is_status(value)) {
        return Some(Denial::Status(code));
    }

    let is_bad =
        |state: &Value| number(state).is_none() && state.as_str().is_some_and(begins_badly);
    if says_no || any(&STATES, &is_bad) || (!is_made && any(&CODES, &is_bad)) {
        return Some(Denial::Words);
    }
    if is_made {
        return None;
    }

    if all(&CODES).any(|(name, code)| is_wrong(name, code, fields))
        || all(&["status"]).any(|(name, status)| is_explained(name, status, fields))
    {
        return Some(Denial::Words);
    }
    if any(&STATES, &|state| state.as_str().is_some_and(is_done)) {
        return None;
    }
    if any(&ERRORS, &holds) {
        return Some(Denial::Words);
    }
    if depth == DEEPEST {
        return None;
    }
    all(&WITHIN).find_map(|(_, answer)| within(answer, depth + 1))
}

/// Whether a vendor's own number reports a failure: an `errcode` but 0, a `code` beside a sentence
/// that reports no success. A round one, such as 1000 or 20000, is how many a vendor begins.
fn is_wrong(name: &str, code: &Value, fields: &Map<String, Value>) -> bool {
    let Some(code) = number(code) else {
        return false;
    };
    if plain(name) == "errcode" {
        return code != 0;
    }

    let digits = code.to_string();
    let is_round =
        !digits.starts_with(['4', '5']) && digits[1..].bytes().all(|digit| digit == b'0');
    let said = fields.get("msg").and_then(Value::as_str);
    !(0..400).contains(&code) && !is_round && said.is_some_and(|said| !is_success(said))
}

/// Whether a number that means nothing by itself is explained as a failure: `"status": 2` by
/// `"status_message": "invalidAuthToken"`.
fn is_explained(name: &str, status: &Value, fields: &Map<String, Value>) -> bool {
    let said = ["_message", "_msg", "_text", "Message", "Text"]
        .iter()
        .find_map(|suffix| fields.get(&format!("{name}{suffix}"))?.as_str());
    number(status).is_some_and(|status| status != 0)
        && said.is_some_and(|said| words(said).any(|word| WHY.contains(&word.as_str())))
}

/// The words of a sentence, or of `aName`, in lower case.
fn words(said: &str) -> impl Iterator<Item = String> {
    let mut apart = String::new();
    for c in said.chars() {
        if c.is_uppercase() && apart.ends_with(char::is_lowercase) {
            apart.push(' ');
        }
        apart.push(c);
    }
    let apart = apart.to_lowercase();
    let words: Vec<_> = apart
        .split(|c: char| !c.is_alphanumeric())
        .map(ToOwned::to_owned)
        .collect();
    words.into_iter()
}

/// A name, or a word, without what is written in many ways: capitals and what joins its words.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' ' | '.' | '!'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(id) => !NONE.contains(&plain(id).as_str()),
        Value::Number(id) => id.as_f64().is_some_and(|id| id > 0.0),
        Value::Array(ids) => ids.iter().any(is_id),
        _ => false,
    }
}

fn of_text(said: &str) -> Option<Denial> {
    let lower = said.trim().to_ascii_lowercase();
    // Microsoft's connectors: "Webhook message delivery failed with error: … returned HTTP error
    // 429". They reply 200 where another attempt may help, also with 401 and 412; a message that is
    // too large stays so.
    if lower.contains("delivery failed") {
        let code = lower
            .split("http error ")
            .nth(1)
            .and_then(|rest| rest.get(..3)?.parse().ok());
        return Some(
            code.filter(|code| matches!(code, 413 | 429 | 500..600))
                .map_or(Denial::Words, Denial::Status),
        );
    }

    let is_word = !lower.is_empty()
        && lower
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');

    let is_slacks = is_word
        && !FINE.iter().any(|fine| lower.starts_with(fine))
        && (BEGINNINGS
            .iter()
            .any(|beginning| lower.starts_with(beginning))
            || ENDINGS.iter().any(|ending| lower.ends_with(ending)));

    (is_slacks || begins_badly(&lower) || is_element(&lower, &["error", "fault"]))
        .then_some(Denial::Words)
}

/// Whether markup, in lower case, begins with one of these elements, behind a declaration and
/// comments.
fn is_element(markup: &str, names: &[&str]) -> bool {
    let mut rest = markup.trim_start();
    for _ in 0..8 {
        let ends = [("<?", "?>"), ("<!--", "-->")];
        let after = ends.iter().find_map(|(begin, end)| {
            let (_, after) = rest.strip_prefix(begin)?.split_once(end)?;
            Some(after)
        });
        match after {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    names.iter().any(|name| {
        let after = rest
            .strip_prefix('<')
            .and_then(|rest| rest.strip_prefix(name));
        after.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

fn begins_badly(said: &str) -> bool {
    let lower = said.trim().to_ascii_lowercase();
    // A name such as `fail2ban` is another word, `error500` is not.
    let first = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    let word = first.trim_end_matches(|c: char| c.is_ascii_digit());

    // `System.Net.Http.HttpRequestException: …`.
    let class = lower
        .split_whitespace()
        .next()
        .is_some_and(|word| word.trim_end_matches(':').ends_with("exception"));

    // `errors: 0`, `Failed=0, sent=1`, `error: none`, but not `error: no such room`.
    let counted = lower.strip_prefix(first).and_then(|rest| {
        let rest = rest.trim_start().strip_prefix([':', '='])?;
        rest.split([',', ';', '\n']).next()
    });
    let is_none = counted.is_some_and(|count| {
        let count = count.trim();
        let number = count.split(|c: char| !c.is_ascii_alphanumeric()).next();
        !count.is_empty() && (NONE.contains(&plain(count).as_str()) || number == Some("0"))
    });

    (FAILED.contains(&word) && !is_none) || class || lower.starts_with("not found")
}

fn is_done(said: &str) -> bool {
    DONE.contains(&said.trim().to_ascii_lowercase().as_str())
}

/// Whether a sentence reports a success.
fn is_success(said: &str) -> bool {
    is_done(said)
        || (said.contains("成功") && !said.contains(['不', '未', '没']))
        || words(said).any(|word| word.starts_with("success"))
            && !words(said).any(|word| WHY.contains(&word.as_str()))
}

fn truth(flag: &Value) -> Option<bool> {
    match flag {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(word) => match word.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn number(state: &Value) -> Option<i64> {
    state
        .as_i64()
        .or_else(|| state.as_str()?.trim().parse().ok())
}

fn holds(error: &Value) -> bool {
    match error {
        Value::Null => false,
        Value::Bool(error) => *error,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(said) => !NONE.contains(&plain(said).as_str()),
        Value::Array(errors) => errors.iter().any(holds),
        // `{"code": 0, "message": "success"}` is none.
        Value::Object(errors) => {
            let is_zero = |(name, code): (&String, &Value)| {
                CODES.contains(&plain(name).as_str()) && number(code) == Some(0)
            };
            !errors.iter().any(is_zero) && errors.values().any(holds)
        }
    }
}

/// Whether a reply is a page for people, which no vendor's API sends.
pub fn is_web_page(reply: &Reply) -> bool {
    let head = String::from_utf8_lossy(&reply.body[..reply.body.len().min(8192)]);
    let head = head.trim_start_matches('\u{FEFF}').to_ascii_lowercase();
    let is_html = reply.headers.get("content-type").is_some_and(|media_type| {
        media_type.to_ascii_lowercase().contains("html") && head.trim_start().starts_with('<')
    });
    is_html || is_element(&head, &PAGE)
}

/// The elements that a page begins with.
const PAGE: [&str; 9] = [
    "!doctype html",
    "html",
    "head",
    "body",
    "meta",
    "noscript",
    "script",
    "style",
    "title",
];

#[cfg(test)]
mod tests {
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
}
