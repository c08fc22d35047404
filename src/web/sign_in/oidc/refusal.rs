//! The reasons why the identity provider signs nobody in, worded for the person who tried.

use axum::http::StatusCode;

use crate::web::sign_in::Unknown;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The sign-in began elsewhere or too long ago, or is over: a replay, or a forgery.
    #[error(
        "this sign-in did not begin in this browser, took longer than 10 minutes, or is already \
         over: sign in again, at the address of `global.external_url`"
    )]
    Stale,
    /// The provider does not know the code: it has been redeemed before, or is too old.
    #[error("the identity provider no longer knows this sign-in: sign in again")]
    Spent,
    /// The answer comes from another provider.
    #[error(
        "the answer does not come from the identity provider that this sign-in used: sign in again"
    )]
    Foreign,
    #[error(
        "the identity provider {host} cannot be reached: {why}. Try again in a moment. Alerts are \
         paged as usual"
    )]
    Unreachable { host: String, why: String },
    /// The provider refuses the person.
    #[error("the identity provider refuses the sign-in: {0}")]
    Denied(String),
    /// The provider refuses this bridge.
    #[error(
        "the identity provider refuses this bridge: {0}. Check whether `client_id` and \
         `client_secret_file` are those that it issued"
    )]
    Unexchanged(String),
    #[error("the identity provider's answer about you cannot be trusted: {0}")]
    Untrue(String),
    #[error("no entry of `admin.login.oidc.allowed` names {name}, so you cannot sign in{unsaid}")]
    NotAllowed { name: String, unsaid: &'static str },
    #[error("{}", .0.problem().detail)]
    Unknown(Unknown),
}

impl Refusal {
    /// Decides whether a forged answer can end like this after it made the bridge ask the provider.
    pub fn had_the_provider_asked(&self) -> bool {
        matches!(self, Self::Spent | Self::Unexchanged(_) | Self::Untrue(_))
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Stale | Self::Spent | Self::Foreign => StatusCode::BAD_REQUEST,
            Self::Unreachable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Denied(_) | Self::NotAllowed { .. } => StatusCode::FORBIDDEN,
            Self::Unexchanged(_) | Self::Untrue(_) => StatusCode::BAD_GATEWAY,
            Self::Unknown(unknown) => unknown.problem().status(),
        }
    }
}

impl From<Unknown> for Refusal {
    fn from(unknown: Unknown) -> Self {
        Self::Unknown(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_provider_asked_for_nothing_waits_longer_and_nobody_else() {
        let why = || "why".to_owned();
        for (refusal, waits) in [
            (Refusal::Spent, true),
            (Refusal::Unexchanged(why()), true),
            (Refusal::Untrue(why()), true),
            (Refusal::Stale, false),
            (Refusal::Foreign, false),
            (Refusal::Denied(why()), false),
        ] {
            assert_eq!(refusal.had_the_provider_asked(), waits, "{refusal}");
        }
    }
}
