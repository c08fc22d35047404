//! Mails walked through every stage over a state that is thrown away: what `explain` and `replay` share.
//!
//! The same rules, store and receivers as `serve` has; nothing is sent and nothing outlives the command.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    authenticate::Authenticator,
    delivery::Step,
    label::Labels,
    message::{Authenticity, Message, Outcome, Release, Verdict},
    pipeline::{Finding, Reading, Rules, in_order},
    receiver::{Body, Keys, Parcel},
    silence::{self, Silence},
    store::{Decision, Memory, NewDelivery, Store, StoredMail, sqlite::Sqlite},
};

/// A throw-away bridge.
pub struct Trial {
    pub rules: Arc<Rules>,
    pub store: Arc<dyn Store>,
    authenticator: Authenticator,
    external_url: Option<String>,
    /// `--trust`: mails count as genuine.
    trust: bool,
    /// Each counts for the mails that are tried at its time. The throw-away store has none of its own.
    silences: Vec<Silence>,
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
    /// The time it is tried at.
    pub now: Timestamp,
}

/// What a mail says, whatever was before it.
pub struct Read {
    name: String,
    mail: StoredMail,
    reading: Reading,
    now: Timestamp,
}

/// What follows from it, after the mails before it.
pub struct Decided {
    name: String,
    authenticity: Authenticity,
    reading: Reading,
    decision: Decision,
    now: Timestamp,
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
        Ok(Self { rules, store: Arc::new(store), authenticator, external_url, trust, silences: Vec::new() })
    }

    /// The same with what was, is and will be silenced.
    #[must_use]
    pub fn with_silences(self, silences: Vec<Silence>) -> Self {
        Self { silences, ..self }
    }

    /// Takes one mail through.
    pub async fn run(&self, specimen: Specimen) -> anyhow::Result<Explained> {
        let decided = self.decide(self.read(vec![specimen]).await?).await?;
        decided.into_iter().next().map(|decided| self.explain(decided)).context("the throw-away state lost a mail")
    }

    /// The stages that need no other mail: several batches may be read at once.
    pub async fn read(&self, specimens: Vec<Specimen>) -> anyhow::Result<Vec<Read>> {
        let judged = join_all(specimens.into_iter().map(async |specimen| {
            let authenticity = match specimen.authenticity {
                _ if self.trust => trusted(),
                Some(stored) => stored,
                None => self.authenticator.judge(&specimen.message).await,
            };
            let Specimen { name, message, released, now, .. } = specimen;
            (name, StoredMail { id: 0, message, authenticity, checks: 0, released }, now)
        }));
        let judged = judged.await;
        // The state needs a row for the mail, not its bytes.
        let stub = |(_, mail, _): &(String, StoredMail, Timestamp)| {
            (Message { raw: bytes::Bytes::new(), ..mail.message.clone() }, mail.authenticity.clone())
        };
        let ids = self.store.record(judged.iter().map(stub).collect(), None).await?;
        ensure!(ids.len() == judged.len(), "the throw-away state lost a mail");
        let rules = Arc::clone(&self.rules);
        let read = move |((name, mail, now), id)| {
            let reading = rules.read_whatever_it_is(&mail);
            Read { name, mail: StoredMail { id, ..mail }, reading, now }
        };
        let read = move || judged.into_iter().zip(ids).map(read).collect();
        tokio::task::spawn_blocking(read).await.context("reading mail failed")
    }

    /// The stages that go by the mails before: one batch after the other. Those of a batch share a commit.
    pub async fn decide(&self, read: Vec<Read>) -> anyhow::Result<Vec<Decided>> {
        let decisions = read.into_iter().map(async |Read { name, mail, reading, now }| {
            let authenticity = mail.authenticity.clone();
            let mail_id = mail.id;
            let subject = self.rules.subject(&reading, &mail, now);
            let (rules, said) = (Arc::clone(&self.rules), reading.clone());
            let active = self.silences.iter().filter(|silence| silence.state(now) == silence::State::Active);
            let silences = active.cloned().collect();
            let conclude =
                move |memory: &Memory| rules.conclude(&said, &mail, &Memory { silences, ..memory.clone() }, now);
            let decision = self.store.decide(mail_id, subject, now, Box::new(conclude)).await?;
            let decision = decision.context("the throw-away state lost a mail")?;
            Ok(Decided { name, authenticity, reading, decision, now })
        });
        in_order(decisions).await.into_iter().collect()
    }

    /// What is shown of it, with the requests that would be made.
    pub fn explain(&self, decided: Decided) -> Explained {
        let Decided { name, authenticity, reading, decision, now } = decided;
        let due = decision.deliveries.iter().filter(|delivery| delivery.held_until.is_none());
        Explained {
            mail: name,
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
            // Nothing was sent.
            receipt: None,
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
