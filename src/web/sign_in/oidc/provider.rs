//! What is known of the provider: its endpoints, and the keys with which it signs.
//!
//! The provider is asked when somebody signs in, never at startup, so that a provider that is down
//! keeps nobody from being paged.

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

/// How long the provider's discovery document is used before it is fetched again.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// How long a provider that did not answer is not asked again, so that many waiting people do not
/// each wait for their own timeout in turn.
const LEFT_ALONE: SignedDuration = SignedDuration::from_secs(3);

/// Metadata that a provider announces besides what OpenID Connect defines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Announced {
    /// Whether the provider's answers name their issuer (RFC 9207).
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

/// The provider's answer to a code.
pub type Tokens = StandardTokenResponse<Fields, CoreTokenType>;

/// This bridge as a client of the provider.
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

/// A provider, as described by its own metadata.
#[derive(Debug, Clone)]
pub struct Provider {
    metadata: Metadata,
    read_at: Timestamp,
}

impl Provider {
    /// Fetches the provider's discovery document and its keys (OpenID Connect Discovery, 4).
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

    /// Returns the same provider with its current keys.
    async fn with_keys_of_now(&self, http: &Http) -> Result<Self, String> {
        let keys = JsonWebKeySet::fetch_async(self.metadata.jwks_uri(), http).await;
        let keys = keys.map_err(|error| words(&error))?;
        Ok(Self {
            metadata: self.metadata.clone().set_jwks(keys),
            read_at: self.read_at,
        })
    }

    /// Returns this bridge as the client `id`, to which browsers return at `redirect`.
    pub fn client(&self, id: &str, secret: Option<&str>, redirect: RedirectUrl) -> Ours {
        let secret = secret.map(|secret| ClientSecret::new(secret.to_owned()));
        let id = ClientId::new(id.to_owned());
        Ours::from_provider_metadata(self.metadata.clone(), id, secret)
            .set_auth_type(self.auth_type())
            .set_redirect_uri(redirect)
    }

    /// Chooses how the secret is sent: by HTTP Basic, which every provider takes unless it
    /// announces otherwise.
    fn auth_type(&self) -> AuthType {
        let methods = self.metadata.token_endpoint_auth_methods_supported();
        let takes = |method| methods.is_none_or(|methods| methods.contains(&method));
        if takes(CoreClientAuthMethod::ClientSecretBasic) {
            AuthType::BasicAuth
        } else {
            AuthType::RequestBody
        }
    }

    /// Returns the signature algorithms accepted for a token: those with a key that the provider
    /// alone holds. A client's secret is not such a key, and `none` is no signature.
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

    /// Decides whether an answer comes from this provider, by the issuer that it names. An issuer
    /// is required if the provider announces it, and must not be another one (RFC 9207, 2.4).
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

/// Returns the name of an endpoint without TLS, if the provider itself is reached over TLS. Anybody
/// in between could read the secret, or sign with keys of their own.
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

/// Explains why the provider's metadata cannot be used. The provider's own text is left out, since
/// it may contain anything.
fn words(error: &DiscoveryError<Unanswered>) -> String {
    match error {
        DiscoveryError::Request(unanswered) => unanswered.to_string(),
        DiscoveryError::Response(status, _, _) if status.as_u16() != 200 => {
            format!("it answers HTTP {}", status.as_u16())
        }
        DiscoveryError::Response(..) => "its answer is not JSON".to_owned(),
        DiscoveryError::Parse(error) => {
            format!("its answer lacks `{}`, or has an invalid one", error.path())
        }
        DiscoveryError::Validation(what) => format!("its issuer differs: {what}"),
        _ => "its address cannot be used".to_owned(),
    }
}

/// The cached metadata of the provider.
#[derive(Debug, Default)]
pub struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    provider: Option<Arc<Provider>>,
    failed: Option<(Timestamp, String)>,
}

impl Known {
    /// Returns the provider: from the cache if it is less than an hour old, else as it answers now,
    /// else as it answered before.
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

        // The previous metadata stays in use while the provider does not answer.
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

    /// Fetches the current keys of a provider that has signed with an unknown one.
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

    /// Returns the finding for a provider whose document has `url` at `name`.
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
