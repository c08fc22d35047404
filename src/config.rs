//! The configuration: composes each module's own settings. One file goes in; the settings of every
//! stage come out, or everything that is wrong with it.
//!
//! The file is parsed into a tree that knows its lines ([`yaml`]), prepared ([`values`]), joined
//! with the files that it includes ([`mod@include`]), read into the settings ([`shape`]) and
//! checked ([`check`], [`lint`]). Files that it names are relative to its own folder. A relative
//! `store.url`, which names a file that the program creates, is relative to the working directory.

use std::{
    env, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    canary,
    clock::Clock,
    deliver::{Client, Unusable},
    delivery::{
        self,
        naming::{self, Named},
    },
    incident::ATLASSIAN_SLI,
    ingress, objective,
    pipeline::Rules,
    profile::{self, Profiles},
    receiver, route,
    settings::Problem,
    store::place::Place,
    telemetry,
};

mod admin;
mod alerts;
mod authenticity;
mod check;
mod compile;
mod errors;
mod exposed;
mod found;
mod global;
mod include;
mod lint;
mod literal;
mod misfit;
mod overlay;
mod preset;
mod refused;
mod restart;
mod shape;
mod sign_in;
mod starter;
mod store;
mod values;
mod yaml;

pub use admin::Admin;
pub use alerts::{Alerts, OnMissingPayload};
pub use errors::{ConfigErrors, Misconfigured};
use found::Found;
pub use global::Global;
pub use store::{IgnoredMail, Quarantine, Store};

/// The file that is used if no configuration file is named, if it exists in the working directory.
pub const DEFAULT_FILE: &str = "alertbridge.yaml";
const EMBEDDED: &str = include_str!("config/embedded.yaml");

/// Where the configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    /// The built-in defaults, because there was no file.
    Embedded,
}

impl Source {
    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded)
    }

    /// Returns the folder to which files named in the configuration are relative.
    pub fn folder(&self) -> &Path {
        match self {
            Self::File(path) => path.parent().unwrap_or(Path::new("")),
            Self::Embedded => Path::new(""),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Embedded => f.write_str("built-in defaults"),
        }
    }
}

/// A configuration without a known problem.
pub struct Loaded {
    pub config: Config,
    /// The stages that it describes, ready to run.
    pub rules: Arc<Rules>,
    /// The profiles, which read other senders' mail.
    pub profiles: Arc<Profiles>,
    pub source: Source,
    /// The warnings: settings that work, but would be better changed.
    pub warnings: Vec<String>,
    /// The number of files that it includes.
    pub included: usize,
    /// The tree as it is written, used to name what differs from another configuration.
    tree: yaml::Node,
}

impl Loaded {
    /// Returns the problem with a name given to `--ingress` that no ingress has.
    pub fn misnamed_ingress(&self, name: Option<&str>) -> Option<Problem> {
        let name = name?;
        let ingress = &self.config.ingress;
        let imap = ingress.imap.iter().map(|one| &*one.name);
        let smtp = ingress.smtp.iter().map(|one| &*one.name);
        let webhook = ingress.webhook.iter().map(|one| &*one.name);
        let known: Vec<&str> = imap.chain(smtp).chain(webhook).collect();
        let mend = if known.is_empty() {
            "leave the option out".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        let what = format!("`{name}` is not an ingress of {}", self.source);

        (!known.contains(&name)).then(|| Problem::new("--ingress", what, mend))
    }

    /// Returns the configuration and its rules with only one profile reading mail, which also
    /// determines how authenticity is judged.
    pub fn alone(&self, profile: &str) -> Result<(Config, Rules), Vec<Problem>> {
        let given = values::given(&self.tree, &|name| env::var(name).ok());
        let rules = compile::rules(&self.config, &self.profiles, given)?.alone(profile);
        let mut config = self.config.clone();
        if profile != ATLASSIAN_SLI {
            config.alerts.from.clear();
        }

        Ok((config, rules))
    }

    /// Gives the integrations the names that are passed.
    pub fn under(mut self, names: &[Named]) -> anyhow::Result<Self> {
        let rules = Arc::get_mut(&mut self.rules);
        let receivers = rules.and_then(|rules| Arc::get_mut(&mut rules.receivers));
        let Some(receivers) = receivers else {
            anyhow::bail!("this program has a fault: the rules were used before they had names");
        };
        *receivers = mem::take(receivers).under(names);
        Ok(self)
    }

    /// Gives the integrations the names that they have in another configuration, so that those with
    /// the same destination have the same name wherever their entries stand.
    pub fn named_like(self, other: &Self) -> anyhow::Result<Self> {
        // Both are compared within this program alone, so any secret works.
        let secret = b"compare";
        let known = other.rules.receivers.names(secret);
        let names = naming::name(known, &self.rules.receivers.entries(secret));
        self.under(&names)
    }

    /// Returns the files of secrets that others than this program's user may read.
    pub fn exposed_secrets(&self) -> Vec<Problem> {
        exposed::files(&self.tree)
    }
}

/// Whether the files that hold secrets are examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// They must be readable and not empty: to serve, and to check.
    Needed,
    /// Nothing is sent: somebody may try a configuration on a laptop while its secrets are
    /// elsewhere.
    Unneeded,
}

