//! One connection from its greeting to its end: lines to the dialogue, messages to the inbox.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Door,
    data::{DataReader, Flaw},
    dialogue::{Dialogue, Next, TOO_LARGE, say},
    wire::{Ended, Wire},
};
use crate::{
    ingress::Inbox,
    message::{Envelope, Message},
};

/// No more memory than this is set aside on a client's word that a large mail will come.
const MAX_EXPECTED: usize = 1 << 20;
/// How long a client may take to read our last words.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) struct Session {
    pub(super) door: Arc<Door>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) stop: CancellationToken,
}

/// Whether the connection goes on.
enum Onward {
    Commands,
    Close,
}

impl Session {
    /// Converses with the client until it leaves or is sent away.
    pub(super) async fn run(self, stream: TcpStream, peer: SocketAddr) {
        let peer = peer.ip().to_canonical();
        let mut wire = Wire::new(stream);
        if self.door.networks.admit(peer) {
            tracing::debug!(ingress = self.door.name, %peer, "connection opened");
            if let Err(ended) = self.converse(&mut wire, peer).await {
                tracing::debug!(ingress = self.door.name, %peer, ?ended, "connection ended by the client");
                if matches!(ended, Ended::TimedOut) {
                    self.farewell(&mut wire, "421 4.4.2", "waited too long, closing");
                }
            }
        } else {
            tracing::info!(ingress = self.door.name, %peer, "connection refused: not in allow_from");
            self.farewell(&mut wire, "554 5.7.1", "takes no mail from your address");
        }
        wire.close(Instant::now() + FAREWELL).await;
    }

    async fn converse(&self, wire: &mut Wire, peer: IpAddr) -> Result<(), Ended> {
        let door = &*self.door;
        let mut dialogue = Dialogue::new(door, peer);
        say(&mut wire.output, &format!("220 {} ESMTP alertbridge", door.hostname));
        loop {
            if self.stop.is_cancelled() && !dialogue.in_transaction() {
                self.farewell(wire, "421 4.3.2", "is stopping, come again later");
                return Ok(());
            }
            let Some((line, reply)) = wire.line() else {
                self.wait(wire, dialogue.in_transaction()).await?;
                continue;
            };
            match dialogue.answer(line, reply) {
                Next::Command => wire.relieve(Instant::now() + door.limits.idle).await?,
                Next::Close => return Ok(()),
                Next::Data { declared } => match self.receive(wire, &mut dialogue, peer, declared).await? {
                    Onward::Commands => {}
                    Onward::Close => return Ok(()),
                },
            }
        }
    }

    /// Waits for commands; a stop ends the wait where no mail is under way.
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
        peer: IpAddr,
        declared: usize,
    ) -> Result<Onward, Ended> {
        let door = &*self.door;
        let limits = &door.limits;
        let overall = Instant::now() + limits.data;
        let mut reader = DataReader::new(door.max_size, declared.min(MAX_EXPECTED));
        loop {
            if let Some(end) = reader.read(wire.unread()) {
                wire.consume(end);
                break;
            }
            wire.consume(usize::MAX);
            if reader.seen() > door.max_size.saturating_add(limits.swallow) {
                say(&mut wire.output, TOO_LARGE);
                return Ok(Onward::Close);
            }
            wire.fill(overall.min(Instant::now() + limits.idle)).await?;
        }
        match reader.finish() {
            Ok(raw) => {
                let stored = self.store(raw, dialogue.end_transaction(true)).await;
                say(&mut wire.output, if stored { "250 2.0.0 Stored" } else { "451 4.3.0 Cannot store it now" });
            }
            Err(flaw) => {
                dialogue.end_transaction(false);
                tracing::info!(ingress = door.name, %peer, ?flaw, "mail refused");
                say(
                    &mut wire.output,
                    match flaw {
                        Flaw::TooLarge => TOO_LARGE,
                        Flaw::BareLineBreak => "550 5.6.11 A CR or LF stands alone in the mail",
                    },
                );
            }
        }
        Ok(Onward::Commands)
    }

    async fn store(&self, raw: Vec<u8>, envelope: Envelope) -> bool {
        let (ingress, size) = (&self.door.name, raw.len());
        let peer = envelope.peer;
        let message = Message {
            ingress: ingress.clone(),
            arrived_at: self.door.clock.now(),
            raw: raw.into(),
            cut_from: None,
            envelope: Some(envelope),
        };
        match timeout(self.door.limits.store, self.inbox.accept(vec![message], None)).await {
            Ok(Ok(ids)) => {
                tracing::debug!(ingress, ?peer, size, ?ids, "mail stored");
                true
            }
            Ok(Err(refused)) => {
                tracing::warn!(ingress, ?peer, size, %refused, "mail put off");
                false
            }
            Err(_) => {
                tracing::warn!(ingress, ?peer, size, "mail put off: the store did not answer in time");
                false
            }
        }
    }

    fn farewell(&self, wire: &mut Wire, code: &str, text: &str) {
        say(&mut wire.output, &format!("{code} {} {text}", self.door.hostname));
    }
}
