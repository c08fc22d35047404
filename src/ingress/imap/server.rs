//! From a host name to a mailbox that is logged in to: TCP, TLS, greeting, password or token.
//! Bounded in time.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_rustls::TlsConnector;

use super::{
    Settings, Timeouts, Tls,
    answer::{Reply, Said, Status},
    dialogue::{Dialogue, Transport, within},
    fault::{Fault, system_reason, words},
    notation::plainly_quoted,
    oauth::Tokens,
    reach,
    sasl::{Exchange, Offer},
    trust,
};
use crate::{
    clock::Clock,
    settings::{Problem, Secret},
};

/// A server, and who we are to it.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    name: ServerName<'static>,
    connector: TlsConnector,
    username: String,
    proof: Proof,
    timeouts: Timeouts,
    /// An address that took the connection and then gave no greeting.
    mute: Mutex<Option<SocketAddr>>,
}

/// What is shown at a login.
enum Proof {
    Password(Secret),
    Token(Box<Tokens>),
}

/// A connection that has been greeted.
struct Greeted {
    dialogue: Dialogue,
    /// The server takes the connection as logged in already (RFC 9051, 7.1.4).
    known: bool,
    /// What it can do, where the greeting says so.
    abilities: Option<Vec<String>>,
}

impl Server {
    /// Reads the certificates; connects to nothing.
    pub(super) fn new(
        key: &str,
        settings: &Settings,
        clock: Clock,
        timeouts: Timeouts,
    ) -> Result<Self, Problem> {
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
            timeouts,
            mute: Mutex::default(),
        })
    }

    /// The same, in another hurry.
    pub(super) fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Connects and logs in, reading the password anew, or with a token that is good for a while.
    pub(super) async fn log_in(&self) -> Result<Dialogue, Fault> {
        let tokens = match &self.proof {
            Proof::Password(password) => {
                let password = password.read()?;
                let greeted = self.reach().await?;
                return within(
                    self.timeouts.connect,
                    "LOGIN",
                    self.authenticate(greeted, &password),
                )
                .await;
            }
            Proof::Token(tokens) => tokens,
        };
        loop {
            let token = tokens.token().await?;
            let greeted = self.reach().await?;
            match within(
                self.timeouts.connect,
                "AUTHENTICATE",
                self.show(greeted, &token.text),
            )
            .await
            {
                Err(fault) if fault.needs_a_person() => {
                    tokens.forget().await;
                    // One that was withdrawn before its time is no news; one that is new and
                    // refused is.
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

    async fn reach(&self) -> Result<Greeted, Fault> {
        let patience = self.timeouts.connect;
        let outcome = tokio::time::timeout(patience, self.connect().boxed()).await;
        outcome.unwrap_or_else(|_| {
            Err(self.unreachable(format!(
                "no connection and greeting within {} s",
                patience.as_secs()
            )))
        })
    }

    fn unreachable(&self, reason: String) -> Fault {
        Fault::Unreachable {
            address: format!("{}:{}", self.host, self.port),
            reason,
        }
    }

    async fn connect(&self) -> Result<Greeted, Fault> {
        let avoid = *self.mute.lock().unwrap_or_else(PoisonError::into_inner);
        let tcp = reach::connect(&self.host, self.port, avoid)
            .await
            .map_err(|reason| self.unreachable(reason))?;
        tcp.set_nodelay(true).map_err(|error| Fault::io(&error))?;
        let address = tcp.peer_addr().ok();
        // Until it has greeted us, the next try begins elsewhere.
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
        // Logged in before anything was encrypted: somebody in between, or a server that will not
        // encrypt any more.
        if plain.known {
            return Err(Fault::NoStartTls);
        }
        plain
            .dialogue
            .exchange("STARTTLS", "STARTTLS", 0, |_| {})
            .await
            .map_err(|fault| match fault {
                Fault::Answer { .. } => Fault::NoStartTls,
                other => other,
            })?;
        // Whatever was put behind the server's OK goes with the dialogue, and is not read as if it
        // had come encrypted.
        let encrypted = self.encrypt(plain.dialogue.into_transport()).await?;
        Ok(Greeted {
            dialogue: Dialogue::new(encrypted, self.timeouts),
            known: false,
            abilities: None,
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
        let mut dialogue = Dialogue::new(transport, self.timeouts);
        match dialogue.next("the connection").await? {
            Reply::Status(said) if matches!(said.status, Status::Ok | Status::Preauth) => {
                let known = said.status == Status::Preauth;
                Ok(Greeted {
                    dialogue,
                    known,
                    abilities: said.capabilities(),
                })
            }
            Reply::Status(said) if said.status == Status::Bye => Err(Fault::closed(Some(&said))),
            _ => Err(Fault::Protocol("a greeting that is no IMAP".into())),
        }
    }

    async fn authenticate(
        &self,
        greeted: Greeted,
        password: &SecretString,
    ) -> Result<Dialogue, Fault> {
        let Greeted {
            mut dialogue,
            known,
            abilities,
        } = greeted;
        if known {
            return Ok(dialogue);
        }
        let disabled = abilities
            .iter()
            .flatten()
            .any(|ability| ability == "LOGINDISABLED");
        if disabled && self.tls == Tls::None {
            return Err(Fault::LoginDisabled);
        }
        // LOGIN has no charset; what goes beyond ASCII goes by SASL (RFC 4616, RFC 3501, 4.3).
        let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let secret = password.expose_secret();
        let outcome = if plain(&self.username) && plain(secret) && !disabled {
            let command = format!(
                "LOGIN {} {}",
                plainly_quoted(&self.username),
                plainly_quoted(secret)
            );
            dialogue
                .exchange("LOGIN", &command, 0, |_| {})
                .await
                .map(drop)
        } else {
            carry_out(
                &mut dialogue,
                "LOGIN",
                &mut Exchange::plain(&self.username, password),
            )
            .await
        };
        match outcome {
            Ok(()) => Ok(dialogue),
            Err(Fault::Answer { said, .. }) => {
                // Some servers repeat the command they do not understand.
                let encoded = STANDARD.encode(format!("\0{}\0{secret}", self.username));
                let told = said.contains(secret) || said.contains(&encoded);
                let said = if told { words("") } else { said };
                Err(Fault::Login {
                    username: self.username.clone(),
                    said,
                })
            }
            Err(other) => Err(other),
        }
    }

    /// Logs in with a token, in the way that the server offers.
    async fn show(&self, greeted: Greeted, token: &SecretString) -> Result<Dialogue, Fault> {
        let Greeted {
            mut dialogue,
            known,
            ..
        } = greeted;
        if known {
            return Ok(dialogue);
        }
        let mut offer = Offer::default();
        let asked = dialogue.exchange("CAPABILITY", "CAPABILITY", 0, |reply| {
            if let Reply::Capability(all) = reply {
                offer = Offer::read(&all);
            }
        });
        asked.await?;
        let mechanism = offer.mechanism.ok_or(Fault::NoOauth)?;
        let mut bearer = Exchange::bearer(
            mechanism,
            offer,
            (&self.host, self.port),
            &self.username,
            token,
        );
        match carry_out(&mut dialogue, "AUTHENTICATE", &mut bearer).await {
            Ok(()) => Ok(dialogue),
            Err(Fault::Answer { said, .. }) => {
                let said = if bearer.is_repeated_in(&said, token) {
                    words("")
                } else {
                    said
                };
                let status = bearer
                    .status
                    .map(|status| format!(" (status {status})"))
                    .unwrap_or_default();
                Err(Fault::Login {
                    username: self.username.clone(),
                    said: said + &status,
                })
            }
            Err(other) => Err(other),
        }
    }
}

/// Carries out a SASL exchange (RFC 9051, 6.2.2).
async fn carry_out(
    dialogue: &mut Dialogue,
    verb: &'static str,
    exchange: &mut Exchange,
) -> Result<(), Fault> {
    let command = SecretString::from(format!("AUTHENTICATE {}", exchange.command.expose_secret()));
    let tag = dialogue.send(verb, command.expose_secret()).await?;
    let mut farewell: Option<Said> = None;
    loop {
        match dialogue.next(verb).await {
            Ok(Reply::Continue(challenge)) => {
                // A challenge that is no Base64 is only read for its words, if at all.
                let challenge = STANDARD.decode(challenge.trim()).unwrap_or_default();
                let response = exchange.respond(&challenge);
                dialogue
                    .send_line(verb, &STANDARD.encode(response.expose_secret()))
                    .await?;
            }
            Ok(Reply::Done { tag: theirs, said }) if theirs == tag => {
                return if said.status == Status::Ok {
                    Ok(())
                } else {
                    Err(Fault::answer(verb, &said))
                };
            }
            Ok(Reply::Status(said)) if said.status == Status::Bye => farewell = Some(said),
            Ok(_) => {}
            Err(Fault::Closed { said: None }) => return Err(Fault::closed(farewell.as_ref())),
            Err(fault) => return Err(fault),
        }
    }
}
