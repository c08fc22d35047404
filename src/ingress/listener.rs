//! A bound TCP listener and its accept loop: what every ingress that listens shares.
//!
//! It promises a cap on connections, patience when the machine runs out of file descriptors, a heartbeat while it
//! listens, and a soft stop: no new connection at once, the running ones to their end within a grace.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinError, JoinSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::settings::Problem;

/// Connections the kernel may hold that we have not accepted yet.
const BACKLOG: u32 = 1024;
/// How long to wait where accepting fails: a descriptor has to be given back first.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Why an ingress cannot start to listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration asks for what is unsafe or has no meaning: it has to be edited.
    #[error("{}: {}: {}", .0.key, .0.what, .0.mend)]
    Settings(Problem),
    /// The address is taken, is not this machine's, or needs a privilege: the machine has to be looked at.
    #[error("cannot listen on {listen}")]
    Address { listen: String, source: io::Error },
}

impl From<Problem> for BindError {
    fn from(problem: Problem) -> Self {
        Self::Settings(problem)
    }
}

/// The bounds of an accept loop.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections served at a time; one more is told to come again.
    pub connections: usize,
    /// How often to say that it still listens.
    pub heartbeat: Duration,
    /// How long running connections may take once it is to stop.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 256, heartbeat: Duration::from_secs(30), grace: Duration::from_secs(10) }
    }
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `HOST:PORT`, the first of the host's addresses that can be had. Needs a Tokio runtime.
    pub fn bind(listen: &str) -> Result<Self, BindError> {
        let unavailable = |source| BindError::Address { listen: listen.to_owned(), source };
        let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        for address in listen.to_socket_addrs().map_err(unavailable)? {
            match bind_one(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => failure = error,
            }
        }
        Err(unavailable(failure))
    }

    /// Where it listens: the true port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Runs a session for each connection until `stop` is cancelled, then waits for them, up to the grace.
    ///
    /// A connection over the cap gets the bytes of `busy` and is closed; `refused` is told of it.
    pub async fn serve<S>(
        self,
        bounds: Bounds,
        busy: &[u8],
        stop: &CancellationToken,
        mut heartbeat: impl FnMut(),
        refused: impl Fn(SocketAddr),
        mut session: impl FnMut(TcpStream, SocketAddr) -> S,
    ) where
        S: Future<Output = ()> + Send + 'static,
    {
        let mut sessions = JoinSet::new();
        let mut beat = interval(bounds.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = beat.tick() => heartbeat(),
                Some(ended) = sessions.join_next() => report_panic(ended),
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, peer)) if sessions.len() < bounds.connections => {
                        // Replies are a few bytes each: Nagle's algorithm would hold them back for nothing.
                        let _ = stream.set_nodelay(true);
                        sessions.spawn(session(stream, peer));
                    }
                    Ok((stream, peer)) => {
                        refused(peer);
                        // The buffer of a new socket has room; where it has not, closing alone says enough.
                        let _ = stream.try_write(busy);
                    }
                    Err(error) => {
                        tracing::warn!(address = %self.address, %error, "cannot accept a connection");
                        sleep(OUT_OF_FILES).await;
                    }
                },
            }
        }
        drop(self.tcp);
        let drained = timeout(bounds.grace, async {
            while let Some(ended) = sessions.join_next().await {
                report_panic(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!(address = %self.address, connections = sessions.len(), "connections cut off at the stop");
        }
    }
}

fn bind_one(address: SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the old process's connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let tcp = socket.listen(BACKLOG)?;
    let address = tcp.local_addr()?;
    Ok(Listener { tcp, address })
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
