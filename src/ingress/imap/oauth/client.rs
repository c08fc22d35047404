//! Requests to a token server (RFC 6749), bounded in time and size. No error contains a secret.

use std::{fmt::Display, time::Duration};

use futures_util::future::BoxFuture;
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, DeviceAuthorizationUrl,
    EndpointNotSet, EndpointSet, ErrorResponseType, HttpRequest, HttpResponse, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardDeviceAuthorizationResponse,
    StandardErrorResponse, TokenUrl,
    basic::{BasicClient, BasicTokenResponse},
};
use reqwest::{Certificate, redirect::Policy};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    super::words::words,
    no_token::NoToken,
    settings::{Oauth2, Provider},
};
use crate::settings::{Problem, Secret, cause::innermost};

/// The time limit for one request, from the name's resolution to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most bytes of an answer that are read. Tokens have a few KiB.
const LONGEST_ANSWER: usize = 256 << 10;

type Client =
    BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;
type Answer<T, E> = Result<T, RequestTokenError<Unanswered, StandardErrorResponse<E>>>;

/// A token server, and the application that requests tokens.
pub(super) struct TokenServer {
    http: reqwest::Client,
    url: TokenUrl,
    auth_type: AuthType,
    client_id: ClientId,
    client_secret: Option<Secret>,
    scopes: Vec<String>,
}

impl TokenServer {
    /// Prepares the client without making a request; the secret's file is read for every request.
    /// `authorities` are trusted besides the system's own.
    pub(super) fn new(
        key: &str,
        settings: &Oauth2,
        authorities: &[CertificateDer<'_>],
    ) -> Result<Self, Problem> {
        let authorities = authorities
            .iter()
            .filter_map(|certificate| Certificate::from_der(certificate).ok());
        let http = reqwest::Client::builder()
            .tls_certs_merge(authorities)
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("alertbridge/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Problem::new(
                    key,
                    format!("TLS is not available: {error}"),
                    "report this as a bug",
                )
            })?;

        let url = settings
            .token_url()
            .and_then(|url| TokenUrl::new(url).ok())
            .ok_or_else(|| {
                Problem::new(
                    format!("{key}.token_url"),
                    "there is no token server's address",
                    "add `token_url`",
                )
            })?;

