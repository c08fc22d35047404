//! Sending a canary through a mail server, by lettre.

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    address::Envelope,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls as Encryption, TlsParameters},
    },
};
use secrecy::ExposeSecret as _;

use crate::canary::{SendVia, Tls};

/// Sends a letter; the error says why it was not sent, without the password.
pub async fn send(via: &SendVia, letter: &[u8]) -> Result<(), String> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|error| format!("{text}: {error}"))
    };
    let (from, to) = (address(&via.from)?, address(&via.to)?);
    let envelope = Envelope::new(Some(from), vec![to]).map_err(|error| error.to_string())?;

    let transport = transport(via)?;
    let sent = transport.send_raw(&envelope, letter).await;
    sent.map(drop).map_err(|error| in_words(via, &error))
}

/// The error with its causes.
fn in_words(via: &SendVia, error: &dyn std::error::Error) -> String {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !why.contains(&more) {
            why = format!("{why}: {more}");
        }
        cause = error.source();
    }
    format!("{}: {why}", via.smtp)
}

/// Connects, and logs in if that is configured; sends nothing.
pub async fn try_out(via: &SendVia) -> Result<(), String> {
    let tried = transport(via)?.test_connection().await;
    match tried {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{}: it closed the connection", via.smtp)),
        Err(error) => Err(in_words(via, &error)),
    }
}

fn transport(via: &SendVia) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&via.smtp);
    let builder = builder.port(via.port()).tls(encryption(via)?);

    let password = via
        .password("canary.send_via")
        .map_err(|problem| problem.what)?;
    let password = password.map(|secret| secret.read()).transpose();
    let password = password.map_err(|error| error.to_string())?;

    Ok(match (&via.username, password) {
        (Some(username), Some(password)) => {
            let password = password.expose_secret().to_owned();
            builder
                .credentials(Credentials::new(username.clone(), password))
                .build()
        }
        _ => builder.build(),
    })
}

fn encryption(via: &SendVia) -> Result<Encryption, String> {
    if via.tls == Tls::None {
        return Ok(Encryption::None);
    }

    let mut parameters = TlsParameters::builder(via.smtp.clone());
    if let Some(path) = &via.ca_file {
        let unusable = |why: String| format!("{}: {why}", path.display());
        let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters.build().map_err(|error| error.to_string())?;

    Ok(match via.tls {
        Tls::Implicit => Encryption::Wrapper(parameters),
        _ => Encryption::Required(parameters),
    })
}
