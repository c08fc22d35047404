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
        client::{Certificate, Identity, TlsParameters, TlsParametersBuilder},
        commands::{Mail as MailFrom, Rcpt},
        extension::{ClientId, MailBodyParameter, MailParameter},
    },
};
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

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

mod session;

use session::{Answer, Session, Trouble};

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
    ///
    /// The time-out is that of everything before the server has the mail. Then it may take longer
    /// (RFC 5321, 4.5.3.2.6, has ten minutes): until `until`, when somebody else may send it.
    pub(super) async fn send(
        &self,
        login: Option<(&str, &str)>,
        request: &Request,
        mail: &Mail,
        until: Instant,
    ) -> Result<Reply, Failure> {
        let letter = letter(request, mail).map_err(|what| Failure {
            reason: FailureReason::Configuration,
            detail: format!("the mail cannot be made: {what}"),
        })?;

        let handed = timeout(self.timeout, self.hand_over(login, &letter)).await;
        let (mut session, refused) = match handed {
            Err(_) => {
                return Err(Failure {
                    reason: FailureReason::Timeout,
                    detail: "no reply in time".to_owned(),
                });
            }
            Ok(Ok(handed)) => handed,
            Ok(Err(trouble)) => return answered(&trouble),
        };

        let answer = timeout_at(until, session.outcome()).await;
        let answer = answer.map_err(|_| {
            unheard(
                "did not reply in time: it may arrive twice. A longer `timeout` gives it the time",
            )
        })?;
        let answer = answer.map_err(|trouble| {
            unheard(&format!(
                "ended the conversation without a reply to it: it may arrive twice: {}",
                deepest(&trouble)
            ))
        })?;
        // It has answered for the mail; how the conversation ends does not matter.
        session.quit().await;

        if answer.code >= 400 {
            return answered(&Trouble::Refused(answer));
        }
        let said = answer.said.replace('\n', " ");
        Ok(Reply {
            status: answer.code,
            body: json!({ "said": said, "refused": refused })
                .to_string()
                .into_bytes(),
            ..Reply::default()
        })
    }

    /// All up to the mail's last byte; and who is refused.
    async fn hand_over(
        &self,
        login: Option<(&str, &str)>,
        letter: &Letter,
    ) -> Result<(Session, Vec<String>), Trouble> {
        let implicit = self
            .parameters
            .clone()
            .filter(|_| self.encryption == Encryption::Implicit);
        let server = (self.host.as_str(), self.port);
        let name = own_name();
        let mut session = Session::connect(server, self.timeout, implicit, &name).await?;

        if let (Encryption::Starttls, Some(parameters)) = (self.encryption, &self.parameters) {
            session.encrypt(parameters.clone(), &name).await?;
        }

        if let Some((user, password)) = login {
            session.log_in(user, password).await?;
        }

        let refused = transfer(&mut session, letter).await?;
        Ok((session, refused))
    }
}

/// MAIL, RCPT for each recipient, and DATA if any is accepted; who is not.
async fn transfer(session: &mut Session, letter: &Letter) -> Result<Vec<String>, Trouble> {
    let options = [
        (
            "8BITMIME",
            !letter.bytes.is_ascii(),
            MailParameter::Body(MailBodyParameter::EightBitMime),
        ),
        ("SMTPUTF8", !letter.is_ascii(), MailParameter::SmtpUtfEight),
    ]
    .into_iter()
    .filter(|(extension, needed, _)| *needed && session.offers(extension))
    .map(|(_, _, option)| option)
    .collect();

    let from = MailFrom::new(Some(letter.from.clone()), options);
    session.command(&from.to_string()).await?;

    let mut refused = Vec::new();
    let mut first: Option<Answer> = None;
    for to in &letter.to {
        let rcpt = Rcpt::new(to.clone(), vec![]).to_string();
        match session.command(&rcpt).await {
            Ok(_) => {}
            Err(Trouble::Refused(answer)) => {
                refused.push(to.to_string());
                // A temporary refusal counts for more than a permanent one.
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

    session.command("DATA\r\n").await?;
    session.hand_over(&letter.bytes).await?;
    Ok(refused)
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

/// The server has the mail, and nobody knows what became of it.
fn unheard(became: &str) -> Failure {
    Failure {
        reason: FailureReason::Unconfirmed,
        detail: format!("the server has the mail, and {became}"),
    }
}

/// The reply of a server that refuses, or why there was none.
fn answered(trouble: &Trouble) -> Result<Reply, Failure> {
    let (reason, what) = match trouble {
        Trouble::Refused(answer) => {
            return Ok(Reply {
                status: answer.code,
                body: answer.said.replace('\n', " ").into_bytes(),
                ..Reply::default()
            });
        }
        Trouble::Unable(_) => (
            FailureReason::Rejected,
            "the server does not offer what is asked of it",
        ),
        Trouble::NoReply | Trouble::Nonsense(_) => {
            (FailureReason::Network, "the server's reply makes no sense")
        }
        Trouble::Lettre(error) if error.is_timeout() => {
            (FailureReason::Timeout, "no reply in time")
        }
        Trouble::Lettre(error) if error.is_tls() || deepest(error).is::<rustls::Error>() => (
            FailureReason::Tls,
            "its TLS certificate or handshake is refused",
        ),
        Trouble::Broken(error) if deepest(error).is::<rustls::Error>() => (
            FailureReason::Tls,
            "its TLS certificate or handshake is refused",
        ),
        Trouble::Lettre(_) | Trouble::Broken(_) => {
            (FailureReason::Network, "no connection, or it broke")
        }
    };
    Err(Failure {
        reason,
        detail: format!("{what}: {}", deepest(trouble)),
    })
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
