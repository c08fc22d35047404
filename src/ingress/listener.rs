//! A bound TCP listener and its accept loop, which every listener of the bridge uses, including the
//! admin listener.
//!
//! Strangers cannot exhaust the machine: all listeners share a limited number of [places](capacity)
//! and a limited amount of [memory](budget), each client gets only a share of them, and a slow
//! client loses its place when it is crowded. File descriptors are reserved for paging and for the
//! store.
//!
//! The listener reports regularly that it still listens. It stops softly: from then on it accepts
//! no new connection, and gives the open ones a grace period to finish.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    net::{RecvFlags, recv},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::settings::Problem;

mod budget;
mod capacity;
mod crowd;
mod descriptors;
pub mod http;
mod place;
mod standing;
mod stream;

use self::crowd::Doorway;
pub use self::{
    budget::{Budget, Buffer, FREE, Full, Room},
    capacity::Capacity,
    crowd::TooMany,
    descriptors::raise_limit,
    place::Place,
    standing::Patience,
    stream::Stream,
};

/// Connections that the kernel may queue before they are accepted.
const BACKLOG: u32 = 1024;
/// How long to wait when accepting fails: a descriptor must be released first.
const OUT_OF_FILES: Duration = Duration::from_millis(100);
/// How often slow clients are looked for.
const SWEEP: Duration = Duration::from_millis(250);
/// How long a client that has lost its place may take to leave.
const PARTING: Duration = Duration::from_secs(1);
/// The most clients without a place that are heard at a time, before they are told the reason and
/// until they have read it; any more are told at once and disconnected.
const TURNED_AWAY: usize = 32;
const FIRST_WORDS: Duration = Duration::from_millis(100);
const HEARD_OUT: Duration = Duration::from_secs(1);
const HEARD: u64 = 64 << 10;
/// The number of bytes that suffice to tell what a client without a place wants.
const BEGINNING: usize = 64;

/// Why a listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration asks for something unsafe or meaningless: it must be edited.
    #[error("{}: {}: {}", .0.key, .0.what, .0.mend)]
    Settings(Problem),
    /// The address is in use, is not this machine's, or needs a privilege.
    #[error("cannot listen on {listen}")]
    Address { listen: String, source: io::Error },
}

impl From<Problem> for BindError {
    fn from(problem: Problem) -> Self {
        Self::Settings(problem)
    }
}

/// The bounds of one accept loop.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most connections at a time.
    pub connections: usize,
    /// The most connections of one unknown client.
    pub client_connections: usize,
    /// How often to report that it still listens.
    pub heartbeat: Duration,
    /// How long open connections may take after the stop.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            client_connections: 64,
            heartbeat: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// How the connections of a listener are handled.
pub trait Reception: Send + Sync + 'static {
    /// Returns how long a client may take.
    fn patience(&self) -> Patience;

    /// Returns whether a client may have any number of connections, within the limit for all.
    fn knows(&self, peer: IpAddr) -> bool {
        peer.to_canonical().is_loopback()
    }

    /// Returns the reply to a client without a place, which has sent `said` so far, and notifies
    /// the operator.
    fn turn_away(&self, peer: IpAddr, why: TooMany, said: &[u8]) -> Vec<u8>;

    /// Reports that the listener still listens.
    fn beat(&self) {}

    /// Handles one connection to its end.
    fn receive(
        self: Arc<Self>,
        stream: Stream,
        peer: SocketAddr,
        place: Place,
    ) -> impl Future<Output = ()> + Send;
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `HOST:PORT`: the first usable address of the host. It needs a Tokio runtime.
    pub fn bind(listen: &str) -> Result<Self, BindError> {
        let unavailable = |source| BindError::Address {
            listen: listen.to_owned(),
            source,
        };

        let mut failure =
            io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");

        for address in listen.to_socket_addrs().map_err(unavailable)? {
            match bind_one(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => failure = error,
            }
        }

        Err(unavailable(failure))
    }

    /// Returns the address it listens on, with the real port if port 0 was requested.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Handles each connection until `stop` is cancelled, then waits for the open ones, up to the
    /// grace period.
    pub async fn serve(
        self,
        bounds: Bounds,
        capacity: &Capacity,
        reception: Arc<impl Reception>,
        stop: &CancellationToken,
    ) {
        let entrance = Entrance {
            door: Doorway {
                address: self.address,
                most: bounds.connections,
            },
            client_connections: bounds.client_connections,
            capacity,
            reception: &reception,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
        };

        let mut sessions = JoinSet::new();
        let (mut beat, mut sweep) = (interval(bounds.heartbeat), interval(SWEEP));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);

        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = beat.tick() => reception.beat(),
                _ = sweep.tick() => capacity.sweep(&entrance.door, reception.patience()),
                Some(ended) = sessions.join_next() => report_panic(ended),
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, peer)) => entrance.admit(stream, peer, &mut sessions),
                    Err(error) => {
                        let address = self.address;
                        tracing::warn!(%address, %error, "cannot accept a connection");
                        capacity.make_room();
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
            tracing::warn!(address = %self.address, connections = sessions.len(), "connections cut \
                off at the stop");
        }
    }
}

