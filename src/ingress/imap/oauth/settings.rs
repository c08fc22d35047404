//! `ingress.imap[].oauth2` of the configuration, and the defaults for each provider.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::settings::{Problem, Secret, SecretText, host::is_loopback};

/// How access tokens (OAuth 2.0) are obtained, in place of a password.
///
/// With a refresh token, the mailbox is read on behalf of the person who gave consent. Without one,
/// it is read on behalf of the application itself (client credentials, RFC 6749, 4.4), which Google
/// does not offer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth2 {
    /// The provider whose endpoints and scopes are known. The default is `custom`.
    pub provider: Provider,
    /// The Microsoft directory, by its id or domain, such as `example.onmicrosoft.com`. With
    /// `provider: microsoft` it is required unless `token_url` is given; other providers have none.
    pub tenant: Option<String>,
    /// The token endpoint. It is known for `google`, and for `microsoft` with a `tenant`; for
    /// `custom` it is required.
    pub token_url: Option<String>,
    /// The address at which a person gives consent in a browser, for `alertbridge imap login`. It
    /// is known for `google`, and for `microsoft` with a `tenant`.
    pub auth_url: Option<String>,
    /// The device authorization endpoint (RFC 8628), for `alertbridge imap login`. It is known for
    /// `microsoft` with a `tenant`.
    pub device_url: Option<String>,
    /// The id that the provider gave to the application.
    pub client_id: String,
    /// The secret that the provider gave to the application. It may be left out only if there is a
    /// refresh token and the provider is not `google`.
    pub client_secret: Option<SecretText>,
    /// A file that contains the client secret, in place of `client_secret`.
    pub client_secret_file: Option<PathBuf>,
    /// The refresh token, which `alertbridge imap login` obtains. If the provider replaces it, the
    /// new one is lost at the next start: use `refresh_token_file`.
    pub refresh_token: Option<SecretText>,
    /// A file that contains the refresh token. If the provider replaces the token, the file is
    /// written again, so its folder must be writable.
    pub refresh_token_file: Option<PathBuf>,
    /// The scopes that are requested. If empty, those that reading mail requires at `google` or
    /// `microsoft`, and the default of the server elsewhere.
    pub scopes: Vec<String>,
}

/// The provider of the access tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Google,
    /// Microsoft, with a `tenant`.
    Microsoft,
    /// Any other provider, with a `token_url`.
    #[default]
    Custom,
}

impl Oauth2 {
    /// Returns the problems of the settings; `key` is their own path (`ingress.imap[0].oauth2`).
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let at = |name: &str| format!("{key}.{name}");
        let mut problems = Vec::new();

        if self.client_id.trim().is_empty() {
            problems.push(Problem::new(
                at("client_id"),
                "`client_id` is missing",
                "add the id that the provider gave the application",
            ));
        }

        let (client_secret, refresh_token) =
            match (self.client_secret(key), self.refresh_token(key)) {
                (Ok(secret), Ok(token)) => (secret, token),
                (secret, token) => {
                    problems.extend(secret.err().into_iter().chain(token.err()));
                    return problems;
                }
            };

        problems.extend(self.missing_secret(key, client_secret.is_some(), refresh_token.is_some()));
        problems.extend(self.check_tenant(key));

        for (name, url) in self.urls() {
            let web = |url: &Url| ["https", "http"].contains(&url.scheme()) && url.host().is_some();
            if !Url::parse(url).is_ok_and(|url| web(&url)) {
                let mend = "write the whole address: `https://login.example.com/token`";
                problems.push(Problem::new(
                    at(name),
                    format!("`{url}` is not a valid web address"),
                    mend,
                ));
            }
        }

