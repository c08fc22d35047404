//! The present rules, as the pages and the API use them: see [`Workbench`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch::Receiver},
    task::spawn_blocking,
};

use crate::{
    clock::Clock,
    config::{Config, Files, Loaded, Source},
    deliver::{Client, Deliverer, Unusable},
    delivery::Target,
    ingress,
    label::{self, Labels},
    message::Message,
    pipeline::{Rules, resolve_by_hand},
    profile::{self, Profiles, draft},
    route::Reached,
    store::{Kind, Store},
    trial::{
        Specimen, Trial,
        compare::compare,
        page,
        pair::{by_mail, pairs},
        source::{Stored, from_store, silences},
        walk::{judged, twice, walk},
    },
    web::{
        problem::Problem,
        turns::Turns,
        workbench::{
            Diff, Draft, Integration, Meaning, Muted, Objectives, Options, Reach, Read, Tested,
            Workbench,
        },
    },
};

/// The number of mails that are tried, or replayed, at the same time. Each may use a core.
const AT_ONCE: usize = 2;
/// The most mails that one comparison of configurations examines.
const MOST_MAILS: u64 = 50_000;
/// The most differences in one answer.
const MOST_DIFFERENCES: usize = 1_000;

/// The present rules of this process.
pub(super) struct Bench {
    pub(super) loaded: Receiver<Arc<Loaded>>,
    /// The ingresses, which a reload leaves unchanged.
    pub(super) ways_in: ingress::Settings,
    pub(super) store: Arc<dyn Store>,
    pub(super) deliverer: Arc<Deliverer>,
    pub(super) owed: Arc<Notify>,
    pub(super) clock: Clock,
    pub(super) turns: Turns,
}

impl Bench {
    pub(super) fn turns() -> Turns {
        Turns::new(AT_ONCE)
    }

    fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.borrow())
    }
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::new(
        axum::http::StatusCode::INTERNAL_SERVER_ERROR,
        format!("{error:#}"),
    )
}

fn trial(loaded: &Loaded, trust: bool) -> Result<Trial, Problem> {
    trial_of(&loaded.config, Arc::clone(&loaded.rules), trust)
}

/// Returns a trial in which one profile alone reads mail.
fn trial_alone(loaded: &Loaded, profile: &str, trust: bool) -> Result<Trial, Problem> {
    let alone = loaded.alone(profile);
    let (config, rules) = alone.map_err(|problems| failed(Unusable(problems)))?;
    trial_of(&config, Arc::new(rules), trust)
}

fn trial_of(config: &Config, rules: Arc<Rules>, trust: bool) -> Result<Trial, Problem> {
    let authenticator = config.authenticator(&rules.profiles).map_err(failed)?;
    let external_url = config.global.external_url.clone();
    Trial::new(rules, authenticator, external_url, trust).map_err(failed)
}

fn as_read(read: draft::Read) -> Read {
    Read {
        key: read.key,
        status: read.status,
        meaning: match read.meaning {
            profile::Meaning::Trigger => Meaning::Trigger,
            profile::Meaning::Resolve => Meaning::Resolve,
            profile::Meaning::Update => Meaning::Update,
        },
        title: read.title,
        severity: read.severity,
    }
}

#[async_trait]
impl Workbench for Bench {
    fn ingresses(&self) -> Vec<(String, &'static str)> {
        let ways_in = &self.ways_in;
        let imap = ways_in.imap.iter().map(|one| (one.name.clone(), "imap"));
        let smtp = ways_in.smtp.iter().map(|one| (one.name.clone(), "smtp"));
        let webhook = ways_in
            .webhook
            .iter()
            .map(|one| (one.name.clone(), "webhook"));
        imap.chain(smtp).chain(webhook).collect()
    }

    fn integrations(&self) -> Vec<Integration> {
        let circuits = self.deliverer.circuits();
        let receivers = Arc::clone(&self.loaded().rules.receivers);
        let integration = |(target, probe_at): (Target, Option<Timestamp>)| Integration {
            is_former: receivers.is_former(&target),
            receiver: target.receiver,
            integration: target.integration,
            probe_at,
        };
        circuits.into_iter().map(integration).collect()
    }

