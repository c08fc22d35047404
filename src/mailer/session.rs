//! One conversation with a mail server. The commands and the encryption are lettre's; the replies
//! are read here, bounded and leniently: a mail that a server took is not sent again for how the
//! server words that.
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

/// The longest line of a reply; RFC 5321 (4.5.3.1.5) has 512.
const LONGEST_LINE: usize = 8 << 10;
/// The most lines of a reply.
const MOST_LINES: usize = 200;
/// The most characters of a refusal that are quoted.
const MOST_SAID: usize = 500;
/// How long the server may take for its farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// What keeps a conversation from going on.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The server refused a command.
    #[error("{}", .0.said)]
    Refused(Answer),
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
    /// Why there is no answer, or none that helps, in a word and a sentence.
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
                "the server does not offer what is asked of it",
            ),
            Self::Nonsense(_) => (FailureReason::Network, "the server's reply makes no sense"),
            Self::Lettre(error) if error.is_timeout() => {
                (FailureReason::Timeout, "no reply in time")
            }
            Self::Lettre(error) if error.is_tls() || deepest(error).is::<rustls::Error>() => (
                FailureReason::Tls,
                "its TLS certificate or handshake is refused",
            ),
            Self::Broken(error) if deepest(error).is::<rustls::Error>() => (
                FailureReason::Tls,
                "its TLS certificate or handshake is refused",
            ),
            Self::Lettre(_) | Self::Broken(_) => {
                (FailureReason::Network, "no connection, or it broke")
            }
        };
        (reason, format!("{what}: {}", deepest(self)))
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

/// A reply of the server.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// Its lines, without the code.
    pub said: String,
}

/// A conversation with a server that has greeted back.
pub struct Session {
    stream: AsyncNetworkStream,
    /// What is read and not part of a reply yet.
    unread: Vec<u8>,
    /// The extensions that the server offers, in upper case.
    offers: Vec<String>,
}

impl Session {
    /// Connects, with TLS from the first byte where there are parameters for it.
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
        // Whoever is in between could put words into the encrypted conversation.
        if !self.unread.is_empty() {
            return Err(Trouble::Nonsense("more than a reply came before TLS"));
        }
        self.stream.upgrade_tls(tls).await?;
        self.greet(name).await
    }

    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Trouble> {
        let offered = self
            .offers
            .iter()
            .find_map(|offer| offer.strip_prefix("AUTH"));
        let offers = |mechanism: &str| {
            let mut words = offered.unwrap_or_default().split([' ', '=', '\t']);
            words.any(|word| word == mechanism)
        };
        let mechanism = if offers("PLAIN") {
            Mechanism::Plain
        } else if offers("LOGIN") {
            Mechanism::Login
        } else {
            return Err(Trouble::Unable(
                "No compatible authentication mechanism was found",
            ));
        };

        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        let begin = Auth::new(mechanism, credentials, None)?.to_string();
        let mut answer = self.command(&begin).await?;
        let steps: &[&str] = match mechanism {
            Mechanism::Login => &[user, password],
            _ => &[],
        };
        for step in steps {
            if answer.code == 334 {
                let step = BASE64_STANDARD.encode(step);
                answer = self.command(&format!("{step}\r\n")).await?;
            }
        }
        if answer.code == 334 {
            return Err(Trouble::Nonsense("it asks for more than user and password"));
        }
        Ok(())
    }

    /// The answer to a command; one that is no success is an error.
    pub(super) async fn command(&mut self, command: &str) -> Result<Answer, Trouble> {
        self.write(command.as_bytes()).await?;
        self.answer().await?.positive()
    }

    /// The mail itself, after DATA. What the server makes of it is its next answer.
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

    /// The answer for the mail; one that refuses it is an error.
    pub async fn taken(&mut self) -> Result<Answer, Trouble> {
        match self.answer().await? {
            answer if answer.code < 400 => Ok(answer),
            answer => Err(Trouble::Refused(answer)),
        }
    }

    /// Ends the conversation. What the server makes of that does not matter.
    pub async fn quit(mut self) {
        let farewell = self.command("QUIT\r\n");
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    pub(super) fn offers(&self, extension: &str) -> bool {
        let first = |offer: &String| offer.split([' ', '=', '\t']).next() == Some(extension);
        self.offers.iter().any(first)
    }

    async fn greet(&mut self, name: &ClientId) -> Result<(), Trouble> {
        let answer = self.command(&Ehlo::new(name.clone()).to_string()).await?;
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

    /// The next reply, whatever it says.
    async fn answer(&mut self) -> Result<Answer, Trouble> {
        let mut said = Vec::new();
        loop {
            let line = self.line().await?;
            let (code, text) = parsed(&line).ok_or(Trouble::Nonsense("it does not speak SMTP"))?;
            said.push(text.to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                let said = said.join("\n");
                return Ok(Answer { code, said });
            }
            if said.len() == MOST_LINES {
                return Err(Trouble::Nonsense("a reply has no end"));
            }
        }
    }

    /// The next line, by whatever it ends.
    async fn line(&mut self) -> Result<String, Trouble> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
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

/// The code of a line, and its text if there is one.
fn parsed(line: &str) -> Option<(u16, &str)> {
    let code = line
        .get(..3)
        .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?;
    let text = line.get(3..)?;
    let text = text.strip_prefix(['-', ' ']).unwrap_or(text);
    Some((code.parse().ok()?, text))
}
