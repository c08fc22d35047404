//! The limits for clients of the server.

use std::time::Duration;

use crate::ingress::listener::{Bounds, Capacity};

/// The limits for clients, besides the size of a body.
#[derive(Clone)]
pub struct Limits {
    pub bounds: Bounds,
    /// The capacity that all listeners share.
    pub capacity: Capacity,
    /// The time from the connection, or the last answer, to the end of the request's head.
    pub head: Duration,
    /// The time from the head to the end of the body.
    pub body: Duration,
    /// The time limit for the store's answer.
    pub store: Duration,
    /// How long the rest of a refused request's body is read, so that the client receives the
    /// answer.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            capacity: Capacity::default(),
            head: Duration::from_secs(30),
            body: Duration::from_mins(1),
            store: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}
