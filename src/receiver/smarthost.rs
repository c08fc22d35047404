//! The mail server through which an integration sends its mails.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Credential, Keys, credential::Shape, site::Site, template::looks_like_template};
use crate::settings::{Problem, SecretText, host::is_host};

/// The mail server through which an integration sends mail (`smarthost` of an integration).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The server's host name, such as `smtp.example.com`.
    pub host: String,
    /// The port of the server. The default is 587 with STARTTLS, 465 with implicit TLS, and 25
    /// without TLS.
    pub port: Option<u16>,
    /// How the connection is encrypted. The default is `implicit` on port 465, and `starttls` on
    /// any other.
    pub tls: Option<Encryption>,
    /// The user name at the server. It is given together with a password, or not at all.
    pub username: Option<String>,
    /// The password at the server.
    pub password: Option<SecretText>,
    /// A file that contains the password, in place of `password`. It is read at each attempt, so
    /// that rotating it needs no reload.
    pub password_file: Option<PathBuf>,
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// The connection begins with TLS.
    Implicit,
    /// The connection changes to TLS by STARTTLS.
    Starttls,
    /// The connection is not encrypted. This is sensible only on loopback.
    None,
}

/// The mail server of an integration, compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Smarthost {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    login: Option<(String, Credential)>,
}

impl Smarthost {
    pub(super) fn compile(settings: &Settings, mut site: Site<'_>) -> Option<Self> {
        let encryption = settings.tls.unwrap_or(match settings.port {
            Some(465) => Encryption::Implicit,
            _ => Encryption::Starttls,
        });
        let port = settings.port.unwrap_or(match encryption {
            Encryption::Implicit => 465,
            Encryption::Starttls => 587,
            Encryption::None => 25,
        });

        if settings.host.is_empty() || !is_host(&settings.host) {
            site.problem(
                "host",
                "it is not a valid host name",
                "write the mail server's name: smtp.example.com",
            );
            return None;
        }

        if port == 0 {
            site.problem("port", "there is no port 0", "drop it, or write 587");
        }

        site.leads_to("host", &settings.host);
        let login = login(settings, &mut site);
        let is_local = ["localhost", "127.0.0.1", "::1"].contains(&settings.host.as_str());
        if encryption == Encryption::None && !is_local {
            let what = "mail, and the password, travel unencrypted";
            site.warn("tls", what, "write starttls or implicit");
        }

        Some(Self {
            host: settings.host.clone(),
            port,
            encryption,
            login,
        })
    }

    /// Returns the address as `smtp://host:port`.
    pub fn url(&self) -> String {
        if self.host.contains(':') {
            format!("smtp://[{}]:{}", self.host, self.port)
        } else {
            format!("smtp://{}:{}", self.host, self.port)
        }
    }

    pub fn credential(&self) -> Option<&Credential> {
        self.login.as_ref().map(|(_, password)| password)
    }

    /// Returns the user and the password.
    pub fn login<'a>(&'a self, keys: &'a Keys) -> Option<(&'a str, &'a str)> {
        let (user, password) = self.login.as_ref()?;
        Some((user, keys.reveal(password)))
    }
}

/// Returns the problem of a missing smarthost.
pub(super) fn missing(key: String) -> Problem {
    Problem::new(
        key,
        "no mail server is given",
        "name one: `smarthost: { host: smtp.example.com }`",
    )
}

/// Reads the user and the password, which belong together; `None` if neither is given, or if they
/// are wrong.
fn login(settings: &Settings, site: &mut Site<'_>) -> Option<(String, Credential)> {
    let password = site.secret_if_any(
        "password",
        Shape::Password,
        settings.password.as_deref(),
        settings.password_file.as_deref(),
    );

    let name = settings.username.as_deref();
    if name.is_some_and(|name| name.is_empty() || looks_like_template(name)) {
        site.problem(
            "username",
            "it is empty or a template, which a user name cannot be",
            "write the user's name itself",
        );
    }

    match (name, password) {
        (Some(name), Some(password)) => {
            let password = Credential {
                name: "smarthost.password",
                ..password
            };
            return Some((name.to_owned(), password));
        }
        (Some(_), None) => site.problem(
            "password",
            "a user name is given without a password",
            "name the file that holds it with `password_file`",
        ),
        (None, Some(_)) => site.problem(
            "username",
            "a password is given without a user name",
            "add `username`",
        ),
        (None, None) => {}
    }

    None
}
