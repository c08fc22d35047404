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

/// Sends a canary's mail. The error says why it was not sent, without the password.
pub async fn send(via: &SendVia, letter: &[u8], patience: Duration) -> Result<(), String> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|error| format!("{text}: {error}"))
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
        taken.await.map_err(|trouble| in_words(via, &trouble))?;
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
    in_time(via, PATIENCE, tried).await
}

async fn in_time(
    via: &SendVia,
    patience: Duration,
    done: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    timeout(patience, done).await.unwrap_or_else(|_| {
        let (server, seconds) = (&via.smtp, patience.as_secs());
        Err(format!("{server} gives no answer within {seconds} s"))
    })
}

async fn open(via: &SendVia) -> Result<Session, String> {
    let password = via.password(KEY).map_err(|problem| problem.what)?;
    let password = password.map(|secret| secret.read()).transpose();
    let password = password.map_err(|error| error.to_string())?;
    let password = password.as_ref().map(ExposeSecret::expose_secret);
    let login = via.username.as_deref().zip(password);

    let opened = server(via)?.open(login, PATIENCE).await;
    opened.map_err(|trouble| in_words(via, &trouble))
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

fn in_words(via: &SendVia, trouble: &Trouble) -> String {
    format!("{}: {}", via.smtp, trouble.fault().1)
}
