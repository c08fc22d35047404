//! The credentials of providers.

use crate::settings::Secret;

/// The kinds of proof, by the key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Token,
    SigningKey,
    BasicAuth,
    TopicArn,
}

impl Proof {
    pub(super) const ALL: [Self; 4] = [
        Self::Token,
        Self::SigningKey,
        Self::BasicAuth,
        Self::TopicArn,
    ];

    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Token => "token_file",
            Self::SigningKey => "signing_key_file",
            Self::BasicAuth => "basic_auth",
            Self::TopicArn => "topic_arn",
        }
    }

    /// Returns the line of the configuration that gives this proof.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Token => "token_file: /run/secrets/…",
            Self::SigningKey => "signing_key_file: /run/secrets/…",
            Self::BasicAuth => {
                "basic_auth: { username: alertbridge, password_file: /run/secrets/… }"
            }
            Self::TopicArn => "topic_arn: 'arn:aws:sns:us-east-1:123456789012:alerts'",
        }
    }
}

/// The credential that a webhook requires.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// None: the webhook may be open, on loopback.
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
    /// Returns the secret of the credential, if it has one.
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
