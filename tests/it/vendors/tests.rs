//! The fakes are strict where the vendors are.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Discord, Hook, Opsgenie, PagerDuty, Slack, SlackBot, Teams, hook::verify};

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn post(url: &str, authorization: &str, body: &Value) -> (u16, String) {
    let reply = client()
        .post(url)
        .header("authorization", authorization)
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

async fn get(url: &str, authorization: &str) -> (u16, String) {
    let reply = client()
        .get(url)
        .header("authorization", authorization)
        .send()
        .await
        .unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test]
async fn opsgenie_opens_an_alert_only_once_its_request_is_worked_off() {
    let fake = Opsgenie::start_slow(2).await;
    let key = format!("GenieKey {}", fake.key());
    let base = fake.jsm_url();
    let (status, body) = post(
        &format!("{base}/v2/alerts"),
        &key,
        &json!({ "message": "m", "alias": "a:b" }),
    )
    .await;
    assert_eq!((status, body.contains("request-1")), (202, true));
    assert!(fake.open_alerts().is_empty(), "accepted is not processed");
    assert_eq!(
        get(&format!("{base}/v2/alerts/requests/request-1"), &key)
            .await
            .0,
        404
    );
    assert_eq!(
        get(&format!("{base}/v2/alerts/requests/request-1"), &key)
            .await
            .0,
        200
    );
    assert_eq!(fake.open_alerts(), ["a:b"]);
    assert_eq!(
        fake.alert("a:b").map(|alert| (alert.count, alert.openings)),
        Some((1, 1))
    );
    assert_eq!(fake.next_page().await.action, "trigger");

    let close = format!("{}/v2/alerts/a%3Ab/close?identifierType=alias", fake.url());
    assert_eq!(post(&close, &key, &json!({})).await.0, 202);
    for _ in 0..2 {
        get(
            &format!("{}/v2/alerts/requests/request-2", fake.url()),
            &key,
        )
        .await;
    }
    assert!(fake.open_alerts().is_empty());
    fake.expect_all();
    fake.assert_quiet();
}

#[tokio::test]
async fn opsgenie_refuses_a_wrong_key_too_long_a_message_and_a_close_by_id() {
    let fake = Opsgenie::start().await;
    let url = format!("{}/v2/alerts", fake.url());
    let key = format!("GenieKey {}", fake.key());
    assert_eq!(
        post(
            &url,
            "GenieKey no",
            &json!({ "message": "m", "alias": "a" })
        )
        .await
        .0,
        401
    );
    assert_eq!(
        post(
            &url,
            &key,
            &json!({ "message": "m".repeat(131), "alias": "a" })
        )
        .await
        .0,
        422
    );
    assert_eq!(
        post(&format!("{url}/a/close"), &key, &json!({})).await.0,
        422
    );
    assert_eq!(fake.violations().len(), 3);
    assert_eq!(fake.history().len(), 3);
}

#[tokio::test]
async fn pagerduty_opens_once_resolves_once_and_explains_its_refusals() {
    let fake = PagerDuty::start().await;
    let payload = json!({ "summary": "s", "source": "x", "severity": "critical" });
    let event = |action: &str| {
        json!({ "routing_key": fake.key(), "event_action": action,
                                       "dedup_key": "k", "payload": payload })
    };
    for _ in 0..2 {
        assert_eq!(post(&fake.url(), "", &event("trigger")).await.0, 202);
    }
    assert_eq!(
        (fake.open_alerts(), fake.repeats().len()),
        (vec!["k".to_owned()], 1)
    );
    assert_eq!(post(&fake.url(), "", &event("resolve")).await.0, 202);
    assert!(fake.open_alerts().is_empty());
    assert_eq!(fake.pages().len(), 2);
    assert!(fake.violations().is_empty());
    let (status, said) = post(&fake.url(), "", &event("explode")).await;
    assert!(status == 400 && said.contains("errors"), "{status} {said}");
}

#[tokio::test]
async fn slack_takes_blocks_that_are_escaped_and_nothing_elsewhere() {
    let fake = Slack::start().await;
    let message = |text: &str| {
        let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
        json!({ "text": text, "blocks": [section] })
    };
    assert_eq!(
        post(&fake.url(), "", &message("a &amp; b")).await,
        (200, "ok".into())
    );
    assert_eq!(post(&fake.url(), "", &message("a & b")).await.0, 400);
    assert_eq!(post(&fake.url(), "", &message("")).await.0, 400);
    assert_eq!(
        post(&format!("{}x", fake.url()), "", &message("a")).await,
        (404, "no_service".into())
    );
    assert_eq!((fake.messages().len(), fake.violations().len()), (1, 3));
}

#[tokio::test]
async fn slack_s_api_edits_and_answers_what_it_knows_and_says_no_with_status_200() {
    let fake = SlackBot::start().await;
    let ask = async |method: &str, token: &str, more: Value| {
        let block = json!({ "type": "section", "text": { "type": "mrkdwn", "text": "t" } });
        let mut body = json!({ "text": "t", "blocks": [block], "parse": "none" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let request = client()
            .post(format!("{}/{method}", fake.url()))
            .header("authorization", format!("Bearer {token}"));
        let request = request
            .header("content-type", "application/json; charset=utf-8")
            .body(body.to_string());
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let json: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
        (
            json["ts"].as_str().map(ToOwned::to_owned),
            json["error"].as_str().map(ToOwned::to_owned),
        )
    };
    let no = |word: &str| (None, Some(word.to_owned()));
    let key = fake.key().to_owned();
    assert_eq!(
        ask(
            "chat.postMessage",
            "xoxb-other",
            json!({ "channel": "#alerts" })
        )
        .await,
        no("invalid_auth")
    );
    assert_eq!(
        ask("chat.postMessage", &key, json!({ "channel": "#other" })).await,
        no("channel_not_found")
    );
    let (ts, _) = ask("chat.postMessage", &key, json!({ "channel": "#alerts" })).await;
    let named = json!({ "channel": "#alerts", "ts": ts });
    assert_eq!(
        ask("chat.update", &key, named).await,
        no("channel_not_found"),
        "by its id alone"
    );
    let other = json!({ "channel": "C0ALERTS99", "ts": "1.2" });
    assert_eq!(
        ask("chat.update", &key, other).await,
        no("message_not_found")
    );
    assert_eq!(
        ask(
            "chat.update",
            &key,
            json!({ "channel": "C0ALERTS99", "ts": ts })
        )
        .await
        .1,
        None
    );
    assert_eq!(
        ask(
            "chat.postMessage",
            &key,
            json!({ "channel": "C0ALERTS99", "thread_ts": ts })
        )
        .await
        .1,
        None
    );
    let messages = fake.messages();
    assert_eq!(
        (
            messages.len(),
            messages[0].edits,
            messages[1].thread.clone()
        ),
        (2, 1, ts)
    );
    assert_eq!(fake.violations(), ["a wrong token"]);
}

#[tokio::test]
async fn teams_says_accepted_to_what_it_does_not_post() {
    let fake = Teams::start().await;
    let send = async |url: &str, block: &Value| {
        let card = json!({ "type": "AdaptiveCard", "version": "1.4", "body": [block] });
        let attachment =
            json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": card });
        let message = json!({ "type": "message", "attachments": [attachment] });
        let request = client()
            .post(url)
            .header("content-type", "application/json")
            .body(message.to_string());
        request.send().await.unwrap().status().as_u16()
    };
    let said = |text: &str| {
        let run = json!({ "type": "TextRun", "text": text });
        json!({ "type": "RichTextBlock", "inlines": [run] })
    };
    assert_eq!(send(&fake.url(), &said("a")).await, 202);
    assert_eq!((fake.cards().len(), fake.violations().len()), (1, 0));
    for block in [
        said(&"a".repeat(20_000)),
        json!({ "type": "TextBlock", "text": "[a](https://b.example)" }),
    ] {
        assert_eq!(send(&fake.url(), &block).await, 202);
    }
    assert_eq!(
        send(&fake.url().replace("sig=", "sig=x"), &said("a")).await,
        401
    );
    assert_eq!((fake.cards().len(), fake.violations().len()), (1, 3));
}

#[tokio::test]
async fn discord_takes_embeds_within_their_limits_and_five_requests_at_a_time() {
    let fake = Discord::start().await;
    let url = format!("{}?wait=true", fake.url());
    let message = |text: &str| {
        let embed = json!({ "title": "t", "description": text });
        json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
    };
    assert!(post(&url, "", &message("a")).await.1.contains("\"id\""));
    assert_eq!(post(&url, "", &message(&"a".repeat(4097))).await.0, 400);
    assert_eq!(
        post(&url, "", &json!({ "embeds": [{ "title": "t" }] }))
            .await
            .0,
        400,
        "somebody may be mentioned"
    );
    assert_eq!(post(&fake.url(), "", &message("a")).await.0, 204);
    assert_eq!(
        post(&url.replace('?', "x?"), "", &message("a")).await.0,
        401
    );
    let another = message("a");
    let at_once = join_all((0..12).map(|_| post(&url, "", &another))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = at_once.into_iter().partition(|one| one.0 == 200);
    assert!(!refused.is_empty());
    for (status, said) in &refused {
        let said: Value = serde_json::from_str(said).unwrap();
        let after = said["retry_after"].as_f64().unwrap();
        assert!(
            *status == 429 && 0.0 < after && after <= 2.0,
            "{status} {said}"
        );
    }
    assert_eq!(fake.messages().len(), 2 + taken.len());
    assert_eq!(fake.violations().len(), 4);
}

#[tokio::test]
async fn an_endpoint_refuses_what_is_not_signed() {
    let fake = Hook::start("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await;
    assert_eq!(post(&fake.url(), "", &json!({})).await.0, 400);
    assert_eq!(fake.violations(), ["no webhook-id"]);
}

#[test]
fn the_published_vector_is_genuine_for_300_seconds() {
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = br#"{"test": 2432232314}"#;
    assert_eq!(verify(secret, &headers, body, 1_614_265_630), Ok(()));
    assert!(verify(secret, &headers, body, 1_614_265_631).is_err());
    assert!(verify(secret, &headers, b"{}", 1_614_265_330).is_err());
}

#[tokio::test]
async fn faults_happen_in_the_order_they_were_planned() {
    let fake = PagerDuty::start().await;
    fake.fail_next(1, 429, &[("retry-after", "1")]);
    fake.drop_connection(1);
    fake.lose_reply(1);
    fake.hang(1);
    let event = json!({ "routing_key": fake.key(), "event_action": "trigger", "dedup_key": "k",
        "payload": { "summary": "s", "source": "x", "severity": "info" } });
    let send = || {
        client()
            .post(fake.url())
            .body(event.to_string())
            .timeout(std::time::Duration::from_millis(300))
            .send()
    };
    assert_eq!(send().await.unwrap().status(), 429);
    assert!(send().await.is_err(), "dropped");
    assert!(
        fake.open_alerts().is_empty(),
        "a dropped request does nothing"
    );
    assert!(send().await.is_err(), "the reply is lost");
    assert_eq!(fake.open_alerts(), ["k"], "and the work is done");
    assert!(send().await.unwrap_err().is_timeout());
    assert_eq!(send().await.unwrap().status(), 202);
    fake.wait_until("five calls", |fake| fake.history().len() == 5)
        .await;
    fake.fail_next(9, 500, &[]);
    fake.heal();
    assert_eq!(send().await.unwrap().status(), 202);
}

#[tokio::test]
#[should_panic(expected = "whom nobody expected")]
async fn a_page_nobody_expected_fails_the_test() {
    let fake = Slack::start().await;
    let message = json!({ "text": "t", "blocks": [{ "type": "divider" }] });
    post(&fake.url(), "", &message).await;
    fake.assert_quiet();
}
