use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::receiver::{Receivers, Settings, Texts, sample};

/// Returns the settings of integrations whose receipts are their vendors', and the vendors' replies
/// with an id.
fn vendors(id: &str) -> [(Value, u16, Value); 5] {
    [
        (
            json!({ "slack_configs": [{ "bot_token": "xoxb-1", "channel": "C1" }] }),
            200,
            json!({ "ok": true, "channel": id, "ts": "1405894322.000001" }),
        ),
        (
            json!({ "discord_configs": [{ "webhook_url": "https://a.example/x" }] }),
            200,
            json!({ "id": id }),
        ),
        (
            json!({ "pagerduty_configs": [{ "routing_key": "k".repeat(32) }] }),
            202,
            json!({ "status": "success", "dedup_key": id }),
        ),
        (
            json!({ "opsgenie_configs": [{ "api_key": "k" }] }),
            202,
            json!({ "requestId": id }),
        ),
        (
            json!({ "webhook_configs": [{
                "url": "https://a.example/x", "receipt": "/rooms/id", "success_body": "rooms",
            }] }),
            200,
            json!({ "rooms": { "id": id } }),
        ),
    ]
}

/// Returns the settings of an integration whose receipt is the bridge's own.
fn makers() -> [(Value, u16, Value); 2] {
    let email = json!({
        "to": "a@one.example.com, b@two.example.com", "from": "c@example.net",
        "smarthost": { "host": "smtp.example.com" },
    });
    [
        (
            json!({ "alertmanager_configs": [{ "url": "http://a.example:9093" }] }),
            200,
            Value::Null,
        ),
        (
            json!({ "email_configs": [email] }),
            250,
            json!({ "said": "queued", "refused": [] }),
        ),
    ]
}

/// Judges a reply while these texts are unsaid; also as it is judged if nothing is.
fn judged(
    (mut settings, status, body): (Value, u16, Value),
    credentials: &[&str],
    given: &[&str],
) -> (Verdict, Verdict) {
    settings["name"] = "oncall".into();
    let settings: Vec<Settings> = serde_json::from_value(json!([settings])).unwrap();
    let receivers = Receivers::compile(&settings, &[]).unwrap_or_else(|why| panic!("{why:#?}"));
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let [(_, trigger), ..] = sample::notifications();
    let reply = Reply {
        status,
        body: body.to_string().into_bytes(),
        ..Reply::default()
    };

    let keys = Keys::Read(Texts::default()).hiding(credentials.iter().copied());
    let unsaid = Unsaid {
        all: (!given.is_empty()).then(|| keys.clone().hiding(given.iter().copied())),
        credentials: keys,
    };
    sample::parcel(&trigger, |parcel| {
        let judge = |reply: &Reply| receiver.judge(parcel, reply);
        let verdict = unsaid.shown(unsaid.judged(&reply, judge));
        (verdict, judge(&reply))
    })
}

proptest! {
    #[test]
    fn a_receipt_keeps_what_the_environment_gave_and_no_credential(
        (id, from, length) in ("[A-Za-z0-9]{12,40}", 0..7_usize, 5..6_usize)
    ) {
        let part = &id[from..from + length];
        for case in vendors(&id) {
            let (kept, usual) = judged(case.clone(), &[], &[part, "rooms"]);
            prop_assert_eq!(&kept, &usual, "{} of {}", part, id);

            let (kept, usual) = judged(case, &[&id, "rooms"], &[]);
            prop_assert_eq!(next::result(&kept), next::result(&usual));
            prop_assert!(!format!("{kept:?}").contains(&id), "{kept:?}");
        }
    }
}

#[test]
fn a_receipt_of_the_bridges_own_stays_whatever_is_a_credential() {
    let parts = ["example", "example.net", "com.example.appkey", "critical"];
    for case in makers() {
        let (kept, usual) = judged(case, &parts, &parts);
        assert!(matches!(usual, Verdict::Delivered { receipt: Some(_) }));
        assert_eq!(kept, usual);
    }
}

#[test]
fn whom_a_mail_server_refuses_is_tried_again_by_name_and_not_shown() {
    let [_, (settings, status, mut body)] = makers();
    body["refused"] = json!(["b@two.example.com"]);
    let (kept, _) = judged((settings, status, body), &[], &["b@two.example.com"]);
    let Verdict::Partly { next, detail } = kept else {
        panic!("{kept:?}")
    };
    let to = vec!["b@two.example.com".to_owned()];
    assert_eq!(next, crate::delivery::Step::Rest { to });
    assert!(detail.ends_with("not for <secret>"), "{detail}");
}

#[test]
fn a_detail_repeats_no_text_that_is_cut_in_half_and_tells_of_the_verdict() {
    let secret = "0123456789abcdefghij";
    let [.., webhook] = vendors("");
    for (said, detail) in [
        (json!("error"), "HTTP 503: \"error\""),
        (
            json!(format!("{} {secret}", "x".repeat(275))),
            "xx <secret>",
        ),
    ] {
        let (verdict, _) = judged((webhook.0.clone(), 503, said), &[], &[secret]);
        let Verdict::Retry { detail: told, .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert!(told.contains(detail) && !told.contains("0123"), "{told}");
    }

    // Without the word that decides, the reply would be a failure, whose words do not apply.
    let (verdict, _) = judged(webhook, &[], &["rooms"]);
    assert_eq!(next::result(&verdict), "delivered");
}