    fn profiles(&self) -> Vec<String> {
        let rules = Arc::clone(&self.loaded().rules);
        rules.profiles().map(ToOwned::to_owned).collect()
    }

    fn label_names(&self) -> Vec<String> {
        let rules = Arc::clone(&self.loaded().rules);
        let all = rules.profiles.labels().into_iter();
        let own = all.chain([label::STAGE]);
        let own = own.filter(|name| !label::NAMES.contains(name));
        label::NAMES
            .into_iter()
            .chain(own)
            .map(ToOwned::to_owned)
            .collect()
    }

    fn routes(&self) -> Value {
        crate::cli::routes::object(self.loaded().rules.routes.root())
    }

    fn reach(&self, labels: &Labels, at: Option<Timestamp>) -> Reach {
        let mut found = Reach {
            receivers: Vec::new(),
            routes: Vec::new(),
            muted: Vec::new(),
        };
        for Reached {
            receiver,
            path,
            mute,
        } in self.loaded().rules.routes.reach(labels, at)
        {
            match mute {
                None => {
                    found.receivers.push(receiver);
                    found.routes.push(path);
                }
                Some(mute) => found.muted.push(Muted {
                    receiver,
                    route: path,
                    intervals: mute.intervals,
                    until: mute.until,
                }),
            }
        }

        found
    }

    async fn explain(&self, mail: Bytes, options: Options) -> Result<Vec<Value>, Problem> {
        let loaded = self.loaded();
        let now = options.arrival(&mail, self.clock.now());
        let specimen = Specimen {
            name: "-".to_owned(),
            number: 1,
            message: Message {
                ingress: options.ingress.unwrap_or_else(|| "explain".to_owned()),
                arrived_at: now,
                raw: mail,
                cut_from: None,
                withheld: None,
                envelope: None,
            },
            authenticity: None,
            released: None,
            cut_at: None,
            now,
        };

        let (profile, trust) = (options.profile, options.trust);
        let explained = async move {
            let trial = match &profile {
                Some(profile) => trial_alone(&loaded, profile, trust)?,
                None => trial(&loaded, trust)?,
            };
            trial.run(specimen).await.map_err(failed)
        };
        let explained = self.turns.run(explained).await.map_err(failed)??;

        explained
            .into_iter()
            .map(|alert| serde_json::to_value(alert).map_err(failed))
            .collect()
    }

    async fn draft(&self, opening: Bytes, closing: Option<Bytes>) -> Result<Draft, Problem> {
        let work = move || -> Result<Draft, Problem> {
            let document = draft::document(&opening, closing.as_deref());
            let settings = Config::profiles_of(&document).map_err(failed)?;
            let profiles = Profiles::compile(&settings).map_err(|problems| {
                let problems = problems.iter().map(ToString::to_string);
                failed(problems.collect::<Vec<_>>().join("\n"))
            })?;
            let tried = profiles.iter().next();
            let tried = tried.map(|one| draft::tried(one, &opening, closing.as_deref()));
            let tried = tried.unwrap_or_default();
            Ok(Draft {
                document,
                read: tried
                    .read
                    .into_iter()
                    .map(|read| read.map(as_read))
                    .collect(),
                doubts: tried.doubts,
            })
        };
        self.turns.apart(work).await.map_err(failed)?
    }

