//! Pages by mail: how a mail is written, sent and judged.
//!
//! A mail is sent over one connection, which is closed afterwards: pages are few, and a server that
//! closes an idle connection would cost one. Recipients that the server refuses are told apart from
//! those that it accepts.

use std::time::Duration;

use email_encoding::headers::{rfc2047, writer::EmailWriter};
use lettre::{
    Address, Message,
    message::{
        Mailboxes,
        header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0},
    },
};
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::Failure;
use crate::{
    delivery::FailureReason,
    mailer::{Encryption, Files, Letter, Server, Trouble},
    receiver::{
        Mail, Reply, Request,
        smarthost::{self, Smarthost},
        transport::Tls,
    },
    settings::Problem,
};

/// The mail server and the time-out for the mails of an integration.
#[derive(Debug, Clone)]
pub(super) struct Way {
    server: Server,
    timeout: Duration,
}

impl Way {
    /// Creates the way from an integration's settings. `key` is the integration's place in the
    /// configuration.
    pub(super) fn new(
        smarthost: &Smarthost,
        tls: &Tls,
        timeout: Duration,
        key: &str,
    ) -> Result<Self, Problem> {
        let key = format!("{key}.tls");
        let files = Files {
            key: &key,
            ca_file: tls.ca_file.as_deref(),
            identity: tls.cert_file.as_deref().zip(tls.key_file.as_deref()),
        };
        let host = &smarthost.host;
        let encryption = match smarthost.encryption {
            smarthost::Encryption::None => Encryption::None,
            smarthost::Encryption::Implicit => Encryption::Implicit(files.parameters(host)?),
            smarthost::Encryption::Starttls => Encryption::Starttls(files.parameters(host)?),
        };
        Ok(Self {
            server: Server {
                host: host.clone(),
                port: smarthost.port,
                encryption,
            },
            timeout,
        })
    }

    /// Sends the mail. The reply is that of the SMTP server; it lists the refused recipients if the
    /// server accepted others.
    ///
    /// The integration's time-out covers everything before the server has the whole mail. After
    /// that, the server may take longer (RFC 5321, 4.5.3.2.6, allows ten minutes): up to `until`,
    /// when another process may send the mail.
    pub(super) async fn send(
        &self,
        login: Option<(&str, &str)>,
        request: &Request,
        mail: &Mail,
        until: Instant,
    ) -> Result<Reply, Failure> {
        let letter = letter(request, mail).map_err(|what| {
            let detail = format!("the mail cannot be composed: {what}");
            Failure::unsent(FailureReason::Configuration, detail)
        })?;

        let handed = async {
            let mut session = self.server.open(login, self.timeout).await?;
            let refused = session.hand_over(&letter).await?;
            Ok((session, refused))
        };
        let (mut session, refused) = match timeout(self.timeout, handed).await {
            Err(_) => {
                return Err(Failure::unsent(FailureReason::Timeout, "no reply in time"));
            }
            Ok(Ok(handed)) => handed,
            Ok(Err(trouble)) => return answered(&trouble),
        };

        let answer = match timeout_at(until, session.taken()).await {
            Err(_) => {
                return Err(unheard(
                    "did not reply in time, so it may arrive twice; a longer `timeout` allows more \
                     time",
                ));
            }
            Ok(Ok(answer) | Err(Trouble::Refused(answer))) => answer,
            Ok(Err(trouble)) => {
                return Err(unheard(&format!(
                    "closed the connection without a reply, so it may arrive twice: {}",
                    trouble.deepest()
                )));
            }
        };
        // The server has answered for the mail; how the conversation ends does not matter.
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
}

/// Renders the request as an RFC 5322 message. Header values are single lines and are encoded.
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
        .raw_header(subject(header("Subject")))
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

/// Returns a Subject header that mail programs show exactly as `text`.
///
/// lettre leaves ASCII words alone, so that a word which looks like an encoded word (RFC 2047, 2)
/// would be decoded by the reader's mail program. If there may be one, the whole text is encoded.
fn subject(text: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    if !text.contains("=?") {
        return HeaderValue::new(name, text.to_owned());
    }

    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, "Subject: ".len(), 0, false);
    // Writing to a String cannot fail.
    let _ = rfc2047::encode(text, &mut writer);
    drop(writer);
    HeaderValue::dangerous_new_pre_encoded(name, text.to_owned(), encoded)
}

/// Returns the failure for a mail that the server has, without a reply to it.
fn unheard(became: &str) -> Failure {
    Failure {
        reason: FailureReason::Unconfirmed,
        may_be_taken: true,
        detail: format!("the server has received the mail, and {became}"),
    }
}

/// Returns the reply of a server that refused, or the reason why there was none.
fn answered(trouble: &Trouble) -> Result<Reply, Failure> {
    if let Trouble::Refused(answer) = trouble {
        return Ok(Reply {
            status: answer.code,
            body: answer.said.replace('\n', " ").into_bytes(),
            ..Reply::default()
        });
    }
    let (reason, detail) = trouble.fault();
    Err(Failure::unsent(reason, detail))
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;
    use crate::receiver::{Body, Keys, Receivers, Settings, sample};

    const FIELDS: [&str; 12] = [
        "Auto-Submitted",
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "In-Reply-To",
        "MIME-Version",
        "Message-ID",
        "References",
        "Subject",
        "To",
        "X-Auto-Response-Suppress",
    ];

    /// Returns the sorted names of a header's fields.
    fn fields(header: &str) -> Vec<&str> {
        let mut names: Vec<_> = header
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

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
            "a =?utf-8?b?4oCu?= b",
            "=?utf-8?q?=E2=80=8B?= =?utf-8?q?ünïcödé?=",
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
            let read = MessageParser::new().parse(&letter.bytes).unwrap();
            let told = request.headers.iter().find(|(name, _)| name == "Subject");
            let told = told.map(|(_, told)| told.trim());
            assert_eq!(read.subject().or(Some("")), told);
            let text = String::from_utf8(letter.bytes).unwrap();
            let (header, _) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(fields(header), FIELDS, "{header}");
            assert!(text.split("\r\n").all(|line| line.len() <= 998));
        }
    }
}
