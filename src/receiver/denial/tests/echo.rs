use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

use super::{reply, request};
use crate::{
    delivery::Verdict,
    receiver::{Body, denial::denied},
};

/// Covers every way to report a failure, in the request: an endpoint that stores what it gets and
/// returns it has said nothing.
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
        // A single field may be the same by chance.
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

/// The alert's own words are no refusal, however an endpoint writes them.
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

/// Covers the words of services that pass a page over, in an alert about such a service and in a
/// reply that repeats the alert.
#[test]
fn an_alert_of_a_paused_or_full_service_is_taken_by_who_repeats_it() {
    for title in [
        "Mail queue full on mx1",
        "The backup was not delivered",
        "Nobody is on call for db1",
        "Maintenance mode is left on at web1",
        "Alert suppressed for db1 since noon",
        "Sent to 0/1 recipients by newsletter",
        "Traceback (most recent call last) in cron",
        "TypeError: x of cron job",
    ] {
        let body = Body::Json(json!({ "title": title, "state": "suppressed", "valid": false }));
        for echo in [
            title.to_owned(),
            json!({ "received": true, "message": title }).to_string(),
            json!({ "title": title, "state": "suppressed" }).to_string(),
            json!({ "title": title, "valid": false }).to_string(),
            json!({ "data": { "title": title, "state": "suppressed" } }).to_string(),
            format!("<html><head><title>{title}</title></head><body>Stored</body></html>"),
            format!("<h1>{title}</h1>"),
            format!("{{\"title\":\"{title}\"}}\n{{\"message\":\"{title}\"}}"),
        ] {
            let verdict = denied(&reply(&echo, None), || Some(request(&body)));
            assert_eq!(verdict, None, "{echo}");
        }
    }
}

