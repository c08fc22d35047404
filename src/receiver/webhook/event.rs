//! The event that a webhook without a custom body sends. Nothing in it depends on the attempt.

use serde_json::{Value, json};

use crate::{
    delivery::{Action, sha256_hex},
    receiver::{Parcel, wording},
};

/// The longest title, in units.
const TITLE: usize = 1024;

pub(super) fn event(parcel: &Parcel<'_>) -> Value {
    let notification = parcel.notification;
    let mut body = json!({
        "type": match notification.action {
            Action::Trigger => "alert.triggered",
            Action::Change => "alert.changed",
            Action::Resolve => "alert.resolved",
        },
        "timestamp": notification.arrived_at.to_string(),
        "data": {
            "action": notification.action.as_str(),
            "alias": parcel.alias,
            "incident_id": notification.incident_id,
            "title": wording::title(notification, TITLE),
            "reason": notification.reason,
            "labels": notification.labels,
            "incident": notification.incident,
            "time": notification.time.map(|time| time.to_string()),
            "arrived_at": notification.arrived_at.to_string(),
            "mail": notification.mail,
            "external_url": parcel.external_url,
            "incident_url": parcel.incident_url(),
        },
    });

    if let Some(was) = &notification.was {
        body["data"]["was"] = json!({ "severity": was });
    }

    body
}

/// Returns the id of the message. It is the same across retries, but different for another delivery
/// and for another alert that a resolve ends. It contains no full stop, which the signature uses as
/// a separator.
pub(super) fn id(parcel: &Parcel<'_>) -> String {
    let mut unique = format!(
        "{}\n{}\n{}",
        parcel.alias,
        parcel.notification.action.as_str(),
        parcel.delivery
    );
    if let Some(receipt) = parcel.step.end() {
        unique += &format!("\n{receipt}");
    }
    format!("msg_{}", &sha256_hex(unique.as_bytes())[..32])
}
