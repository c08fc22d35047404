//! What is known of the provider: where it is asked, and by which keys it signs.
//!
//! It is asked when somebody signs in, never at the start: a provider that is down keeps nobody
//! from being paged.

use std::{collections::HashSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, Client, ClientId, ClientSecret, DiscoveryError,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl,
    JsonWebKeySet, JwsSigningAlgorithm as _, ProviderMetadata, RedirectUrl, StandardErrorResponse,
    StandardTokenResponse, TokenUrl, UserInfoUrl,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
        CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
        CoreResponseMode, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
        CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use super::{
    http::{Http, Unanswered},
    person::More,
};
use crate::clock::Clock;

/// How long what the provider says of itself is not asked again.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// How long a provider that did not answer is left alone: many who wait do not wait in turn.
const LEFT_ALONE: SignedDuration = SignedDuration::from_secs(3);

/// What a provider announces beside what OpenID Connect names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Announced {
    /// Whether its answers name it (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Announced {}

type Metadata = ProviderMetadata<
    Announced,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Fields = IdTokenFields<
    More,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What the provider gives for a code.
pub type Tokens = StandardTokenResponse<Fields, CoreTokenType>;

/// This bridge as the provider knows it.
pub type Ours = Client<
    More,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider, as it said of itself.
#[derive(Debug, Clone)]
pub struct Provider {
    metadata: Metadata,
    read_at: Timestamp,
}

impl Provider {
    /// Asks it (OpenID Connect Discovery, 4): its document, and its keys.
    pub async fn discover(issuer: &str, http: &Http, now: Timestamp) -> Result<Self, String> {
        let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|error| error.to_string())?;
        let metadata = Metadata::discover_async(issuer, http)
            .await
            .map_err(|error| words(&error))?;
        if metadata.token_endpoint().is_none() {
            return Err("its discovery document names no token endpoint".to_owned());
        }
        if let Some(name) = in_the_clear(&metadata) {
            return Err(format!(
                "its discovery document names a `{name}` without TLS"
            ));
        }
        Ok(Self {
            metadata,
            read_at: now,
        })
    }

    /// The same with the keys of now.
    async fn with_keys_of_now(&self, http: &Http) -> Result<Self, String> {
        let keys = JsonWebKeySet::fetch_async(self.metadata.jwks_uri(), http).await;
        let keys = keys.map_err(|error| words(&error))?;
        Ok(Self {
            metadata: self.metadata.clone().set_jwks(keys),
            read_at: self.read_at,
        })
    }

    /// This bridge, known by `id`, to which browsers come back at `redirect`.
    pub fn client(&self, id: &str, secret: Option<&str>, redirect: RedirectUrl) -> Ours {
        let secret = secret.map(|secret| ClientSecret::new(secret.to_owned()));
        let id = ClientId::new(id.to_owned());
        Ours::from_provider_metadata(self.metadata.clone(), id, secret)
            .set_auth_type(self.auth_type())
            .set_redirect_uri(redirect)
    }

    /// How the secret is sent: as every provider takes it, but for one that says otherwise.
    fn auth_type(&self) -> AuthType {
        let methods = self.metadata.token_endpoint_auth_methods_supported();
        let takes = |method| methods.is_none_or(|methods| methods.contains(&method));
        if takes(CoreClientAuthMethod::ClientSecretBasic) {
            AuthType::BasicAuth
        } else {
            AuthType::RequestBody
        }
    }

    /// By what a token may be signed: with a key that the provider alone has. A client's secret is
    /// such a key to nobody, and `none` is no signature.
    pub fn signatures(&self) -> HashSet<CoreJwsSigningAlgorithm> {
        let announced = self
            .metadata
            .id_token_signing_alg_values_supported()
            .iter()
            .cloned();
        announced
            .filter(|one| !one.uses_shared_secret() && *one != CoreJwsSigningAlgorithm::None)
            .collect()
    }

    /// Whether an answer is this provider's, by who it says it is from: it must say so where the
    /// provider announces that, and may not name another (RFC 9207, 2.4).
    pub fn is_from(&self, iss: Option<&str>) -> bool {
        let announced = self.metadata.additional_metadata();
        match iss {
            Some(iss) => iss == self.metadata.issuer().as_str(),
            None => !announced.authorization_response_iss_parameter_supported,
        }
    }

    pub fn tells_more(&self) -> bool {
        self.metadata.userinfo_endpoint().is_some()
    }
}

