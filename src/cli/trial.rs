//! Mails walked through every stage over a state that is thrown away: what `explain` and `replay` share.
//!
//! The same rules, store and receivers as `serve` has; nothing is sent and nothing outlives the command.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    authenticate::Authenticator,
    config::Loaded,
    delivery::{Action, Step, Target},
    label::Labels,
    message::{Authenticity, MailId, Message, Outcome, Release, Verdict},
    pipeline::{Finding, Reading, Rules, in_order},
    receiver::{Body, Keys, Parcel},
    settings::Secret,
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
#[derive(Clone)]
pub struct Specimen {
    /// Its path, or its number in the store.
    pub name: String,
    /// What pages call it: its number in the store, or its place among the files.
    pub number: MailId,
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
    number: MailId,
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

/// What became of it, as far as `replay --diff` compares it.
pub struct Told {
    pub mail: String,
    /// The time it was tried at.
    pub at: Timestamp,
    pub subject_line: Option<String>,
    /// The incident's id, or the key made for an alert that has none; none where it is no alert.
    pub incident_id: Option<String>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub pages: Vec<Page>,
}

/// What one integration is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    #[serde(skip)]
    pub action: Action,
    #[serde(skip)]
    pub target: Target,
    #[serde(flatten)]
    pub request: Rendered,
    /// Kept back until then by a mute.
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
    pub fn new(Loaded { rules, config, .. }: &Loaded, trust: bool) -> anyhow::Result<Self> {
        let store = Sqlite::throw_away().context("a throw-away state could not be made")?;
        Ok(Self {
            rules: Arc::clone(rules),
            store: Arc::new(store),
            authenticator: config.authenticator()?,
            external_url: config.global.external_url.clone(),
            trust,
            silences: Vec::new(),
        })
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

    /// Judges the mails' authenticity, which reading them does too where it is not done.
    pub async fn judge(&self, specimens: Vec<Specimen>) -> Vec<Specimen> {
        let judged = specimens.into_iter().map(async |specimen| {
            let authenticity = Some(self.authenticity(&specimen).await);
            Specimen { authenticity, ..specimen }
        });
        join_all(judged).await
    }

    async fn authenticity(&self, specimen: &Specimen) -> Authenticity {
        match &specimen.authenticity {
            _ if self.trust => trusted(),
            Some(judged) => judged.clone(),
            None => self.authenticator.judge(&specimen.message).await,
        }
    }

    /// The stages that need no other mail: several batches may be read at once.
    pub async fn read(&self, specimens: Vec<Specimen>) -> anyhow::Result<Vec<Read>> {
        let judged = specimens.into_iter().map(async |specimen| {
            let authenticity = self.authenticity(&specimen).await;
            (specimen, authenticity)
        });
        let judged = join_all(judged).await;
        // The state needs a row for the mail, not its bytes.
        let stub = |(Specimen { message, .. }, authenticity): &(Specimen, Authenticity)| {
            (Message { raw: bytes::Bytes::new(), ..message.clone() }, authenticity.clone())
        };
        let ids = self.store.record(judged.iter().map(stub).collect(), None).await?;
        ensure!(ids.len() == judged.len(), "the throw-away state lost a mail");
        let rules = Arc::clone(&self.rules);
        let read = move |((specimen, authenticity), id)| {
            let Specimen { name, number, message, released, now, .. } = specimen;
            let mail = StoredMail { id, message, authenticity, checks: 0, released };
            Read { name, number, reading: rules.read_whatever_it_is(&mail), mail, now }
        };
        let read = move || judged.into_iter().zip(ids).map(read).collect();
        tokio::task::spawn_blocking(read).await.context("reading mail failed")
    }

    /// The stages that go by the mails before: one batch after the other. Those of a batch share a commit.
    pub async fn decide(&self, read: Vec<Read>) -> anyhow::Result<Vec<Decided>> {
        let decisions = read.into_iter().map(async |Read { name, number, mail, reading, now }| {
            let authenticity = mail.authenticity.clone();
            let mail_id = mail.id;
            let subject = self.rules.subject(&reading, &mail, now);
            let (rules, said) = (Arc::clone(&self.rules), reading.clone());
            let active = self.silences.iter().filter(|silence| silence.state(now) == silence::State::Active);
            let silences = active.cloned().collect();
            let conclude =
                move |memory: &Memory| rules.conclude(&said, &mail, &Memory { silences, ..memory.clone() }, now);
            let decision = self.store.decide(mail_id, subject, now, Box::new(conclude)).await?;
            let mut decision = decision.context("the throw-away state lost a mail")?;
            // Of no two replays the throw-away state numbers the mails alike.
            decision.deliveries.iter_mut().for_each(|delivery| delivery.notification.mail = Some(number));
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

    /// What of it is compared with another configuration's.
    pub fn tell(&self, decided: Decided) -> Told {
        let Decided { name, reading, decision, now, .. } = decided;
        let page = |delivery: NewDelivery| {
            let request = self.rendered(&delivery, now)?;
            let NewDelivery { target, notification, held_until, .. } = delivery;
            Some(Page { action: notification.action, target, request, held_until })
        };
        Told {
            mail: name,
            at: now,
            subject_line: reading.subject_line,
            incident_id: match reading.finding {
                Finding::Incident { incident, .. } => Some(incident.incident_id),
                Finding::Unreadable { key, .. } => Some(key),
                Finding::Quarantined { .. } | Finding::Ignored { .. } => None,
            },
            outcome: decision.outcome,
            reason: decision.reason,
            pages: decision.deliveries.into_iter().filter_map(page).collect(),
        }
    }

    /// The credentials of an integration; those in files by where the files lie below `folder`, the configuration's own.
    pub fn secrets(&self, target: &Target, folder: &Path) -> Vec<Secret> {
        let integration = self.rules.receivers.integrations.get(target);
        let seen_from = |secret: &Secret| match secret {
            Secret::File(path) => Secret::File(path.strip_prefix(folder).unwrap_or(path).to_owned()),
            inline @ Secret::Inline(_) => inline.clone(),
        };
        integration.map(|integration| integration.secrets().into_iter().map(seen_from).collect()).unwrap_or_default()
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
