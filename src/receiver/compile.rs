//! Compilation of settings into integrations. Every problem of a receiver that can be known is
//! found here, all of them at once.

use std::{collections::BTreeSet, path::PathBuf};

use secrecy::ExposeSecret as _;

use super::{
    Credential, Fallback, Keys, Receivers, RenderError, Settings,
    destination::Destination,
    named::Written,
    sample,
    site::{Found, Site},
    template::Shelf,
};
use crate::{
    delivery::Target,
    settings::{Problem, Secret},
};

impl Receivers {
    /// Compiles the settings: parses the templates and tries them on samples, and checks `X` and
    /// `X_file` of each secret.
    ///
    /// The only files that are read are the template files; see [`Receivers::try_secrets`].
    /// Settings that are allowed but unwise are in [`Receivers::warnings`].
    pub fn compile(settings: &[Settings], templates: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        Self::compile_with(settings, templates, &BTreeSet::new())
    }

    /// Compiles the settings for alerts that may have labels besides the built-in ones. Templates
    /// may use these labels.
    pub fn compile_with(
        settings: &[Settings],
        templates: &[PathBuf],
        own_labels: &BTreeSet<&str>,
    ) -> Result<Self, Vec<Problem>> {
        let mut found = Found::default();
        let shelf = Shelf::load(templates, own_labels, &mut found.problems);
        let mut receivers = Self::default();

        for (index, receiver) in settings.iter().enumerate() {
            let key = format!("receivers[{index}]");
            receivers.named(&key, &receiver.name, &mut found);
            receivers.add(&key, receiver, &shelf, &mut found);
            if let Some(fallback) = &receiver.fallback {
                receivers
                    .fallbacks
                    .insert(receiver.name.clone(), fallback.clone());
            }
        }

        for (index, receiver) in settings.iter().enumerate() {
            if let Some(fallback) = &receiver.fallback {
                receivers.check_fallback(
                    &format!("receivers[{index}].fallback"),
                    receiver,
                    fallback,
                    &mut found,
                );
            }
        }

        receivers.written = settings
            .iter()
            .map(|receiver| (receiver.name.clone(), receiver.clone()))
            .collect();

        receivers.senders = settings
            .iter()
            .flat_map(|receiver| &receiver.email_configs)
            .map(|email| email.sender().to_owned())
            .collect();

        receivers.warnings = found.warnings;
        receivers.templates = found.templates;

        if found.problems.is_empty() {
            Ok(receivers)
        } else {
            Err(found.problems)
        }
    }

    /// Reads the file of every secret and checks its content, as `check` does.
    pub fn try_secrets(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (target, integration) in &self.integrations {
            let key = self.place(target);
            let faults: Vec<_> = integration
                .secrets()
                .into_iter()
                .filter_map(|credential| fault(&key, credential))
                .collect();
            if !faults.is_empty() {
                problems.extend(faults);
                continue;
            }
            let Ok(keys) = Keys::read(integration.as_ref()) else {
                continue;
            };
            for (_, notification) in sample::notifications() {
                let tried =
                    sample::parcel(&notification, |parcel| integration.request(parcel, &keys));
                // A template that fails on a sample was reported when it was compiled.
                if let Err(error) = tried
                    && !matches!(error, RenderError::Template { .. })
                {
                    problems.push(Problem::new(key, error.to_string(), "correct the secret"));
                    break;
                }
            }
        }

        problems
    }

    fn named(&mut self, key: &str, name: &str, found: &mut Found) {
        if name.is_empty() {
            found.problems.push(Problem::new(
                format!("{key}.name"),
                "the receiver has no name",
                "give it one",
            ));
        } else if self.names.iter().any(|known| known == name) {
            let what = format!("another receiver is already called `{name}`");
            found.problems.push(Problem::new(
                format!("{key}.name"),
                what,
                "rename one of them",
            ));
        }

        self.names.push(name.to_owned());
    }

    fn add(&mut self, key: &str, receiver: &Settings, templates: &Shelf, found: &mut Found) {
        receiver.each(|kind, index, compile| {
            let key = format!("{key}.{kind}_configs[{index}]");
            let target = Target {
                receiver: receiver.name.clone(),
                integration: format!("{kind}/{index}"),
            };
            found.destination = Destination::default();
            if let Some(integration) = compile(&mut Site::new(key.clone(), templates, found)) {
                let entry = Written {
                    number: self.entries.len(),
                    place: u32::try_from(index).unwrap_or(u32::MAX),
                    destination: std::mem::take(&mut found.destination),
                    key,
                };
                self.entries.insert(target.clone(), entry);
                self.integrations.insert(target, integration);
            }
        });
    }

    /// Reports a fallback that does not exist, or a chain of fallbacks that leads back to the
    /// receiver.
    fn check_fallback(
        &self,
        key: &str,
        receiver: &Settings,
        fallback: &Fallback,
        found: &mut Found,
    ) {
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
                let what = format!(
                    "the fallback of `{}` leads back to `{}`",
                    receiver.name, fallback.receiver
                );
                found.problems.push(Problem::new(
                    key,
                    what,
                    "let the last receiver of the chain have no fallback",
                ));
                return;
            }
            next = self.fallbacks.get(&fallback.receiver);
        }
    }
}

/// Returns what is wrong with a secret's file. A secret that is written in the configuration was
/// checked together with it.
fn fault(
    key: &str,
    Credential {
        name,
        shape,
        secret,
    }: &Credential,
) -> Option<Problem> {
    let Secret::File(path) = secret else {
        return None;
    };
    let key = format!("{key}.{name}_file");

    match secret.read() {
        Err(error) => Some(Problem::new(
            key,
            error.to_string(),
            "put the secret into that file, readable by the user alertbridge runs as",
        )),
        Ok(text) => {
            let (what, mend) = shape.check(text.expose_secret()).err()?;
            Some(Problem::new(
                key,
                format!("the content of the file {} {what}", path.display()),
                mend,
            ))
        }
    }
}
