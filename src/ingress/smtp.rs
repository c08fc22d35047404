//! Mail received over SMTP. Home of smtp-proto.
//!
//! A small server in front of nothing: it takes mail for listed recipients and never sends or relays any. The bytes
//! are stored as they came, without the dots SMTP adds and with no header put on top; what the client said of itself,
//! and the sender and recipients, go into the [envelope](crate::message::Envelope). 250 after DATA means stored.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    Health, Inbox, Ingress,
    listener::{BindError, Bounds, Listener},
};
use crate::{
    clock::Clock,
    settings::{ByteSize, Problem},
};

mod data;
mod dialogue;
mod networks;
mod recipients;
mod session;
mod wire;

/// `ingress.smtp[]` of the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub listen: String,
    /// The name it greets with; the machine's where it is not given.
    pub hostname: Option<String>,
    /// The addresses it takes mail for, `@example.com` for a whole domain. May be empty on loopback only: then it takes all.
    pub recipients: Vec<String>,
    // Comes later: refused by name until then.
    pub tls: Option<Tls>,
    pub max_message_size: ByteSize,
    pub allow_from: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            listen: "127.0.0.1:2525".into(),
            hostname: None,
            recipients: Vec::new(),
            tls: None,
            max_message_size: ByteSize::from_mib(10),
            allow_from: Vec::new(),
        }
    }
}

impl Settings {
    /// What is wrong with them, as far as can be told before the address is bound; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let recipients = recipients::Recipients::new(&self.recipients, &format!("{key}.recipients")).err();
        let networks = networks::Networks::new(&self.allow_from, &format!("{key}.allow_from")).err();
        let hostname = self.hostname(&format!("{key}.hostname")).err();
        [recipients, networks, hostname].into_iter().flatten().collect()
    }

    fn hostname(&self, key: &str) -> Result<String, Problem> {
        let hostname = self.hostname.clone().unwrap_or_else(machine_name);
        if hostname.is_empty() || !hostname.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::new(
                key,
                format!("`{}` is no host name", hostname.escape_debug()),
                "write the name in ASCII, without spaces: `hostname: mx.example.com`",
            ));
        }
        Ok(hostname)
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// What a client may ask of the server, beside the size of a mail. The defaults are RFC 5321's where it has any.
#[derive(Debug, Clone)]
pub struct Limits {
    pub bounds: Bounds,
    /// Recipients of one mail (4.5.3.1.8).
    pub recipients: usize,
    /// Refused commands before the client is sent away; a mail taken starts the count anew.
    pub errors: u32,
    /// Bytes of a command and its line break: 512 (4.5.3.1.4), and what SIZE and 8BITMIME add to MAIL.
    pub command_line: usize,
    /// Silence, between commands and within a mail (4.5.3.2.7).
    pub idle: Duration,
    /// From DATA to the final dot, however steadily the bytes drip.
    pub data: Duration,
    /// The store's answer; well within the ten minutes a client waits for it (4.5.3.2.6).
    pub store: Duration,
    /// Bytes over the size limit that are read, so that the refusal is heard, before the connection is cut.
    pub swallow: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            recipients: 100,
            errors: 20,
            command_line: 512 + 26 + 17,
            idle: Duration::from_mins(5),
            data: Duration::from_mins(10),
            store: Duration::from_mins(1),
            swallow: 32 << 20,
        }
    }
}

/// A bound SMTP server.
pub struct Smtp {
    listener: Listener,
    door: Door,
}

/// What every session of one server shares.
struct Door {
    name: String,
    hostname: String,
    recipients: recipients::Recipients,
    networks: networks::Networks,
    max_size: u64,
    limits: Limits,
    clock: Clock,
}

impl Smtp {
    /// Binds the address. Refused where mail for everybody would be taken from everybody. Needs a Tokio runtime.
    pub fn bind(settings: &Settings, clock: Clock) -> Result<Self, BindError> {
        let key = |name: &str| format!("ingress.smtp[{}].{name}", settings.name);
        let recipients = recipients::Recipients::new(&settings.recipients, &key("recipients"))?;
        let networks = networks::Networks::new(&settings.allow_from, &key("allow_from"))?;
        let hostname = settings.hostname(&key("hostname"))?;
        let listener = Listener::bind(&settings.listen)?;
        if recipients.takes_any() && !listener.is_loopback() {
            return Err(Problem::new(
                key("recipients"),
                format!("no recipients are listed, and {} can be reached from other machines", listener.local_addr()),
                "list the addresses it takes mail for, or listen on 127.0.0.1",
            )
            .into());
        }
        let max_size = settings.max_message_size.bytes();
        let limits = Limits::default();
        let name = settings.name.clone();
        Ok(Self { listener, door: Door { name, hostname, recipients, networks, max_size, limits, clock } })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.door.limits = limits;
        self
    }

    /// Where it listens: the true port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }
}

#[async_trait]
impl Ingress for Smtp {
    async fn run(self: Box<Self>, inbox: Arc<dyn Inbox>, health: Health, stop: CancellationToken) {
        let door = Arc::new(self.door);
        tracing::info!(ingress = door.name, address = %self.listener.local_addr(), "takes mail over SMTP");
        let busy = format!("421 4.3.2 {} has too many connections, come again later\r\n", door.hostname);
        let bounds = door.limits.bounds;
        let session = |stream, peer| {
            let session = session::Session { door: door.clone(), inbox: inbox.clone(), stop: stop.clone() };
            session.run(stream, peer)
        };
        let heartbeat = || health.succeeded(&door.name, door.clock.now());
        self.listener.serve(bounds, busy.as_bytes(), &stop, heartbeat, session).await;
    }
}

/// The machine's name, or `localhost` where it cannot be told.
fn machine_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or_else(|| "localhost".into())
}
