//! Serves one connection from its greeting to its end: lines go to the dialogue, messages to the
//! inbox.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Door,
    chunk::{self, Announced, Chunks},
    content::{Content, Flaw, Received},
    data::DataReader,
    dialogue::{Dialogue, Next, TOO_LARGE, refusal, say},
    proxy,
    wire::{Ended, Transport, Wire},
};
use crate::{
    ingress::{
        Inbox, Refused,
        listener::{Place, TooMany},
    },
    message::{Envelope, Message},
    telemetry,
};

const NOT_STORED: &str = "451 4.3.0 The mail cannot be stored now";
/// How long a client may take to read the last reply.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) struct Session {
    pub(super) door: Arc<Door>,
    pub(super) place: Place,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) stop: CancellationToken,
}

/// Whether the connection continues.
#[derive(PartialEq, Eq)]
enum Onward {
    Commands,
    StartTls,
    Close,
}

impl Session {
    /// Determines who the client is, and serves it until it leaves or is disconnected.
    pub(super) async fn run(self, mut stream: impl Transport + 'static, peer: SocketAddr) {
        let door = &*self.door;
        let Some(peer) = self.client(&mut stream, peer.ip().to_canonical()).await else {
            return;
        };

        let mut wire = Wire::new(stream, self.place.loss());
        if !door.networks.admit(peer) {
            telemetry::connection_refused(&door.name, peer, "not_allowed");
            let refusal = format!(
                "554 5.7.1 {} accepts no mail from your address",
                door.hostname
            );
            return self.refuse(wire, &refusal).await;
        }

        if let Err(why) = self.place.counts_for(peer, door.connections_of(peer)) {
            telemetry::connection_refused(&door.name, peer, why.reason());
            return self.refuse(wire, &door.busy(why)).await;
        }

        tracing::debug!(ingress = door.name, %peer, "connection opened");

        let mut encrypted = door.implicit_tls;
        let mut greeting = Some(format!("220 {} ESMTP alertbridge", door.hostname));

        loop {
            if encrypted {
                wire = match self.encrypt(wire, peer).await {
                    Some(wire) => wire,
                    None => return,
                };
            }
            if let Some(greeting) = greeting.take() {
                say(&mut wire.output, &greeting);
            }
            match self.converse(&mut wire, peer, encrypted).await {
                Ok(Onward::StartTls) => encrypted = true,
                Ok(Onward::Commands | Onward::Close) => {
                    wire.hear_out();
                    break;
                }
                Err(ended) => {
                    self.part_from(&mut wire, peer, &ended);
                    break;
                }
            }
        }

        wire.close(Instant::now() + FAREWELL).await;
    }

    /// Returns the client's address, which a load balancer names before the client speaks; `None`
    /// if it does not name it.
    async fn client(&self, stream: &mut impl Transport, peer: IpAddr) -> Option<IpAddr> {
        let door = &*self.door;
        if !door.balancers.name(peer) {
            return Some(peer);
        }

        match timeout(door.limits.handshake, proxy::client(stream)).await {
            Ok(Ok(client)) => return Some(client.unwrap_or(peer)),
            Ok(Err(error)) => {
                tracing::warn!(ingress = door.name, balancer = %peer, %error, "no PROXY header");
            }
            Err(_) => {}
        }
        telemetry::connection_refused(&door.name, peer, "no_proxy_header");
        None
    }

    async fn encrypt(&self, wire: Wire, peer: IpAddr) -> Option<Wire> {
        let acceptor: TlsAcceptor = self.door.certificate.as_ref()?.acceptor();
        match wire
            .encrypt(&acceptor, Instant::now() + self.door.limits.handshake)
            .await
        {
            Ok(wire) => Some(wire),
            Err(ended) => {
                tracing::debug!(ingress = self.door.name, %peer, ?ended, "TLS was not established");
                None
            }
        }
    }

    /// Ends a connection before anything was sent on it.
    async fn refuse(&self, mut wire: Wire, refusal: &str) {
        // Before the TLS handshake, the client could not read a reply.
        if !self.door.implicit_tls {
            say(&mut wire.output, refusal);
        }
        wire.close(Instant::now() + FAREWELL).await;
    }

