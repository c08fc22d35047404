//! `ingress.http` and `ingress.webhook[]` of the configuration.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{
    credential::{Credential, Proof},
    protocol::Protocol,
    provider::Provider,
};
use crate::settings::{ByteSize, Problem, Secret, SecretText, bounds};

/// The HTTP listener that all webhooks share (`ingress.http`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// The address and port on which the listener accepts requests. The default is
    /// `127.0.0.1:8025`.
    pub listen: String,
    /// The maximum size of a request, from 64KiB to 256MiB. A larger one is refused with 413. The
    /// default is 10MiB.
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

/// A webhook to which a mail provider, or another program, posts mail (`ingress.webhook[]`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name of the ingress, which appears in metrics and labels. No other ingress may have it.
    pub name: String,
    /// The format of the posts, and how they prove themselves. The default is `raw`.
    pub provider: Provider,
    /// The path to which mail is posted. The default is `/ingress/NAME`.
    pub path: Option<String>,
    /// The bearer token of `raw`. It may be left out only on loopback.
    pub token: Option<SecretText>,
    /// A file that contains the bearer token, in place of `token`.
    pub token_file: Option<PathBuf>,
    /// Mailgun's HTTP webhook signing key, or SendGrid's public key.
    pub signing_key: Option<SecretText>,
    /// A file that contains the signing key, in place of `signing_key`.
    pub signing_key_file: Option<PathBuf>,
    /// The user name and password in the URL to which Postmark, CloudMailin or SendGrid posts.
    pub basic_auth: Option<BasicAuth>,
    /// The ARN of the SNS topic to which SES publishes.
    pub topic_arn: Option<String>,
    /// The authserv-id of the relay in front whose Authentication-Results header (RFC 8601) is
    /// trusted, or `exchange` for Microsoft 365. It must also be the name of the relay in Received.
    /// Name only a relay that adds the header to every mail, or removes those of others. It is
    /// refused with `provider: mailgun`, whose signature does not cover the mail. By default no
    /// relay is trusted.
    pub trusted_authserv_id: Option<String>,
}

/// The user name and password in the URL to which a provider posts: `https://USERNAME:PASSWORD@…`
/// (`ingress.webhook[].basic_auth`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user name, which must not contain a colon (RFC 7617).
    pub username: String,
    /// The password.
    pub password: Option<SecretText>,
    /// A file that contains the password, in place of `password`.
    pub password_file: Option<PathBuf>,
}

impl HttpSettings {
    /// Returns the problems of the settings, whatever the address; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        bounds::mail_size(&format!("{key}.max_body"), self.max_body)
            .into_iter()
            .collect()
    }
}

impl Settings {
    /// Returns the path that mail is posted to.
    pub fn path(&self) -> String {
        self.path
            .clone()
            .unwrap_or_else(|| format!("/ingress/{}", self.name))
    }

    /// Returns whether the path can be requested.
    pub fn has_path(&self) -> bool {
        is_path(&self.path())
    }

    /// Returns whether anybody who reaches the listener can post mail to it.
    pub fn is_open(&self) -> bool {
        self.provider.kind().may_be_open && self.token.is_none() && self.token_file.is_none()
    }

    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let path = self.path();
        let path = (!self.has_path()).then(|| {
            Problem::new(
                format!("{key}.path"),
                format!("`{path}` is not a valid path"),
                "begin it with `/`, and use letters, digits and `/ - _ . ~` only",
            )
        });

        // Anybody who sees one request could post another mail with it, to another replica or after
        // a restart, and write that line above it.
        let host = self.trusted_authserv_id.as_ref();
        let host = host.filter(|_| !self.provider.kind().covers_mail).map(|id| {
            Problem::new(
                format!("{key}.trusted_authserv_id"),
                format!(
                    "the signature of `provider: {}` does not cover the mail, so nothing proves an \
                     Authentication-Results of {id} in it",
                    self.provider.name()
                ),
                "drop the key: the mail's own signature proves it",
            )
        });