impl Config {
    /// Reads, checks and compiles the file. If none is named, this is `alertbridge.yaml` in the
    /// working directory, or else the built-in defaults.
    pub fn load(path: Option<&Path>, files: Files) -> Result<Loaded, ConfigErrors> {
        let source = match path {
            Some(path) => Source::File(path.to_owned()),
            None if Path::new(DEFAULT_FILE).exists() => Source::File(DEFAULT_FILE.into()),
            None => Source::Embedded,
        };

        let text = match &source {
            Source::Embedded => EMBEDDED.to_owned(),
            Source::File(path) => errors::read_file(path)?,
        };

        Self::parse(source, &text, files, &|name| env::var(name).ok())
    }

    /// Does the same as [`Config::load`] for a given text and environment.
    pub fn parse(
        source: Source,
        text: &str,
        files: Files,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigErrors> {
        let mut tree = yaml::parse(text).map_err(|error| ConfigErrors::syntax(&source, error))?;
        let mut found = Found(values::prepare(&mut tree, environment, source.folder()));
        let included = include::merge(&mut tree, &source, environment, &mut found.0)?;
        found.all(starter::merge(&mut tree));
        found.all(preset::merge(&mut tree));

        let compiled = Self::compile(&tree, files, environment, &mut found);

        if let Some((_, rules, _)) = &compiled {
            found.news(literal::problems(&tree, &rules.receivers.templates));
        }

        if files == Files::Needed {
            found.apart(check::files(&tree));
            if let Some((config, rules, _)) = &compiled {
                config.try_receivers(&rules.receivers, environment, &mut found);
            }
        }

        let mut warnings = included.warnings;
        warnings.extend(
            compiled
                .iter()
                .flat_map(|(config, rules, profiles)| self::warnings(config, rules, profiles)),
        );

        let placed = |warnings: Vec<String>| {
            let place = |warning| errors::placed(warning, &included.sources, &tree);
            warnings.into_iter().map(place).collect()
        };

        match compiled {
            Some((config, rules, profiles)) if found.0.is_empty() => {
                warnings.extend(exposed::to_other_apps(&config));
                if files == Files::Needed {
                    let (exposed, unfilled) = (exposed::files(&tree), exposed::placeholders(&tree));
                    let files = exposed.iter().chain(&unfilled);
                    warnings.extend(files.map(ToString::to_string));
                }
                let warnings = placed(warnings);
                let (rules, included) = (Arc::new(rules), included.sources.len() - 1);
                Ok(Loaded {
                    config,
                    rules,
                    profiles,
                    source,
                    warnings,
                    included,
                    tree,
                })
            }
            _ => Err(ConfigErrors {
                warnings: placed(warnings),
                ..ConfigErrors::new(&included.sources, &tree, found.0)
            }),
        }
    }

    /// Returns the settings and what is compiled from them, as far as they can be read.
    fn compile(
        tree: &yaml::Node,
        files: Files,
        environment: &dyn Fn(&str) -> Option<String>,
        found: &mut Found,
    ) -> Option<(Self, Rules, Arc<Profiles>)> {
        let config = found.made(shape::read::<Self>(tree))?;
        found.news(config.problems());
        if files == Files::Needed {
            found.news(config.certificates());
            found.news(Vec::from_iter(config.telemetry.headers("telemetry").err()));
            found.news(config.sign_in_problems(environment));
        }

        let given = values::given(tree, environment);
        let profiles = found.made(Profiles::compile(&config.profiles));
        if let (Files::Needed, Some(profiles)) = (files, &profiles) {
            found.news(profile::examples::problems(profiles));
        }

        let profiles = Arc::new(profiles.unwrap_or_default());
        let rules = found.made(compile::rules(&config, &profiles, given))?;
        Some((config, rules, profiles))
    }

    /// Checks whether the files of secrets can be read, and whether their content allows a
    /// connection.
    fn try_receivers(
        &self,
        receivers: &receiver::Receivers,
        environment: &dyn Fn(&str) -> Option<String>,
        found: &mut Found,
    ) {
        found.apart(receivers.try_secrets());
        let timeout = self.delivery.timeout.as_std();
        if let Err(Unusable(problems)) = Client::new(receivers, timeout, environment) {
            found.apart(problems);
        }
    }

    /// Parses the profiles of a text that contains nothing else. They are not compiled yet.
    pub fn profiles_of(text: &str) -> Result<Vec<profile::Settings>, ConfigErrors> {
        let tree =
            yaml::parse(text).map_err(|error| ConfigErrors::syntax(&Source::Embedded, error))?;
        shape::read::<Self>(&tree)
            .map(|config| config.profiles)
            .map_err(|problems| {
                let found = problems.into_iter().map(|problem| (None, problem));
                ConfigErrors::new(&[Source::Embedded], &tree, found.collect())
            })
    }

    /// Returns what is wrong with the files of certificates and their keys.
    fn certificates(&self) -> Vec<Problem> {
        let servers = self.ingress.smtp.iter().enumerate();
        servers
            .filter_map(|(place, smtp)| smtp.check_files(&format!("ingress.smtp[{place}]")))
            .collect()
    }

    /// Returns what is wrong with the settings, whatever stage it concerns.
    fn problems(&self) -> Vec<Problem> {
        check::problems(self)
    }

    /// Returns the JSON Schema of the file, for editors.
    pub fn json_schema() -> serde_json::Value {
        let mut schema = schemars::schema_for!(Self);
        schema.insert("title".into(), "alertbridge.yaml".into());
        schema.to_value()
    }
}

/// Returns warnings about settings that work, but would be better changed. They are shown at the
/// start and by `check`, and are no reason to refuse the file.
fn warnings(config: &Config, rules: &Rules, profiles: &Profiles) -> Vec<String> {
    let mut found = Vec::new();
    if config.alerts.authenticity.require.is_empty() {
        found.push(
            "alerts.authenticity.require is empty: nothing checks that mail comes from Atlassian, \
             so anybody who can write to an ingress can page and resolve; list what counts as \
             evidence"
                .to_owned(),
        );
    }

    // A URL file that cannot be read is reported as a problem elsewhere.
    let place = config
        .store
        .url()
        .ok()
        .and_then(|url| Place::parse("store.url", &url).ok());

    if let Some(Place::Database(address)) = place
        && address.is_exposed()
    {
        found.push(format!(
            "store.url: the certificate of the {address} is not checked, so anybody on the network \
             path can read and change what is stored; add `sslmode=verify-full`"
        ));
    }

    let mailboxes = config.ingress.imap.iter().enumerate();
    let of_mailboxes =
        mailboxes.flat_map(|(place, mailbox)| mailbox.warnings(&format!("ingress.imap[{place}]")));
    let now = Clock::system().now();
    let servers = config.ingress.smtp.iter().enumerate();
    let of_servers =
        servers.filter_map(|(place, smtp)| smtp.warnings(&format!("ingress.smtp[{place}]"), now));
    found.extend(lint::warnings(config, rules, profiles));

    let of_canary = config
        .canary
        .iter()
        .flat_map(|canary| canary.warnings("canary"));

    let of_stages = rules
        .receivers
        .warnings
        .iter()
        .cloned()
        .chain(of_mailboxes)
        .chain(of_servers)
        .chain(of_canary);

    found.extend(of_stages.map(|problem| problem.to_string()));

    found
}

/// Returns whether a key path is `key` or leads below it.
fn within(path: &str, key: &str) -> bool {
    !key.is_empty()
        && path
            .strip_prefix(key)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The configuration file of alertbridge.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Further files of the configuration, or patterns of files such as `conf.d/*.yaml`. Relative
    /// paths start at the folder of this file. Lists are joined and maps are merged key by key; a
    /// key that two files give is an error. By default no other file is read.
    pub include: Vec<PathBuf>,
    /// General settings: the external address, the maximum age of a trigger and the format of the
    /// log.
    pub global: Global,
    /// Where mail, incidents and deliveries are stored, and how long mail is kept.
    pub store: Store,
    /// The listener of the web interface, the API, the metrics and the health checks.
    pub admin: Admin,
    /// How mail arrives: over IMAP, over SMTP or by webhooks.
    pub ingress: ingress::Settings,
    /// Which mail is an alert of Atlassian's, how it proves its sender, and what it means.
    pub alerts: Alerts,
    /// How the mail of other senders is read. After `alerts`, profiles are tried in order: the
    /// first whose `match` matches takes the mail.
    pub profiles: Vec<profile::Settings>,
    /// Files of Jinja macros that the receivers' texts can import.
    pub templates: Vec<PathBuf>,
    /// Named time intervals during which routes are muted or active, as in Alertmanager.
    pub time_intervals: Vec<route::interval::Settings>,
    /// The root of the routing tree, which decides whom an alert notifies. It works like
    /// Alertmanager's.
    pub route: route::Settings,
    /// The receivers to which routes lead, each with its integrations.
    pub receivers: Vec<receiver::Settings>,
    /// How long an attempt to deliver a page may take, how long the pauses between attempts are,
    /// and when a delivery is given up.
    pub delivery: delivery::Settings,
    /// The objectives by which error budgets are measured (`alertbridge objectives`). The first
    /// entry whose matchers match an alert applies to it. Without one, the alert's own objective
    /// applies.
    pub objectives: Vec<objective::Settings>,
    /// A test mail that alertbridge sends to itself at intervals, in order to notice if alert mail
    /// no longer arrives. Without this key no canary is sent.
    pub canary: Option<canary::Settings>,
    /// The collector to which traces are sent. Without an endpoint, no traces are sent.
    pub telemetry: telemetry::Settings,
}
