//! The section `store` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::{
    settings::{
        ByteSize, Duration, Problem, Secret, SecretError, SecretText,
        bounds::{self, YEAR},
    },
    store::place::Place,
};

/// Where mail, incidents and deliveries are stored, and how long mail is kept.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The database: `sqlite:FILE`, or
    /// `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full`, which several replicas may
    /// share. A relative FILE is relative to the working directory. The default is
    /// `sqlite:alertbridge.db`.
    pub url: Option<SecretText>,
    /// A file that contains the URL, in place of `url`.
    pub url_file: Option<PathBuf>,
    /// How long mail is kept, from 0s to 36500d; 0s means for ever. Older mail is deleted, unless
    /// it is quarantined, undecided, of an open incident or of an incident with pending or dead
    /// pages. The default is 90d.
    pub mail_retention: Duration,
    /// How much mail is kept whole that notifies nobody: mail that is not an alert, so that a new
    /// profile can be tried on it, and proven mail that says nothing new.
    pub ignored_mail: IgnoredMail,
    /// How much mail without proof of its sender, and how much proven mail in the quarantine, is
    /// kept whole.
    pub quarantine: Quarantine,
}

/// How much mail is kept whole that notifies nobody (`store.ignored_mail`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IgnoredMail {
    /// How long mail that is not an alert is kept whole, from 0s to 36500d. Older mail is cut to
    /// its header and hash. The default is 7d.
    pub keep: Duration,
    /// The maximum size of all mail that is not an alert and is kept whole. The same size applies
    /// separately to proven mail that is `duplicate`, `stale` or `expired`. Beyond it, the oldest
    /// mails of that kind are cut to their header and hash. The default is 32MiB.
    pub max_size: ByteSize,
}

impl Default for IgnoredMail {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(7 * 86_400),
            max_size: ByteSize::from_mib(32),
        }
    }
}

/// How much unproven or quarantined mail is kept whole (`store.quarantine`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quarantine {
    /// The maximum size of all unproven mail that is kept whole, quarantined or not. The same size
    /// applies separately to proven mail in the quarantine. Beyond it, the oldest mails of that
    /// kind are cut to their header and hash. Proven mail that was told is never cut. The default
    /// is 256MiB.
    pub max_size: ByteSize,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            max_size: ByteSize::from_mib(256),
        }
    }
}

impl Store {
    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let at = |name: &str| format!("{key}.{name}");
        let url = match (&self.url, &self.url_file) {
            (Some(_), Some(_)) => Some(Problem::new(
                at("url"),
                "`url` and `url_file` exclude each other",
                "keep one of them",
            )),
            (Some(url), None) => Place::parse(&at("url"), url).err(),
            _ => None,
        };

        let (retention, keep) = (self.mail_retention, self.ignored_mail.keep);
        let retention = bounds::duration(&at("mail_retention"), retention, 0, 100 * YEAR);
        let keep = bounds::duration(&at("ignored_mail.keep"), keep, 0, 100 * YEAR);

        url.into_iter().chain(retention).chain(keep).collect()
    }

    /// Returns the URL, read from its file if one is named.
    pub fn url(&self) -> Result<String, SecretError> {
        match (&self.url, &self.url_file) {
            (Some(url), _) => Ok(url.to_string()),
            (None, Some(file)) => Ok(Secret::File(file.clone())
                .read()?
                .expose_secret()
                .to_owned()),
            (None, None) => Ok("sqlite:alertbridge.db".into()),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            mail_retention: Duration::from_secs(90 * 86_400),
            ignored_mail: IgnoredMail::default(),
            quarantine: Quarantine::default(),
        }
    }
}
