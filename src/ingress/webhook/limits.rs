//! What a client may ask of the server.

use std::time::Duration;

use crate::ingress::listener::{Bounds, Capacity};

/// What a client may ask of the server, beside the size of a body.
#[derive(Clone)]
pub struct Limits {
    pub bounds: Bounds,
    /// Of all listeners.
    pub capacity: Capacity,
    /// From the connection, or the last answer, to the end of the request's head.
    pub head: Duration,
    /// From the head to the end of the body.
    pub body: Duration,
    /// The store's answer.
    pub store: Duration,
    /// How long the body of a refused request is read on for, so that the answer is heard.
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
