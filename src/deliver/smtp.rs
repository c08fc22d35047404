//! Sending mail. This is the only user of lettre.
//!
//! A mail is sent over one connection, which is closed afterwards: pages are few, and a server that
//! closes an idle connection would cost one. Recipients that the server refuses are told apart from
//! those that it accepts.

use std::{fs, path::Path, time::Duration};

use lettre::{
    Address, Message,
    message::{
        Mailboxes,
        header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0},
    },
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, Identity, TlsParameters, TlsParametersBuilder},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use serde_json::json;

use super::failure::Failure;
use crate::{
    delivery::FailureReason,
    receiver::{
        Mail, Reply, Request,
        smarthost::{Encryption, Smarthost},
        transport::Tls,
    },
    settings::Problem,
};

/// How an integration's mails are sent.
#[derive(Clone)]
pub(super) struct Way {
    host: String,
    port: u16,
    encryption: Encryption,
    parameters: Option<TlsParameters>,
    timeout: Duration,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

/// A mail, ready to be sent.
struct Letter {
    from: Address,
    to: Vec<Address>,
    bytes: Vec<u8>,
}

impl Way {
    /// `key` is the integration's place in the configuration.
    pub(super) fn new(
        smarthost: &Smarthost,
        tls: &Tls,
        timeout: Duration,
        key: &str,
    ) -> Result<Self, Problem> {
        let parameters = match smarthost.encryption {
            Encryption::None => None,
            Encryption::Implicit | Encryption::Starttls => {
                Some(parameters(&smarthost.host, tls, key)?)
            }
        };
        Ok(Self {
            host: smarthost.host.clone(),
            port: smarthost.port,
            encryption: smarthost.encryption,
            parameters,
            timeout,
        })
    }

    /// Sends the mail; the reply is SMTP's, and lists refused recipients if not all are.
    pub(super) async fn send(
        &self,
        login: Option<(&str, &str)>,
        request: &Request,
        mail: &Mail,
    ) -> Result<Reply, Failure> {
        let letter = letter(request, mail).map_err(|what| Failure {
            reason: FailureReason::Configuration,
            detail: format!("the mail cannot be made: {what}"),
        })?;

        let handed = tokio::time::timeout(self.timeout, self.hand_over(login, &letter)).await;
        match handed {
            Err(_) => Err(Failure {
                reason: FailureReason::Timeout,
                detail: "no reply in time".to_owned(),
            }),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => answered(&error).map_or_else(|| Err(failure(&error)), Ok),
        }
    }

    async fn hand_over(
        &self,
        login: Option<(&str, &str)>,
        letter: &Letter,
    ) -> Result<Reply, lettre::transport::smtp::Error> {
        let implicit = self
            .parameters
            .clone()
            .filter(|_| self.encryption == Encryption::Implicit);
        let server = (self.host.as_str(), self.port);
        let name = own_name();
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &name, implicit, None)
                .await?;

        if let (Encryption::Starttls, Some(parameters)) = (self.encryption, &self.parameters) {
            connection.starttls(parameters.clone(), &name).await?;
        }

        if let Some((user, password)) = login {
            let credentials = Credentials::new(user.to_owned(), password.to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, &credentials).await?;
        }

        let reply = transfer(&mut connection, letter).await;
        // The server has answered for the mail; how the connection ends does not matter.
        let _ = connection.quit().await;
        reply
    }
}