/// What a provider that is reached over TLS would have asked without: whoever stands in between
/// could read the secret, or sign by keys of their own.
fn in_the_clear(metadata: &Metadata) -> Option<&'static str> {
    let asked = [
        (
            "authorization_endpoint",
            Some(metadata.authorization_endpoint().url()),
        ),
        (
            "token_endpoint",
            metadata.token_endpoint().map(TokenUrl::url),
        ),
        (
            "userinfo_endpoint",
            metadata.userinfo_endpoint().map(UserInfoUrl::url),
        ),
        ("jwks_uri", Some(metadata.jwks_uri().url())),
    ];
    if metadata.issuer().url().scheme() != "https" {
        return None;
    }
    let is_clear = |url: &Url| url.scheme() != "https";
    let clear = asked.iter().find(|(_, url)| url.is_some_and(is_clear));
    clear.map(|(name, _)| *name)
}

/// Why a provider says nothing of itself that can be used. Its own text may be anything.
fn words(error: &DiscoveryError<Unanswered>) -> String {
    match error {
        DiscoveryError::Request(unanswered) => unanswered.to_string(),
        DiscoveryError::Response(status, _, _) if status.as_u16() != 200 => {
            format!("it answers HTTP {}", status.as_u16())
        }
        DiscoveryError::Response(..) => "its answer is not JSON".to_owned(),
        DiscoveryError::Parse(error) => format!("its answer lacks or spoils `{}`", error.path()),
        DiscoveryError::Validation(what) => format!("it goes by another name: {what}"),
        _ => "its address cannot be used".to_owned(),
    }
}

/// What is known of the provider, and asked where it is not.
#[derive(Debug, Default)]
pub struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    provider: Option<Arc<Provider>>,
    failed: Option<(Timestamp, String)>,
}

impl Known {
    /// The provider: what it said within the hour, or says now, or said before.
    pub async fn get(
        &self,
        issuer: &str,
        http: &Http,
        clock: &Clock,
    ) -> Result<Arc<Provider>, String> {
        let mut state = self.0.lock().await;
        let now = clock.now();
        if let Some(provider) = &state.provider
            && now.duration_since(provider.read_at) < FRESH
        {
            return Ok(Arc::clone(provider));
        }

        // What was known before goes on while the provider does not answer.
        let before = state.provider.clone();
        let failed = state.failed.as_ref();
        if let Some((_, why)) = failed.filter(|(at, _)| now.duration_since(*at) < LEFT_ALONE) {
            return before.ok_or_else(|| why.clone());
        }

        match Provider::discover(issuer, http, now).await {
            Ok(provider) => {
                let provider = Arc::new(provider);
                *state = State {
                    provider: Some(Arc::clone(&provider)),
                    failed: None,
                };
                Ok(provider)
            }
            Err(why) => {
                state.failed = Some((clock.now(), why.clone()));
                before.ok_or(why)
            }
        }
    }

    /// The same provider with the keys of now: it signs with one that was not among them.
    pub async fn renew(&self, provider: &Provider, http: &Http) -> Result<Arc<Provider>, String> {
        let renewed = Arc::new(provider.with_keys_of_now(http).await?);
        self.0.lock().await.provider = Some(Arc::clone(&renewed));
        Ok(renewed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is told of a provider whose document has `url` at `name`.
    fn told(issuer: &str, name: &str, url: &str) -> Option<&'static str> {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://login.example.com/authorize",
            "token_endpoint": "https://login.example.com/token",
            "userinfo_endpoint": "https://login.example.com/userinfo",
            "jwks_uri": "https://keys.example.com/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        document[name] = url.into();
        in_the_clear(&serde_json::from_value(document).unwrap())
    }

    #[test]
    fn a_provider_reached_over_tls_is_asked_nothing_without() {
        let issuer = "https://login.example.com";
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "userinfo_endpoint",
            "jwks_uri",
        ] {
            assert_eq!(told(issuer, name, "https://other.example.com/x"), None);
            assert_eq!(told(issuer, name, "http://login.example.com/x"), Some(name));
            assert_eq!(told(issuer, name, "javascript:alert(1)"), Some(name));
            let local = "http://127.0.0.1:9000";
            assert_eq!(told(local, name, "http://127.0.0.1:9000/x"), None);
        }
    }
}
