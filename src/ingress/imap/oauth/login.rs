//! Lets a person get a refresh token: with a code typed into any browser (device flow, RFC 8628),
//! or with a browser on this machine that is redirected back here (RFC 8252, with the proof key of
//! RFC 7636).

use std::{borrow::Cow, net::Ipv4Addr, path::Path, time::Duration};

use oauth2::{
    AuthUrl, CsrfToken, DeviceAuthorizationUrl, PkceCodeChallenge, RedirectUrl, TokenResponse as _,
    basic::BasicClient, basic::BasicTokenResponse,
};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use url::Url;

use super::{super::words::words, Oauth2, Provider, client::TokenServer, file, no_token::NoToken};
use crate::settings::Problem;

/// How long a person may take in the browser.
const PATIENCE: Duration = Duration::from_mins(15);
/// The time limit for a request of the browser, and (below) its largest size in bytes.
const BROWSER: Duration = Duration::from_secs(10);
const LONGEST_REQUEST: usize = 16 << 10;

/// The way to request consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Device,
    Browser,
}

/// What the person must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Open the address on any machine and type the code.
    Enter { url: &'a str, code: &'a str },
    /// Open the address in a browser on this machine, or with this port forwarded to it.
    Open { url: &'a str, port: u16 },
}

/// Why there is no refresh token.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    NoToken(#[from] NoToken),
    #[error("the provider gave no refresh token: {0}")]
    NoRefreshToken(&'static str),
    #[error("consent was refused: {0}")]
    Denied(String),
    #[error("no answer came from the browser within {} minutes", PATIENCE.as_secs() / 60)]
    Late,
    #[error("cannot listen on 127.0.0.1 for the browser: {0}")]
    Listen(#[source] std::io::Error),
}

/// A login for one mailbox.
pub struct Login {
    server: TokenServer,
    provider: Provider,
    /// The address at which the chosen flow begins.
    begin: Begin,
}

enum Begin {
    Device(DeviceAuthorizationUrl),
    Browser { url: AuthUrl, port: u16 },
}

impl Login {
    /// Prepares a login. If no flow is given, it is the device flow wherever the provider offers
    /// it. The browser is redirected to `port`; 0 means any. `authorities` are those of the
    /// mailbox's `ca_file`.
    pub fn new(
        key: &str,
        settings: &Oauth2,
        authorities: &[CertificateDer<'_>],
        flow: Option<Flow>,
        port: u16,
    ) -> Result<Self, Problem> {
        if !settings.acts_for_a_person() {
            return Err(Problem::new(
                key,
                "the application logs in for itself (client credentials): there is no refresh \
                 token to get",
                "nothing needs to be done; to log in for a person, add `refresh_token_file`",
            ));
        }

        let device = || {
            settings
                .device_url()
                .and_then(|url| DeviceAuthorizationUrl::new(url).ok())
                .map(Begin::Device)
        };

        let browser = || {
            settings
                .auth_url()
                .and_then(|url| AuthUrl::new(url).ok())
                .map(|url| Begin::Browser { url, port })
        };

        let (begin, name) = match flow {
            Some(Flow::Device) => (device(), "device_url"),
            Some(Flow::Browser) => (browser(), "auth_url"),
            None => (device().or_else(browser), "device_url"),
        };

        let begin = begin.ok_or_else(|| {
            let what = "the address of the provider's consent page is not known";
            Problem::new(
                format!("{key}.{name}"),
                what,
                format!("add `{name}: https://…`"),
            )
        })?;

        Ok(Self {
            server: TokenServer::new(key, settings, authorities)?,
            provider: settings.provider,
            begin,
        })
    }

    /// Runs the login; `tell` shows each step to the person. Returns the refresh token.
    pub async fn run(&self, tell: impl Fn(Step<'_>) + Send) -> Result<SecretString, LoginError> {
        let answer = match &self.begin {
            Begin::Device(url) => {
                let begun = self.server.device(url.clone()).await?;
                tell(Step::Enter {
                    url: begun.verification_uri().as_str(),
                    code: begun.user_code().secret(),
                });
                self.server.agreed(&begun).await?
            }
            Begin::Browser { url, port } => self.browse(url, *port, tell).await?,
        };

        let token = answer.refresh_token().ok_or(LoginError::NoRefreshToken(
            match self.provider {
                Provider::Google => {
                    "remove the application from the account's third-party access, and try again"
                }
                Provider::Microsoft | Provider::Custom => "add `offline_access` to `scopes`",
            },
        ))?;

        Ok(SecretString::from(token.secret().clone()))
    }

    async fn browse(
        &self,
        url: &AuthUrl,
        port: u16,
        tell: impl Fn(Step<'_>),
    ) -> Result<BasicTokenResponse, LoginError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(LoginError::Listen)?;
        let port = listener.local_addr().map_err(LoginError::Listen)?.port();
        let mut redirect = Url::parse("http://127.0.0.1/").map_err(|_| LoginError::Late)?;
        let _ = redirect.set_port(Some(port));
        let redirect = RedirectUrl::from_url(redirect);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = BasicClient::new(self.server.client_id()).set_auth_uri(url.clone());
        let mut request = client
            .authorize_url(CsrfToken::new_random)
            .add_scopes(self.server.scopes())
            .set_redirect_uri(Cow::Borrowed(&redirect))
            .set_pkce_challenge(challenge);

        if self.provider == Provider::Google {
            // Without these, google returns a refresh token at the first consent only.
            request = request
                .add_extra_param("access_type", "offline")
                .add_extra_param("prompt", "consent");
        }

        let (url, state) = request.url();
        tell(Step::Open {
            url: url.as_str(),
            port,
        });

        let code = timeout(PATIENCE, come_back(&listener, state.secret()))
            .await
            .map_err(|_| LoginError::Late)??;

        Ok(self.server.code(code, verifier, redirect).await?)
    }
}

/// Writes a refresh token to its file: atomically, and for its owner alone.
pub fn keep(path: &Path, token: &SecretString) -> std::io::Result<()> {
    file::write(path, token.expose_secret())
}

/// Waits for the code that the browser brings. A request without the issued state is ignored.
async fn come_back(listener: &TcpListener, state: &str) -> Result<String, LoginError> {
    loop {
        let (stream, _) = listener.accept().await.map_err(LoginError::Listen)?;
        let Ok(Some(found)) = timeout(BROWSER, visit(stream, state)).await else {
            continue;
        };
        return found.map_err(LoginError::Denied);
    }
}

/// Reads one request and answers it; `None` if it is not the expected one.
async fn visit(mut stream: TcpStream, state: &str) -> Option<Result<String, String>> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() > LONGEST_REQUEST || stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }

    let found = outcome(&String::from_utf8_lossy(&request), state);
    let (status, text) = match &found {
        Some(Ok(_)) => (
            "200 OK",
            "Done. You can close this window and go back to the terminal.",
        ),
        Some(Err(_)) => ("200 OK", "Consent was refused. The terminal says more."),
        None => ("404 Not Found", "There is nothing here."),
    };

    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: \
         close\r\n\r\n{text}"
    );

    // It does not matter if this fails, because the person reads the result in the terminal as
    // well.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;

    found
}

