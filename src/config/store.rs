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

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite:FILE`, or `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full`, which
    /// several replicas may share.
    pub url: Option<SecretText>,
    /// A file that contains the URL.
    pub url_file: Option<PathBuf>,
    /// Older mail is deleted, unless it is quarantined, undecided, of an open incident or of one
    /// with pending or dead pages. 0s: kept for ever.
    pub mail_retention: Duration,
    /// Mail that is not an alert: kept whole for a while, so that a new profile can be tried on it;
    /// and proven mail that says nothing new.
    pub ignored_mail: IgnoredMail,
    /// Mail without proof of its sender, and proven mail in the quarantine.
    pub quarantine: Quarantine,
}

/// `store.ignored_mail`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IgnoredMail {
    /// Older mail that is not an alert is cut to its header and hash.
    pub keep: Duration,
    /// The most bytes of mail that is not an alert that are kept whole, and as many of proven mail
    /// that is `duplicate`, `stale` or `expired`; beyond that, the oldest mails of the kind are cut
    /// to their header and hash.
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

/// `store.quarantine`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quarantine {
    /// The most bytes of unproven mail that are kept whole, quarantined or not, and as many of
    /// proven mail in the quarantine; beyond that, the oldest mails of the kind are cut to their
    /// header and hash. Proven mail that was told is never cut.
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
