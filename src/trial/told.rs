//! The result of trying a mail: its outcome, and the requests that would be made.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Decided, Trial};
use crate::{
    delivery::{Action, Step, Target},
    label::Labels,
    message::{Authenticity, Outcome},
    pipeline::{Finding, Reading, Sight},
    receiver::{Body, Credential, Keys, Parcel},
    settings::Secret,
    store::NewDelivery,
};

/// The outcome of an alert, which is the object of `--json`.
#[derive(Debug, Serialize)]
pub struct Explained {
    pub mail: String,
    /// The number of the alert in the mail, from 1.
    pub item: usize,
    /// The profile that took the mail; null if none did.
    pub profile: Option<String>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub authenticity: Authenticity,
    /// The JSON as extracted.
    pub incident: Value,
    pub labels: Labels,
    pub receivers: Vec<String>,
    pub requests: Vec<Rendered>,
    /// What is known about the mail as a whole. It is present with the mail's first alert, if one
    /// mail is explained.
    #[serde(flatten)]
    pub sight: Option<Sight>,
    /// The receivers whose page is held, and until when. This is for the description in words.
    #[serde(skip)]
    pub held: BTreeMap<String, Timestamp>,
    #[serde(skip)]
    pub reading: Arc<Reading>,
}

impl Explained {
    /// Returns the finding in the mail that led to this outcome.
    pub fn finding(&self) -> &Finding {
        &self.reading.findings[self.item - 1]
    }
}

/// The outcome, as far as `replay --diff` compares it.
pub struct Told {
    pub mail: String,
    /// The number of the alert in the mail, from 1.
    pub item: usize,
    /// The time at which it was tried.
    pub at: Timestamp,
    pub subject_line: Option<String>,
    /// The incident's id, or the key made for an alert that has none; `None` if the mail is not an
    /// alert.
    pub incident_id: Option<String>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub pages: Vec<Page>,
}

/// The page for one integration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    #[serde(skip)]
    pub action: Action,
    #[serde(skip)]
    pub target: Target,
    #[serde(flatten)]
    pub request: Rendered,
    /// The time until which a mute holds the page.
    pub held_until: Option<Timestamp>,
}

/// A request as it would be sent, without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rendered {
    pub receiver: String,
    pub integration: String,
    pub method: &'static str,
    pub url: String,
    pub headers: Map<String, Value>,
    pub body: Value,
}

impl Trial {
    /// Returns the result to show, with the requests that would be made.
    pub fn explain(&self, decided: Decided) -> Explained {
        let Decided {
            name,
            authenticity,
            reading,
            place,
            decision,
            now,
        } = decided;

        let due = decision
            .deliveries
            .iter()
            .filter(|delivery| delivery.held_until.is_none());
        let held = decision.deliveries.iter().filter_map(|delivery| {
            let receiver = delivery.target.receiver.clone();
            Some((receiver, delivery.held_until?))
        });
        let held = held.collect();

        let (incident, labels) = match &reading.findings[place] {
            Finding::Incident { incident, .. } => (incident.json.clone(), decision.labels),
            Finding::Unreadable { json, .. } => (json.clone(), decision.labels),
            // The labels by which such a mail is listed are not those of an alert.
            Finding::Quarantined { .. } | Finding::Ignored { .. } => (Value::Null, Labels::new()),
        };

        Explained {
            mail: name,
            item: place + 1,
            profile: reading.profile.as_deref().map(ToOwned::to_owned),
            outcome: decision.outcome,
            authenticity,
            incident,
            labels,
            requests: due
                .flat_map(|delivery| self.all_rendered(delivery, now))
                .collect(),
            reason: decision.reason,
            receivers: decision.receivers,
            sight: None,
            held,
            reading,
        }
    }

    /// Returns the part that is compared with another configuration's.
    pub fn tell(&self, decided: Decided) -> Told {
        let Decided {
            name,
            reading,
            place,
            decision,
            now,
            ..
        } = decided;

        let page = |delivery: NewDelivery| {
            let request = self.rendered(&delivery, &Step::Send, now)?;
            let NewDelivery {
                target,
                notification,
                held_until,
                ..
            } = delivery;
            Some(Page {
                action: notification.action,
                target,
                request,
                held_until,
            })
        };

        Told {
            mail: name,
            item: place + 1,
            at: now,
            subject_line: reading.subject_line.clone(),
            incident_id: match &reading.findings[place] {
                Finding::Incident { incident, .. } => Some(incident.incident_id.clone()),
                Finding::Unreadable { key, .. } => Some(key.clone()),
                Finding::Quarantined { .. } | Finding::Ignored { .. } => None,
            },
            outcome: decision.outcome,
            reason: decision.reason,
            pages: decision.deliveries.into_iter().filter_map(page).collect(),
        }
    }

    /// Returns the credentials of an integration. Those in files are identified by the path below
    /// `folder`, which is the configuration's own.
    pub fn secrets(&self, target: &Target, folder: &Path) -> Vec<Secret> {
        let integration = self.rules.receivers.integrations.get(target);
        let seen_from = |credential: &Credential| match &credential.secret {
            Secret::File(path) => {
                Secret::File(path.strip_prefix(folder).unwrap_or(path).to_owned())
            }
            inline @ Secret::Inline(_) => inline.clone(),
        };

        integration
            .map(|integration| integration.secrets().into_iter().map(seen_from).collect())
            .unwrap_or_default()
    }

    /// Returns every request that a successful delivery makes: one, or two if a receiver needs two
    /// steps.
    fn all_rendered(&self, delivery: &NewDelivery, now: Timestamp) -> Vec<Rendered> {
        let action = delivery.notification.action;
        let receiver = self.rules.receivers.integrations.get(&delivery.target);
        let second = receiver.and_then(|receiver| receiver.second_step(action));
        [Some(Step::Send), second]
            .into_iter()
            .flatten()
            .filter_map(|step| self.rendered(delivery, &step, now))
            .collect()
    }

    fn rendered(&self, delivery: &NewDelivery, step: &Step, now: Timestamp) -> Option<Rendered> {
        let receiver = self.rules.receivers.integrations.get(&delivery.target)?;
        let parcel = Parcel {
            delivery: 1,
            alias: &delivery.alias,
            notification: &delivery.notification,
            step,
            // This stands in for the receipt of the trigger, which was not sent.
            receipt: receiver.example_receipt(delivery.notification.action),
            now,
            external_url: self.external_url.as_deref(),
        };

        let named = |method, url, headers, body| Rendered {
            receiver: delivery.target.receiver.clone(),
            integration: delivery.target.kind().to_owned(),
            method,
            url,
            headers,
            body,
        };

        let receivers = &self.rules.receivers;
        let request = receiver
            .request(&parcel, &Keys::Hidden)
            .map(|request| receivers.without_given(&delivery.target, request));

        Some(match request {
            Ok(request) => named(
                request.method,
                request.url,
                request
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name.into_owned(), Value::String(value)))
                    .collect(),
                match request.body {
                    Body::Empty => Value::Null,
                    Body::Json(json) => json,
                    Body::Text(text) => Value::String(text),
                    Body::Mail(mail) => Value::String(mail.text),
                },
            ),
            Err(error) => named(
                "",
                String::new(),
                Map::new(),
                Value::String(error.to_string()),
            ),
        })
    }
}
