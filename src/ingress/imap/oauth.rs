//! Access tokens for a mailbox, in place of a password (OAuth 2.0, RFC 6749). This is the only user
//! of the oauth2 crate.
//!
//! A token is kept in memory until shortly before it expires; then the next login gets a new one.
//! If the provider replaces the refresh token, the new one is written to its file before the old
//! one is forgotten. No token is ever logged.

use jiff::{SignedDuration, Timestamp};
use oauth2::{TokenResponse as _, basic::BasicTokenResponse};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use self::client::TokenServer;
use crate::{
    clock::Clock,
    settings::{Problem, Secret},
    telemetry,
};

mod client;
mod file;
mod login;
mod no_token;
mod settings;

pub use self::{
    login::{Flow, Login, LoginError, Step, keep},
    no_token::NoToken,
    settings::{Oauth2, Provider},
};

/// How long before it expires a token is renewed; one with a short lifetime is renewed after nine
/// tenths of it.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// How long a token is used if the server does not state its lifetime (RFC 6749, 5.1, recommends
/// that it does).
const UNTOLD: SignedDuration = SignedDuration::from_mins(5);

/// The tokens of one mailbox.
pub(super) struct Tokens {
    ingress: String,
    server: TokenServer,
    /// The source of the refresh token; `None` for the application's own access, by its client
    /// credentials.
    refresh_token: Option<Secret>,
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    access: Option<Access>,
    newest: Option<Newest>,
}

/// An access token.
#[derive(Clone)]
struct Access {
    text: SecretString,
    /// The time at which to request another one.
    renew_at: Timestamp,
}

/// The newest refresh token, if its source does not hold it.
struct Newest {
    text: SecretString,
    /// What the source held. If it holds something else now, a person put that there, and it
    /// counts.
    instead_of: SecretString,
}

/// An access token for one login.
pub(super) struct Token {
    pub(super) text: SecretString,
    /// Whether it was issued just now.
    pub(super) fresh: bool,
}

impl Tokens {
    /// Prepares the tokens without making a request. `key` is the path of `oauth2`; `authorities`
    /// may sign the token server's certificate, besides those that the system trusts.
    pub(super) fn new(
        key: &str,
        ingress: &str,
        settings: &Oauth2,
        authorities: &[CertificateDer<'static>],
        clock: Clock,
    ) -> Result<Self, Problem> {
        Ok(Self {
            ingress: ingress.to_owned(),
            server: TokenServer::new(key, settings, authorities)?,
            refresh_token: settings.refresh_token(key)?,
            clock,
            held: Mutex::default(),
        })
    }

    /// Returns the present token, or a new one if there is none or it is about to expire.
    pub(super) async fn token(&self) -> Result<Token, NoToken> {
        let mut held = self.held.lock().await;
        let asked_at = self.clock.now();

        if let Some(access) = held
            .access
            .as_ref()
            .filter(|access| asked_at < access.renew_at)
        {
            return Ok(Token {
                text: access.text.clone(),
                fresh: false,
            });
        }

        held.access = None;

        let answer = match &self.refresh_token {
            None => self.server.client_credentials().await?,
            Some(source) => {
                let stored = source.read()?;
                let current = match &held.newest {
                    Some(newest) if newest.instead_of.expose_secret() == stored.expose_secret() => {
                        newest.text.clone()
                    }
                    _ => stored.clone(),
                };
                let answer = self.server.refresh(&current).await?;
                let newest = answer
                    .refresh_token()
                    .map_or(current, |token| token.secret().clone().into());
                held.newest = self.keep(source, newest, stored);
                answer
            }
        };

        let text = SecretString::from(answer.access_token().secret().clone());
        held.access = Some(Access {
            text: text.clone(),
            renew_at: renew_at(asked_at, &answer),
        });

        Ok(Token { text, fresh: true })
    }

    /// Returns where the refresh token and the client's secret come from.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let client = self.server.client_secret();
        self.refresh_token.as_ref().into_iter().chain(client)
    }

    /// Forgets a token that the server no longer accepts: the next login requests another.
    pub(super) async fn forget(&self) {
        self.held.lock().await.access = None;
    }

    /// Returns whether a session that began with the present token may have ended because the token
    /// did.
    pub(super) async fn is_due(&self) -> bool {
        let now = self.clock.now();
        self.held
            .lock()
            .await
            .access
            .as_ref()
            .is_none_or(|access| access.renew_at <= now)
    }

    /// Stores the newest refresh token if it is not stored yet; returns it if it cannot be stored.
    ///
    /// Mail keeps flowing with that token. The next renewal tries to store it again; a restart
    /// before then would need the old one, which the provider may have revoked.
    fn keep(&self, source: &Secret, newest: SecretString, stored: SecretString) -> Option<Newest> {
        if newest.expose_secret() == stored.expose_secret() {
            return None;
        }

        let reason = match source {
            Secret::File(path) => match file::write(path, newest.expose_secret()) {
                Ok(()) => return None,
                Err(error) => format!(
                    "cannot write {}: {error}; put it in a folder of its own that alertbridge may \
                     write to",
                    path.display()
                ),
            },
            Secret::Inline(_) => {
                "`refresh_token` is written in the configuration: use `refresh_token_file`".into()
            }
        };

        telemetry::refresh_token_not_kept(&self.ingress, &reason);
        Some(Newest {
            text: newest,
            instead_of: stored,
        })
    }
}

fn renew_at(asked_at: Timestamp, answer: &BasicTokenResponse) -> Timestamp {
    let life = answer.expires_in().map_or(UNTOLD, |life| {
        life.try_into().unwrap_or(SignedDuration::MAX)
    });
    let early = EARLY.min(life / 10);
    asked_at
        .checked_add(life.saturating_sub(early))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_five_minutes_early_or_after_nine_tenths_of_a_short_life() {
        let now = Timestamp::UNIX_EPOCH;
        let renewed_after = |life: &str| {
            let answer = format!("{{\"access_token\":\"x\",\"token_type\":\"Bearer\"{life}}}");
            renew_at(now, &serde_json::from_str(&answer).unwrap()).as_second()
        };
        assert_eq!(renewed_after(",\"expires_in\":3600"), 3300);
        assert_eq!(renewed_after(",\"expires_in\":60"), 54);
        assert_eq!(renewed_after(""), 270);
        assert_eq!(
            renewed_after(",\"expires_in\":18446744073709551615"),
            Timestamp::MAX.as_second()
        );
    }

    #[test]
    fn a_refusal_says_what_mends_it() {
        let refused = |code: &str| {
            NoToken::Refused {
                host: "login.example.com".into(),
                code: code.into(),
                said: None,
            }
            .to_string()
        };
        assert!(refused("invalid_grant").ends_with("get a new one with `alertbridge imap login`"));
        assert_eq!(
            refused("invalid_scope"),
            "login.example.com refused a token: invalid_scope; check `scopes`"
        );
    }
}
