//! The section `admin` of the configuration: the listener of the web interface, the metrics and the
//! health checks.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::{
    Problem, Secret, SecretText,
    host::{self, is_host},
    networks::Networks,
    oidc::Oidc,
};

/// The listener of the web interface, the API, the metrics and the health checks.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The address and port on which the listener accepts requests. Anywhere but on loopback it
    /// requires a `token` or a `login`. The default is `127.0.0.1:8026`.
    pub listen: String,
    /// The bearer token by which programs sign in. On loopback, or if there is a `login`, it may be
    /// left out.
    pub token: Option<SecretText>,
    /// A file that contains the bearer token, in place of `token`.
    pub token_file: Option<PathBuf>,
    /// How people sign in to the web interface.
    pub login: Option<Login>,
    /// Further host names by which the listener may be addressed, without scheme and port, besides
    /// its address and the host of `global.external_url`. A request with any other Host is answered
    /// with 421.
    pub hosts: Vec<String>,
}

/// How people sign in. Exactly one of the three keys must be given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// A file that lists the people and their passwords, one on each line:
    /// `name:role:$argon2id$…`. The role is `viewer` or `operator`.
    pub users_file: Option<PathBuf>,
    /// An identity provider that supports OpenID Connect. It requires `global.external_url`.
    pub oidc: Option<Oidc>,
    /// A proxy in front that signs people in and names them in a header.
    pub proxy: Option<Proxy>,
}

/// A proxy in front that signs people in. Everybody whom it names is an operator.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// The header in which the proxy names the person, such as `X-Forwarded-User`.
    pub header: String,
    /// The networks of the proxy, such as `10.0.0.5/32`. The header is trusted only in requests
    /// from these.
    pub from: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8026".into(),
            token: None,
            token_file: None,
            login: None,
            hosts: Vec::new(),
        }
    }
}

impl Admin {
    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found: Vec<_> = host::listen(&format!("{key}.listen"), &self.listen)
            .into_iter()
            .collect();
        for (place, name) in self.hosts.iter().enumerate() {
            if !is_host(name) {
                found.push(Problem::new(
                    format!("{key}.hosts[{place}]"),
                    format!("`{name}` is not a valid host name"),
                    "write the name alone, without scheme and port: `hosts: [alerts.example.com]`",
                ));
            }
        }

        found.extend(self.check_token(key));
        if let Some(login) = &self.login {
            found.extend(login.check(&format!("{key}.login")));
        }
        found
    }

    fn check_token(&self, key: &str) -> Option<Problem> {
        let (inline, file) = (self.token.as_deref(), self.token_file.as_deref());
        match Secret::optional(key, "token", inline, file) {
            Err(problem) => Some(problem),
            Ok(None) if !host::private(&self.listen) && self.login.is_none() => Some(Problem::new(
                key,
                format!(
                    "the admin listener listens on {}, where others can reach it, and requires no \
                     sign-in",
                    self.listen
                ),
                "add `token_file: /run/secrets/…` or `login: {users_file: …}`, or listen on \
                 127.0.0.1",
            )),
            Ok(_) if inline.is_some_and(|token| token.trim().is_empty()) => Some(Problem::new(
                format!("{key}.token"),
                "the token is empty",
                "give one, or drop the key",
            )),
            Ok(_) => None,
        }
    }
}

impl Login {
    fn check(&self, key: &str) -> Vec<Problem> {
        let given = [
            self.users_file.is_some(),
            self.oidc.is_some(),
            self.proxy.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            return vec![Problem::new(
                key,
                "exactly one way for people to sign in must be configured",
                "give one of `users_file`, `oidc` and `proxy`",
            )];
        }

        let of_oidc = self
            .oidc
            .iter()
            .flat_map(|oidc| oidc.check(&format!("{key}.oidc")));
        let of_proxy = self
            .proxy
            .iter()
            .flat_map(|proxy| proxy.check(&format!("{key}.proxy")));
        of_oidc.chain(of_proxy).collect()
    }
}

impl Proxy {
    fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.header.parse::<axum::http::HeaderName>().is_err() {
            found.push(Problem::new(
                format!("{key}.header"),
                format!("`{}` is not a valid header name", self.header),
                "write the name alone: `header: X-Forwarded-User`",
            ));
        }

        match Networks::new(&self.from, &format!("{key}.from")) {
            Err(problem) => found.push(problem),
            Ok(networks) if networks.admit_anybody() => found.push(Problem::new(
                format!("{key}.from"),
                "anybody could claim any name: the networks are missing, or cover nearly every \
                 address",
                "write the proxy's own addresses: `from: [10.0.0.5/32]`",
            )),
            Ok(_) => {}
        }

        found
    }
}
