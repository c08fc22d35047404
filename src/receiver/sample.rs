//! Realistic notifications on which templates are tried before anybody depends on them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Parcel;
use crate::{
    delivery::{Action, Notification, Step},
    label,
};

/// Returns a trigger, its resolve, and an alert that could not be read, each with a description.
pub fn notifications() -> [(&'static str, Notification); 3] {
    [
        ("a trigger", incident(Action::Trigger)),
        ("a resolve", incident(Action::Resolve)),
        ("an alert that could not be read", unparsed()),
    ]
}

/// Returns these samples, and more whose content could break the result of a template: JSON's
/// special characters, line breaks, and nearly nothing at all.
pub fn of_all_sorts() -> Vec<(&'static str, Notification)> {
    let odd = |action| {
        let mut notification = incident(action);
        for name in label::NAMES {
            notification.labels.entry(name.into()).or_default();
        }
        for (name, value) in &mut notification.labels {
            if !matches!(name.as_ref(), "state" | "kind") && value.parse::<f64>().is_err() {
                ODD.clone_into(value);
            }
        }
        notification.reason = Some(ODD.to_owned());
        notification.incident = json!({ ODD: [ODD, null] });
        notification
    };

    let mut bare = unparsed();
    bare.labels.retain(|name, _| name == "kind");
    (bare.reason, bare.time, bare.mail) = (None, None, None);

    notifications()
        .into_iter()
        .chain([
            (
                "a trigger with quotes, a line feed, a backslash and braces in every value",
                odd(Action::Trigger),
            ),
            ("a resolve with the same", odd(Action::Resolve)),
            ("an alert of which nothing is known", bare),
        ])
        .collect()
}

/// An example of anything that an alert may say.
const ODD: &str =
    "a \"quoted\" word,\nanother line, a \\ and {{ braces }} {% if %} </script> \u{1}'";

/// The receipt of a sample's trigger. It consists of digits, which are a number to an API that
/// expects one.
pub(super) const RECEIPT: &str = "4711";

/// Calls `with` with a parcel of a sample.
pub fn parcel<T>(notification: &Notification, with: impl FnOnce(&Parcel<'_>) -> T) -> T {
    let parcel = Parcel {
        delivery: 1,
        alias: "FOotlQrY5ZQ:oncall",
        notification,
        step: &Step::Send,
        receipt: (notification.action == Action::Resolve).then_some(RECEIPT),
        now: Timestamp::UNIX_EPOCH,
        external_url: Some("https://alerts.example.com"),
    };
    with(&parcel)
}

fn incident(action: Action) -> Notification {
    let (status, state, measured) = match action {
        Action::Trigger | Action::Change => ("ANOMALOUS", "firing", "60"),
        Action::Resolve => ("OK", "resolved", "99.5"),
    };

    let json = json!({
        "appKey": "com.example.appkey",
        "appDetails": { "name": "AppName", "partnerName": "Atlassian" },
        "incidentId": "FOotlQrY5ZQ",
        "incidentStatus": status,
        "time": "2022-03-24T15:40:00Z",
        "metricName": "Jira Installation Callback Success Rate",
        "metricUnit": "PERCENT",
        "measurementDurationSeconds": 86400,
        "sliValue": measured.parse::<f64>().ok(),
        "sloValue": 99.0,
    });

    let labels = [
        ("incident_id", "FOotlQrY5ZQ"),
        ("app_key", "com.example.appkey"),
        ("app_name", "AppName"),
        ("partner", "Atlassian"),
        ("metric", "Jira Installation Callback Success Rate"),
        ("sli", "installation_callback"),
        ("unit", "PERCENT"),
        ("status", status),
        ("state", state),
        ("severity", "critical"),
        ("sli_value", measured),
        ("slo_value", "99"),
        ("sli_gap", "39"),
        ("window_seconds", "86400"),
        ("recurrence_28d", "1"),
        ("authenticity", "pass"),
        ("ingress", "imap"),
        ("kind", "incident"),
    ];

    notification(action, "FOotlQrY5ZQ", &labels, json, None)
}

fn unparsed() -> Notification {
    let labels = [
        ("severity", "warning"),
        ("state", "firing"),
        ("ingress", "imap"),
        ("kind", "unparsed"),
    ];

    notification(
        Action::Trigger,
        "unparsed-5f2c",
        &labels,
        Value::Null,
        Some("/sliValue: \"n/a\" is not a number"),
    )
}

fn notification(
    action: Action,
    id: &str,
    labels: &[(&'static str, &str)],
    incident: Value,
    reason: Option<&str>,
) -> Notification {
    let time = Timestamp::from_second(1_648_136_400).ok();
    Notification {
        action,
        incident_id: id.to_owned(),
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        incident,
        arrived_at: time.unwrap_or_default(),
        time,
        reason: reason.map(ToOwned::to_owned),
        mail: Some(1),
        doubt: None,
        was: None,
        stays: false,
    }
}
