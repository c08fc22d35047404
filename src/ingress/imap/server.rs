//! From a host name to a mailbox that is logged in to: TCP, TLS, greeting, password or token. Bounded in time.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_imap::{
    Client,
    error::Error,
    imap_proto::{Capability, Response, ResponseCode, Status},
};
use futures_util::FutureExt as _;
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufWriter},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Settings, Tls,
    fault::{Fault, words},
    guard::Guard,
    oauth::Tokens,
    sasl::{Bearer, Offer, Plain},
};
use crate::{
    clock::Clock,
    settings::{Problem, Secret},
};

/// What a server may send before a login has succeeded.
const GREETING_ALLOWANCE: u64 = 64 * 1024;

/// A connection, plain or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Transport for T {}

/// What the library speaks over: limited in what it reads, one packet for each command.
pub(super) type Wire = Guard<BufWriter<Box<dyn Transport>>>;

fn wire(transport: Box<dyn Transport>) -> Wire {
    Guard::new(BufWriter::new(transport))
}

/// A server, and who we are to it.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    name: ServerName<'static>,
    connector: TlsConnector,
    username: String,
    proof: Proof,
}

/// What is shown at a login.
enum Proof {
    Password(Secret),
    Token(Box<Tokens>),
}

impl Server {
    /// Reads the certificates; connects to nothing.
    pub(super) fn new(key: &str, settings: &Settings, clock: Clock) -> Result<Self, Problem> {
        let name = ServerName::try_from(settings.host.clone()).map_err(|_| {
            Problem::new(
                format!("{key}.host"),
                format!("`{}` is no host name", settings.host),
                "write the server's name as its certificate has it: `host: imap.example.com`",
            )
        })?;
        let authorities = settings.authorities(key)?;
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port(),
            tls: settings.tls,
            name,
            connector: connector(key, settings, &authorities)?,
            username: settings.username.clone(),
            proof: match &settings.oauth2 {
                Some(oauth2) => {
                    let key = format!("{key}.oauth2");
                    let tokens = Tokens::new(&key, &settings.name, oauth2, &authorities, clock)?;
                    Proof::Token(Box::new(tokens))
                }
                None => Proof::Password(settings.secret(key)?),
            },
        })
    }

    /// Connects and logs in, reading the password anew, or with a token that is good for a while.
    pub(super) async fn log_in(&self, within: Duration) -> Result<async_imap::Session<Wire>, Fault> {
        let tokens = match &self.proof {
            Proof::Password(password) => {
                let password = password.read()?;
                let client = self.reach(within).await?;
                return timeout(within, self.authenticate(client, password.expose_secret()))
                    .await
                    .map_err(|_| Fault::Silent { command: "LOGIN" })?;
            }
            Proof::Token(tokens) => tokens,
        };
        loop {
            let token = tokens.token().await?;
            let client = self.reach(within).await?;
            let shown = timeout(within, self.show(client, &token.text))
                .await
                .map_err(|_| Fault::Silent { command: "AUTHENTICATE" })?;
            match shown {
                Err(fault) if fault.needs_a_person() => {
                    tokens.forget().await;
                    // One that was withdrawn before its time is no news; one that is new and refused is.
                    if token.fresh {
                        return Err(fault);
                    }
                }
                other => return other,
            }
        }
    }

    /// Whether a session ended because its token did, as it does every hour: no reason to warn.
    pub(super) async fn token_ended(&self, fault: &Fault) -> bool {
        let Proof::Token(tokens) = &self.proof else { return false };
        match fault {
            Fault::Closed { said: Some(said) } if said.to_ascii_lowercase().contains("expired") => {
                tokens.forget().await;
                true
            }
            Fault::Closed { .. } | Fault::Broken(_) | Fault::Answer { .. } => tokens.is_due().await,
            _ => false,
        }
    }

    async fn reach(&self, within: Duration) -> Result<Client<Wire>, Fault> {
        timeout(within, self.connect().boxed()).await.map_err(|_| Fault::Unreachable {
            address: format!("{}:{}", self.host, self.port),
            reason: format!("no greeting within {} s", within.as_secs()),
        })?
    }

    async fn connect(&self) -> Result<Client<Wire>, Fault> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| Fault::Unreachable {
            address: format!("{}:{}", self.host, self.port),
            reason: error.to_string(),
        })?;
        tcp.set_nodelay(true).map_err(|error| Fault::io(&error))?;
        match self.tls {
            Tls::None => self.greeted(wire(Box::new(tcp))).await,
            Tls::Implicit => self.greeted(wire(self.encrypt(Box::new(tcp)).await?)).await,
            Tls::Starttls => {
                let mut client = Client::new(wire(Box::new(tcp)));
                client.get_mut().allow(GREETING_ALLOWANCE);
                read_greeting(&mut client).await?;
                client.run_command_and_check_ok("STARTTLS", None).await.map_err(|error| match error {
                    Error::No(_) | Error::Bad(_) => Fault::NoStartTls,
                    other => Fault::library("STARTTLS", &other),
                })?;
                // The library's buffer goes with the client: whatever an attacker put behind the server's OK is not
                // read as if it had come encrypted.
                let plain = client.into_inner().into_inner().into_inner();
                let mut client = Client::new(wire(self.encrypt(plain).await?));
                client.get_mut().allow(GREETING_ALLOWANCE);
                Ok(client)
            }
        }
    }

    async fn encrypt(&self, plain: Box<dyn Transport>) -> Result<Box<dyn Transport>, Fault> {
        let stream = self.connector.connect(self.name.clone(), plain).await.map_err(|error| {
            let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            Fault::Tls { host: self.host.clone(), reason: cause.map_or_else(|| error.to_string(), tls_reason) }
        })?;
        Ok(Box::new(stream))
    }

    async fn greeted(&self, wire: Wire) -> Result<Client<Wire>, Fault> {
        let mut client = Client::new(wire);
        client.get_mut().allow(GREETING_ALLOWANCE);
        let disabled = read_greeting(&mut client).await?;
        // It is about passwords: a server that takes tokens alone says so over TLS as well.
        if disabled && matches!(self.proof, Proof::Password(_)) {
            return Err(Fault::LoginDisabled);
        }
        Ok(client)
    }

    async fn authenticate(&self, client: Client<Wire>, password: &str) -> Result<async_imap::Session<Wire>, Fault> {
        // LOGIN is understood everywhere, but its quoted strings hold ASCII only (RFC 3501, 4.3).
        let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let outcome = if plain(&self.username) && plain(password) {
            client.login(&self.username, password).await
        } else {
            client.authenticate("PLAIN", Plain::new(&self.username, password)).await
        };
        outcome.map_err(|(error, _)| match error {
            Error::No(said) | Error::Bad(said) => {
                // Some servers repeat the command they do not understand.
                let said = if said.contains(password) { "it gave no reason".into() } else { words(Some(&said)) };
                Fault::Login { username: self.username.clone(), said }
            }
            other => Fault::library("LOGIN", &other),
        })
    }

    /// Logs in with a token, in the way that the server offers.
    async fn show(&self, mut client: Client<Wire>, token: &SecretString) -> Result<async_imap::Session<Wire>, Fault> {
        let offer = offer(&mut client).await?;
        let mechanism = offer.mechanism.ok_or(Fault::NoOauth)?;
        let mut bearer = Bearer::new(mechanism, offer, (&self.host, self.port), &self.username, token);
        let command = bearer.command.clone();
        let outcome = client.authenticate(command.expose_secret(), &mut bearer).await;
        outcome.map_err(|(error, _)| match error {
            Error::No(said) | Error::Bad(said) => {
                let said =
                    if repeats(&said, token, &command) { "it gave no reason".into() } else { words(Some(&said)) };
                let status = bearer.status.map(|status| format!(" (status {status})")).unwrap_or_default();
                Fault::Login { username: self.username.clone(), said: said + &status }
            }
            other => Fault::library("AUTHENTICATE", &other),
        })
    }
}