/// Nobody can tell whether such a reply repeats the alert or refuses it: the page is not sent
/// again, and the fallback is notified.
#[test]
fn a_failure_in_a_word_that_the_alert_has_too_is_neither_a_delivery_nor_sent_again() {
    let body = Body::Json(json!({ "title": "Error rate is too high", "status": "failed" }));
    for doubtful in [
        r#"{"status":"error","message":"the room is locked"}"#,
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
    // The state of what was made is no word of the alert's.
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
    // A certain refusal is tried again, whatever the alert says.
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

/// The pieces of which titles are made, so that each title might be a refusal.
const PIECES: [&str; 53] = [
    "not sent",
    "suppressed",
    "nobody on call",
    "Queue full",
    "<title>Maintenance</title>",
    "{\"valid\":false}",
    "Traceback",
    "status: error\n",
    "success",
    "false",
    "ok",
    "=",
    ":",
    "error",
    "FAILED",
    "denied",
    "status",
    "503",
    "429",
    "Unauthorized",
    "{\"success\": false}",
    "{\"ok\":false}",
    "code",
    "errcode",
    "invalid_token",
    "no_service",
    "Rate limit exceeded",
    "Quota",
    "exceeded",
    "delivery failed",
    "HTTP error 429",
    "<error>",
    "</error>",
    "<status>error</status>",
    "0",
    "1",
    "&",
    "sent",
    "null",
    "rejected",
    "web1",
    "HTTP/1.1 503 Service Unavailable",
    "503 Service Unavailable",
    "Account suspended",
    "unknown",
    "user",
    "not found",
    "java.io.Exception",
    "\u{5931}\u{8d25}",
    "[",
    "Fehler",
    "\u{c9}chec",
    "statusCode",
];
const BETWEEN: [&str; 7] = [" ", "=", ": ", "_", "&", "\n", ", "];

/// Returns a refusal made of a title's words, in the forms that a service might give it.
fn as_fields(title: &str) -> Vec<String> {
    let json = serde_json::from_str::<Value>(title).ok();
    let pair = title.split_once(['=', ':']).map(|(name, value)| {
        let (name, value) = (name.trim(), value.trim());
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        json!({ name: value })
    });
    let word = title
        .split([' ', ':', '=', '\n'])
        .find(|word| !word.is_empty())
        .unwrap_or("x");
    let mut all: Vec<String> = ["status", "error", "result", "message", "state"]
        .iter()
        .map(|name| json!({ *name: word }).to_string())
        .collect();
    all.extend(json.into_iter().chain(pair).map(|json| json.to_string()));
    all
}

fn escaped(title: &str) -> String {
    title
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect()
}

fn marked_down(title: &str) -> String {
    let escape = |c: char| (!c.is_alphanumeric() && c != ' ').then_some('\\');
    title
        .chars()
        .flat_map(|c| escape(c).into_iter().chain([c]))
        .collect()
}

fn html(title: &str) -> String {
    title
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Returns a title in all the forms in which a reply may repeat it.
fn echoes(title: &str, cut: usize) -> Vec<String> {
    let head: String = title.chars().take(cut).collect();
    let form: String = url::form_urlencoded::byte_serialize(title.as_bytes()).collect();
    let percent = percent_encoding::utf8_percent_encode(title, percent_encoding::NON_ALPHANUMERIC);
    let words: Vec<&str> = title.split_whitespace().collect();
    let plain = [
        title.to_owned(),
        format!("Received: {title}"),
        format!("[alert] {title}"),
        format!("{title} - received"),
        title.to_lowercase(),
        title.to_uppercase(),
        title.nfkd().collect(),
        format!("{head}\u{2026}"),
        format!("{head}..."),
        head,
        words.join("\n"),
        words.join("\u{a0}"),
        title.replace(':', " -"),
        title.replace(|c: char| !c.is_alphanumeric(), "_"),
        marked_down(title),
    ];
    let mut all: Vec<String> = plain.to_vec();
    for text in plain
        .iter()
        .chain([&format!("Alert: {title}"), &format!("**{title}**")])
    {
        all.extend([
            json!(text).to_string(),
            json!({ "message": text }).to_string(),
            json!({ "error": text }).to_string(),
            json!({ "status": text }).to_string(),
            json!({ "errors": [text] }).to_string(),
            json!({ "data": { "error": text } }).to_string(),
            json!({ "ticket": { "number": "T1", "error": text } }).to_string(),
            json!([{ "text": text, "error": text }]).to_string(),
            json!({ "body": json!({ "error": text }).to_string() }).to_string(),
            json!(json!({ "error": text }).to_string()).to_string(),
            format!("<p>{}</p>", html(text)),
            format!("<html><head><title>{}</title></head></html>", html(text)),
            format!("<html><head><title>{text}</title></head></html>"),
            format!(
                "<?xml version=\"1.0\"?><r><error>{}</error></r>",
                html(text)
            ),
            format!("<r>{text}</r>"),
        ]);
    }
    all.extend([
        format!("{{\"text\":\"{0}\",\"error\":\"{0}\"}}", escaped(title)),
        format!("text={form}&error={form}"),
        format!("error={form}"),
        format!("error={percent}"),
        format!("cb({});", json!({ "error": title })),
    ]);
    all.extend(as_fields(title));
    all
}

/// Checks that no reply which may consist of nothing but the alert's own words makes a page be sent
/// again.
fn never_sent_again(title: &str, cut: usize) -> Result<(), String> {
    let bodies = [
        Body::Text(format!("{title}\nOn web1 since noon\nseverity: error")),
        Body::Json(json!({ "text": title.nfkd().collect::<String>() })),
        Body::Json(json!({ "type": "trigger", "data": { "title": title, "severity": "error" } })),
    ];
    for (body, echo) in bodies
        .iter()
        .flat_map(|body| echoes(title, cut).into_iter().map(move |echo| (body, echo)))
    {
        let verdict = denied(&reply(&echo, None), || Some(request(body)));
        if matches!(verdict, Some(Verdict::Retry { .. })) {
            return Err(format!("{title:?} as {echo:?}: {verdict:?}"));
        }
    }
    Ok(())
}

#[test]
fn an_echo_of_an_alert_that_reads_as_a_refusal_is_never_sent_again() {
    for title in [
        "success=false",
        "ok=false",
        "ok: false",
        "{\"success\": false}",
        "<status>error</status>",
        "status=503",
        "503 Service Unavailable",
        "Webhook delivery failed with HTTP error 429",
        "Rate limit exceeded",
        "FAILED",
    ] {
        assert_eq!(never_sent_again(title, 8), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Checks the same for any title made of words by which replies are judged.
    #[test]
    fn an_echo_of_any_alert_is_never_sent_again(
        pieces in prop::collection::vec((select(&PIECES[..]), select(&BETWEEN[..])), 1..5),
        cut in 1_usize..24,
    ) {
        let mut title: String = pieces
            .iter()
            .flat_map(|(piece, between)| [*piece, *between])
            .collect();
        title.truncate(title.trim_end().len());
        prop_assume!(title.chars().filter(|c| c.is_alphanumeric()).count() > 2);
        prop_assert_eq!(never_sent_again(&title, cut), Ok(()));
    }
}
