//! Sending a canary through a mail server.

use std::{future::Future, time::Duration};

use lettre::Address;
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::{
    canary::{SendVia, Tls},
    mailer::{Encryption, Files, Letter, Server, Session, Trouble},
};

/// The longest wait for a mail server.
pub const PATIENCE: Duration = Duration::from_secs(30);

const KEY: &str = "canary.send_via";

/// Why a canary was not sent.
#[derive(Debug)]
pub struct Unsent {
    /// The reason in words, without the password.
    pub why: String,
    /// Whether another attempt would end in the same way, because the server refuses for good
    /// (RFC 5321, section 4.2.1), or because something here is wrong.
    pub is_final: bool,
}

impl Unsent {
    fn for_good(why: String) -> Self {
        let is_final = true;
        Self { why, is_final }
    }

    fn by(via: &SendVia, trouble: &Trouble) -> Self {
        Self {
            why: format!("{}: {}", via.smtp, trouble.fault().1),
            is_final: match trouble {
                Trouble::Refused(answer) => answer.code >= 500,
                Trouble::Unable(_) => true,
                _ => false,
            },
        }
    }
}

/// Sends a canary's mail.
pub async fn send(via: &SendVia, letter: &[u8], patience: Duration) -> Result<(), Unsent> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|error| Unsent::for_good(format!("{text}: {error}")))
    };
    let letter = Letter {
        from: address(&via.from)?,
        to: vec![address(&via.to)?],
        bytes: letter.to_vec(),
    };

    let sent = async {
        let mut session = open(via).await?;
        let taken = async {
            session.hand_over(&letter).await?;
            session.taken().await
        };
        taken.await.map_err(|trouble| Unsent::by(via, &trouble))?;
        session.quit().await;
        Ok(())
    };
    in_time(via, patience, sent).await
}

/// Connects, and logs in if that is configured. Sends nothing.
pub async fn try_out(via: &SendVia) -> Result<(), String> {
    let tried = async {
        open(via).await?.quit().await;
        Ok(())
    };
    in_time(via, PATIENCE, tried)
        .await
        .map_err(|unsent| unsent.why)
}

async fn in_time(
    via: &SendVia,
    patience: Duration,
    done: impl Future<Output = Result<(), Unsent>>,
) -> Result<(), Unsent> {
    timeout(patience, done).await.unwrap_or_else(|_| {
        let (server, seconds) = (&via.smtp, patience.as_secs());
        Err(Unsent {
            why: format!("{server} gives no answer within {seconds} s"),
            is_final: false,
        })
    })
}

async fn open(via: &SendVia) -> Result<Session, Unsent> {
    let secret = via.password(KEY).map_err(|problem| problem.what);
    let secret = secret.map_err(Unsent::for_good)?;
    let password = secret.map(|secret| secret.read()).transpose();
    let password = password.map_err(|error| Unsent::for_good(error.to_string()))?;
    let password = password.as_ref().map(ExposeSecret::expose_secret);
    let login = via.username.as_deref().zip(password);

    let server = server(via).map_err(Unsent::for_good)?;
    let opened = server.open(login, PATIENCE).await;
    opened.map_err(|trouble| Unsent::by(via, &trouble))
}

fn server(via: &SendVia) -> Result<Server, String> {
    let files = Files {
        key: KEY,
        ca_file: via.ca_file.as_deref(),
        identity: None,
    };
    let parameters = || files.parameters(&via.smtp).map_err(|problem| problem.what);
    Ok(Server {
        host: via.smtp.clone(),
        port: via.port(),
        encryption: match via.tls {
            Tls::None => Encryption::None,
            Tls::Implicit => Encryption::Implicit(parameters()?),
            Tls::Starttls => Encryption::Starttls(parameters()?),
        },
    })
}
