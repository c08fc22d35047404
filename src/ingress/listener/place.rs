//! The place of one connection, which it has as long as the crowd lets it.

use std::{net::IpAddr, sync::Arc};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    crowd::{Crowd, TooMany},
    standing::{Standing, Working},
};

/// A connection's place; dropping it frees the place.
pub struct Place {
    pub(super) number: u64,
    pub(super) standing: Arc<Standing>,
    pub(super) crowd: Arc<Crowd>,
}

impl Place {
    /// Returns when the place is lost: to another client, or because the client is slow while it is
    /// crowded.
    pub async fn lost(&self) {
        self.standing.lost.cancelled().await;
    }

    /// Returns a token for the same event, which can be awaited elsewhere.
    pub fn loss(&self) -> CancellationToken {
        self.standing.lost.clone()
    }

    /// Counts the connection from now on for the client that a load balancer names, which may have
    /// `most` connections, or any number if that is `None`.
    pub fn counts_for(&self, client: IpAddr, most: Option<usize>) -> Result<(), TooMany> {
        self.crowd.counts_for(self.number, client, most)
    }

    /// Notes that a mail, or the next part of one, begins.
    pub fn mail_begins(&self) {
        self.standing.mail_begins(Instant::now());
    }

    /// Notes that no mail is in progress any more.
    pub fn mail_ends(&self) {
        self.standing.mail_ends();
    }

    /// Marks the client as waiting for the server until the returned guard is dropped.
    pub fn working(&self) -> Working {
        self.standing.working()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.leave(self.number);
    }
}
