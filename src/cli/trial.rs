//! Mails walked through every stage over a state that is thrown away: what `explain` and `replay` share.
//!
//! The same rules, store and receivers as `serve` has; nothing is sent and nothing outlives the command.

use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    authenticate::Authenticator,
    delivery::Step,
    label::Labels,
    message::{Authenticity, Message, Outcome, Release, Verdict},
    pipeline::{Finding, Reading, Rules},
    receiver::{Body, Keys, Parcel},
    store::{Decision, NewDelivery, Store, StoredMail, sqlite::Sqlite},
};

/// A throw-away bridge.
pub struct Trial {
    pub rules: Arc<Rules>,
    pub store: Arc<dyn Store>,
    authenticator: Authenticator,
    external_url: Option<String>,
    /// `--trust`: mails count as genuine.
    trust: bool,
}

/// A mail to try.
pub struct Specimen {
    /// Its path, or its number in the store.
    pub name: String,
    pub message: Message,
    /// A stored mail keeps the verdict of its arrival; others are judged now.
    pub authenticity: Option<Authenticity>,
    /// Who let a stored mail out of the quarantine.
    pub released: Option<Release>,
}

/// What became of it: the object of `--json`.
#[derive(Debug, Serialize)]
pub struct Explained {
    pub mail: String,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub authenticity: Authenticity,
    /// The JSON as extracted.
    pub incident: Value,
    pub labels: Labels,
    pub receivers: Vec<String>,
    pub requests: Vec<Rendered>,
    /// For the walk in words.
    #[serde(skip)]
    pub reading: Reading,
}

/// A request as it would be sent, without its secrets.
#[derive(Debug, Serialize)]
pub struct Rendered {
    pub receiver: String,
    pub integration: String,
    pub method: &'static str,
    pub url: String,
    pub headers: Map<String, Value>,
    pub body: Value,
}

impl Trial {
    pub fn new(
        rules: Arc<Rules>,
        authenticator: Authenticator,
        external_url: Option<String>,
        trust: bool,
    ) -> anyhow::Result<Self> {
        let store = Sqlite::throw_away().context("a throw-away state could not be made")?;
        Ok(Self { rules, store: Arc::new(store), authenticator, external_url, trust })
    }

    /// Takes one mail through, at the time `now`.
    pub async fn run(&self, specimen: Specimen, now: Timestamp) -> anyhow::Result<Explained> {
        let authenticity = match specimen.authenticity {
            _ if self.trust => trusted(),
            Some(stored) => stored,
            None => self.authenticator.judge(&specimen.message).await,
        };
        // The state needs a row for the mail, not its bytes.
        let stub = Message { raw: bytes::Bytes::new(), ..specimen.message.clone() };
        let id =
            self.store.record(vec![(stub, authenticity.clone())], None).await?.first().copied().unwrap_or_default();
        let mail = StoredMail {
            id,
            message: specimen.message,
            authenticity: authenticity.clone(),
            checks: 0,
            released: specimen.released,
        };
        let reading = self.rules.read_whatever_it_is(&mail);
        let subject = self.rules.subject(&reading, &mail, now);
        let (rules, read) = (Arc::clone(&self.rules), reading.clone());
        let conclude = Box::new(move |memory: &_| rules.conclude(&read, &mail, memory, now));
        let decision =
            self.store.decide(id, subject, now, conclude).await?.context("the throw-away state lost a mail")?;
        Ok(self.explained(specimen.name, reading, decision, authenticity, now))
    }

    fn explained(
        &self,
        mail: String,
        reading: Reading,
        decision: Decision,
        authenticity: Authenticity,
        now: Timestamp,
    ) -> Explained {
        let due = decision.deliveries.iter().filter(|delivery| delivery.held_until.is_none());
        Explained {
            mail,
            outcome: decision.outcome,
            authenticity,
            incident: match &reading.finding {
                Finding::Incident { incident, .. } => incident.json.clone(),
                Finding::Unreadable { json, .. } => json.clone(),
                Finding::Quarantined { .. } | Finding::Ignored { .. } => Value::Null,
            },
            requests: due.filter_map(|delivery| self.rendered(delivery, now)).collect(),
            reason: decision.reason,
            labels: decision.labels,
            receivers: decision.receivers,
            reading,
        }
    }

    fn rendered(&self, delivery: &NewDelivery, now: Timestamp) -> Option<Rendered> {
        let receiver = self.rules.receivers.integrations.get(&delivery.target)?;
        let parcel = Parcel {
            delivery: 1,
            alias: &delivery.alias,
            notification: &delivery.notification,
            step: &Step::Send,
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
        Some(match receiver.request(&parcel, &Keys::Hidden) {
            Ok(request) => named(
                request.method,
                request.url,
                request.headers.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect(),
                match request.body {
                    Body::Empty => Value::Null,
                    Body::Json(json) => json,
                    Body::Text(text) => Value::String(text),
                },
            ),
            Err(error) => named("", String::new(), Map::new(), Value::String(error.to_string())),
        })
    }
}

fn trusted() -> Authenticity {
    Authenticity::unproven(Verdict::Pass, "trusted by --trust")
}
