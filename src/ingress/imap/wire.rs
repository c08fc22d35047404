//! The connection under the client library, which tolerates what mail servers send.
//!
//! Each answer is read as a whole within the limits of [`super::framing`], parsed as far as
//! possible ([`super::answer`]), and passed on in plain form ([`super::plain`]). Anything that
//! breaks a limit, or is not IMAP, ends the connection. An answer during which the server dies does
//! not count.

use std::{
    collections::VecDeque,
    fmt::Debug,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{
    answer::{Reply, Said, Status},
    census::Census,
    framing::Framing,
    plain::written,
};

/// The bytes that a server may send beyond what was requested: flags, other clients' changes, the
/// longest SEARCH.
const CHATTER: u64 = 2 * 1024 * 1024;

/// A connection, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Transport for T {}

#[derive(Debug)]
pub(super) struct Wire {
    /// The transport, buffered so that each command is sent as one packet.
    transport: BufWriter<Box<dyn Transport>>,
    framing: Framing,
    /// The answer that the client is reading.
    plain: VecDeque<Bytes>,
    heard: Heard,
    /// The login that is withheld from the server, as far as the client has written it.
    kept_login: Option<Vec<u8>>,
}

/// What the server said, verbatim, that the client is not shown.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The latest list of capabilities, in upper case.
    pub(super) abilities: Vec<String>,
    /// The latest answer to a command.
    pub(super) outcome: Option<Said>,
    /// The server's last words.
    pub(super) farewell: Option<Said>,
    census: Census,
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        let mut wire = Self {
            transport: BufWriter::new(transport),
            framing: Framing::default(),
            plain: VecDeque::new(),
            heard: Heard::default(),
            kept_login: None,
        };

        wire.allow(0);
        wire
    }

    /// Returns the transport. Input that was not read is dropped: behind STARTTLS, it would be an
    /// attacker's.
    pub(super) fn into_transport(self) -> Box<dyn Transport> {
        self.transport.into_inner()
    }

    /// Sets how many bytes of mail may come from here on, besides the usual chatter.
    pub(super) fn allow(&mut self, expected: u64) {
        self.framing.allow(CHATTER + expected);
    }

    /// Returns the number of bytes received, to tell a slow server from a dead one.
    pub(super) fn received(&self) -> u64 {
        self.framing.received()
    }

    /// Returns whether an answer has begun and is incomplete.
    pub(super) fn is_in_mid_answer(&self) -> bool {
        self.framing.is_in_mid_answer()
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Returns what the server said about the number of mails in the folder.
    pub(super) fn census(&mut self) -> &mut Census {
        &mut self.heard.census
    }

    /// Answers the next command itself instead of sending it: the client makes no session without a
    /// login, and a server that already knows the user refuses one.
    pub(super) fn keep_login(&mut self) {
        self.kept_login = Some(Vec::new());
    }

    /// Reads the next answer, before there is a client; `None` if the connection ended.
    pub(super) async fn reply(&mut self) -> io::Result<Option<Reply>> {
        poll_fn(|context| self.poll_reply(context)).await
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Reply>>> {
        loop {
            if let Some(pieces) = self.framing.next()? {
                let reply = Reply::read(&pieces)?;
                self.heard.note(&reply);
                return Poll::Ready(Ok(Some(reply)));
            }
            let transport = Pin::new(&mut self.transport);
            let came = ready!(poll_read_buf(transport, context, self.framing.room()))?;
            if came == 0 {
                return Poll::Ready(Ok(None));
            }
            self.framing.admit(came)?;
        }
    }
}

impl Heard {
    fn note(&mut self, reply: &Reply) {
        match reply {
            Reply::Capability(all) => self.abilities.clone_from(all),
            Reply::Done { said, .. } => self.outcome = Some(said.clone()),
            Reply::Exists(count) => self.census.counted(*count),
            Reply::Expunge => self.census.lost_one(),
            Reply::Status(said) => {
                if let Some(all) = said.capabilities() {
                    self.abilities = all;
                }
                if said.status == Status::Bye {
                    self.farewell = Some(said.clone());
                }
            }
            _ => {}
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(part) = this.plain.front_mut() {
                let count = part.len().min(room.remaining());
                room.put_slice(&part.split_to(count));
                if part.is_empty() {
                    this.plain.pop_front();
                }
                return Poll::Ready(Ok(()));
            }
            match ready!(this.poll_reply(context))? {
                Some(reply) => this.plain.extend(written(reply)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(login) = &mut this.kept_login else {
            return Pin::new(&mut this.transport).poll_write(context, bytes);
        };
        login.extend_from_slice(bytes);
        if login.ends_with(b"\r\n") {
            let tag = login.split(|byte| *byte == b' ').next().unwrap_or_default();
            let answer = [tag, b" OK\r\n"].concat();
            this.plain.push_back(answer.into());
            this.kept_login = None;
        }

        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use async_imap::{
        Client,
        imap_proto::{AttributeValue, MailboxDatum, Outcome, Response, ResponseCode},
    };
    use tokio::io::{
        AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream,
        duplex,
    };

    use super::*;
    use crate::ingress::imap::{fault::Fault, sasl::Exchange};

    /// Returns a client, and the server's end of its wire.
    fn client(packet: usize) -> (Client<Wire>, DuplexStream) {
        let (ours, theirs) = duplex(packet);
        (Client::new(Wire::new(Box::new(ours))), theirs)
    }

    #[tokio::test]
    async fn what_servers_write_is_read_by_the_client_in_plain_words() {
        const SENT: &[u8] = b"* OK [UIDVALIDITY 17]\xe9\r\n* CAPABILITY IMAP4rev2 AUTH=\xff\r\n\
            * 3 FETCH (FLAGS (a(b) :-() UID 9 INTERNALDATE NIL BODY[] \"\")\r\n* OK\r\n\
            * 4 FETCH (BODY[] {6}\r\n(\r\n{9} UID 10)\r\n* VANISHED 1:9\r\n\
            * ESEARCH (TAG \"x\") UID ALL 1:2,7\r\n* BYE \xc3\xbc\r\n";
        for packet in [1, 7, SENT.len()] {
            let (mut client, mut server) = client(packet);
            tokio::spawn(async move { server.write_all(SENT).await });
            let mut expected = vec![
                Response::Data {
                    status: async_imap::imap_proto::Status::Ok,
                    outcome: Outcome {
                        code: Some(ResponseCode::UidValidity(17)),
                        information: None,
                    },
                },
                Response::Fetch(1, vec![AttributeValue::Uid(9)]),
                Response::Fetch(
                    1,
                    vec![
                        AttributeValue::Uid(10),
                        AttributeValue::BodySection {
                            section: None,
                            index: None,
                            data: Some(b"(\r\n{9}"[..].into()),
                        },
                    ],
                ),
                Response::MailboxData(MailboxDatum::Search(vec![1, 2, 7])),
                Response::Data {
                    status: async_imap::imap_proto::Status::Bye,
                    outcome: Outcome::default(),
                },
            ]
            .into_iter();
            while let Some(answer) = client.read_response().await.unwrap() {
                assert_eq!(Some(answer.parsed()), expected.next().as_ref());
            }
            assert_eq!(expected.next(), None);
            let heard = client.get_ref().heard();
            assert_eq!(heard.abilities, ["IMAP4REV2", "AUTH=\u{fffd}"]);
            assert_eq!(heard.farewell.as_ref().unwrap().text, "\u{fc}");
        }
    }

    #[tokio::test]
    async fn what_does_not_come_whole_is_no_answer_and_what_breaks_a_limit_ends_it() {
        for (sent, expected) in [
            ("* 1 FETCH (UID 9 BODY[] {5}\r\nhel", None),
            ("* 1 FETCH (UID 9 BODY[] {5}\r\nhello", None),
            ("* 1 FETCH (UID 9 BODY[] {5}\r\nhello)\r", None),
            (
                "* 1 FETCH (UID 9 BODY[] {4}\r\nhello)\r\n",
                Some("a literal of another length"),
            ),
            ("* 1 FETCH (BODY[] {99999999}\r\n", Some("far more bytes")),
            ("confidential\r\n", Some("an answer that is not IMAP")),
        ] {
            let (mut client, mut server) = client(64);
            tokio::spawn(async move { server.write_all(sent.as_bytes()).await });
            match (client.read_response().await, expected) {
                (Ok(None), None) => {}
                (Err(error), Some(words)) => {
                    let told = Fault::io(&error).to_string();
                    assert!(told.contains(words), "{sent}: {told}");
                }
                (other, _) => panic!("{sent}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_login_that_is_kept_is_answered_and_never_sent() {
        let (mut client, mut server) = client(1024);
        client.get_mut().keep_login();
        let mut session = client.login("", "").await.unwrap();
        let noop = session.run_command("NOOP").await.unwrap();
        let mut sent = [0; 64];
        let length = server.read(&mut sent).await.unwrap();
        assert_eq!(sent[..length], *format!("{} NOOP\r\n", noop.0).as_bytes());
    }

    #[tokio::test]
    async fn a_login_by_sasl_goes_on_whatever_is_said_beside_it() {
        let (client, mut server) = client(1024);
        let said = b"* OK wait\r\n* NO [ALERT] hm\r\n* CAPABILITY IMAP4rev1\r\n+ no Base64\r\n";
        server.write_all(said).await.unwrap();
        let password = "secret".to_owned().into();
        let mut exchange = Exchange::plain("alerts", &password);
        let login = client.authenticate("PLAIN", &mut exchange);
        let serve = async {
            let mut lines = BufReader::new(server).lines();
            lines.next_line().await.unwrap();
            let response = lines.next_line().await.unwrap().unwrap();
            let mut server = lines.into_inner().into_inner();
            server.write_all(b"A0001 OK in\r\n").await.unwrap();
            response
        };
        let (session, response) = tokio::join!(login, serve);
        assert!(session.is_ok());
        assert_eq!(response, "AGFsZXJ0cwBzZWNyZXQ=");
    }

    #[tokio::test]
    async fn what_came_and_was_not_read_goes_with_the_client() {
        let (mut client, mut server) = client(1024);
        let injected = b"A0001 OK go\r\n* BYE injected\r\n* OK injec";
        server.write_all(injected).await.unwrap();
        client
            .run_command_and_check_ok("STARTTLS", None)
            .await
            .unwrap();
        let mut plain = client.into_inner().into_transport();
        server.write_all(b"encrypted").await.unwrap();
        drop(server);
        let mut rest = Vec::new();
        plain.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"encrypted");
    }
}
