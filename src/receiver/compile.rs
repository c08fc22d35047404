//! Settings → integrations: everything that can be known to be wrong with a receiver is found here, all at once.

use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{
    Fallback, Keys, RateLimit, Receiver, Receivers, Settings,
    opsgenie::{self, Opsgenie},
    page::on_sample_parcel,
    pagerduty::PagerDuty,
    sample,
    slack::Slack,
    stdout::Stdout,
    template::{Escape, Shelf, Template},
    webhook::Webhook,
};
use crate::{
    delivery::Target,
    settings::{Problem, Secret},
};

/// Where one integration is being compiled, and where its problems go.
pub(super) struct Site<'a> {
    /// Its place: `receivers[0].slack_configs[0]`.
    key: String,
    templates: &'a Shelf,
    found: &'a mut Found,
}

/// What compiling has found.
#[derive(Default)]
pub(super) struct Found {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Receivers {
    /// Compiles the settings: templates are parsed and tried on samples, secrets' `X` and `X_file` checked. Nothing
    /// is read but the template files; see [`Receivers::try_secrets`]. What is allowed yet unwise is in
    /// [`Receivers::warnings`].
    pub fn compile(settings: &[Settings], templates: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        let mut found = Found::default();
        let shelf = Shelf::load(templates, &mut found.problems);
        let mut receivers = Self::default();
        for (index, receiver) in settings.iter().enumerate() {
            let key = format!("receivers[{index}]");
            receivers.named(&key, &receiver.name, &mut found);
            later(&key, receiver, &mut found);
            receivers.add(&key, receiver, &shelf, &mut found);
            if let Some(fallback) = &receiver.fallback {
                receivers.fallbacks.insert(receiver.name.clone(), fallback.clone());
            }
        }
        for (index, receiver) in settings.iter().enumerate() {
            if let Some(fallback) = &receiver.fallback {
                receivers.check_fallback(&format!("receivers[{index}].fallback"), receiver, fallback, &mut found);
            }
        }
        receivers.warnings = found.warnings;
        if found.problems.is_empty() { Ok(receivers) } else { Err(found.problems) }
    }

    /// Reads every secret's file and checks what it holds, as `check` does.
    pub fn try_secrets(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (target, integration) in &self.integrations {
            let key = self.places.get(target).map_or_else(|| target.receiver.clone(), Clone::clone);
            let keys = match Keys::read(integration.as_ref()) {
                Ok(keys) => keys,
                Err(error) => {
                    problems.push(Problem::new(key, error.to_string(), "put the secret into that file, readable here"));
                    continue;
                }
            };
            for (_, notification) in sample::notifications() {
                let tried = on_sample_parcel(&notification, |parcel| integration.request(parcel, &keys));
                if let Err(error) = tried.map_err(|error| error.to_string()).and_then(|_| integration.check_keys(&keys))
                {
                    problems.push(Problem::new(key, error, "correct the secret"));
                    break;
                }
            }
        }
        problems
    }

    fn named(&mut self, key: &str, name: &str, found: &mut Found) {
        if name.is_empty() {
            found.problems.push(Problem::new(format!("{key}.name"), "the receiver has no name", "give it one"));
        } else if self.names.iter().any(|known| known == name) {
            let what = format!("another receiver is called `{name}` already");
            found.problems.push(Problem::new(format!("{key}.name"), what, "rename one of them"));
        }
        self.names.push(name.to_owned());
    }

    fn add(&mut self, key: &str, receiver: &Settings, templates: &Shelf, found: &mut Found) {
        let mut each =
            |kind: &str, index: usize, compile: &mut dyn FnMut(&mut Site<'_>) -> Option<Box<dyn Receiver>>| {
                let key = format!("{key}.{kind}_configs[{index}]");
                let target = Target { receiver: receiver.name.clone(), integration: format!("{kind}/{index}") };
                if let Some(integration) = compile(&mut Site { key: key.clone(), templates, found }) {
                    self.places.insert(target.clone(), key);
                    self.integrations.insert(target, integration);
                }
            };
        // One line for each kind of integration.
        for (index, settings) in receiver.opsgenie_configs.iter().enumerate() {
            each("opsgenie", index, &mut |site| boxed(Opsgenie::compile(settings, opsgenie::OPSGENIE, site)));
        }
        for (index, settings) in receiver.jsm_configs.iter().enumerate() {
            each("jsm", index, &mut |site| boxed(Opsgenie::compile(settings, opsgenie::JSM, site)));
        }
        for (index, settings) in receiver.pagerduty_configs.iter().enumerate() {
            each("pagerduty", index, &mut |site| boxed(PagerDuty::compile(settings, site)));
        }
        for (index, settings) in receiver.slack_configs.iter().enumerate() {
            each("slack", index, &mut |site| boxed(Slack::compile(settings, site)));
        }
        for (index, settings) in receiver.webhook_configs.iter().enumerate() {
            each("webhook", index, &mut |site| boxed(Webhook::compile(settings, site)));
        }
        for (index, settings) in receiver.stdout_configs.iter().enumerate() {
            each("stdout", index, &mut |site| boxed(Some(Stdout::compile(settings, site))));
        }
    }

