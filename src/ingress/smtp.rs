//! Mail received over SMTP. This is the only user of smtp-proto.
//!
//! It is a small server without a queue: it accepts mail for listed recipients and never sends or
//! relays any. The bytes are stored as they arrived, without the dots that SMTP adds and without an
//! added header. What the client said about itself, and the sender and recipients, go into the
//! [envelope](crate::message::Envelope). The reply 250 after DATA means that the mail is stored.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Health, Inbox, Ingress,
    listener::{BindError, Capacity, Listener, Patience, Place, Reception, Stream, TooMany},
};
use crate::{
    clock::Clock,
    settings::{Problem, networks::Networks},
    telemetry,
};

mod certificate;
mod chunk;
mod clients;
mod command;
mod content;
mod data;
mod dialogue;
mod limits;
mod path;
mod proxy;
mod recipients;
mod session;
mod settings;
mod wire;

pub use certificate::Tls;
pub use limits::Limits;
pub use settings::Settings;

/// A bound SMTP server.
pub struct Smtp {
    listener: Listener,
    door: Door,
}

/// The state that all sessions of one server share.
struct Door {
    name: String,
    hostname: String,
    recipients: recipients::Recipients,
    /// The networks that clients may connect from.
    networks: Networks,
    /// The networks of load balancers, which name their clients with the PROXY protocol.
    balancers: Networks,
    certificate: Option<certificate::Certificate>,
    /// Whether a connection begins with TLS.
    implicit_tls: bool,
    max_size: u64,
    clients: clients::Clients,
    limits: Limits,
    health: Health,
    clock: Clock,
}

impl Door {
    /// Returns whether a client is known, so that the limits for strangers do not apply.
    fn knows(&self, peer: IpAddr) -> bool {
        peer.is_loopback() || self.networks.name(peer)
    }

    /// Returns how many connections a client may have; `None` if it may have any number.
    fn connections_of(&self, peer: IpAddr) -> Option<usize> {
        (!self.knows(peer)).then_some(self.limits.bounds.client_connections)
    }

    /// Returns the reply to a client for which there is no place.
    fn busy(&self, why: TooMany) -> String {
        match why {
            TooMany::InAll => format!(
                "421 4.3.2 {} has too many connections, try again later",
                self.hostname
            ),
            TooMany::OfClient => {
                format!(
                    "421 4.7.0 {} has too many connections with you, try again later",
                    self.hostname
                )
            }
        }
    }
}

impl Smtp {
    /// Reads the certificate and binds the address. `key` is the path of the settings.
    ///
    /// It refuses to accept mail for everybody from everybody. It needs a Tokio runtime.
    pub fn bind(key: &str, settings: &Settings, clock: Clock) -> Result<Self, BindError> {
        let key = |name: &str| format!("{key}.{name}");
        let recipients = recipients::Recipients::new(&settings.recipients, &key("recipients"))?;
        let networks = Networks::new(&settings.allow_from, &key("allow_from"))?;
        let balancers = Networks::new(&settings.proxy_protocol, &key("proxy_protocol"))?;
        let hostname = settings.hostname(&key("hostname"))?;
        let certificate = settings
            .tls
            .as_ref()
            .map(|tls| certificate::Certificate::new(tls, &key("tls")))
            .transpose()?;

        let listener = Listener::bind(&settings.listen)?;

        if recipients.takes_any() && !(listener.is_loopback() && settings.is_private()) {
            return Err(Problem::new(
                key("recipients"),
                format!(
                    "no recipients are listed, and {} can be reached from other machines",
                    listener.local_addr()
                ),
                "list the addresses it takes mail for, or listen on 127.0.0.1",
            )
            .into());
        }

        let limits = Limits::default();
        let door = Door {
            name: settings.name.clone(),
            hostname,
            recipients,
            networks,
            balancers,
            certificate,
            implicit_tls: settings.implicit_tls(),
            max_size: settings.max_message_size.bytes(),
            clients: clients::Clients::new(&limits),
            limits,
            health: Health::default(),
            clock,
        };

        Ok(Self { listener, door })
    }

    /// Returns the same server with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.door.clients = clients::Clients::new(&limits);
        self.door.limits = limits;
        self
    }

    /// Returns the same server with a capacity that it shares with other listeners.
    #[must_use]
    pub fn within(mut self, capacity: &Capacity) -> Self {
        self.door.limits.capacity = capacity.clone();
        self
    }

    /// Serves a single connection that somebody else has accepted.
    pub async fn serve_one(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
        inbox: Arc<dyn Inbox>,
    ) {
        let Ok(place) = self.door.limits.capacity.outside(peer.ip()) else {
            return;
        };
        let session = session::Session {
            door: Arc::new(self.door),
            place,
            inbox,
            stop: CancellationToken::new(),
        };

        session.run(stream, peer).await;
    }

    /// Returns the address it listens on, with the real port if port 0 was requested.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }
}

#[async_trait]
impl Ingress for Smtp {
    async fn run(self: Box<Self>, inbox: Arc<dyn Inbox>, health: Health, stop: CancellationToken) {
        tracing::info!(
            ingress = self.door.name,
            address = %self.listener.local_addr(),
            "accepting mail over SMTP"
        );

        let Limits {
            bounds, capacity, ..
        } = self.door.limits.clone();
        let server = Server {
            door: Arc::new(Door {
                health,
                ..self.door
            }),
            inbox,
            stop: stop.clone(),
        };

        self.listener
            .serve(bounds, &capacity, Arc::new(server), &stop)
            .await;
    }
}

/// A running server.
struct Server {
    door: Arc<Door>,
    inbox: Arc<dyn Inbox>,
    stop: CancellationToken,
}

impl Reception for Server {
    fn patience(&self) -> Patience {
        Patience {
            step: self.door.limits.idle,
            mail: self.door.limits.data,
        }
    }

    fn knows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.door.knows(peer) || self.door.balancers.name(peer)
    }

    fn turn_away(&self, peer: IpAddr, why: TooMany, _: &[u8]) -> Vec<u8> {
        telemetry::connection_refused(&self.door.name, peer, why.reason());
        // Before the TLS handshake, the client could not read a reply.
        if self.door.implicit_tls {
            Vec::new()
        } else {
            format!("{}\r\n", self.door.busy(why)).into()
        }
    }

    fn beat(&self) {
        let Door {
            name,
            health,
            clock,
            ..
        } = &*self.door;
        health.succeeded(name, clock.now());
        self.door.clients.forget(Instant::now());
    }

    async fn receive(self: Arc<Self>, stream: Stream, peer: SocketAddr, place: Place) {
        let (door, inbox, stop) = (self.door.clone(), self.inbox.clone(), self.stop.clone());
        session::Session {
            door,
            place,
            inbox,
            stop,
        }
        .run(stream, peer)
        .await;
    }
}
