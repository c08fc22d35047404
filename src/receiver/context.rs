//! The variables of a template: the labels, and what else is known about the notification.

use std::sync::Arc;

use minijinja::{
    Value,
    value::{Enumerator, Object, Serde},
};

use super::{Parcel, wording};
use crate::{delivery::Action, label};

/// The variables besides the labels.
pub const NAMES: [&str; 15] = [
    "labels",
    "incident",
    "action",
    "was",
    "reason",
    "arrived_at",
    "time",
    "alias",
    "external_url",
    "incident_url",
    "mail",
    "headline",
    "details",
    "receipt",
    label::STAGE,
];

/// The longest headline.
const HEADLINE: usize = 1024;

/// The variables of a template. A label that is not set reads as empty.
pub fn context(parcel: &Parcel<'_>) -> Value {
    let notification = parcel.notification;
    let labels: Vec<(String, Value)> = label::NAMES
        .iter()
        .filter(|name| !notification.labels.contains_key(**name))
        .map(|name| ((*name).to_owned(), Value::from("")))
        .chain(
            notification
                .labels
                .iter()
                .map(|(name, text)| (name.to_string(), typed(name, text))),
        )
        .collect();

    let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
    let own = [
        ("labels", Value::from_object(Labels(labels.clone()))),
        ("incident", Value::from(Serde(&notification.incident))),
        ("action", Value::from(notification.action.told_as())),
        ("was", text(notification.was.as_deref())),
        (
            label::STAGE,
            Value::from(wording::label(notification, label::STAGE)),
        ),
        ("reason", text(notification.reason.as_deref())),
        (
            "arrived_at",
            Value::from(notification.arrived_at.to_string()),
        ),
        (
            "time",
            text(notification.time.map(|time| time.to_string()).as_deref()),
        ),
        ("alias", Value::from(parcel.alias)),
        ("external_url", text(parcel.external_url)),
        ("incident_url", text(parcel.incident_url().as_deref())),
        (
            "mail",
            notification
                .mail
                .map_or_else(|| Value::from(""), Value::from),
        ),
        (
            "headline",
            Value::from(wording::title(notification, HEADLINE)),
        ),
        ("details", Value::from(wording::below(notification))),
    ];

    // It is undefined for a resolve whose trigger has none, and what needs it fails.
    let needs_none = parcel.receipt.is_none() && notification.action == Action::Resolve;
    let receipt = (!needs_none).then(|| ("receipt".to_owned(), text(parcel.receipt)));

    Value::from_pairs(
        labels
            .into_iter()
            .chain(own.map(|(name, value)| (name.to_owned(), value)))
            .chain(receipt),
    )
}

/// The labels by name. A label that is not set reads as empty, as in Alertmanager.
#[derive(Debug)]
struct Labels(Vec<(String, Value)>);

impl Object for Labels {
    fn get_value(self: &Arc<Self>, name: &Value) -> Option<Value> {
        let name = name.as_str()?;
        let set = self.0.iter().find(|(known, _)| known == name);
        Some(set.map_or_else(|| Value::from(""), |(_, value)| value.clone()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.0
                .iter()
                .map(|(name, _)| Value::from(name.as_str()))
                .collect(),
        )
    }
}

/// A numeric label as a number to compare and round, if that prints the same.
fn typed(name: &str, text: &str) -> Value {
    if label::NUMBERS.contains(&name) {
        if let Ok(number) = text.parse::<i64>() {
            return Value::from(number);
        }
        if let Ok(number) = text.parse::<f64>()
            && number.is_finite()
        {
            return Value::from(number);
        }
    }

    Value::from(text)
}