        Ok(Self {
            http,
            url,
            // Every server must understand Basic (RFC 6749, 2.3.1); Google and Microsoft document
            // the other method.
            auth_type: if settings.provider == Provider::Custom {
                AuthType::BasicAuth
            } else {
                AuthType::RequestBody
            },
            client_id: ClientId::new(settings.client_id.trim().to_owned()),
            client_secret: settings.client_secret(key)?,
            scopes: settings.scopes(),
        })
    }

    pub(super) fn client_secret(&self) -> Option<&Secret> {
        self.client_secret.as_ref()
    }

    /// Requests a token for the person who owns the refresh token (RFC 6749, 6).
    pub(super) async fn refresh(
        &self,
        refresh_token: &SecretString,
    ) -> Result<BasicTokenResponse, NoToken> {
        let (client, secret) = self.client()?;
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let request = client
            .exchange_refresh_token(&token)
            .add_scopes(self.scopes());
        let answer = request.request_async(self).await;
        self.judge(answer, &[secret.as_ref(), Some(refresh_token)])
    }

    /// Requests a token for the application itself (RFC 6749, 4.4).
    pub(super) async fn client_credentials(&self) -> Result<BasicTokenResponse, NoToken> {
        let (client, secret) = self.client()?;
        let request = client
            .exchange_client_credentials()
            .add_scopes(self.scopes());
        let answer = request.request_async(self).await;
        self.judge(answer, &[secret.as_ref()])
    }

    /// Requests tokens for the code that a browser brought (RFC 6749, 4.1.3; RFC 7636).
    pub(super) async fn code(
        &self,
        code: String,
        verifier: PkceCodeVerifier,
        redirect: RedirectUrl,
    ) -> Result<BasicTokenResponse, NoToken> {
        let (client, secret) = self.client()?;
        let client = client.set_redirect_uri(redirect);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(verifier);
        let answer = request.request_async(self).await;
        self.judge(answer, &[secret.as_ref()])
    }

    /// Begins the device flow (RFC 8628, 3.1).
    pub(super) async fn device(
        &self,
        url: DeviceAuthorizationUrl,
    ) -> Result<StandardDeviceAuthorizationResponse, NoToken> {
        let (client, secret) = self.client()?;
        let client = client.set_device_authorization_url(url);
        let request = client.exchange_device_code().add_scopes(self.scopes());
        let answer = request.request_async(self).await;
        self.judge(answer, &[secret.as_ref()])
    }

    /// Waits until the person has given consent (RFC 8628, 3.4), for as long as the code is valid.
    pub(super) async fn agreed(
        &self,
        begun: &StandardDeviceAuthorizationResponse,
    ) -> Result<BasicTokenResponse, NoToken> {
        let (client, secret) = self.client()?;
        let request = client.exchange_device_access_token(begun);
        let answer = request.request_async(self, tokio::time::sleep, None).await;
        self.judge(answer, &[secret.as_ref()])
    }

    pub(super) fn client_id(&self) -> ClientId {
        self.client_id.clone()
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.scopes.iter().cloned().map(Scope::new)
    }

    fn client(&self) -> Result<(Client, Option<SecretString>), NoToken> {
        let client = BasicClient::new(self.client_id.clone())
            .set_auth_type(self.auth_type.clone())
            .set_token_uri(self.url.clone());
        let Some(secret) = &self.client_secret else {
            return Ok((client, None));
        };
        let secret = secret.read()?;
        Ok((
            client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
            Some(secret),
        ))
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let (parts, body) = request.into_parts();
        let request = self
            .http
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body);

        let mut response = request
            .send()
            .await
            .map_err(|error| Unanswered::unreachable(&error))?;

        let status = response.status();

        if status.is_server_error()
            || status.is_redirection()
            || [408, 425, 429].contains(&status.as_u16())
        {
            return Err(Unanswered::Status(status.as_u16()));
        }

        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| Unanswered::unreachable(&error))?
        {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Unanswered::TooLong);
            }
            body.extend_from_slice(&chunk);
        }

        // If this is a page for people, as a wrong address returns, its status says more than that
        // it is not JSON.
        let about = serde_json::from_slice::<serde_json::Value>(&body);
        if !status.is_success()
            && !about
                .is_ok_and(|about| about.get("error").is_some_and(serde_json::Value::is_string))
        {
            return Err(Unanswered::Status(status.as_u16()));
        }

        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;

        Ok(answer)
    }

    fn judge<T, E: ErrorResponseType + Display + 'static>(
        &self,
        answer: Answer<T, E>,
        secrets: &[Option<&SecretString>],
    ) -> Result<T, NoToken> {
        let host = || self.url.url().host_str().unwrap_or_default().to_owned();
        match answer {
            Ok(answer) => Ok(answer),
            Err(RequestTokenError::ServerResponse(refusal)) => {
                let code = words(&refusal.error().to_string());
                let said = refusal.error_description().map(String::as_str);
                let repeats = |text: &str| {
                    secrets
                        .iter()
                        .flatten()
                        .any(|secret| text.contains(secret.expose_secret()))
                };
                let said = said.filter(|said| !repeats(said)).map(words);
                if ["temporarily_unavailable", "server_error", "slow_down"].contains(&code.as_str())
                {
                    return Err(NoToken::Unanswered {
                        host: host(),
                        reason: code,
                    });
                }
                Err(NoToken::Refused {
                    host: host(),
                    code: if repeats(&code) {
                        "an error".into()
                    } else {
                        code
                    },
                    said,
                })
            }
            Err(RequestTokenError::Request(unanswered)) => Err(NoToken::Unanswered {
                host: host(),
                reason: unanswered.to_string(),
            }),
            // The library's text may contain what it could not read, which may be a token.
            Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
                Err(NoToken::Unanswered {
                    host: host(),
                    reason: "its answer is not valid OAuth 2.0".into(),
                })
            }
        }
    }
}

impl<'a> AsyncHttpClient<'a> for TokenServer {
    type Error = Unanswered;
    type Future = BoxFuture<'a, Result<HttpResponse, Unanswered>>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Why there was no answer to read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("{0}")]
    Unreachable(String),
    #[error("it answers HTTP {0}")]
    Status(u16),
    #[error("its answer is longer than {} KiB", LONGEST_ANSWER >> 10)]
    TooLong,
}

impl Unanswered {
    /// Takes the deepest cause of the error, because its own text contains the whole address.
    fn unreachable(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
        }
        Self::Unreachable(innermost(error).unwrap_or_else(|| "the request failed".into()))
    }
}