/// Returns what the request's first line brings: the code, or the reason why there is none (RFC
/// 6749, 4.1.2); `None` if it is not the expected request.
fn outcome(request: &str, state: &str) -> Option<Result<String, String>> {
    let path = request.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://127.0.0.1/").ok()?.join(path).ok()?;
    let value = |name: &str| {
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };

    if value("state")? != state {
        return None;
    }

    match (value("code"), value("error")) {
        (Some(code), None) => Some(Ok(code)),
        (_, Some(error)) => Some(Err(words(&value("error_description").unwrap_or(error)))),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_visit_with_the_state_that_was_given_out_counts() {
        let visit = |query: &str| outcome(&format!("GET /{query} HTTP/1.1\r\n\r\n"), "s3cret");
        assert_eq!(visit("?state=s3cret&code=4%2F0"), Some(Ok("4/0".into())));
        assert_eq!(
            visit("?state=s3cret&error=access_denied"),
            Some(Err("access_denied".into()))
        );
        for query in [
            "",
            "?code=x",
            "?state=other&code=x",
            "favicon.ico",
            "?state=s3cret",
        ] {
            assert_eq!(visit(query), None, "{query}");
        }
        assert_eq!(
            outcome("POST /?state=s3cret&code=x HTTP/1.1\r\n\r\n", "s3cret"),
            None
        );
    }

    #[test]
    fn the_device_flow_is_taken_wherever_the_provider_has_it() {
        let settings = |provider| Oauth2 {
            provider,
            tenant: (provider == Provider::Microsoft).then(|| "example.com".into()),
            token_url: (provider == Provider::Custom)
                .then(|| "https://login.example.com/token".into()),
            client_id: "id".into(),
            refresh_token_file: Some("token".into()),
            ..Oauth2::default()
        };
        let begin = |settings: &Oauth2, flow| {
            Login::new("k", settings, &[], flow, 0).map(|login| login.begin)
        };
        assert!(matches!(
            begin(&settings(Provider::Microsoft), None),
            Ok(Begin::Device(_))
        ));
        assert!(matches!(
            begin(&settings(Provider::Microsoft), Some(Flow::Browser)),
            Ok(Begin::Browser { .. })
        ));
        assert!(matches!(
            begin(&settings(Provider::Google), None),
            Ok(Begin::Browser { .. })
        ));
        let unknown = begin(&settings(Provider::Custom), None).err().unwrap();
        assert_eq!(unknown.key, "k.device_url");
        let alone = Oauth2 {
            refresh_token_file: None,
            ..settings(Provider::Microsoft)
        };
        assert!(
            begin(&alone, None)
                .err()
                .unwrap()
                .what
                .contains("client credentials")
        );
    }
}