    /// Tells a client why its connection ends, if it can still hear that.
    fn part_from(&self, wire: &mut Wire, peer: IpAddr, ended: &Ended) {
        let door = &*self.door;
        tracing::debug!(ingress = door.name, %peer, ?ended, "connection ended by the client");

        match ended {
            Ended::TimedOut => self.farewell(wire, "421 4.4.2", "waited too long, closing"),
            Ended::Displaced => {
                telemetry::connection_refused(&door.name, peer, "displaced");
                say(&mut wire.output, &door.busy(TooMany::InAll));
            }
            Ended::Gone => {}
        }
    }

    async fn converse(
        &self,
        wire: &mut Wire,
        peer: IpAddr,
        encrypted: bool,
    ) -> Result<Onward, Ended> {
        let door = &*self.door;
        let mut dialogue = Dialogue::new(door, peer, encrypted);

        loop {
            if self.stop.is_cancelled() && !dialogue.in_transaction() {
                self.farewell(wire, "421 4.3.2", "is stopping, try again later");
                return Ok(Onward::Close);
            }
            let Some((line, reply)) = wire.line() else {
                self.wait(wire, dialogue.in_transaction()).await?;
                continue;
            };
            let next = dialogue.answer(line, reply);
            if matches!(next, Next::Data { .. } | Next::Chunk { .. }) {
                self.place.mail_begins();
            }
            let onward = match next {
                Next::Command => Onward::Commands,
                Next::StartTls => Onward::StartTls,
                Next::Close => Onward::Close,
                Next::Data { declared } => self.receive(wire, &mut dialogue, declared).await?,
                Next::Chunk {
                    announced,
                    declared,
                    refusal,
                } => {
                    self.receive_chunk(wire, &mut dialogue, announced, declared, refusal)
                        .await?
                }
            };
            if dialogue.chunks().is_none_or(|chunks| chunks.is_none()) {
                self.place.mail_ends();
            }
            if onward != Onward::Commands {
                return Ok(onward);
            }
            wire.relieve(Instant::now() + door.limits.idle).await?;
        }
    }

    /// Waits for commands; a stop ends the wait if no mail is in progress.
    async fn wait(&self, wire: &mut Wire, in_transaction: bool) -> Result<(), Ended> {
        let deadline = Instant::now() + self.door.limits.idle;
        tokio::select! {
            biased;
            filled = wire.fill(deadline) => filled,
            () = self.stop.cancelled(), if !in_transaction => Ok(()),
        }
    }

    /// Reads a message to its end, and stores it before it is acknowledged.
    async fn receive(
        &self,
        wire: &mut Wire,
        dialogue: &mut Dialogue<'_>,
        declared: usize,
    ) -> Result<Onward, Ended> {
        let door = &*self.door;
        let limits = &door.limits;
        let overall = Instant::now() + limits.data;
        let mut reader = DataReader::new(Content::new(
            door.max_size,
            declared,
            &limits.capacity.budget,
        ));

        loop {
            if let Some(end) = reader.read(wire.unread()) {
                wire.consume(end);
                break;
            }
            wire.consume(usize::MAX);
            if reader.seen() > door.max_size.saturating_add(limits.swallow) {
                dialogue.flawed(Flaw::TooLarge, &"cut off");
                say(&mut wire.output, TOO_LARGE);
                return Ok(Onward::Close);
            }
            wire.fill(overall.min(Instant::now() + limits.idle)).await?;
        }

        Ok(self.conclude(wire, dialogue, reader.finish()).await)
    }

    /// Reads a chunk of a message to its end; the last chunk is handled as in [`Session::receive`].
    async fn receive_chunk(
        &self,
        wire: &mut Wire,
        dialogue: &mut Dialogue<'_>,
        announced: Announced,
        declared: usize,
        refused: Option<&str>,
    ) -> Result<Onward, Ended> {
        let door = &*self.door;
        let limits = &door.limits;

        if announced.size > door.max_size.saturating_add(limits.swallow) {
            dialogue.flawed(
                Flaw::TooLarge,
                &format_args!("{} bytes announced", announced.size),
            );
            say(&mut wire.output, TOO_LARGE);
            return Ok(Onward::Close);
        }

        let mut chunks = dialogue
            .chunks()
            .filter(|_| refused.is_none())
            .map(|chunks| {
                chunks.get_or_insert_with(|| {
                    let content = Content::new(door.max_size, declared, &limits.capacity.budget);
                    Chunks::new(content, Instant::now() + limits.data)
                })
            });

        self.read_chunk(wire, announced.size, chunks.as_deref_mut())
            .await?;

        let flawed = chunks.is_some_and(|chunks| chunks.flaw().is_some());
        if let Some(text) = refused {
            say(&mut wire.output, text);
            return Ok(if dialogue.mail_was_refused() {
                after_refusal(wire)
            } else {
                Onward::Commands
            });
        }

        if flawed || announced.last {
            // After a refused chunk, the mail is over (RFC 3030, 2).
            let whole = dialogue.chunks().and_then(Option::take);
            if let Some(chunks) = whole {
                return Ok(self.conclude(wire, dialogue, chunks.finish()).await);
            }
        } else {
            say(&mut wire.output, "250 2.0.0 Chunk received");
        }

        Ok(Onward::Commands)
    }

