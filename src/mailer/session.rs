//! One conversation with a mail server.
//!
//! The commands and the encryption are lettre's. The replies are read here, within bounds and
//! leniently: a mail that a server accepted must not be sent again because of how the server words
//! its reply.
#![expect(
    deprecated,
    reason = "lettre's own connection reads a line without end and refuses odd replies"
)]

use std::{io, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use lettre::transport::smtp::{
    authentication::{Credentials, Mechanism},
    client::{AsyncNetworkStream, TlsParameters},
    commands::{Auth, Ehlo},
    extension::ClientId,
};

use crate::delivery::FailureReason;

/// The longest line of a reply, in bytes; RFC 5321 (4.5.3.1.5) allows 512.
const LONGEST_LINE: usize = 8 << 10;
/// The most lines of a reply.
const MOST_LINES: usize = 200;
/// The most characters of a refusal that are quoted.
const MOST_SAID: usize = 500;
/// How long the server may take to answer QUIT.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a conversation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The server refused a command.
    #[error("{}", .0.said)]
    Refused(Answer),
    /// A line from the server is not a reply.
    #[error("it does not speak SMTP")]
    NoReply,
    #[error("{0}")]
    Nonsense(&'static str),
    #[error("{0}")]
    Unable(&'static str),
    #[error(transparent)]
    Broken(#[from] io::Error),
    #[error(transparent)]
    Lettre(#[from] lettre::transport::smtp::Error),
}

impl Trouble {
    /// Returns the reason why there is no usable answer, and a sentence that explains it.
    pub fn fault(&self) -> (FailureReason, String) {
        let (reason, what) = match self {
            Self::Refused(answer) => {
                let said = answer.said.replace('\n', " ");
                let said: String = said.chars().take(MOST_SAID).collect();
                let detail = format!("the server answers {} {said}", answer.code);
                return (FailureReason::Rejected, detail);
            }
            Self::Unable(_) => (
                FailureReason::Rejected,
                "the server does not support what is requested",
            ),
            Self::NoReply | Self::Nonsense(_) => {
                (FailureReason::Network, "the server's reply makes no sense")
            }
            Self::Lettre(error) if error.is_timeout() => {
                (FailureReason::Timeout, "no reply in time")
            }
            Self::Lettre(error) if error.is_tls() || deepest(error).is::<rustls::Error>() => (
                FailureReason::Tls,
                "its certificate or TLS handshake was rejected",
            ),
            Self::Broken(error) if deepest(error).is::<rustls::Error>() => (
                FailureReason::Tls,
                "its certificate or TLS handshake was rejected",
            ),
            Self::Lettre(_) | Self::Broken(_) => {
                (FailureReason::Network, "no connection, or it broke")
            }
        };
        (reason, format!("{what}: {}", self.deepest()))
    }

    /// Returns the root cause.
    pub fn deepest(&self) -> &(dyn std::error::Error + 'static) {
        deepest(self)
    }
}

fn deepest<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest
}

/// A reply from the server.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// The lines of the reply, without the code.
    pub said: String,
}

/// A conversation with a server that has answered EHLO or HELO.
pub struct Session {
    stream: AsyncNetworkStream,
    /// Bytes that were read and do not belong to a reply yet.
    unread: Vec<u8>,
    /// The extensions that the server offers, in upper case.
    offers: Vec<String>,
}

impl Session {
    /// Connects, with TLS from the first byte if `tls` has parameters for it.
    pub(super) async fn connect(
        server: (&str, u16),
        timeout: Duration,
        tls: Option<TlsParameters>,
        name: &ClientId,
    ) -> Result<Self, Trouble> {
        let stream = AsyncNetworkStream::connect_tokio1(server, Some(timeout), tls, None).await?;
        let mut session = Self {
            stream,
            unread: Vec::new(),
            offers: Vec::new(),
        };
        session.answer().await?.positive()?;
        session.greet(name).await?;
        Ok(session)
    }

    pub(super) async fn encrypt(
        &mut self,
        tls: TlsParameters,
        name: &ClientId,
    ) -> Result<(), Trouble> {
        if !self.offers("STARTTLS") {
            return Err(Trouble::Unable("STARTTLS is not supported on this server"));
        }
        self.command("STARTTLS\r\n").await?;
        // An attacker in between could inject replies into the encrypted conversation.
        if !self.unread.is_empty() {
            return Err(Trouble::Nonsense("more than a reply came before TLS"));
        }
        self.stream.upgrade_tls(tls).await?;
        self.greet(name).await
    }

    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Trouble> {
        let mechanisms = [("PLAIN", Mechanism::Plain), ("LOGIN", Mechanism::Login)];
        let offered = mechanisms
            .into_iter()
            .filter(|(name, _)| self.offers_login_by(name));
        let offered: Vec<_> = offered.map(|(_, mechanism)| mechanism).collect();

        let mut refusal = Trouble::Unable("No compatible authentication mechanism was found");
        for mechanism in offered {
            match self.log_in_by(mechanism, user, password).await {
                // These codes refuse the mechanism, not the password.
                Err(Trouble::Refused(answer)) if matches!(answer.code, 500..=504) => {
                    refusal = Trouble::Refused(answer);
                }
                result => return result,
            }
        }
        Err(refusal)
    }

    async fn log_in_by(
        &mut self,
        mechanism: Mechanism,
        user: &str,
        password: &str,
    ) -> Result<(), Trouble> {
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        let begin = Auth::new(mechanism, credentials, None)?.to_string();
        let mut answer = self.command(&begin).await?;
        // A server that does not read PLAIN's initial response with the command asks for it again.
        let steps = match mechanism {
            Mechanism::Login => vec![user.to_owned(), password.to_owned()],
            _ => vec![format!("\0{user}\0{password}")],
        };
        for step in steps {
            if answer.code == 334 {
                let step = BASE64_STANDARD.encode(step);
                answer = self.command(&format!("{step}\r\n")).await?;
            }
        }
        if answer.code == 334 {
            return Err(Trouble::Nonsense(
                "it asks for more than a user name and a password",
            ));
        }
        Ok(())
    }

    /// Decides whether one of the AUTH lines lists this mechanism: old servers send several.
    fn offers_login_by(&self, mechanism: &str) -> bool {
        self.offers.iter().any(|offer| {
            let mut words = offer.split([' ', '=', '\t']);
            words.next() == Some("AUTH") && words.any(|word| word == mechanism)
        })
    }

    /// Sends a command and returns the answer; an answer other than 2xx or 3xx is an error.
    pub(super) async fn command(&mut self, command: &str) -> Result<Answer, Trouble> {
        self.write(command.as_bytes()).await?;
        self.answer().await?.positive()
    }

    /// Sends the mail itself, after DATA. [`Self::taken`] reads the server's reply to it.
    pub(super) async fn write_mail(&mut self, mail: &[u8]) -> Result<(), Trouble> {
        let mut line_begins = true;
        let mut stuffed = Vec::with_capacity(mail.len() + 64);
        for byte in mail {
            if line_begins && *byte == b'.' {
                stuffed.push(b'.');
            }
            stuffed.push(*byte);
            line_begins = *byte == b'\n';
        }
        if !stuffed.ends_with(b"\r\n") {
            stuffed.extend(b"\r\n");
        }
        stuffed.extend(b".\r\n");
        self.write(&stuffed).await
    }

    /// Returns the server's reply to the mail; a refusal is an error.
    ///
    /// Anything else is skipped: a repeated reply to DATA, and lines that are not a reply.
    pub async fn taken(&mut self) -> Result<Answer, Trouble> {
        for _ in 0..MOST_LINES {
            match self.answer().await {
                Ok(answer) if (200..300).contains(&answer.code) => return Ok(answer),
                Ok(answer) if answer.code >= 400 => return Err(Trouble::Refused(answer)),
                Ok(_) | Err(Trouble::NoReply) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Err(Trouble::Nonsense(
            "none of its lines is a reply to the mail",
        ))
    }

    /// Ends the conversation, whatever the server answers.
    pub async fn quit(mut self) {
        let farewell = self.command("QUIT\r\n");
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    pub(super) fn offers(&self, extension: &str) -> bool {
        let first = |offer: &String| offer.split([' ', '=', '\t']).next() == Some(extension);
        self.offers.iter().any(first)
    }

    async fn greet(&mut self, name: &ClientId) -> Result<(), Trouble> {
        let mut answer = match self.command(&Ehlo::new(name.clone()).to_string()).await {
            // The server knows no extensions (RFC 5321, 4.1.4).
            Err(Trouble::Refused(answer)) if matches!(answer.code, 500..=502 | 504) => {
                self.command(&format!("HELO {name}\r\n")).await?
            }
            answer => answer?,
        };
        // The greeting had a second line, although its first one lacked the hyphen.
        while answer.code == 220 {
            answer = self.answer().await?.positive()?;
        }
        let offers = answer.said.split('\n').skip(1);
        self.offers = offers
            .map(|offer| offer.trim().to_ascii_uppercase())
            .collect();
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads the next reply, whatever its code.
    async fn answer(&mut self) -> Result<Answer, Trouble> {
        let mut answer = Answer {
            code: 0,
            said: String::new(),
        };
        for _ in 0..MOST_LINES {
            let line = match self.line().await {
                // The code has arrived, and only the end of the reply is missing.
                Err(Trouble::Broken(_)) if answer.code > 0 => return Ok(answer),
                line => line?,
            };
            if line.is_empty() {
                continue;
            }
            let (code, text) = parsed(&line).ok_or(Trouble::NoReply)?;
            if answer.code > 0 {
                answer.said.push('\n');
            }
            answer.said.push_str(text);
            answer.code = code;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(answer);
            }
        }
        Err(Trouble::Nonsense("a reply has no end"))
    }

    /// Reads the next line, which LF or the end of the connection ends.
    async fn line(&mut self) -> Result<String, Trouble> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if self.unread.len() > LONGEST_LINE {
                return Err(Trouble::Nonsense("a line of its reply has no end"));
            }

            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).await? {
                0 if self.unread.is_empty() => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                0 => self.unread.push(b'\n'),
                read => self.unread.extend(&chunk[..read]),
            }
        }
    }
}

impl Answer {
    fn positive(self) -> Result<Self, Trouble> {
        if (200..400).contains(&self.code) {
            Ok(self)
        } else {
            Err(Trouble::Refused(self))
        }
    }
}

/// Returns the code of a line, and its text.
fn parsed(line: &str) -> Option<(u16, &str)> {
    let code = line
        .get(..3)
        .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?;
    let text = line.get(3..)?;
    let text = text.strip_prefix(['-', ' ']).unwrap_or(text);
    Some((code.parse().ok()?, text))
}
