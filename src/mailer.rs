//! Hands one mail, a page or a canary, to a mail server in one bounded conversation.

use std::{fmt, fs, path::Path, time::Duration};

use lettre::{
    Address,
    transport::smtp::{
        client::{Certificate, Identity, TlsParameters},
        commands::{Mail as MailFrom, Rcpt},
        extension::{ClientId, MailBodyParameter, MailParameter},
    },
};

use crate::settings::{Problem, host::is_host};

mod session;

use session::Answer;
pub use session::{Session, Trouble};

/// Where a mail server is, and how the conversation with it is encrypted.
#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
}

#[derive(Clone)]
pub enum Encryption {
    None,
    /// TLS from the first byte.
    Implicit(TlsParameters),
    Starttls(TlsParameters),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Implicit(_) => "Implicit",
            Self::Starttls(_) => "Starttls",
        })
    }
}

/// A mail, ready to be sent.
pub struct Letter {
    pub from: Address,
    pub to: Vec<Address>,
    pub bytes: Vec<u8>,
}

impl Server {
    /// Connects within `timeout`, encrypts, and logs in if `login` names a user and a password.
    pub async fn open(
        &self,
        login: Option<(&str, &str)>,
        timeout: Duration,
    ) -> Result<Session, Trouble> {
        let implicit = match &self.encryption {
            Encryption::Implicit(parameters) => Some(parameters.clone()),
            Encryption::None | Encryption::Starttls(_) => None,
        };
        let server = (self.host.as_str(), self.port);
        let name = own_name();
        let mut session = Session::connect(server, timeout, implicit, &name).await?;

        if let Encryption::Starttls(parameters) = &self.encryption {
            session.encrypt(parameters.clone(), &name).await?;
        }

        if let Some((user, password)) = login {
            session.log_in(user, password).await?;
        }

        Ok(session)
    }
}

impl Session {
    /// Sends the envelope and the mail, up to its last byte. [`Session::taken`] reads the server's
    /// reply to the mail.
    ///
    /// Returns the recipients that the server refuses, if it accepts at least one. If it refuses
    /// all, that is an error, which holds a temporary refusal if there is one.
    pub async fn hand_over(&mut self, letter: &Letter) -> Result<Vec<String>, Trouble> {
        let options = [
            (
                "8BITMIME",
                !letter.bytes.is_ascii(),
                MailParameter::Body(MailBodyParameter::EightBitMime),
            ),
            ("SMTPUTF8", !letter.is_ascii(), MailParameter::SmtpUtfEight),
        ]
        .into_iter()
        .filter(|(extension, needed, _)| *needed && self.offers(extension))
        .map(|(_, _, option)| option)
        .collect();

        let from = MailFrom::new(Some(letter.from.clone()), options);
        self.command(&from.to_string()).await?;

        let mut refused = Vec::new();
        let mut first: Option<Answer> = None;
        for to in &letter.to {
            let rcpt = Rcpt::new(to.clone(), vec![]).to_string();
            match self.command(&rcpt).await {
                Ok(_) => {}
                Err(Trouble::Refused(answer)) => {
                    refused.push(to.to_string());
                    // The error reports a temporary refusal rather than a permanent one.
                    if first.is_none() || answer.code < 500 {
                        first = Some(answer);
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }

        if let Some(answer) = first.filter(|_| refused.len() == letter.to.len()) {
            return Err(Trouble::Refused(answer));
        }

        self.command("DATA\r\n").await?;
        self.write_mail(&letter.bytes).await?;
        Ok(refused)
    }
}

impl Letter {
    fn is_ascii(&self) -> bool {
        self.to
            .iter()
            .chain([&self.from])
            .all(|address| address.to_string().is_ascii())
    }
}

/// The files of the certificates to trust besides the system's, and of the client's own.
pub struct Files<'a> {
    /// The key of the configuration under which the files are named.
    pub key: &'a str,
    pub ca_file: Option<&'a Path>,
    /// The paths in `cert_file` and `key_file`.
    pub identity: Option<(&'a Path, &'a Path)>,
}

impl Files<'_> {
    /// Reads the files, and returns the TLS parameters for a server of this name.
    pub fn parameters(&self, host: &str) -> Result<TlsParameters, Problem> {
        let mut builder = TlsParameters::builder(host.to_owned());
        if let Some(path) = self.ca_file {
            let what = || format!("{} holds no certificate", path.display());
            let authority = Certificate::from_pem(&self.read("ca_file", path)?)
                .map_err(|_| self.wrong("ca_file", what()))?;
            builder = builder.add_root_certificate(authority);
        }
        if let Some((certificate, own_key)) = self.identity {
            let what = || format!("{} holds no key of the certificate", own_key.display());
            let pem = (
                self.read("cert_file", certificate)?,
                self.read("key_file", own_key)?,
            );
            let identity =
                Identity::from_pem(&pem.0, &pem.1).map_err(|_| self.wrong("key_file", what()))?;
            builder = builder.identify_with(identity);
        }

        builder
            .build_rustls()
            .map_err(|error| self.wrong("ca_file", format!("the client cannot be made: {error}")))
    }

    fn read(&self, name: &str, path: &Path) -> Result<Vec<u8>, Problem> {
        fs::read(path).map_err(|error| {
            self.wrong(name, format!("{} cannot be read: {error}", path.display()))
        })
    }

    fn wrong(&self, name: &str, what: String) -> Problem {
        Problem::new(
            format!("{}.{name}", self.key),
            what,
            "name a PEM file, readable by the user alertbridge runs as",
        )
    }
}

/// Returns the machine's name for the greeting.
fn own_name() -> ClientId {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let is_name = is_host(&name) && name.contains('.');
    if is_name {
        ClientId::Domain(name.into_owned())
    } else {
        ClientId::default()
    }
}