        problems
    }

    /// Returns the problem of a missing secret without which the provider gives no token.
    fn missing_secret(
        &self,
        key: &str,
        has_client_secret: bool,
        has_refresh_token: bool,
    ) -> Option<Problem> {
        let is_google = self.provider == Provider::Google;

        if is_google && !has_refresh_token {
            Some(Problem::new(
                key,
                "google issues tokens only for a refresh token, and none is given",
                "add `refresh_token_file: …`; `alertbridge imap login` gets the token",
            ))
        } else if !has_client_secret && (is_google || !has_refresh_token) {
            Some(Problem::new(
                key,
                "neither `client_secret_file` nor `client_secret` is given",
                "name the file that holds the secret: `client_secret_file: /run/secrets/…`",
            ))
        } else {
            None
        }
    }

    /// Returns the problem of an invalid tenant, or of an unknown token endpoint: Microsoft's
    /// follows from the tenant, and that of an unknown provider must be given.
    fn check_tenant(&self, key: &str) -> Option<Problem> {
        let at = |name: &str| format!("{key}.{name}");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);

        match (self.provider, &self.tenant) {
            (Provider::Microsoft, Some(tenant))
                if tenant.is_empty() || !tenant.bytes().all(is_plain) =>
            {
                Some(Problem::new(
                    at("tenant"),
                    format!("`{tenant}` is not a valid tenant"),
                    "write the directory's id or its domain: `tenant: example.onmicrosoft.com`",
                ))
            }
            (Provider::Microsoft, None) if self.token_url.is_none() => Some(Problem::new(
                at("tenant"),
                "`tenant` is missing",
                "add the directory's id or its domain: `tenant: example.onmicrosoft.com`",
            )),
            (Provider::Google | Provider::Custom, Some(_)) => Some(Problem::new(
                at("tenant"),
                "only microsoft has tenants",
                "drop it",
            )),
            (Provider::Custom, None) if self.token_url.is_none() => Some(Problem::new(
                at("token_url"),
                "`token_url` is missing",
                "add it, or name a provider that is known: `provider: google` or `microsoft`",
            )),
            _ => None,
        }
    }

    /// Returns the problems of settings that work but are unwise.
    pub fn warnings(&self, key: &str) -> Vec<Problem> {
        let mut warnings = Vec::new();
        for (name, url) in self.urls() {
            if Url::parse(url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url)) {
                let what = "secrets and tokens go there unencrypted";
                warnings.push(Problem::new(format!("{key}.{name}"), what, "use https"));
            }
        }

        if self.refresh_token.is_some() {
            warnings.push(Problem::new(
                format!("{key}.refresh_token"),
                "if the provider replaces it, the new one is lost at the next start",
                "use `refresh_token_file`, which alertbridge updates",
            ));
        }

        warnings
    }

    pub(super) fn client_secret(&self, key: &str) -> Result<Option<Secret>, Problem> {
        Secret::optional(
            key,
            "client_secret",
            self.client_secret.as_deref(),
            self.client_secret_file.as_deref(),
        )
    }

    pub(super) fn refresh_token(&self, key: &str) -> Result<Option<Secret>, Problem> {
        Secret::optional(
            key,
            "refresh_token",
            self.refresh_token.as_deref(),
            self.refresh_token_file.as_deref(),
        )
    }

    /// Returns the token endpoint. Those of the known providers are from
    /// <https://developers.google.com/identity/protocols/oauth2/native-app> and
    /// <https://learn.microsoft.com/entra/identity-platform/v2-protocols>.
    pub(super) fn token_url(&self) -> Option<String> {
        self.token_url
            .clone()
            .or_else(|| self.known("https://oauth2.googleapis.com/token", "token"))
    }

    pub(super) fn auth_url(&self) -> Option<String> {
        self.auth_url
            .clone()
            .or_else(|| self.known("https://accounts.google.com/o/oauth2/v2/auth", "authorize"))
    }

    /// Returns the device authorization endpoint. Google's is left out: its device flow gives no
    /// access to mail.
    pub(super) fn device_url(&self) -> Option<String> {
        let known = || self.known("", "devicecode").filter(|url| !url.is_empty());
        self.device_url.clone().or_else(known)
    }

    pub(super) fn scopes(&self) -> Vec<String> {
        let usual: &[&str] = match self.provider {
            _ if !self.scopes.is_empty() => return self.scopes.clone(),
            Provider::Google => &["https://mail.google.com/"],
            Provider::Microsoft if self.acts_for_a_person() => &[
                "https://outlook.office365.com/IMAP.AccessAsUser.All",
                "offline_access",
            ],
            Provider::Microsoft => &["https://outlook.office365.com/.default"],
            Provider::Custom => &[],
        };
        usual.iter().map(ToString::to_string).collect()
    }

    /// Returns whether there is, or will be, a refresh token.
    pub(super) fn acts_for_a_person(&self) -> bool {
        self.refresh_token.is_some() || self.refresh_token_file.is_some()
    }

    fn known(&self, google: &str, microsoft: &str) -> Option<String> {
        match self.provider {
            Provider::Google => Some(google.to_owned()),
            Provider::Microsoft => {
                let tenant = self.tenant.as_deref()?;
                Some(format!(
                    "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/{microsoft}"
                ))
            }
            Provider::Custom => None,
        }
    }

    fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("token_url", &self.token_url),
            ("auth_url", &self.auth_url),
            ("device_url", &self.device_url),
        ];
        all.into_iter()
            .filter_map(|(name, url)| Some((name, url.as_deref()?)))
    }
}

#[cfg(test)]
mod tests;