/// The entrance of a listener, at which clients are admitted or turned away.
struct Entrance<'a, R> {
    door: Doorway,
    /// The most connections of one unknown client.
    client_connections: usize,
    capacity: &'a Capacity,
    reception: &'a Arc<R>,
    /// The permits of the clients that are heard before they are turned away.
    turned_away: Arc<Semaphore>,
}

impl<R: Reception> Entrance<'_, R> {
    fn admit(&self, stream: TcpStream, peer: SocketAddr, sessions: &mut JoinSet<()>) {
        // Replies are a few bytes each: Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let known = self.reception.knows(peer.ip());
        let limit = (!known).then_some(self.client_connections);

        match self.capacity.enter(&self.door, peer.ip(), limit) {
            Ok(place) => {
                let session = keep(Arc::clone(self.reception), stream, peer, place);
                sessions.spawn(session);
            }
            Err(why) => {
                let turned = TurnedAway {
                    reception: Arc::clone(self.reception),
                    stream,
                    peer: peer.ip(),
                    why,
                };
                match Arc::clone(&self.turned_away).try_acquire_owned() {
                    Ok(permit) => drop(tokio::spawn(turned.hear_out(permit))),
                    Err(_) => turned.leave(),
                }
            }
        }
    }
}

/// Handles a connection for as long as it has its place.
async fn keep(reception: Arc<impl Reception>, tcp: TcpStream, peer: SocketAddr, place: Place) {
    let standing = Arc::clone(&place.standing);
    let stream = Stream::new(tcp, Arc::clone(&standing));
    tokio::select! {
        () = reception.receive(stream, peer, place) => {}
        () = async {
            standing.lost.cancelled().await;
            sleep(PARTING).await;
            // A mail that is being stored is still acknowledged.
            while standing.is_working() {
                sleep(PARTING).await;
            }
        } => {}
    }
}

/// Returns the beginning of what a client has sent so far, without waiting for more.
fn said_so_far(stream: &TcpStream) -> Vec<u8> {
    let mut said = Vec::with_capacity(BEGINNING);
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    // After an error, nothing has come yet, or the client is gone: it has said nothing.
    let _ = recv(stream, spare_capacity(&mut said), flags);
    said
}

/// A client without a place.
struct TurnedAway<R> {
    reception: Arc<R>,
    stream: TcpStream,
    peer: IpAddr,
    why: TooMany,
}

impl<R: Reception> TurnedAway<R> {
    /// Replies to what the client has said by now; returns false if it has nothing to read.
    fn reply(&self) -> bool {
        let said = said_so_far(&self.stream);
        let words = self.reception.turn_away(self.peer, self.why, &said);
        // The buffer of a new socket has space; if it does not, closing says enough.
        !words.is_empty() && self.stream.try_write(&words).is_ok()
    }

    fn leave(self) {
        self.reply();
    }

    /// Waits for the client's first words, replies, and reads the rest of its input: input that
    /// came after a close would make the client discard the reply unread.
    async fn hear_out(self, permit: OwnedSemaphorePermit) {
        // A request may come a moment after its connection; a client that says nothing is told as
        // well.
        let _ = timeout(FIRST_WORDS, self.stream.readable()).await;

        if self.reply() {
            let mut stream = self.stream;
            let heard_out = timeout(HEARD_OUT, async {
                stream.shutdown().await?;
                tokio::io::copy(&mut stream.take(HEARD), &mut tokio::io::sink()).await
            });
            // Whether or not the client was heard out, the reply was sent.
            let _ = heard_out.await;
        }
        drop(permit);
    }
}

fn bind_one(address: SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;

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
