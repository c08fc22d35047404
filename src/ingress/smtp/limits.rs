//! The limits for clients of the server, besides the size of a mail.

use std::{num::NonZeroU32, time::Duration};

use crate::ingress::listener::{Bounds, Capacity};

/// Limits for clients. The defaults are those of RFC 5321 where it has any.
#[derive(Clone)]
pub struct Limits {
    /// The bounds of connections. Known clients, on loopback or named in `allow_from`, may use them
    /// all.
    pub bounds: Bounds,
    /// The capacity that all listeners share.
    pub capacity: Capacity,
    /// The most mails per minute of an unknown client.
    pub client_mails: NonZeroU32,
    /// The most recipients of one mail (RFC 5321, 4.5.3.1.8).
    pub recipients: usize,
    /// The refused commands after which the client is disconnected; an accepted mail resets the
    /// count.
    pub errors: u32,
    /// The commands of any kind after which the client is disconnected; an accepted mail resets the
    /// count.
    pub commands: u32,
    /// The most bytes of a command with its line break: 512 (RFC 5321, 4.5.3.1.4), plus what SIZE,
    /// 8BITMIME and SMTPUTF8 add to MAIL.
    pub command_line: usize,
    /// The time limit for a PROXY header, and again for a TLS handshake.
    pub handshake: Duration,
    /// The longest silence between commands and within a mail (RFC 5321, 4.5.3.2.7).
    pub idle: Duration,
    /// The time limit from DATA, or the first BDAT, to the end of the mail, however steadily the
    /// bytes drip.
    pub data: Duration,
    /// The time limit for the store's answer, which is well within the ten minutes that a client
    /// waits (RFC 5321, 4.5.3.2.6).
    pub store: Duration,
    /// The bytes over the size limit that are still read, so that the client receives the refusal,
    /// before the connection is closed.
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
