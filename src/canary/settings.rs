//! `canary` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::{
    Duration, Problem, Secret, SecretText,
    bounds::{self, DAY},
    host,
};

/// A mail of the bridge's own that takes the path of every alert mail, and proves that path by
/// coming back.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How often one is sent.
    pub every: Duration,
    /// How long one may take: a canary that has not come through by then is reported.
    pub deadline: Duration,
    /// The mail server that it is sent through.
    pub send_via: SendVia,
    /// The address that is requested (GET) whenever a canary has come through: the ping address of
    /// healthchecks.io, or Opsgenie's or JSM's heartbeat with its key as
    /// `https://GenieKey:KEY@…`.
    pub heartbeat_url: Option<SecretText>,
    pub heartbeat_url_file: Option<PathBuf>,
    /// The receiver that is paged if a canary is missing. The default is the root route's receiver.
    pub receiver: Option<String>,
}

/// `canary.send_via`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendVia {
    /// The server's name, as in its certificate.
    pub smtp: String,
    /// 587 with STARTTLS, 465 with implicit TLS, 25 without.
    pub port: Option<u16>,
    pub tls: Tls,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password: Option<SecretText>,
    pub password_file: Option<PathBuf>,
    pub from: String,
    /// The address whose mail an ingress receives.
    pub to: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    #[default]
    Starttls,
    Implicit,
    /// Only sensible on loopback.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(900),
            deadline: Duration::from_secs(300),
            send_via: SendVia::default(),
            heartbeat_url: None,
            heartbeat_url_file: None,
            receiver: None,
        }
    }
}

impl Settings {
    /// Returns the problems of the settings; `key` is their path, and `receivers` are all that
    /// exist.
    pub fn check(&self, key: &str, receivers: &[&str]) -> Vec<Problem> {
        let at = |name: &str| format!("{key}.{name}");
        let mut found = self.send_via.check(&at("send_via"));
        found.extend(bounds::duration(&at("every"), self.every, 1, 7 * DAY));
        found.extend(bounds::duration(&at("deadline"), self.deadline, 1, DAY));
        found.extend(self.heartbeat(key).err());

        if let Some(receiver) = &self.receiver
            && !receivers.contains(&receiver.as_str())
        {
            found.push(Problem::new(
                at("receiver"),
                format!("there is no receiver `{receiver}`"),
                "name one of `receivers`, or drop the key for the root's",
            ));
        }

        found
    }

    /// Returns the problems of settings that work but are unwise.
    pub fn warnings(&self, key: &str) -> Vec<Problem> {
        let via = &self.send_via;
        let is_exposed = via.tls == Tls::None
            && via.username.is_some()
            && !["localhost", "127.0.0.1", "::1"].contains(&via.smtp.as_str());
        let exposed = is_exposed.then(|| {
            Problem::new(
                format!("{key}.send_via.tls"),
                format!("the password goes to {} unencrypted", via.smtp),
                "set `tls: starttls` or `tls: implicit`",
            )
        });

        let slow = (self.deadline > self.every).then(|| {
            Problem::new(
                format!("{key}.deadline"),
                "it is longer than `every`, so that a canary is sent before the last is missed",
                "give a shorter one",
            )
        });

        exposed.into_iter().chain(slow).collect()
    }

    /// Returns the address that is requested when a canary has come through.
    pub fn heartbeat(&self, key: &str) -> Result<Option<Secret>, Problem> {
        Secret::optional(
            key,
            "heartbeat_url",
            self.heartbeat_url.as_deref(),
            self.heartbeat_url_file.as_deref(),
        )
    }
}

impl SendVia {
    fn check(&self, key: &str) -> Vec<Problem> {
        let at = |name: &str| format!("{key}.{name}");
        let mut found = Vec::new();

        if !host::is_host(&self.smtp) {
            let what = match self.smtp.as_str() {
                "" => "`smtp` is missing".to_owned(),
                smtp => format!("`{smtp}` is not a valid host name"),
            };
            found.push(Problem::new(
                at("smtp"),
                what,
                "name the mail server: `smtp: smtp.example.com`",
            ));
        }

        for (name, address) in [("from", &self.from), ("to", &self.to)] {
            if !host::is_address(address) {
                found.push(Problem::new(
                    at(name),
                    format!("`{address}` is not a valid mail address"),
                    format!("write it alone: `{name}: alerts@example.com`"),
                ));
            }
        }

        if self.port == Some(0) {
            found.push(Problem::new(
                at("port"),
                "0 is not a valid port",
                "drop the key for the usual one, 587, 465 or 25",
            ));
        }

        match self.password(key) {
            Err(problem) => found.push(problem),
            Ok(password) if password.is_some() != self.username.is_some() => {
                found.push(Problem::new(
                    at("username"),
                    "a user name and a password go together, and one of them is missing",
                    "give `username` and `password_file`, or neither",
                ));
            }
            Ok(_) => {}
        }

        found
    }

    pub fn password(&self, key: &str) -> Result<Option<Secret>, Problem> {
        Secret::optional(
            key,
            "password",
            self.password.as_deref(),
            self.password_file.as_deref(),
        )
    }

    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::Starttls => 587,
            Tls::Implicit => 465,
            Tls::None => 25,
        })
    }
}
