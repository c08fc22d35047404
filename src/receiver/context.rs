//! The variables of a template: the labels, and what else is known about the notification.

use std::sync::Arc;

use minijinja::{
    Value,
    value::{Enumerator, Object, Serde},
};

use super::{Parcel, wording};
use crate::{
    delivery::{Action, Notification},
    label,
};

/// The names of the variables besides the labels.
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

/// The longest headline, in units.
const HEADLINE: usize = 1024;

/// Returns the variables of a template. A label that is not set reads as empty.
pub fn context(parcel: &Parcel<'_>) -> Value {
    let notification = parcel.notification;
    let labels = labels(notification);

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

    let title = called(notification).map(|title| ("title".to_owned(), Value::from(title)));

    // The receipt is undefined for a resolve whose trigger has none, so that a template that needs
    // it fails.
    let needs_none = parcel.receipt.is_none() && notification.action == Action::Resolve;
    let receipt = (!needs_none).then(|| ("receipt".to_owned(), text(parcel.receipt)));

    Value::from_pairs(
        labels
            .into_iter()
            .chain(own.map(|(name, value)| (name.to_owned(), value)))
            .chain(title)
            .chain(receipt),
    )
}

fn labels(notification: &Notification) -> Vec<(String, Value)> {
    let given = &notification.labels;
    let unset = label::NAMES
        .iter()
        .filter(|name| !given.contains_key(**name))
        .map(|name| ((*name).to_owned(), Value::from("")));
    let set = given
        .iter()
        .map(|(name, text)| (name.to_string(), typed(name, text)));

    unset.chain(set).collect()
}

/// Returns the title of an alert that has none of its own, so that no page is without a name.
///
/// Atlassian's alerts are named by their metric. The title of a mail that could not be read is only
/// its subject, which must not pass for an alert's title.
fn called(notification: &Notification) -> Option<String> {
    match wording::label(notification, "kind") {
        "unparsed" => Some(wording::title(notification, HEADLINE)),
        _ if !wording::label(notification, "title").is_empty() => None,
        "self" | "canary" => Some(wording::title(notification, HEADLINE)),
        _ => wording::declared(notification),
    }
}

/// The labels by name. A label that is not set reads as empty, as in Alertmanager; a loop over all
/// labels gets those that are set.
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
                .filter(|(_, value)| value.as_str() != Some(""))
                .map(|(name, _)| Value::from(name.as_str()))
                .collect(),
        )
    }
}

/// Returns a label as a value. A numeric label is a number that can be compared and rounded, if
/// that prints the same.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::sample;

    #[test]
    fn no_page_is_without_a_name() {
        let title = |notification: &Notification| {
            let title = sample::parcel(notification, context)
                .get_attr("title")
                .unwrap();
            title.to_string()
        };
        let [(_, trigger), _, (_, unparsed)] = sample::notifications();
        assert_eq!(title(&trigger), "", "it has its metric");
        assert!(title(&unparsed).starts_with("An alert mail could not be read"));

        let mut of_a_profile = trigger;
        of_a_profile.labels = [
            ("kind", "incident"),
            ("profile", "backups"),
            ("status", "failed"),
        ]
        .map(|(name, value)| (name.into(), value.to_owned()))
        .into();
        of_a_profile.incident_id = "backups:db1".into();
        assert_eq!(title(&of_a_profile), "backups: db1 (failed)");
        of_a_profile.labels.insert("title".into(), "Own".to_owned());
        assert_eq!(title(&of_a_profile), "Own");
    }

    #[test]
    fn who_asks_for_all_labels_gets_those_that_are_set() {
        let [(_, trigger), ..] = sample::notifications();
        let labels = sample::parcel(&trigger, context)
            .get_attr("labels")
            .unwrap();
        assert_eq!(
            labels.get_attr("partner_of_nobody").unwrap().to_string(),
            ""
        );
        for name in labels.try_iter().unwrap() {
            assert_ne!(labels.get_item(&name).unwrap().to_string(), "", "{name}");
        }
    }
}