        path.into_iter()
            .chain(host)
            .chain(self.protocol(key).err())
            .collect()
    }

    pub(super) fn protocol(&self, key: &str) -> Result<Box<dyn Protocol>, Problem> {
        (self.provider.kind().protocol)(self.credential(key)?, key)
    }

    /// Returns the credential in the settings at `key`, of one of the kinds that the provider
    /// accepts.
    fn credential(&self, key: &str) -> Result<Credential, Problem> {
        Ok(match self.proof(key)? {
            None => Credential::None,
            Some(Proof::Token) => {
                let (inline, file) = (self.token.as_deref(), self.token_file.as_deref());
                Credential::Token(secret(key, "token", inline, file)?)
            }
            Some(Proof::SigningKey) => {
                let (inline, file) = (&self.signing_key, &self.signing_key_file);
                let secret = secret(key, "signing_key", inline.as_deref(), file.as_deref())?;
                Credential::SigningKey(secret)
            }
            Some(Proof::BasicAuth) => {
                let basic = self.basic_auth.as_ref();
                basic
                    .map(|basic| basic.credential(&format!("{key}.basic_auth")))
                    .transpose()?
                    .unwrap_or(Credential::None)
            }
            Some(Proof::TopicArn) => {
                Credential::TopicArn(self.topic_arn.clone().unwrap_or_default())
            }
        })
    }

    /// Returns the kind of proof that is given; `None` if the provider may do without. Another
    /// provider's proof is a problem, and so is a missing one.
    fn proof(&self, key: &str) -> Result<Option<Proof>, Problem> {
        let (name, kind) = (self.provider.name(), self.provider.kind());
        let given = |proof: &Proof| self.given(*proof).map(|key| (*proof, key));
        let wanted = |or: &str| {
            let keys: Vec<_> = kind.proofs.iter().map(|proof| proof.key()).collect();
            format!("`{}`", keys.join(&format!("`{or}`")))
        };

        let example = kind.proofs.first().map_or("", |proof| proof.example());

        let mut foreign = Proof::ALL
            .iter()
            .filter(|proof| !kind.proofs.contains(proof));

        if let Some((_, wrong)) = foreign.find_map(given) {
            return Err(Problem::new(
                format!("{key}.{wrong}"),
                format!(
                    "`provider: {name}` authenticates itself by {}, not by `{wrong}`",
                    wanted(" or ")
                ),
                format!("drop it, and give `{example}`"),
            ));
        }

        let mut proofs = kind.proofs.iter().filter_map(given);

        match (proofs.next(), proofs.next()) {
            (_, Some((_, second))) => Err(Problem::new(
                format!("{key}.{second}"),
                format!("{} exclude each other", wanted(" and ")),
                "keep one of them",
            )),
            (None, None) if !kind.may_be_open => Err(Problem::new(
                key,
                format!("`provider: {name}` needs {}", wanted(" or ")),
                format!("add `{example}`"),
            )),
            (proof, None) => Ok(proof.map(|(proof, _)| proof)),
        }
    }

    /// Returns the key under which the settings give a proof.
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

impl BasicAuth {
    fn credential(&self, key: &str) -> Result<Credential, Problem> {
        if self.username.is_empty() || self.username.contains(':') {
            return Err(Problem::new(
                format!("{key}.username"),
                "the user name is empty or has a colon in it (RFC 7617)",
                "give the one in the URL that the provider posts to: \
                 `https://USERNAME:PASSWORD@…`",
            ));
        }

        let (inline, file) = (self.password.as_deref(), self.password_file.as_deref());
        Ok(Credential::BasicAuth {
            username: self.username.clone(),
            password: secret(key, "password", inline, file)?,
        })
    }
}

/// Returns a secret, which must be given and not be empty.
fn secret(
    key: &str,
    name: &str,
    inline: Option<&str>,
    file: Option<&Path>,
) -> Result<Secret, Problem> {
    match Secret::required(key, name, inline, file)? {
        Secret::Inline(text) if text.expose_secret().is_empty() => Err(Problem::new(
            format!("{key}.{name}"),
            format!("the {} is empty", name.replace('_', " ")),
            format!("name the file that holds it: `{name}_file: /run/secrets/…`"),
        )),
        secret => Ok(secret),
    }
}

/// Returns whether a path is valid. Paths are compared as they are sent, so one that a client would
/// encode would never match.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte))
}
