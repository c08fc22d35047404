//! `canary` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::KEPT;
use crate::settings::{
    Duration, Problem, Secret, SecretText,
    bounds::{self, DAY},
    host,
};

/// A test mail that alertbridge sends to itself at intervals. It takes the path of every alert
/// mail, and proves that path by coming back. Without `canary`, none is sent.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How often a canary is sent, from 1s to 7d. The default is 15m.
    pub every: Duration,
    /// How long a canary may take, from 1s to 1d. One that has not come through by then is
    /// reported. It should be no longer than `every`. The default is 5m.
    pub deadline: Duration,
    /// The mail server through which canaries are sent.
    pub send_via: SendVia,
    /// The address that is requested with GET whenever a canary has come through: the ping address
    /// of healthchecks.io, or the heartbeat of Opsgenie or JSM, with its key as in
    /// `https://GenieKey:KEY@…`. Without it, no address is requested.
    pub heartbeat_url: Option<SecretText>,
    /// A file that contains the address, in place of `heartbeat_url`.
    pub heartbeat_url_file: Option<PathBuf>,
    /// The receiver that is paged if a canary is missing. The default is the receiver of the root
    /// route.
    pub receiver: Option<String>,
}

/// The mail server through which canaries are sent (`canary.send_via`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendVia {
    /// The server's host name, as in its certificate.
    pub smtp: String,
    /// The port of the server. The default is 587 with STARTTLS, 465 with implicit TLS, and 25
    /// without TLS.
    pub port: Option<u16>,
    /// How the connection is encrypted. The default is `starttls`.
    pub tls: Tls,
    /// A file of PEM certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The user name at the server. It is given together with a password, or not at all.
    pub username: Option<String>,
    /// The password at the server.
    pub password: Option<SecretText>,
    /// A file that contains the password, in place of `password`.
    pub password_file: Option<PathBuf>,
    /// The address from which canaries are sent, without a name.
    pub from: String,
    /// The address to which canaries are sent, without a name. An ingress must receive its mail.
    pub to: String,
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// The connection changes to TLS by STARTTLS.
    #[default]
    Starttls,
    /// The connection begins with TLS.
    Implicit,
    /// The connection is not encrypted. This is sensible only on loopback.
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

        let deadline = format!("{key}.deadline");
        let slow = if self.decisive_flights() > KEPT {
            Some(Problem::new(
                deadline,
                format!(
                    "it is so much longer than `every` that nobody would be told of a missing \
                     canary: only the newest {KEPT} are kept"
                ),
                "give a shorter one, or a longer `every`",
            ))
        } else if self.deadline > self.every {
            Some(Problem::new(
                deadline,
                "it is longer than `every`, so a canary would be sent before the previous one is \
                 missed",
                "give a shorter one",
            ))
        } else {
            None
        };

        exposed.into_iter().chain(slow).collect()
    }

    /// Returns how many of the newest flights include one that had its time: as many as may be
    /// under way at once, and one more.
    pub fn decisive_flights(&self) -> u32 {
        let [every, deadline] = [self.every, self.deadline].map(|time| time.as_std().as_millis());
        // An interval of zero is refused.
        let begun_meanwhile = deadline.checked_div(every).unwrap_or_default();
        let begun_meanwhile = u32::try_from(begun_meanwhile).unwrap_or(u32::MAX);
        begun_meanwhile.saturating_add(2)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(every: u64, deadline: u64) -> Settings {
        Settings {
            every: Duration::from_secs(every),
            deadline: Duration::from_secs(deadline),
            ..Settings::default()
        }
    }

    #[test]
    fn the_flights_that_decide_are_those_under_way_and_one_that_had_its_time() {
        assert_eq!(Settings::default().decisive_flights(), 2);
        assert_eq!(sent(60, 60).decisive_flights(), 3);
        assert_eq!(sent(1, 60).decisive_flights(), 62);
        assert_eq!(sent(1, DAY).decisive_flights(), 86_402);
        assert_eq!(sent(0, DAY).decisive_flights(), 2);
    }

    #[test]
    fn a_canary_that_nobody_would_miss_is_warned_of_and_accepted() {
        let warned = |settings: &Settings| {
            let warnings = settings.warnings("canary");
            let of_deadline = warnings.iter().filter(|one| one.key == "canary.deadline");
            of_deadline.map(|one| one.what.clone()).collect::<Vec<_>>()
        };
        assert_eq!(warned(&sent(900, 900)), [""; 0]);
        let early = "it is longer than `every`, so a canary would be sent before the previous one \
                     is missed";
        assert_eq!(warned(&sent(1, 998)), [early]);
        let never = "it is so much longer than `every` that nobody would be told of a missing \
                     canary: only the newest 1000 are kept";
        assert_eq!(warned(&sent(1, 999)), [never]);
        let problems = sent(1, DAY).check("canary", &[]);
        assert!(!problems.iter().any(|one| one.key == "canary.deadline"));
    }
}