    /// A fallback must lead somewhere else, in the end.
    fn check_fallback(&self, key: &str, receiver: &Settings, fallback: &Fallback, found: &mut Found) {
        let key = format!("{key}.receiver");
        if !self.names.contains(&fallback.receiver) {
            let what = format!("there is no receiver `{}`", fallback.receiver);
            let mend = format!("the receivers are {}", self.names.join(", "));
            found.problems.push(Problem::new(key, what, mend));
            return;
        }
        let mut passed = BTreeSet::from([receiver.name.as_str()]);
        let mut next = Some(fallback);
        while let Some(fallback) = next {
            if !passed.insert(&fallback.receiver) {
                let what = format!("the fallback of `{}` leads back to `{}`", receiver.name, fallback.receiver);
                found.problems.push(Problem::new(key, what, "let the last receiver of the chain have no fallback"));
                return;
            }
            next = self.fallbacks.get(&fallback.receiver);
        }
    }
}

impl Site<'_> {
    /// The place of one of the integration's fields.
    pub(super) fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.key)
    }

    pub(super) fn problem(&mut self, field: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.found.problems.push(Problem::new(self.at(field), what, mend));
    }

    pub(super) fn template(
        &mut self,
        field: &'static str,
        source: Option<&String>,
        escape: Escape,
    ) -> Option<Template> {
        self.template_at(field, field, source?, escape)
    }

    /// The template of an entry of a field: `details.runbook`.
    pub(super) fn template_at(
        &mut self,
        place: &str,
        field: &'static str,
        source: &str,
        escape: Escape,
    ) -> Option<Template> {
        self.kept(self.templates.compile(&self.at(place), field, source, escape))
    }

    /// A secret that must be given.
    pub(super) fn secret(&mut self, name: &str, inline: Option<&str>, file: Option<&Path>) -> Option<Secret> {
        self.filled(name, inline);
        self.kept(Secret::required(&self.key, name, inline, file))
    }

    /// A secret that may be left out.
    pub(super) fn secret_if_any(&mut self, name: &str, inline: Option<&str>, file: Option<&Path>) -> Option<Secret> {
        self.filled(name, inline);
        self.kept(Secret::optional(&self.key, name, inline, file)).flatten()
    }

    fn filled(&mut self, name: &str, inline: Option<&str>) {
        if inline.is_some_and(|text| text.trim().is_empty()) {
            self.problem(name, "the secret is empty", format!("fill it in, or name its file with `{name}_file`"));
        }
    }

    /// An address of http or https. `base`: paths are appended to it. The text is not repeated: it may be a secret.
    pub(super) fn address(&mut self, field: &str, text: &str, base: bool) -> Option<String> {
        let checked = address(text).and_then(|url| {
            if base && (url.query().is_some() || url.fragment().is_some()) {
                return Err("it is a base to which paths are added, and has a query or fragment".to_owned());
            }
            Ok(url)
        });
        match checked {
            Err(what) => {
                self.problem(field, what, "write it like https://api.example.com");
                None
            }
            Ok(url) => {
                if url.scheme() == "http" && !loopback(&url) {
                    self.found.warnings.push(Problem::new(
                        self.at(field),
                        "the address is plain http: pages and credentials travel unencrypted",
                        "use https",
                    ));
                }
                Some(text.trim().trim_end_matches('/').to_owned())
            }
        }
    }

    pub(super) fn rate_limit(&mut self, text: Option<&String>) -> Option<RateLimit> {
        let parsed = rate_limit(text?);
        if parsed.is_none() {
            self.problem("rate_limit", "it is no rate", "write it like 60/m, 1/s or 1000/h");
        }
        parsed
    }

    fn kept<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.found.problems.push(problem)).ok()
    }
}

/// An address of http or https with a host; what is wrong with it otherwise, without repeating it.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("it is no address: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!("it is an address of `{scheme}`, not of https or http")),
    }
}

fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// `60/m`: requests a second, a minute or an hour.
fn rate_limit(text: &str) -> Option<RateLimit> {
    let (requests, per) = text.split_once('/')?;
    let seconds = match per.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let requests: NonZeroU32 = requests.trim().parse().ok()?;
    Some(RateLimit { requests, per: Duration::from_secs(seconds) })
}

/// What the contract names and a later version brings.
fn later(key: &str, receiver: &Settings, found: &mut Found) {
    for (name, given) in [
        ("teams_configs", !receiver.teams_configs.is_empty()),
        ("discord_configs", !receiver.discord_configs.is_empty()),
    ] {
        if given {
            found.problems.push(Problem::new(
                format!("{key}.{name}"),
                format!("`{name}` comes with a later version"),
                "remove it; `webhook_configs` reaches any HTTP endpoint today",
            ));
        }
    }
}

fn boxed<R: Receiver + 'static>(integration: Option<R>) -> Option<Box<dyn Receiver>> {
    integration.map(|integration| Box::new(integration) as Box<dyn Receiver>)
}
