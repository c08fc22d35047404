//! Why there is no access token. Pure.

use crate::settings::SecretError;

/// Why there is no access token, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// The server understood the request and refused it (RFC 6749, 5.2): a person has to fix that.
    #[error("{host} refused a token: {code}{}; {}", in_brackets(.said.as_deref()), mend(.code))]
    Refused {
        host: String,
        code: String,
        said: Option<String>,
    },
    /// There was no answer, or none that could be read. This may pass.
    #[error("no token from {host}: {reason}")]
    Unanswered { host: String, reason: String },
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl NoToken {
    /// Returns whether waiting cannot help.
    pub(in super::super) fn needs_a_person(&self) -> bool {
        !matches!(self, Self::Unanswered { .. })
    }
}

fn mend(code: &str) -> &'static str {
    match code {
        "invalid_grant" => {
            "the refresh token is no longer valid: get a new one with `alertbridge imap login`"
        }
        "invalid_client" | "unauthorized_client" => {
            "check `client_id`, `client_secret_file` and the application"
        }
        "invalid_scope" => "check `scopes`",
        "access_denied" => "consent was refused",
        "expired_token" => "nobody gave consent in time: begin again",
        _ => "check `oauth2`",
    }
}

fn in_brackets(said: Option<&str>) -> String {
    said.map(|said| format!(" ({said})")).unwrap_or_default()
}
