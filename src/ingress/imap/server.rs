//! Connects and logs in to a mailbox: TCP, TLS, greeting, then a password or a token. All of it is
//! bounded in time.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_imap::{Client, Session};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_rustls::TlsConnector;

use super::{
    Settings, Timeouts, Tls,
    answer::{Reply, Status},
    dialogue::{Dialogue, within},
    fault::{Fault, system_reason},
    oauth::Tokens,
    reach,
    sasl::{Exchange, Offer},
    trust,
    wire::{Transport, Wire},
    words::words,
};
use crate::{
    clock::Clock,
    settings::{Problem, Secret},
};

/// A server, and the account on it.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    name: ServerName<'static>,
    connector: TlsConnector,
    username: String,
    proof: Proof,
    /// An address that accepted the connection and then sent no greeting.
    mute: Mutex<Option<SocketAddr>>,
    /// The credential that the latest login used.
    used: Mutex<Credential>,
}

/// The secrets of a login, in a fixed order; `None` for one that cannot be read.
type Credential = Vec<Option<SecretString>>;

/// The credential for a login.
enum Proof {
    Password(Secret),
    Token(Box<Tokens>),
}

/// A connection after its greeting.
struct Greeted {
    client: Client<Wire>,
    /// Whether the server treats the connection as logged in already (RFC 9051, 7.1.4).
    known: bool,
}

/// A failed login, and the client that tried.
type Failed = (async_imap::error::Error, Client<Wire>);