/// Whether a server's words hold the token, in any of the ways it was sent.
fn repeats(said: &str, token: &SecretString, command: &SecretString) -> bool {
    let sent = command.expose_secret();
    said.contains(token.expose_secret()) || sent.split_once(' ').is_some_and(|(_, encoded)| said.contains(encoded))
}

/// The library asks for capabilities only after the login.
async fn offer(client: &mut Client<Wire>) -> Result<Offer, Fault> {
    const TAG: &str = "C1";
    let wire = client.get_mut();
    wire.write_all(b"C1 CAPABILITY\r\n").await.map_err(|error| Fault::io(&error))?;
    wire.flush().await.map_err(|error| Fault::io(&error))?;
    let mut offer = Offer::default();
    loop {
        let Some(response) = client.read_response().await.map_err(|error| Fault::io(&error))? else {
            return Err(Fault::Closed { said: None });
        };
        match response.parsed() {
            Response::Capabilities(all) => offer = Offer::read(all),
            Response::Done { tag, status: Status::Ok, .. } if tag.0 == TAG => return Ok(offer),
            Response::Done { tag, outcome, .. } if tag.0 == TAG => {
                return Err(Fault::answer("CAPABILITY", outcome));
            }
            _ => {}
        }
    }
}

/// Whether the greeting says LOGINDISABLED.
async fn read_greeting(client: &mut Client<Wire>) -> Result<bool, Fault> {
    let Some(greeting) = client.read_response().await.map_err(|error| Fault::io(&error))? else {
        return Err(Fault::Closed { said: None });
    };
    match greeting.parsed() {
        Response::Data { status: Status::Ok, outcome } => {
            let disabled = Capability::Atom("LOGINDISABLED".into());
            Ok(matches!(&outcome.code, Some(ResponseCode::Capabilities(all)) if all.contains(&disabled)))
        }
        Response::Data { status: Status::Bye, outcome } => {
            Err(Fault::Closed { said: outcome.information.as_deref().map(|said| words(Some(said))) })
        }
        _ => Err(Fault::Protocol("a greeting that is no IMAP".into())),
    }
}

fn connector(key: &str, settings: &Settings, authorities: &[CertificateDer<'static>]) -> Result<TlsConnector, Problem> {
    let mut roots = RootCertStore::empty();
    if settings.tls != Tls::None {
        // A system certificate that cannot be read is no reason not to start: what it signed will be refused.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in authorities {
            roots.add(certificate.clone()).map_err(|error| {
                Problem::new(
                    format!("{key}.ca_file"),
                    format!("it holds a certificate that cannot be used: {error}"),
                    "name a file with the CA's certificate",
                )
            })?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Problem::new(key, format!("TLS is not available: {error}"), "report this as a bug"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The three that people meet, with the mend.
fn tls_reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "nobody trusted here signed the server's certificate: name its CA's certificate in `ca_file`".into()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another name: write the name it has in `host`".into(),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired: renew it on the server".into()
        }
        other => other.to_string(),
    }
}
