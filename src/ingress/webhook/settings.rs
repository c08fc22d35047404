//! `ingress.http` and `ingress.webhook[]` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{
    credential::{Credential, Proof},
    protocol::Protocol,
    provider::Provider,
};
use crate::settings::{ByteSize, Problem, Secret, SecretText};

/// `ingress.http` of the configuration: the listener all webhooks share.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    pub listen: String,
    pub max_body: ByteSize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8025".into(),
            max_body: ByteSize::from_mib(10),
        }
    }
}

/// `ingress.webhook[]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub provider: Provider,
    /// `/ingress/NAME` where it is not given.
    pub path: Option<String>,
    /// The bearer token of `raw`; may be left out on loopback only.
    pub token: Option<SecretText>,
    pub token_file: Option<PathBuf>,
    /// Mailgun's HTTP webhook signing key, or SendGrid's public key.
    pub signing_key: Option<SecretText>,
    pub signing_key_file: Option<PathBuf>,
    /// Of Postmark, CloudMailin and SendGrid: what stands in the URL that they post to.
    pub basic_auth: Option<BasicAuth>,
    /// The SNS topic that SES publishes to.
    pub topic_arn: Option<String>,
    /// The relay in front whose Authentication-Results count: its authserv-id, which must be the
    /// name it gives itself in Received as well, or `exchange` for Microsoft 365. Name only one
    /// that writes the field on every mail, or removes others'.
    pub trusted_authserv_id: Option<String>,
}

/// `ingress.webhook[].basic_auth` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    pub username: String,
    pub password: Option<SecretText>,
    pub password_file: Option<PathBuf>,
}

impl Settings {
    /// Where it is posted to.
    pub fn path(&self) -> String {
        self.path
            .clone()
            .unwrap_or_else(|| format!("/ingress/{}", self.name))
    }

    /// Whether whoever reaches the listener can put mail into it.
    pub fn is_open(&self) -> bool {
        self.provider.kind().may_be_open && self.token.is_none() && self.token_file.is_none()
    }

    /// What is wrong with its credential. The settings are at `key`.
    pub fn problem(&self, key: &str) -> Option<Problem> {
        self.protocol(key).err()
    }

    pub(super) fn protocol(&self, key: &str) -> Result<Box<dyn Protocol>, Problem> {
        (self.provider.kind().protocol)(self.credential(key)?, key)
    }

    /// Composes the credential of the settings at `key`. One of another provider's kind, or none where
    /// the provider needs one, is a problem.
    fn credential(&self, key: &str) -> Result<Credential, Problem> {
        let (name, taken) = (self.provider.name(), self.provider.kind().proofs);
        let given = |proof: &Proof| self.given(*proof).map(|name| (*proof, name));
        let wanted = || {
            taken
                .iter()
                .map(|proof| format!("`{}`", proof.key()))
                .collect::<Vec<_>>()
                .join(" or ")
        };
        let example = taken.first().map_or("", |proof| proof.example());
        if let Some((_, wrong)) = Proof::ALL
            .iter()
            .filter(|proof| !taken.contains(proof))
            .find_map(given)
        {
            return Err(Problem::new(
                format!("{key}.{wrong}"),
                format!(
                    "`provider: {name}` proves itself by {}, not by `{wrong}`",
                    wanted()
                ),
                format!("drop it, and give `{example}`"),
            ));
        }
        let mut proofs = taken.iter().filter_map(given);
        let (proof, second) = (proofs.next(), proofs.next());
        if let Some((_, second)) = second {
            return Err(Problem::new(
                format!("{key}.{second}"),
                format!("{} exclude each other", wanted().replace(" or ", " and ")),
                "keep one of them",
            ));
        }
        let secret = |key: &str, name: &str, inline: Option<&str>, file| match Secret::required(
            key, name, inline, file,
        )? {
            Secret::Inline(text) if text.expose_secret().is_empty() => Err(Problem::new(
                format!("{key}.{name}"),
                format!("the {} is empty", name.replace('_', " ")),
                format!("name the file that holds it: `{name}_file: /run/secrets/…`"),
            )),
            secret => Ok(secret),
        };
        Ok(
            match (
                proof.map(|(proof, _)| proof),
                &self.basic_auth,
                &self.topic_arn,
            ) {
                (Some(Proof::Token), ..) => Credential::Token(secret(
                    key,
                    "token",
                    self.token.as_deref(),
                    self.token_file.as_deref(),
                )?),
                (Some(Proof::SigningKey), ..) => {
                    let (inline, file) = (
                        self.signing_key.as_deref(),
                        self.signing_key_file.as_deref(),
                    );
                    Credential::SigningKey(secret(key, "signing_key", inline, file)?)
                }
                (Some(Proof::BasicAuth), Some(basic), _) => {
                    let key = format!("{key}.basic_auth");
                    if basic.username.is_empty() || basic.username.contains(':') {
                        return Err(Problem::new(
                            format!("{key}.username"),
                            "the user name is empty or has a colon in it (RFC 7617)",
                            "give the one in the URL that the provider posts to: `https://USERNAME:PASSWORD@…`",
                        ));
                    }
                    let password = secret(
                        &key,
                        "password",
                        basic.password.as_deref(),
                        basic.password_file.as_deref(),
                    )?;
                    Credential::BasicAuth {
                        username: basic.username.clone(),
                        password,
                    }
                }
                (Some(Proof::TopicArn), _, Some(topic)) => Credential::TopicArn(topic.clone()),
                _ if self.provider.kind().may_be_open => Credential::None,
                _ => {
                    return Err(Problem::new(
                        key,
                        format!("`provider: {name}` needs {}", wanted()),
                        format!("add `{example}`"),
                    ));
                }
            },
        )
    }

    /// The key under which the settings give a proof.
    fn given(&self, proof: Proof) -> Option<&'static str> {
        match proof {
            Proof::Token if self.token.is_some() => Some("token"),
            Proof::Token => self.token_file.as_ref().map(|_| "token_file"),
            Proof::SigningKey if self.signing_key.is_some() => Some("signing_key"),
            Proof::SigningKey => self.signing_key_file.as_ref().map(|_| "signing_key_file"),
            Proof::BasicAuth => self.basic_auth.as_ref().map(|_| "basic_auth"),
            Proof::TopicArn => self.topic_arn.as_ref().map(|_| "topic_arn"),
        }
    }
}