    /// Reads `size` bytes into the chunks, or discards them.
    async fn read_chunk(
        &self,
        wire: &mut Wire,
        size: u64,
        mut chunks: Option<&mut Chunks>,
    ) -> Result<(), Ended> {
        let limits = &self.door.limits;
        let overall = chunks
            .as_ref()
            .map_or_else(|| Instant::now() + limits.data, |chunks| chunks.deadline);
        let mut left = size;

        while left > 0 {
            let unread = wire.unread();
            if unread.is_empty() {
                wire.fill(overall.min(Instant::now() + limits.idle)).await?;
                continue;
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let piece = &unread[..unread.len().min(most)];
            if let Some(chunks) = &mut chunks {
                chunks.read(piece);
            }
            let length = piece.len();
            left -= length as u64;
            wire.consume(length);
        }

        Ok(())
    }

    /// Stores a message and acknowledges it, or replies why it is refused. In either case, its
    /// transaction ends.
    async fn conclude(
        &self,
        wire: &mut Wire,
        dialogue: &mut Dialogue<'_>,
        whole: Result<Received, Flaw>,
    ) -> Onward {
        let envelope = dialogue.end_transaction(whole.is_ok());
        match whole {
            Ok(Received { raw, room }) => {
                let stored = self.store(raw, envelope).await;
                drop(room);
                match stored {
                    Ok(()) => {
                        say(&mut wire.output, "250 2.0.0 Stored");
                        return Onward::Commands;
                    }
                    Err(reply) => say(&mut wire.output, reply),
                }
                after_refusal(wire)
            }
            Err(flaw) => {
                dialogue.flawed(flaw, &refusal(flaw));
                say(&mut wire.output, refusal(flaw));
                match flaw {
                    // Servers disagree about where such a mail ends, so what looks like commands
                    // may be its text.
                    Flaw::BareLineBreak => Onward::Close,
                    Flaw::TooLarge | Flaw::NoRoom => after_refusal(wire),
                }
            }
        }
    }

    /// Stores a mail, or returns the reply to the client.
    async fn store(&self, raw: Vec<u8>, envelope: Envelope) -> Result<(), &'static str> {
        let ingress = &self.door.name;
        let peer = envelope.peer;
        let message = Message {
            ingress: ingress.clone(),
            arrived_at: self.door.clock.now(),
            raw: raw.into(),
            cut_from: None,
            withheld: None,
            envelope: Some(envelope),
        };

        let _working = self.place.working();

        match timeout(
            self.door.limits.store,
            self.inbox.accept(vec![message], None),
        )
        .await
        {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refused @ Refused::NoRoom)) => {
                telemetry::mail_refused(ingress, peer, "no_room", &refused);
                Err("452 4.3.1 The disk is nearly full, try again later")
            }
            Ok(Err(refused @ Refused::Failed(_))) => {
                telemetry::mail_refused(ingress, peer, "not_stored", &refused);
                Err(NOT_STORED)
            }
            Err(_) => {
                telemetry::mail_refused(
                    ingress,
                    peer,
                    "not_stored",
                    &"the store did not answer in time",
                );
                Err(NOT_STORED)
            }
        }
    }

    fn farewell(&self, wire: &mut Wire, code: &str, text: &str) {
        say(
            &mut wire.output,
            &format!("{code} {} {text}", self.door.hostname),
        );
    }
}

/// Decides how to go on after a refused mail. No command is carried out that was sent before the
/// client could see the refusal, but chunks are read in order to discard them.
fn after_refusal(wire: &Wire) -> Onward {
    let unheard = wire.unread();
    let chunk_follows = chunk::is_bdat(unheard)
        || unheard.len() < 4 && b"BDAT"[..unheard.len()].eq_ignore_ascii_case(unheard);
    if chunk_follows {
        Onward::Commands
    } else {
        Onward::Close
    }
}