/// MAIL, RCPT for each recipient, and DATA if any is accepted.
async fn transfer(
    connection: &mut AsyncSmtpConnection,
    letter: &Letter,
) -> Result<Reply, lettre::transport::smtp::Error> {
    let server = connection.server_info();
    let options = [
        (Extension::EightBitMime, !letter.bytes.is_ascii()),
        (Extension::SmtpUtfEight, !letter.is_ascii()),
    ]
    .into_iter()
    .filter(|(extension, needed)| *needed && server.supports_feature(*extension))
    .map(|(extension, _)| match extension {
        Extension::SmtpUtfEight => MailParameter::SmtpUtfEight,
        _ => {
            MailParameter::Body(lettre::transport::smtp::extension::MailBodyParameter::EightBitMime)
        }
    })
    .collect();

    let from = MailFrom::new(Some(letter.from.clone()), options);
    connection.command(from).await?;

    let mut refused = Vec::new();
    let mut first = None;
    for to in &letter.to {
        if let Err(error) = connection.command(Rcpt::new(to.clone(), vec![])).await {
            if error.status().is_none() {
                return Err(error);
            }
            refused.push(to.to_string());
            // A temporary refusal counts for more than a permanent one.
            let sooner = first.is_none() || error.is_transient();
            if sooner {
                first = Some(error);
            }
        }
    }

    if let Some(error) = first.filter(|_| refused.len() == letter.to.len()) {
        return Err(error);
    }

    connection.command(Data).await?;
    let response = connection.message(&letter.bytes).await?;
    let said = response.message().collect::<Vec<_>>().join(" ");

    Ok(Reply {
        status: u16::from(response.code()),
        body: json!({ "said": said, "refused": refused })
            .to_string()
            .into_bytes(),
        ..Reply::default()
    })
}

impl Letter {
    fn is_ascii(&self) -> bool {
        self.to
            .iter()
            .chain([&self.from])
            .all(|address| address.to_string().is_ascii())
    }
}

/// The request as an RFC 5322 message. Values are single lines, and encoded.
fn letter(request: &Request, mail: &Mail) -> Result<Letter, String> {
    let header = |wanted: &str| {
        let found = request.headers.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value.as_str())
    };
    let told = |error: &dyn std::fmt::Display| error.to_string();

    let from: Mailboxes = header("From").parse().map_err(|error| told(&error))?;
    let from = from.into_single().ok_or("it has no sender")?;
    let to: Mailboxes = header("To").parse().map_err(|error| told(&error))?;
    let recipients = mail
        .recipients
        .iter()
        .map(|to| to.parse().map_err(|error| told(&error)))
        .collect::<Result<Vec<Address>, String>>()?;

    let mut builder = Message::builder()
        .from(from.clone())
        .subject(header("Subject"))
        .message_id(Some(header("Message-ID").to_owned()))
        .in_reply_to(header("In-Reply-To").to_owned())
        .references(header("References").to_owned())
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN);
    for mailbox in to {
        builder = builder.to(mailbox);
    }
    for name in ["Date", "Auto-Submitted", "X-Auto-Response-Suppress"] {
        let value = header(name).to_owned();
        let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| told(&error))?;
        builder = builder.raw_header(HeaderValue::new(name, value));
    }

    let message = builder
        .body(mail.text.replace('\n', "\r\n"))
        .map_err(|error| told(&error))?;

    Ok(Letter {
        from: from.email,
        to: recipients,
        bytes: message.formatted(),
    })
}

/// The reply of a server, if there is one.
fn answered(error: &lettre::transport::smtp::Error) -> Option<Reply> {
    let said = std::error::Error::source(error).map(ToString::to_string);
    Some(Reply {
        status: u16::from(error.status()?),
        body: said.unwrap_or_default().into_bytes(),
        ..Reply::default()
    })
}

/// Why there was no reply.
fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let (reason, what) = if error.is_timeout() {
        (FailureReason::Timeout, "no reply in time")
    } else if error.is_tls() || deepest.is::<rustls::Error>() {
        (
            FailureReason::Tls,
            "its TLS certificate or handshake is refused",
        )
    } else if error.is_client() {
        (
            FailureReason::Rejected,
            "the server does not offer what is asked of it",
        )
    } else {
        (FailureReason::Network, "no connection, or it broke")
    };
    Failure {
        reason,
        detail: format!("{what}: {deepest}"),
    }
}

