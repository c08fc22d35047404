//! Every receiver: what it sends is valid whatever an alert says, what every status means, and what
//! is wrong with a configuration.

mod configured;
mod presets;
mod replies;
mod requests;
mod templated;

use alertbridge::{
    delivery::{Action, Notification, Step},
    receiver::{Body, Keys, Parcel, Receiver, Receivers, Request, Settings, sample},
    settings::Problem,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// When the requests of these tests are made.
fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn compile(receivers: Value) -> Result<Receivers, Vec<Problem>> {
    let settings: Vec<Settings> = serde_json::from_value(receivers).unwrap();
    Receivers::compile(&settings, &[])
}

/// A receiver `oncall` of every kind, with secrets that must never show.
fn every_kind() -> Receivers {
    compile(json!([{
        "name": "oncall",
        "opsgenie_configs": [{ "api_key": "SECRET-opsgenie" }],
        "jsm_configs": [{ "api_key": "SECRET-jsm" }],
        "pagerduty_configs": [{ "routing_key": "SECRET-pagerduty-9abcdef01234567" }],
        "slack_configs": [
            { "api_url": "https://hooks.slack.example/services/T0/B0/SECRET-slack" },
            { "bot_token": "xoxb-SECRET", "channel": "C0ALERTS", "update_message": true },
        ],
        "webhook_configs": [{
            "url": "https://hook.example/SECRET-path",
            "secret": "whsec_SECRETsecretSECRETsecretSECRET1w",
        }],
        "teams_configs": [{
            "webhook_url":
                "https://flow.example/workflows/1/invoke?api-version=1&sig=SECRET-teams",
        }],
        "discord_configs": [{
            "webhook_url": "https://discord.example/api/webhooks/1/SECRET-discord",
        }],
        "alertmanager_configs": [{ "url": "https://alerts.example",
                                   "bearer": "SECRET-alertmanager" }],
        "email_configs": [{
            "to": "oncall@example.com", "from": "bridge@example.net",
            "smarthost": { "host": "smtp.example", "username": "bridge",
                           "password": "SECRET-mail" },
        }],
        "stdout_configs": [{}],
    }]))
    .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// One integration of one kind.
fn only(kind: &str, settings: Value) -> Receivers {
    let mut settings = settings;
    match kind {
        "opsgenie" | "jsm" => settings["api_key"] = json!("key"),
        "pagerduty" => settings["routing_key"] = json!("0123456789abcdef0123456789abcdef"),
        "slack" => settings["api_url"] = json!("https://hooks.slack.example/x"),
        "webhook" => settings["url"] = json!("https://hook.example/x"),
        "alertmanager" => settings["url"] = json!("https://alerts.example"),
        "email" => {
            settings["to"] = json!("oncall@example.com");
            settings["from"] = json!("bridge@example.net");
            settings["smarthost"] = json!({ "host": "smtp.example" });
        }
        "teams" | "discord" => settings["webhook_url"] = json!("https://hook.example/x"),
        _ => {}
    }
    compile(json!([{ "name": "oncall", (format!("{kind}_configs")): [settings] }]))
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn trigger() -> Notification {
    sample::notifications()[0].1.clone()
}

fn resolve() -> Notification {
    let notification = sample::notifications()[1].1.clone();
    assert_eq!(notification.action, Action::Resolve);
    notification
}

fn parcel<'a>(notification: &'a Notification, step: &'a Step) -> Parcel<'a> {
    Parcel {
        delivery: 7,
        alias: "FOotlQrY5ZQ:oncall",
        notification,
        step,
        receipt: None,
        now: now(),
        external_url: Some("https://alerts.example.com"),
    }
}

/// The request of the only integration.
fn request(receivers: &Receivers, notification: &Notification) -> Request {
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    request_of(receiver, notification)
}

fn request_of(receiver: &dyn Receiver, notification: &Notification) -> Request {
    let keys = Keys::read(receiver).unwrap();
    receiver
        .request(&parcel(notification, &Step::Send), &keys)
        .unwrap()
}

fn json_of(request: &Request) -> Value {
    match &request.body {
        Body::Json(json) => json.clone(),
        body => panic!("no JSON: {body:?}"),
    }
}
