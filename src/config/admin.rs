//! `admin` of the configuration: the listener of the interface, the metrics and the health checks.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::{
    Problem, Secret, SecretText,
    host::{self, is_host},
};

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    pub listen: String,
    /// The bearer token; may be left out on loopback only.
    pub token: Option<SecretText>,
    pub token_file: Option<PathBuf>,
    /// The names it is asked for by, besides its address and the host of `global.external_url`.
    pub hosts: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8026".into(),
            token: None,
            token_file: None,
            hosts: Vec::new(),
        }
    }
}

impl Admin {
    /// What is wrong with them; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found: Vec<_> = host::listen(&format!("{key}.listen"), &self.listen)
            .into_iter()
            .collect();
        for (place, name) in self.hosts.iter().enumerate() {
            if !is_host(name) {
                found.push(Problem::new(
                    format!("{key}.hosts[{place}]"),
                    format!("`{name}` is no name of a host"),
                    "write the name alone, without scheme and port: `hosts: [alerts.example.com]`",
                ));
            }
        }

        found.extend(self.check_token(key));
        found
    }

    fn check_token(&self, key: &str) -> Option<Problem> {
        let (inline, file) = (self.token.as_deref(), self.token_file.as_deref());
        match Secret::optional(key, "token", inline, file) {
            Err(problem) => Some(problem),
            Ok(None) if !host::private(&self.listen) => Some(Problem::new(
                key,
                format!(
                    "the admin listener listens on {}, where others reach it, and asks for no \
                     token",
                    self.listen
                ),
                "add `token_file: /run/secrets/…`, or listen on 127.0.0.1",
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