    async fn diff(
        &self,
        configuration: String,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Diff, Problem> {
        let turn = self.turns.turn().await.map_err(failed)?;
        let in_force = self.loaded();
        let source = match &in_force.source {
            Source::File(path) => Source::File(path.clone()),
            Source::Embedded => Source::Embedded,
        };
        let parse = move || {
            let environment = |name: &str| std::env::var(name).ok();
            let parsed = Config::parse(source, &configuration, Files::Unneeded, &environment);
            (turn, parsed)
        };
        // From here on, the work ends by itself if the client hangs up.
        let (_turn, other) = spawn_blocking(parse).await.map_err(failed)?;
        let other = other.map_err(|errors| {
            let problems = errors.problems.iter().map(ToString::to_string);
            Problem::unprocessable(problems.collect::<Vec<_>>().join("\n"))
        })?;

        let other = other.named_like(&in_force).map_err(failed)?;

        self.compare(&in_force, &other, since, until).await
    }

    async fn test(&self, receiver: &str) -> Result<Vec<Tested>, Problem> {
        let loaded = self.loaded();
        let receivers = Arc::clone(&loaded.rules.receivers);
        if receivers.of(receiver).next().is_none() {
            return Err(Problem::not_found(format!(
                "no receiver with integrations is called `{receiver}`"
            )));
        }

        let settings = &loaded.config.delivery;
        let environment = |name: &str| std::env::var(name).ok();
        let client = Client::new(&receivers, settings.timeout.as_std(), &environment);
        let external_url = loaded.config.global.external_url.clone();
        let tested = page::test(
            receivers,
            receiver,
            settings,
            external_url,
            client.map_err(failed)?,
            self.clock.clone(),
            |_| {},
        )
        .await
        .map_err(failed)?;

        let told = tested.into_iter().map(|delivery| Tested {
            receiver: delivery.receiver,
            integration: delivery.integration,
            action: delivery.action,
            state: delivery.state,
            detail: delivery.detail,
        });

        Ok(told.collect())
    }

    fn objectives(&self) -> Objectives {
        let config = &self.loaded().config;
        Objectives {
            settings: config.objectives.clone(),
            statuses: config.alerts.status.clone(),
        }
    }

    async fn resolve(&self, incident_id: &str, by: &str) -> Result<(), Problem> {
        let found = self.store.timeline(incident_id).await?;
        let Some((incident, _)) = found else {
            let missing = format!("there is no incident {incident_id}");
            return Err(Problem::not_found(missing));
        };
        if incident.kind == Kind::Own {
            return Err(Problem::new(
                axum::http::StatusCode::CONFLICT,
                "the bridge reports this problem itself, and resolves it when it is over",
            ));
        }

        let rules = Arc::clone(&self.loaded().rules);
        resolve_by_hand(&*self.store, rules, &incident, by, self.clock.now()).await?;
        self.owed.notify_one();

        Ok(())
    }
}

impl Bench {
    async fn compare(
        &self,
        in_force: &Loaded,
        other: &Loaded,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Diff, Problem> {
        let kept = silences(&*self.store, self.clock.now()).await?;
        let with = |loaded: &Loaded| -> Result<Arc<Trial>, Problem> {
            Ok(Arc::new(trial(loaded, false)?.with_silences(kept.clone())))
        };
        let (one, another) = (with(in_force)?, with(other)?);

        let stored = Stored {
            store: self.store.clone(),
            since,
            until,
            at: None,
        };
        let mails = from_store(&stored);
        let mails = if in_force.config.judges_like(&other.config) {
            judged(&one, mails)
        } else {
            mails
        };

        let (mails, same_mails) = twice(mails);
        let mut before = walk(&one, mails, Trial::tell);
        let mut after = walk(&another, same_mails, Trial::tell);
        let same_secrets = |target: &Target, other_target: &Target| {
            one.secrets(target, in_force.source.folder())
                == another.secrets(other_target, other.source.folder())
        };

        let mut diff = Diff::default();
        while let (Some(before), Some(after)) =
            tokio::try_join!(before.try_next(), after.try_next()).map_err(failed)?
        {
            for (before, after) in by_mail(before).into_iter().zip(by_mail(after)) {
                diff.mails += 1;
                for (before, after) in pairs(before, after) {
                    if let Some(difference) = compare(before, after, same_secrets) {
                        let difference = serde_json::to_value(difference).map_err(failed)?;
                        diff.differences.push(difference);
                    }
                }
            }
            if diff.mails >= MOST_MAILS || diff.differences.len() >= MOST_DIFFERENCES {
                diff.truncated = true;
                break;
            }
        }

        Ok(diff)
    }
}
