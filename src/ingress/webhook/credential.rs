//! What a provider proves itself by: composed from the settings, each provider taking its own kinds
//! only.

use secrecy::ExposeSecret as _;

use super::Settings;
use crate::settings::{Problem, Secret};

/// The kinds of proof, by the key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Token,
    SigningKey,
    BasicAuth,
    TopicArn,
}

impl Proof {
    const ALL: [Self; 4] = [
        Self::Token,
        Self::SigningKey,
        Self::BasicAuth,
        Self::TopicArn,
    ];

    fn key(self) -> &'static str {
        match self {
            Self::Token => "token_file",
            Self::SigningKey => "signing_key_file",
            Self::BasicAuth => "basic_auth",
            Self::TopicArn => "topic_arn",
        }
    }

    /// The line of the configuration that gives it.
    fn example(self) -> &'static str {
        match self {
            Self::Token => "token_file: /run/secrets/…",
            Self::SigningKey => "signing_key_file: /run/secrets/…",
            Self::BasicAuth => {
                "basic_auth: { username: alertbridge, password_file: /run/secrets/… }"
            }
            Self::TopicArn => "topic_arn: 'arn:aws:sns:us-east-1:123456789012:alerts'",
        }
    }

    /// The key under which the settings give it.
    fn given(self, settings: &Settings) -> Option<&'static str> {
        match self {
            Self::Token if settings.token.is_some() => Some("token"),
            Self::Token => settings.token_file.as_ref().map(|_| "token_file"),
            Self::SigningKey if settings.signing_key.is_some() => Some("signing_key"),
            Self::SigningKey => settings
                .signing_key_file
                .as_ref()
                .map(|_| "signing_key_file"),
            Self::BasicAuth => settings.basic_auth.as_ref().map(|_| "basic_auth"),
            Self::TopicArn => settings.topic_arn.as_ref().map(|_| "topic_arn"),
        }
    }
}

/// What one webhook asks for.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// Nothing: one that may be open, on loopback.
    None,
    Token(Secret),
    SigningKey(Secret),
    BasicAuth {
        username: String,
        password: Secret,
    },
    TopicArn(String),
}

impl Credential {
    /// Its secret, where it is one.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Token(secret)
            | Self::SigningKey(secret)
            | Self::BasicAuth {
                password: secret, ..
            } => Some(secret),
            Self::None | Self::TopicArn(_) => None,
        }
    }
}

/// Composes the credential of the settings at `key`. One of another provider's kind, or none where
/// the provider needs one, is a problem.
pub(super) fn credential(settings: &Settings, key: &str) -> Result<Credential, Problem> {
    let (name, taken) = (settings.provider.name(), settings.provider.kind().proofs);
    let given = |proof: &Proof| proof.given(settings).map(|name| (*proof, name));
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
            &settings.basic_auth,
            &settings.topic_arn,
        ) {
            (Some(Proof::Token), ..) => Credential::Token(secret(
                key,
                "token",
                settings.token.as_deref(),
                settings.token_file.as_deref(),
            )?),
            (Some(Proof::SigningKey), ..) => {
                let (inline, file) = (
                    settings.signing_key.as_deref(),
                    settings.signing_key_file.as_deref(),
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
            _ if settings.provider.kind().may_be_open => Credential::None,
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
