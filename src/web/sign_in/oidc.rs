//! Signing in through an identity provider: OpenID Connect's authorization code flow with PKCE.
//!
//! The browser is sent to the provider with a [`Ticket`] and returns with it and a code; the code
//! is redeemed for a token that says who the person is. The token is believed if the provider has
//! signed it for this bridge, for this sign-in, and it is valid now. The session that begins is the
//! same as with a password. `allowed` says who may sign in.

use std::sync::Arc;

use jiff::Timestamp;
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SubjectIdentifier, UserInfoClaims,
    UserInfoError,
    core::{CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use super::{Unknown, cookie};
use crate::{
    clock::Clock,
    delivery::sha256_hex,
    settings::{Secret, oidc::Oidc as Settings, users::Role},
    store::{Answer, Answered, Ledger},
};

pub mod http;
pub(in crate::web) mod pages;
mod person;
pub mod provider;
mod refusal;
mod ticket;
mod token;

use http::Http;
use person::{More, Person};
use provider::{Known, Ours, Provider, Tokens};
pub use refusal::Refusal;
use ticket::Ticket;

/// The path to which browsers return, below `global.external_url`.
pub const CALLBACK: &str = "/sign-in/oidc/callback";

/// The identity provider of `admin.login.oidc`.
#[derive(Debug)]
pub struct Oidc {
    settings: Settings,
    secret: Secret,
    redirect: RedirectUrl,
    http: Http,
    known: Known,
}

/// The parameters with which a browser returns from the provider (RFC 6749, 4.1.2; RFC 9207).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Brought {
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// A person whom the provider knows and `allowed` names.
#[derive(Debug)]
pub(super) struct Admitted {
    pub name: String,
    pub role: Role,
}

/// Returns the address to which the provider sends browsers back; it must be registered there.
pub fn redirect_uri(external_url: &str) -> String {
    format!("{}{CALLBACK}", external_url.trim_end_matches('/'))
}

impl Oidc {
    /// Creates the client. The provider is not asked yet, and the file of the secret is read at
    /// every sign-in.
    pub fn new(
        settings: Settings,
        secret: Secret,
        external_url: &str,
        client: reqwest::Client,
    ) -> Result<Self, url::ParseError> {
        Ok(Self {
            settings,
            secret,
            redirect: RedirectUrl::new(redirect_uri(external_url))?,
            http: Http(client),
            known: Known::default(),
        })
    }

    /// Returns the host of the provider, by which people know it.
    pub fn host(&self) -> String {
        let url = Url::parse(&self.settings.issuer).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        host.to_owned()
    }

    /// Returns the provider's address for a browser that holds `key`. The sign-in ends at the path
    /// `next`.
    pub(super) async fn begin(&self, key: &str, next: &str, clock: &Clock) -> Result<Url, Refusal> {
        let provider = self.provider(clock).await?;
        let salt = cookie::new_key().map_err(|_| no_randomness())?;
        let ticket = Ticket::new(key, &salt, next, clock.now());
        let verifier = PkceCodeVerifier::new(ticket.verifier());

        let ours = self.ours(&provider, None);
        let (state, nonce) = (ticket.state().to_owned(), ticket.nonce());
        let request = ours
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));

        Ok(request.url().0)
    }

    /// Determines who has returned, in a browser that holds `key`.
    pub(super) async fn finish(
        &self,
        key: Option<&str>,
        brought: Brought,
        ledger: &dyn Ledger,
        clock: &Clock,
    ) -> Result<(Admitted, Ticket), Refusal> {
        let ticket = key.and_then(|key| Ticket::read(key, &brought.state, clock.now()));
        let ticket = ticket.ok_or(Refusal::Stale)?;
        let provider = self.provider(clock).await?;
        if !provider.is_from(brought.iss.as_deref()) {
            return Err(Refusal::Foreign);
        }

        let code = match (brought.code, brought.error) {
            (Some(code), None) => AuthorizationCode::new(code),
            (_, error) => return Err(Refusal::Denied(code_of(&error.unwrap_or_default()))),
        };
        once(&ticket, ledger, clock.now()).await?;

        let secret = self
            .secret
            .read()
            .map_err(|error| Unknown::Unable(error.to_string()))?;
        let ours = self.ours(&provider, Some(secret.expose_secret()));
        let tokens = self.exchange(&ours, code, &ticket).await?;

        let believe = |ours: &Ours, provider: &Provider| {
            let groups_claim = &self.settings.groups_claim;
            token::believe(ours, provider, &tokens, &ticket, groups_claim, clock.now())
        };
        let person = match believe(&ours, &provider) {
            Err(error) if token::may_have_rotated(&error) => {
                let renewed = self.known.renew(&provider, &self.http).await;
                let renewed = renewed.map_err(|why| self.unreachable(why))?;
                let ours = self.ours(&renewed, Some(secret.expose_secret()));
                believe(&ours, &renewed)
            }
            believed => believed,
        };
        let person = person.map_err(|error| token::untrue(&error))?;
        let person = self.complete(&ours, &provider, &tokens, person).await?;

        let role = person.role(&self.settings.allowed);
        let role = role.ok_or_else(|| Refusal::NotAllowed {
            name: person.name().to_owned(),
            unsaid: person.left_unsaid(),
        })?;
        let admitted = Admitted {
            name: person.name().to_owned(),
            role,
        };
        Ok((admitted, ticket))
    }

    /// Returns a hash that changes with the rules on who may sign in; sessions end when it changes.
    pub(super) fn stamp(&self) -> String {
        let Settings {
            issuer,
            client_id,
            groups_claim,
            allowed,
            ..
        } = &self.settings;
        let allowed = serde_json::to_string(allowed).unwrap_or_default();
        sha256_hex(format!("{issuer}\n{client_id}\n{groups_claim}\n{allowed}").as_bytes())
    }

    async fn provider(&self, clock: &Clock) -> Result<Arc<Provider>, Refusal> {
        let asked = self
            .known
            .get(&self.settings.issuer, &self.http, clock)
            .await;
        asked.map_err(|why| self.unreachable(why))
    }

    fn unreachable(&self, why: String) -> Refusal {
        Refusal::Unreachable {
            host: self.host(),
            why,
        }
    }

    fn ours(&self, provider: &Provider, secret: Option<&str>) -> Ours {
        let id = self.settings.client_id.trim();
        provider.client(id, secret, self.redirect.clone())
    }

    /// Redeems a code for tokens.
    async fn exchange(
        &self,
        ours: &Ours,
        code: AuthorizationCode,
        ticket: &Ticket,
    ) -> Result<Tokens, Refusal> {
        let request = ours
            .exchange_code(code)
            .map_err(|error| self.unreachable(error.to_string()))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(ticket.verifier()));

        request
            .request_async(&self.http)
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(refused) => match refused.error() {
                    // The code is another client's, has been redeemed before, or is too old.
                    CoreErrorResponseType::InvalidGrant => Refusal::Spent,
                    other => Refusal::Unexchanged(code_of(other.as_ref())),
                },
                RequestTokenError::Request(unanswered) => self.unreachable(unanswered.to_string()),
                // The library's text may quote what it could not parse, which may be a token.
                RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                    Refusal::Untrue("its answer is not OpenID Connect's".to_owned())
                }
            })
    }

    /// Adds the claims that the token lacks, if they decide the role and the provider may know
    /// them.
    async fn complete(
        &self,
        ours: &Ours,
        provider: &Provider,
        tokens: &Tokens,
        person: Person,
    ) -> Result<Person, Refusal> {
        if !provider.tells_more() || !person.lacks(&self.settings) {
            return Ok(person);
        }

        let subject = SubjectIdentifier::new(person.subject.clone());
        let request = ours.user_info(tokens.access_token().clone(), Some(subject));
        let request = request.map_err(|error| self.unreachable(error.to_string()))?;
        let claims: Result<UserInfoClaims<More, CoreGenderClaim>, _> =
            request.request_async(&self.http).await;
        let claims = claims.map_err(|error| match error {
            UserInfoError::Request(unanswered) => self.unreachable(unanswered.to_string()),
            UserInfoError::ClaimsVerification(error) => token::untrue(&error),
            _ => Refusal::Untrue("its user info is not OpenID Connect's".to_owned()),
        })?;

        Ok(person.completed(&claims, &self.settings.groups_claim))
    }
}

/// Consumes a ticket, and refuses one that any replica has consumed before.
async fn once(ticket: &Ticket, ledger: &dyn Ledger, now: Timestamp) -> Result<(), Refusal> {
    let unable = |error: &dyn std::fmt::Display| Unknown::Unable(error.to_string());
    let key = format!("oidc {}", ticket.id());
    let taken = ledger.answered(key.clone(), String::new(), now).await;
    if taken.map_err(|error| unable(&error))? != Answered::NotYet {
        return Err(Refusal::Stale);
    }

    // Kept for longer than the ticket is valid.
    let answer = Answer {
        status: 303,
        content_type: String::new(),
        body: String::new(),
    };
    let kept = ledger.keep_answer(key, Some(answer)).await;
    kept.map_err(|error| unable(&error).into())
}

/// Returns an error's code if it has the form of one (RFC 6749, 4.1.2.1). Anything else is not
/// repeated.
fn code_of(error: &str) -> String {
    let is_code = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if (1..=64).contains(&error.len()) && error.chars().all(is_code) {
        error.to_owned()
    } else {
        "it gives no reason".to_owned()
    }
}

fn no_randomness() -> Unknown {
    Unknown::Unable("the sign-in could not be started: there is no randomness".to_owned())
}
