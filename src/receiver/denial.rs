//! A success that its body contradicts: the meaning of a 2xx from a receiver without dedup keys.
//!
//! If such a receiver has accepted a message, sending it again posts a second one. A 2xx is
//! therefore a delivery whatever the body says, unless the body says that nothing was posted:
//! `"ok": false`, an error's status or words, or one of Slack's.

use serde_json::Value;

use super::{Reply, status, text};
use crate::delivery::{FailureReason, Verdict};

/// Fields that say with yes or no whether it succeeded.
const FLAGS: [&str; 5] = ["ok", "success", "succeeded", "issuccess", "delivered"];
/// Fields that say so with a word or a number.
const STATES: [&str; 9] = [
    "status",
    "type",
    "result",
    "state",
    "outcome",
    "statuscode",
    "status_code",
    "code",
    "errcode",
];
/// Fields that are present, or not empty, if it failed.
const ERRORS: [&str; 8] = [
    "error",
    "errors",
    "errormessage",
    "exception",
    "fault",
    "haserror",
    "haserrors",
    "iserror",
];

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
/// The values of an error field that mean no error.
const NONE: [&str; 7] = ["", "0", "false", "no", "none", "null", "ok"];

/// The families of Slack's one-word errors, which compatible services share.
const BEGINNINGS: [&str; 5] = ["invalid_", "missing_", "no_", "not_", "too_many_"];
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
    [&FLAGS[..], &STATES, &ERRORS, &FAILED, &DONE, &NONE]
        .iter()
        .any(|words| words.contains(&word))
}

/// The verdict on an endpoint whose reply may be anything.
pub fn judge(reply: &Reply) -> Verdict {
    match status::verdict(reply) {
        Verdict::Delivered { .. } => denied(reply).unwrap_or(Verdict::Delivered { receipt: None }),
        verdict => verdict,
    }
}

/// The verdict on a chat. A chat does not reply with a web page: one comes from a proxy or a
/// sign-in in between. Then it is unknown whether something was posted, so it is not repeated; the
/// dead letter says so, and the fallback is notified.
pub fn judge_chat(reply: &Reply) -> Verdict {
    if (200..300).contains(&reply.status) && is_web_page(&reply.body) {
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

fn denied(reply: &Reply) -> Option<Verdict> {
    let said = String::from_utf8_lossy(&reply.body);
    let said = said.trim_start_matches('\u{FEFF}').trim();
    let denial = match serde_json::from_str::<Value>(said) {
        Ok(json) => of_json(&json),
        Err(_) => of_text(text::head(said, 8192)),
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
    match json {
        Value::Bool(false) => Some(Denial::Words),
        Value::String(said) => of_text(said),
        // If one of several messages was posted, it must not be repeated.
        Value::Array(items) => items.iter().map(of_json).reduce(Option::and).flatten(),
        Value::Object(fields) => {
            let all = |names: &'static [&str]| {
                fields
                    .iter()
                    .filter(|(name, _)| names.contains(&name.to_ascii_lowercase().as_str()))
            };
            let said = |name: &str| {
                fields
                    .get(name)
                    .and_then(Value::as_str)
                    .is_some_and(|said| !is_done(said))
            };
            let no = all(&FLAGS)
                .any(|(_, flag)| truth(flag) == Some(false))
                .then_some(Denial::Words);
            let state =
                all(&STATES).find_map(|(name, state)| match (number(state), state.as_str()) {
                    (Some(code @ 400..=599), _) => u16::try_from(code).ok().map(Denial::Status),
                    (Some(code), _) if name.eq_ignore_ascii_case("errcode") && code != 0 => {
                        Some(Denial::Words)
                    }
                    (Some(code), _)
                        if name == "code" && !(0..400).contains(&code) && said("msg") =>
                    {
                        Some(Denial::Words)
                    }
                    (None, Some(word)) if begins_badly(word) => Some(Denial::Words),
                    _ => None,
                });
            let yes = || {
                all(&FLAGS).any(|(_, flag)| truth(flag) == Some(true))
                    || all(&STATES).any(|(_, state)| state.as_str().is_some_and(is_done))
            };
            let errors = || {
                all(&ERRORS)
                    .any(|(_, error)| holds(error))
                    .then_some(Denial::Words)
            };
            // A number says more than a no.
            state.or(no).or_else(|| if yes() { None } else { errors() })
        }
        _ => None,
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
    let first = lower
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();

    // `System.Net.Http.HttpRequestException: …`.
    let class = lower
        .split_whitespace()
        .next()
        .is_some_and(|word| word.trim_end_matches(':').ends_with("exception"));

    // `errors: 0`, `Failed=0, sent=1`.
    let counted = lower.strip_prefix(first).and_then(|rest| {
        let rest = rest.trim_start().strip_prefix([':', '='])?.trim_start();
        rest.split(|c: char| !c.is_ascii_alphanumeric()).next()
    });
    let is_none = counted.is_some_and(|count| !count.is_empty() && NONE.contains(&count));

    (FAILED.contains(&first) && !is_none) || class || lower.starts_with("not found")
}

fn is_done(said: &str) -> bool {
    DONE.contains(&said.trim().to_ascii_lowercase().as_str())
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
        Value::String(said) => !NONE.contains(&said.trim().to_ascii_lowercase().as_str()),
        Value::Array(errors) => errors.iter().any(holds),
        Value::Object(errors) => !errors.is_empty(),
    }
}

fn is_web_page(body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&body[..body.len().min(8192)]);
    let head = head.trim_start_matches('\u{FEFF}').to_ascii_lowercase();
    is_element(&head, &["!doctype html", "html", "head", "body"])
}

#[cfg(test)]
mod tests {
    use super::{Denial, is_web_page, of_json, of_text};

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
        ] {
            assert_eq!(of_text(taken), None, "{taken}");
        }
        for refused in [
            "no_service",
            "a_new_error",
            "Error: off",
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
            assert!(is_web_page(page.as_bytes()), "{page}");
        }
        for other in [
            "",
            "ok",
            "<header>ok</header>",
            "<!-- <html>",
            "<response/>",
            "1 <html>",
        ] {
            assert!(!is_web_page(other.as_bytes()), "{other}");
        }
    }
}
