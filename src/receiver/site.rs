//! The place of one integration in the configuration. Its fields are read and checked here.

use std::{collections::BTreeSet, num::NonZeroU32, path::Path, time::Duration};

use indexmap::IndexMap;

use super::{
    RateLimit,
    address::Address,
    credential::{Credential, Shape},
    destination::Destination,
    escape::Escape,
    http_url,
    template::{Extent, Occasion, Shelf, Template},
};
use crate::settings::{Problem, Secret, host::is_loopback};

/// The integration being compiled, and the list of its problems.
pub(super) struct Site<'a> {
    /// The place of the integration: `receivers[0].slack_configs[0]`.
    key: String,
    templates: &'a Shelf,
    found: &'a mut Found,
}

/// The findings of compilation.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// The places of all templates.
    pub(super) templates: BTreeSet<String>,
    /// The destination of the pages of the integration being compiled.
    pub(super) destination: Destination,
}

impl<'a> Site<'a> {
    /// Creates the site of an integration. `key` is the integration's place.
    pub(super) fn new(key: String, templates: &'a Shelf, found: &'a mut Found) -> Self {
        Self {
            key,
            templates,
            found,
        }
    }

    /// Returns the site below one of the integration's fields.
    pub(super) fn below(&mut self, field: &str) -> Site<'_> {
        Site {
            key: self.at(field),
            templates: self.templates,
            found: self.found,
        }
    }

    /// Returns the place of one of the integration's fields.
    pub(super) fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.key)
    }

    pub(super) fn problem(
        &mut self,
        field: &str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.found
            .problems
            .push(Problem::new(self.at(field), what, mend));
    }

    /// Reports a setting that is allowed but unwise.
    pub(super) fn warn(&mut self, field: &str, what: &str, mend: &str) {
        self.found
            .warnings
            .push(Problem::new(self.at(field), what, mend));
    }

    /// Adds problems that name places of their own.
    pub(super) fn problems(&mut self, found: impl IntoIterator<Item = Problem>) {
        self.found.problems.extend(found);
    }

    pub(super) fn template(
        &mut self,
        field: &'static str,
        source: Option<&String>,
        escape: Escape,
    ) -> Option<Template> {
        self.template_at(field, field, source?, escape)
    }

    /// Compiles the template of an entry of a field: `details.runbook`.
    pub(super) fn template_at(
        &mut self,
        place: &str,
        field: &'static str,
        source: &str,
        escape: Escape,
    ) -> Option<Template> {
        self.template_of(place, field, source, escape, Extent::Field, Occasion::Any)
    }

    /// Compiles the templates of `details`, by their names.
    pub(super) fn details(
        &mut self,
        details: &IndexMap<String, String>,
    ) -> Vec<(String, Template)> {
        let details = details.iter().filter_map(|(name, source)| {
            let place = format!("details.{name}");
            let template = self.template_at(&place, "details", source, Escape::No)?;
            Some((name.clone(), template))
        });
        details.collect()
    }

    pub(super) fn template_of(
        &mut self,
        place: &str,
        field: &'static str,
        source: &str,
        escape: Escape,
        extent: Extent,
        occasion: Occasion,
    ) -> Option<Template> {
        let key = self.at(place);
        self.found.templates.insert(key.clone());
        self.kept(
            self.templates
                .compile(&key, field, source, escape, extent, occasion),
        )
    }

    /// Reads a secret that must be given.
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        shape: Shape,
        inline: Option<&str>,
        file: Option<&Path>,
    ) -> Option<Credential> {
        let given = self.secret_if_any(name, shape, inline, file);
        if inline.is_none() && file.is_none() {
            self.kept(Secret::required(&self.key, name, None, None));
        }
        given
    }

    /// Reads an optional secret.
    pub(super) fn secret_if_any(
        &mut self,
        name: &'static str,
        shape: Shape,
        inline: Option<&str>,
        file: Option<&Path>,
    ) -> Option<Credential> {
        match inline.map(str::trim) {
            Some("") => {
                let mend = format!("fill it in, or name its file with `{name}_file`");
                self.problem(name, "the secret is empty", mend);
            }
            Some(text) => match shape.check(text) {
                Ok(()) if shape == Shape::Address => drop(self.checked_address(name, text, false)),
                Ok(()) => {}
                Err((what, mend)) => self.problem(name, format!("it {what}"), mend),
            },
            None => {}
        }

        let secret = self
            .kept(Secret::optional(&self.key, name, inline, file))
            .flatten()?;
        let credential = Credential {
            name,
            shape,
            secret,
        };
        self.found.destination.by(&credential);
        Some(credential)
    }

    /// Notes a setting that decides where pages go. Addresses and credentials are noted when they
    /// are read.
    pub(super) fn leads_to(&mut self, field: &str, whom: &str) {
        self.found.destination.to(field, whom);
    }

    /// Notes a text that decides where pages go and may contain credentials.
    pub(super) fn leads_by(&mut self, field: &str, text: &str) {
        self.found.destination.with(field, text);
    }

    /// Reads an http or https address. With `base`, paths are appended to it. Messages do not
    /// repeat the text, because it may be a secret.
    pub(super) fn address(
        &mut self,
        field: &'static str,
        text: &str,
        base: bool,
    ) -> Option<Address> {
        let address = self.checked_address(field, text, base)?;
        match address.credential() {
            Some(credential) => self.found.destination.by(credential),
            None => self
                .found
                .destination
                .to(field, text.trim().trim_end_matches('/')),
        }
        Some(address)
    }

    fn checked_address(&mut self, field: &'static str, text: &str, base: bool) -> Option<Address> {
        let checked = http_url::parse(text).and_then(|url| {
            if base && (url.query().is_some() || url.fragment().is_some()) {
                return Err(
                    "it is a base to which paths are added, but has a query or fragment".to_owned(),
                );
            }
            Ok(url)
        });

        match checked {
            Err(what) => {
                self.problem(field, what, "write it like https://api.example.com");
                None
            }
            Ok(url) => {
                if url.scheme() == "http" && !is_loopback(&url) {
                    self.found.warnings.push(Problem::new(
                        self.at(field),
                        "the address is plain http: pages and credentials travel unencrypted",
                        "use https",
                    ));
                }
                Some(Address::new(
                    field,
                    text.trim().trim_end_matches('/').to_owned(),
                ))
            }
        }
    }

    /// Reads the base address of an API, with which paths may have been copied. `vendors` is the
    /// complete base address if the vendor itself serves the API.
    pub(super) fn base(
        &mut self,
        field: &'static str,
        text: &str,
        vendors: Option<&str>,
        paths: &[&str],
    ) -> Option<Address> {
        let mut base = text.trim().trim_end_matches('/');
        for path in paths {
            let at = base.len().saturating_sub(path.len());
            base = base
                .split_at_checked(at)
                .filter(|(_, end)| end.eq_ignore_ascii_case(path))
                .map_or(base, |(begin, _)| begin)
                .trim_end_matches('/');
        }

        let address = self.address(field, base, true)?;
        // What follows the version of an API was copied from a page about one of its calls.
        let is_version = |part: &str| matches!(part.as_bytes(), [b'v' | b'V', b'0'..=b'9']);
        let is_call = http_url::parse(base).is_ok_and(|url| url.path().split('/').any(is_version));
        if is_call {
            self.warn(
                field,
                "it is the address of one call, and the paths of the API are added to it",
                "end it before the version: https://api.example.com",
            );
        }
        if let Some(whole) = vendors.filter(|whole| lacks_path(base, whole)) {
            let mend = format!("write {whole}");
            self.warn(field, "the path of the vendor's API is missing", &mend);
        }
        if http_url::parse(base)
            .is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
        {
            let what =
                "its user and password are not sent: the API's own credential takes their place";
            self.found
                .warnings
                .push(Problem::new(self.at(field), what, "drop them"));
            return Some(address.without_user());
        }

        Some(address)
    }

    pub(super) fn rate_limit(&mut self, text: Option<&String>) -> Option<RateLimit> {
        let parsed = rate_limit(text?);
        if parsed.is_none() {
            self.problem(
                "rate_limit",
                "it is not a valid rate",
                "write it like 60/m, 1/s or 1000/h",
            );
        }

        parsed
    }

    fn kept<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result
            .map_err(|problem| self.found.problems.push(problem))
            .ok()
    }
}

/// Whether an address leads to the vendor's host, but not to the path of its API.
fn lacks_path(base: &str, whole: &str) -> bool {
    match (http_url::parse(base), http_url::parse(whole)) {
        (Ok(base), Ok(whole)) => {
            base.host() == whole.host() && !base.path().starts_with(whole.path())
        }
        _ => false,
    }
}

/// Parses `60/m`: requests a second, a minute or an hour.
fn rate_limit(text: &str) -> Option<RateLimit> {
    let (requests, per) = text.split_once('/')?;
    let seconds = match per.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };

    let requests: NonZeroU32 = requests.trim().parse().ok()?;
    Some(RateLimit {
        requests,
        per: Duration::from_secs(seconds),
    })
}
