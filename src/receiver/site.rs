//! One integration's place in the configuration: its fields are read, checked and complained about here.

use std::{num::NonZeroU32, path::Path, time::Duration};

use url::Url;

use super::{
    Keys, RateLimit,
    template::{Escape, Shelf, Template},
};
use crate::settings::{Problem, Secret};

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
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl<'a> Site<'a> {
    /// `key` is the integration's place.
    pub(super) fn new(key: String, templates: &'a Shelf, found: &'a mut Found) -> Self {
        Self { key, templates, found }
    }

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

    /// A secret that must be given and is an address of http or https.
    pub(super) fn secret_address(&mut self, name: &str, inline: Option<&str>, file: Option<&Path>) -> Option<Secret> {
        if let Some(url) = inline.filter(|url| !url.trim().is_empty()) {
            self.address(name, url, false);
        }
        self.secret(name, inline, file)
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

/// Whether what was read from `file` is an address. What it is instead is not repeated.
pub(super) fn check_address(keys: &Keys, secret: &Secret, file: &str) -> Result<(), String> {
    if keys.hidden() {
        return Ok(());
    }
    address(keys.reveal(secret)).map(|_| ()).map_err(|what| format!("what `{file}` holds cannot be used: {what}"))
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
