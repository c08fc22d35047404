//! What a client may ask of the server, beside the size of a mail.

use std::{num::NonZeroU32, time::Duration};

use crate::ingress::listener::{Bounds, Capacity};

/// The defaults are RFC 5321's where it has any.
#[derive(Clone)]
pub struct Limits {
    /// Clients that are known, on loopback or named in `allow_from`, may have all connections.
    pub bounds: Bounds,
    /// Of all listeners.
    pub capacity: Capacity,
    /// Mails a minute of one client that is not known.
    pub client_mails: NonZeroU32,
    /// Recipients of one mail (4.5.3.1.8).
    pub recipients: usize,
    /// Refused commands before the client is sent away; a mail taken starts the count anew.
    pub errors: u32,
    /// Commands of any sort before the client is sent away; a mail taken starts the count anew.
    pub commands: u32,
    /// Bytes of a command and its line break: 512 (4.5.3.1.4), and what SIZE, 8BITMIME and SMTPUTF8
    /// add to MAIL.
    pub command_line: usize,
    /// A PROXY header, and again a TLS handshake.
    pub handshake: Duration,
    /// Silence, between commands and within a mail (4.5.3.2.7).
    pub idle: Duration,
    /// From DATA, or the first BDAT, to the end of the mail, however steadily the bytes drip.
    pub data: Duration,
    /// The store's answer; well within the ten minutes a client waits for it (4.5.3.2.6).
    pub store: Duration,
    /// Bytes over the size limit that are read, so that the refusal is heard, before the connection
    /// is cut.
    pub swallow: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bounds: Bounds {
                client_connections: 16,
                ..Bounds::default()
            },
            capacity: Capacity::default(),
            client_mails: NonZeroU32::MIN.saturating_add(299),
            recipients: 100,
            errors: 20,
            commands: 1000,
            command_line: 512 + 26 + 17 + 10,
            handshake: Duration::from_secs(30),
            idle: Duration::from_mins(5),
            data: Duration::from_mins(10),
            store: Duration::from_mins(1),
            swallow: 32 << 20,
        }
    }
}
