//! The stages as the program runs them, delivery left out: one webhook receiver for all, one more
//! for what is critical.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use alertbridge::{
    clock::Clock,
    config::{Config, Files, Loaded, Source},
    deliver::{Client, Deliverer, Terms},
    delivery::Settings,
    incident::{Known, State},
    ingress::Inbox as _,
    message::{Authenticity, Message},
    pipeline::{Finding, InForce, Pipeline, Rules},
    store::{Memory, Store, StoredMail, sqlite::Sqlite},
};
use futures_util::future::join_all;
use tokio::{
    runtime::Runtime,
    sync::{Notify, watch::Sender},
};
use tokio_util::sync::CancellationToken;

/// Routes, a severity rule and two receivers.
const CONFIGURATION: &str = "
global: { max_age: 0s }
ingress:
  smtp: [{ name: smtp, listen: '127.0.0.1:0' }]
alerts:
  authenticity: { require: [] }
  severity: [{ matchers: ['sli_gap>=20'], severity: critical }, { severity: warning }]
route:
  receiver: everybody
  routes: [{ receiver: oncall, matchers: ['severity=critical', \
  'app_key=~\"com\\\\.example\\\\..*\"'] }]
receivers:
  - { name: everybody, webhook_configs: [{ url: 'http://127.0.0.1:9/' }] }
  - { name: oncall, webhook_configs: [{ url: 'http://127.0.0.1:9/' }] }
";

pub struct Bridge {
    rules: Arc<Rules>,
    in_force: Sender<Arc<InForce>>,
    runtime: Runtime,
}

impl Bridge {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With more of a configuration: `profiles:`.
    pub fn with(more: &str) -> Self {
        let configuration = format!("{CONFIGURATION}{more}");
        let loaded = Config::parse(Source::Embedded, &configuration, Files::Unneeded, &|_| None);
        let Loaded { config, rules, .. } = loaded.unwrap_or_else(|error| panic!("{error}"));
        let in_force = InForce {
            authenticator: config.authenticator(&rules.profiles).unwrap(),
            rules: Arc::clone(&rules),
            canary: None,
        };
        Self {
            rules,
            in_force: Sender::new(Arc::new(in_force)),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    pub fn read_all(&self, mails: &[Vec<u8>]) -> usize {
        let read = mails.iter().map(|mail| self.rules.read(&stored(0, mail)));
        read.filter(|reading| matches!(reading.findings[0], Finding::Incident { .. }))
            .count()
    }

    /// The decisions, over a map in the store's place; returns how many pages they owe.
    pub fn decide_in_memory(&self, mails: &[Vec<u8>]) -> usize {
        let mut states: HashMap<String, State> = HashMap::new();
        let mut pages = 0;
        for (id, mail) in (1..).zip(mails) {
            let mail = stored(id, mail);
            let reading = self.rules.read(&mail);
            let now = mail.message.arrived_at;
            let finding = &reading.findings[0];
            let subject = self.rules.subject(&reading, finding, &mail, now);
            let state = subject
                .as_ref()
                .and_then(|subject| states.get(&subject.incident_id).cloned());
            let memory = Memory {
                known: Known {
                    state,
                    applied_before: false,
                },
                ..Memory::default()
            };
            let decision = self.rules.conclude(&reading, finding, &mail, &memory, now);
            pages += decision.deliveries.len();
            if let (Some(subject), Some(state)) = (subject, decision.state) {
                states.insert(subject.incident_id, state);
            }
        }
        pages
    }

    /// Accepts the mails from `senders` at once, each waiting for its mail to be stored before it
    /// sends the next, and returns when all are decided.
    pub fn decide(&self, path: &Path, mails: &[Vec<u8>], senders: usize) -> usize {
        self.runtime.block_on(async {
            let store: Arc<dyn Store> = Arc::new(Sqlite::open(path).unwrap());
            let receivers = Arc::default();
            let client = Client::new(&receivers, Duration::from_secs(1), &|_| None).unwrap();
            let terms = Terms::new(receivers, Settings::default(), None, client);
            let bell = Arc::new(Notify::new());
            let deliverer = Arc::new(Deliverer::new(store.clone(), terms, Clock::system(), bell));
            let in_force = self.in_force.subscribe();
            let pipeline = Arc::new(Pipeline::new(
                store.clone(),
                in_force,
                Clock::system(),
                deliverer,
            ));
            let stop = CancellationToken::new();
            let deciding = tokio::spawn(Arc::clone(&pipeline).run(stop.clone()));
            let sending = (0..senders).map(|first| {
                let own: Vec<Message> = mails
                    .iter()
                    .skip(first)
                    .step_by(senders)
                    .map(|mail| message(mail))
                    .collect();
                let pipeline = Arc::clone(&pipeline);
                tokio::spawn(async move {
                    for message in own {
                        pipeline.accept(vec![message], None).await.unwrap();
                    }
                })
            });
            join_all(sending).await;
            // A round counts for nothing unless its work is done.
            while !store.undecided(0, 1).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.cancel();
            deciding.await.unwrap();
            mails.len()
        })
    }
}

fn stored(id: i64, mail: &[u8]) -> StoredMail {
    StoredMail {
        id,
        message: message(mail),
        authenticity: Authenticity::off(),
        checks: 0,
        released: None,
        decided_at: None,
        cut_at: None,
    }
}

fn message(mail: &[u8]) -> Message {
    Message {
        ingress: "smtp".to_owned(),
        arrived_at: Clock::system().now(),
        raw: mail.to_vec().into(),
        cut_from: None,
        withheld: None,
        envelope: None,
    }
}