/// The machine's name for the greeting.
fn own_name() -> ClientId {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let is_name = crate::settings::host::is_host(&name) && name.contains('.');
    if is_name {
        ClientId::Domain(name.into_owned())
    } else {
        ClientId::default()
    }
}

/// With the certificates of `tls`, besides the system's.
fn parameters(host: &str, tls: &Tls, key: &str) -> Result<TlsParameters, Problem> {
    let wrong = |name: &str, what: String| {
        Problem::new(
            format!("{key}.tls.{name}"),
            what,
            "name a PEM file, readable by the user alertbridge runs as",
        )
    };
    let read = |name: &str, path: &Path| {
        fs::read(path)
            .map_err(|error| wrong(name, format!("{} cannot be read: {error}", path.display())))
    };

    let mut builder: TlsParametersBuilder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &tls.ca_file {
        let unusable = |_| {
            wrong(
                "ca_file",
                format!("{} holds no certificate", path.display()),
            )
        };
        let authority = Certificate::from_pem(&read("ca_file", path)?).map_err(unusable)?;
        builder = builder.add_root_certificate(authority);
    }
    if let (Some(certificate), Some(own_key)) = (&tls.cert_file, &tls.key_file) {
        let pem = (read("cert_file", certificate)?, read("key_file", own_key)?);
        let identity = Identity::from_pem(&pem.0, &pem.1).map_err(|_| {
            let what = format!("{} holds no key of the certificate", own_key.display());
            wrong("key_file", what)
        })?;
        builder = builder.identify_with(identity);
    }

    builder
        .build_rustls()
        .map_err(|error| wrong("ca_file", format!("the client cannot be made: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::{Body, Keys, Receivers, Settings, sample};

    #[test]
    fn whatever_an_alert_says_it_makes_no_field_of_the_header() {
        let settings: Vec<Settings> = serde_json::from_value(json!([{
            "name": "oncall",
            "email_configs": [{
                "to": "Öncall <a@example.com>, b@example.com", "from": "c@example.net",
                "subject": "{{ metric }} {{ app_name }}", "text": "{{ metric }}\n.\n{{ details }}",
                "smarthost": { "host": "smtp.example.com" },
            }],
        }]))
        .unwrap();
        let receivers =
            Receivers::compile(&settings, &[]).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let (_, receiver) = receivers.of("oncall").next().unwrap();

        for said in [
            "a\r\nBcc: x@evil.example\r\n\r\nbody",
            "a\nX-Injected: y",
            "a\u{0}\u{85}\u{2028}Bcc: x",
            "=?utf-8?q?a=0D=0ABcc:_x?=",
            "ünïcödé 🚒 and much more of it, so that the line is folded somewhere on its way \
             to the end",
            "",
        ] {
            let (_, mut notification) = sample::notifications().into_iter().next().unwrap();
            for name in ["metric", "app_name"] {
                notification.labels.insert(name.into(), said.into());
            }
            let request = sample::parcel(&notification, |parcel| {
                receiver.request(parcel, &Keys::Hidden).unwrap()
            });
            let Body::Mail(mail) = &request.body else {
                panic!("{:?}", request.body)
            };
            let letter = letter(&request, mail).unwrap();
            assert!(letter.bytes.is_ascii());
            let text = String::from_utf8(letter.bytes).unwrap();
            let (header, _) = text.split_once("\r\n\r\n").unwrap();
            let names: Vec<_> = header
                .split("\r\n")
                .filter(|line| !line.starts_with([' ', '\t']))
                .map(|line| line.split(':').next().unwrap())
                .collect();
            let expected = [
                "From",
                "Subject",
                "Message-ID",
                "In-Reply-To",
                "References",
                "Content-Type",
                "To",
                "Date",
                "Auto-Submitted",
                "X-Auto-Response-Suppress",
                "MIME-Version",
                "Content-Transfer-Encoding",
            ];
            let mut names = names;
            names.sort_unstable();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(names, expected, "{header}");
            assert!(text.split("\r\n").all(|line| line.len() <= 998));
        }
    }
}