impl Server {
    /// Reads the certificates, but does not connect.
    pub(super) fn new(key: &str, settings: &Settings, clock: Clock) -> Result<Self, Problem> {
        let name = ServerName::try_from(settings.host.clone()).map_err(|_| {
            Problem::new(
                format!("{key}.host"),
                format!("`{}` is not a valid host name", settings.host),
                "write the server's name as its certificate has it: `host: imap.example.com`",
            )
        })?;

        let authorities = settings.authorities(key)?;
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port(),
            tls: settings.tls,
            name,
            connector: trust::connector(key, settings, &authorities)?,
            username: settings.username.clone(),
            proof: match &settings.oauth2 {
                Some(oauth2) => {
                    let key = format!("{key}.oauth2");
                    let tokens = Tokens::new(&key, &settings.name, oauth2, &authorities, clock)?;
                    Proof::Token(Box::new(tokens))
                }
                None => Proof::Password(settings.secret(key)?),
            },
            mute: Mutex::default(),
            used: Mutex::default(),
        })
    }

    /// Connects and logs in, with a freshly read password or with a token that stays valid for a
    /// while.
    pub(super) async fn log_in(&self, timeouts: Timeouts) -> Result<Dialogue, Fault> {
        let session = self.session(timeouts.connect).await?;
        Ok(Dialogue::new(session, timeouts))
    }

    /// Returns whether the files of the secrets hold something else than at the latest login.
    pub(super) fn has_new_credential(&self) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.credential();
        let texts = |all: &'_ [Option<SecretString>]| -> Vec<Option<String>> {
            let text = |one: &SecretString| one.expose_secret().to_owned();
            all.iter().map(|one| one.as_ref().map(text)).collect()
        };
        texts(&used) != texts(&now)
    }

    fn credential(&self) -> Credential {
        let read = |secret: &Secret| secret.read().ok();
        match &self.proof {
            Proof::Password(password) => vec![read(password)],
            Proof::Token(tokens) => tokens.secrets().map(read).collect(),
        }
    }

    fn uses(&self, credential: Credential) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = credential;
    }

    async fn session(&self, patience: Duration) -> Result<Session<Wire>, Fault> {
        let tokens = match &self.proof {
            Proof::Password(password) => {
                let password = password.read();
                self.uses(vec![password.as_ref().ok().cloned()]);
                let password = password?;
                let greeted = self.reach(patience).await?;
                let session = self.authenticate(greeted, &password);
                return within(patience, "LOGIN", session).await;
            }
            Proof::Token(tokens) => tokens,
        };

        loop {
            let token = tokens.token().await;
            // The provider may have replaced the refresh token, which is then in its file.
            self.uses(self.credential());
            let token = token?;
            let greeted = self.reach(patience).await?;
            let session = self.show(greeted, &token.text);
            match within(patience, "AUTHENTICATE", session).await {
                Err(fault) if fault.needs_a_person() => {
                    tokens.forget().await;
                    // A token that was revoked early is nothing unusual, but a new one that is
                    // refused is.
                    if token.fresh {
                        return Err(fault);
                    }
                }
                other => return other,
            }
        }
    }

    /// Returns whether a session ended because its token did, which happens every hour and needs no
    /// warning.
    pub(super) async fn token_ended(&self, fault: &Fault) -> bool {
        let Proof::Token(tokens) = &self.proof else {
            return false;
        };
        match fault {
            Fault::Closed { said: Some(said) } if said.to_ascii_lowercase().contains("expired") => {
                tokens.forget().await;
                true
            }
            Fault::Closed { .. } | Fault::Broken(_) | Fault::Answer { .. } => tokens.is_due().await,
            _ => false,
        }
    }

    async fn reach(&self, patience: Duration) -> Result<Greeted, Fault> {
        let outcome = tokio::time::timeout(patience, self.connect().boxed()).await;
        outcome.unwrap_or_else(|_| {
            Err(Fault::Mute {
                address: self.address(),
                seconds: patience.as_secs(),
            })
        })
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    async fn connect(&self) -> Result<Greeted, Fault> {
        let avoid = *self.mute.lock().unwrap_or_else(PoisonError::into_inner);
        let tcp = reach::connect(&self.host, self.port, avoid)
            .await
            .map_err(|reason| Fault::Unreachable {
                address: self.address(),
                reason,
            })?;
        tcp.set_nodelay(true).map_err(|error| Fault::io(&error))?;

        let address = tcp.peer_addr().ok();

        // Until this address has sent a greeting, the next try begins at another.
        self.set_mute(address);

        let greeted = match self.tls {
            Tls::None => self.greet(Box::new(tcp)).await,
            Tls::Implicit => self.greet(self.encrypt(Box::new(tcp)).await?).await,
            Tls::Starttls => self.start_tls(Box::new(tcp)).await,
        }?;

        self.set_mute(None);

        Ok(greeted)
    }

    fn set_mute(&self, address: Option<SocketAddr>) {
        *self.mute.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    async fn start_tls(&self, tcp: Box<dyn Transport>) -> Result<Greeted, Fault> {
        let mut plain = self.greet(tcp).await?;
        // A connection that is logged in before anything was encrypted shows that there is an
        // attacker in between, or that the server no longer encrypts.
        if plain.known {
            return Err(Fault::NoStartTls);
        }

        let answered = plain
            .client
            .run_command_and_check_ok("STARTTLS", None)
            .await;

        answered.map_err(|error| {
            match Fault::library("STARTTLS", &error, plain.client.get_ref().heard()) {
                Fault::Answer { .. } => Fault::NoStartTls,
                other => other,
            }
        })?;

        // Anything that was inserted after the server's OK is dropped with the client, and is not
        // read as if it had been encrypted.
        let plain = plain.client.into_inner().into_transport();

        Ok(Greeted {
            client: Client::new(Wire::new(self.encrypt(plain).await?)),
            known: false,
        })
    }

    async fn encrypt(&self, plain: Box<dyn Transport>) -> Result<Box<dyn Transport>, Fault> {
        let stream = self
            .connector
            .connect(self.name.clone(), plain)
            .await
            .map_err(|error| {
                let cause = error
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<rustls::Error>());
                let reason = cause.map_or_else(|| system_reason(&error), trust::reason);
                Fault::Tls {
                    host: self.host.clone(),
                    reason,
                }
            })?;
        Ok(Box::new(stream))
    }

    async fn greet(&self, transport: Box<dyn Transport>) -> Result<Greeted, Fault> {
        let mut wire = Wire::new(transport);
        let greeting = wire.reply().await.map_err(|error| Fault::io(&error))?;

        match greeting {
            Some(Reply::Status(said)) if matches!(said.status, Status::Ok | Status::Preauth) => {
                Ok(Greeted {
                    client: Client::new(wire),
                    known: said.status == Status::Preauth,
                })
            }
            Some(Reply::Status(said)) if said.status == Status::Bye => {
                Err(Fault::closed(wire.heard()))
            }
            Some(_) => Err(Fault::Protocol("a greeting that is not IMAP".into())),
            None => Err(Fault::closed(wire.heard())),
        }
    }

    async fn authenticate(
        &self,
        greeted: Greeted,
        password: &SecretString,
    ) -> Result<Session<Wire>, Fault> {
        let Greeted { client, known } = greeted;
        if known {
            return take_over(client).await;
        }

        let abilities = &client.get_ref().heard().abilities;
        let disabled = abilities.iter().any(|ability| ability == "LOGINDISABLED");

        if disabled && self.tls == Tls::None {
            return Err(Fault::LoginDisabled);
        }

        // LOGIN has no charset, so credentials beyond ASCII are sent by SASL (RFC 4616, RFC 3501,
        // 4.3).
        let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let secret = password.expose_secret();
        let outcome = if plain(&self.username) && plain(secret) && !disabled {
            client.login(&self.username, secret).await
        } else {
            let mut exchange = Exchange::plain(&self.username, password);
            client.authenticate("PLAIN", &mut exchange).await
        };

        outcome.map_err(|failed| {
            // Some servers repeat a command that they do not understand.
            let encoded = STANDARD.encode(format!("\0{}\0{secret}", self.username));
            let is_told = |said: &str| said.contains(secret) || said.contains(&encoded);
            self.refused("LOGIN", &failed, is_told, "")
        })
    }

    /// Logs in with a token, by the mechanism that the server offers.
    async fn show(&self, greeted: Greeted, token: &SecretString) -> Result<Session<Wire>, Fault> {
        let Greeted { mut client, known } = greeted;
        if known {
            return take_over(client).await;
        }

        let asked = client.run_command_and_check_ok("CAPABILITY", None).await;
        let heard = client.get_ref().heard();
        asked.map_err(|error| Fault::library("CAPABILITY", &error, heard))?;

        let offer = Offer::read(&heard.abilities);
        let mechanism = offer.mechanism.ok_or(Fault::NoOauth)?;
        let mut bearer = Exchange::bearer(
            mechanism,
            offer,
            (&self.host, self.port),
            &self.username,
            token,
        );

        let command = bearer.command.clone();
        let outcome = client
            .authenticate(command.expose_secret(), &mut bearer)
            .await;

        outcome.map_err(|failed| {
            let is_told = |said: &str| bearer.is_repeated_in(said, token);
            let status = bearer.status.as_ref();
            let status = status.map(|status| format!(" (status {status})"));
            self.refused(
                "AUTHENTICATE",
                &failed,
                is_told,
                &status.unwrap_or_default(),
            )
        })
    }

    /// Returns why a login failed, without the server's words if they repeat the secret.
    fn refused(
        &self,
        verb: &'static str,
        (error, client): &Failed,
        is_told: impl Fn(&str) -> bool,
        status: &str,
    ) -> Fault {
        match Fault::library(verb, error, client.get_ref().heard()) {
            Fault::Answer { said, .. } => Fault::Login {
                username: self.username.clone(),
                said: if is_told(&said) { words("") } else { said } + status,
            },
            other => other,
        }
    }
}

/// Returns the session of a connection that the server treats as logged in.
async fn take_over(mut client: Client<Wire>) -> Result<Session<Wire>, Fault> {
    client.get_mut().keep_login();
    let session = client.login("", "").await;
    session.map_err(|(error, client)| Fault::library("LOGIN", &error, client.get_ref().heard()))
}
