//! Amazon SES through SNS: a receipt rule's SNS action, with the encoding Base64, to a topic that
//! posts here.
//!
//! SNS posts a JSON envelope as text/plain, signed under a certificate at SNS's own address. Only
//! the configured topic is accepted, and only SignatureVersion 2 (SHA-256). After a 4xx SNS gives
//! the message up (to a dead-letter queue if there is one); after a 5xx it tries again. SES
//! publishes mails of at most 150 KB this way.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>
//! <https://docs.aws.amazon.com/ses/latest/dg/receiving-email-notifications-contents.html>

use async_trait::async_trait;
use axum::{body::Bytes, http::StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::SignedDuration;
use serde::Deserialize;

use self::{certificate::Certificates, envelope::Envelope, topic::Topic};
use super::{
    answer::{Fault, Refusal},
    credential::{Credential, Proof},
    fetch::FetchError,
    once::Once,
    protocol::{Kind, Opened, Posted, Protocol},
};
use crate::settings::Problem;

mod certificate;
mod envelope;
mod topic;

/// The age from which a signature is refused: SNS retries for an hour at most, whatever the topic's
/// delivery policy.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(2);

/// The text of the alarm about a subscription that has ended.
const ENDED: &str = "Amazon SNS has ended the subscription of this webhook to the topic, so that \
                     no more mail arrives: subscribe its address to the topic again.";

/// The entry in the table of providers.
pub(super) const KIND: Kind = Kind {
    proofs: &[Proof::TopicArn],
    may_be_open: false,
    covers_mail: true,
    protocol: |credential, key| Ok(Box::new(Ses::new(credential, key)?)),
};

struct Ses {
    credential: Credential,
    topic: Topic,
    certificates: Certificates,
    once: Once,
}

impl Ses {
    fn new(credential: Credential, key: &str) -> Result<Self, Problem> {
        let arn = if let Credential::TopicArn(arn) = &credential {
            arn
        } else {
            ""
        };

        let topic = Topic::parse(arn).ok_or_else(|| {
            Problem::new(
                format!("{key}.topic_arn"),
                format!(
                    "`{}` is not a valid ARN of an SNS topic",
                    arn.escape_debug()
                ),
                "write it like `arn:aws:sns:us-east-1:123456789012:alerts`",
            )
        })?;

        Ok(Self {
            credential,
            topic,
            certificates: Certificates::default(),
            once: Once::new(MAX_AGE),
        })
    }

    fn without_certificate(&self, error: &FetchError) -> Refusal {
        tracing::warn!(
            topic = self.topic.arn(),
            %error,
            "the certificate of SNS cannot be obtained"
        );
        if error.is_final() {
            Refusal::Forged
        } else {
            Refusal::NotFetched
        }
    }

    /// Confirms the topic's subscription, if it is the configured one.
    async fn confirm(&self, envelope: &Envelope, posted: &Posted<'_>) -> Result<Opened, Fault> {
        let url = envelope
            .subscribe_url
            .as_deref()
            .filter(|url| self.topic.confirms_at(url))
            .ok_or(Refusal::Forged)?;

        match posted.fetch.get(url).await {
            Ok(_) => {
                tracing::info!(
                    topic = self.topic.arn(),
                    "subscription to the SNS topic confirmed"
                );
                Ok(Opened::Settled)
            }
            Err(error) => {
                tracing::warn!(
                    topic = self.topic.arn(),
                    %error,
                    "subscription to the SNS topic not confirmed"
                );
                Err(Refusal::NotFetched.into())
            }
        }
    }
}

#[async_trait]
impl Protocol for Ses {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn posts(&self, content_type: &str) -> bool {
        // SNS declares its JSON as text.
        content_type == "text/plain" || content_type == "application/json"
    }

    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault> {
        let envelope = Envelope::parse(&posted.body)?;
        if envelope.topic_arn != self.topic.arn() {
            return Err(Refusal::WrongTopic.into());
        }

        if envelope.signature_version != "2" {
            return Err(Refusal::WeakSignature.into());
        }

        if !self.topic.signs_at(&envelope.signing_cert_url) {
            return Err(Refusal::Forged.into());
        }

        let signature = STANDARD
            .decode(&envelope.signature)
            .map_err(|_| Refusal::Forged)?;
        let signed_at = envelope.timestamp.parse().map_err(|_| Refusal::Forged)?;
        let signed = envelope.signed();
        let certificate = self
            .certificates
            .get(&envelope.signing_cert_url, posted.fetch, posted.now)
            .await
            .map_err(|error| self.without_certificate(&error))?;

        if let Err(error) =
            certificate.verify(&self.topic, signed.as_bytes(), &signature, posted.now)
        {
            tracing::warn!(topic = self.topic.arn(), %error, "a message is not signed by SNS");
            return Err(Refusal::Forged.into());
        }

        let claim = self
            .once
            .claim(&[envelope.message_id.as_bytes()], signed_at, posted.now)?;

        match envelope.kind.as_str() {
            "Notification" => Ok(Opened::Mail(mail(&envelope.message)?, Some(claim))),
            "SubscriptionConfirmation" => self.confirm(&envelope, &posted).await,
            // The end of the subscription is not undone here: somebody who may unsubscribe may do
            // so for good.
            "UnsubscribeConfirmation" => {
                tracing::warn!(
                    topic = self.topic.arn(),
                    "the SNS topic has unsubscribed this webhook: no more mail arrives"
                );
                Ok(Opened::Ended(ENDED))
            }
            _ => Err(Refusal::Unreadable.into()),
        }
    }

    fn refused(&self, refusal: Refusal) -> StatusCode {
        match refusal {
            // SNS would answer a 401 with a password, which it does not have.
            Refusal::Forged | Refusal::Stale => StatusCode::FORBIDDEN,
            other => other.status(),
        }
    }
}

/// What SES reports about a mail.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    receipt: Option<Receipt>,
    content: Option<String>,
}

#[derive(Deserialize)]
struct Receipt {
    action: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: Option<String>,
    encoding: Option<String>,
}

/// Returns the mail in a notification.
fn mail(message: &str) -> Result<Bytes, Refusal> {
    let none = Refusal::NoMail(
        "The message is not a mail that SES received: let only its SNS action publish here.",
    );
    let received: Received = serde_json::from_str(message).map_err(|_| none)?;
    let action = received.receipt.and_then(|receipt| receipt.action);
    let (kind, encoding) = action.map_or((None, None), |action| (action.kind, action.encoding));
    let Some(content) = received.content.filter(|content| !content.is_empty()) else {
        return Err(
            if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("S3")) {
                Refusal::NoMail(
                    "Mails that SES stores in S3 are not fetched: give the receipt rule an SNS \
                     action.",
                )
            } else {
                none
            },
        );
    };

    // If the encoding is text, SES replaces what is not UTF-8. A mail's header contains a colon, so
    // text is never taken for Base64.
    let coded = encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("Base64"));

    coded
        .then(|| {
            STANDARD
                .decode(content.split_ascii_whitespace().collect::<String>())
                .ok()
        })
        .flatten()
        .map(Bytes::from)
        .ok_or(Refusal::NoMail(
            "The mail came as text, which changes it: set the SNS action's encoding to Base64.",
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &str) -> &'static str {
        match mail(message) {
            Err(Refusal::NoMail(sentence)) => sentence,
            other => panic!("{message}: {other:?}"),
        }
    }

    #[test]
    fn what_is_no_mail_is_refused_with_what_mends_it() {
        assert_eq!(
            mail(r#"{"content":"TWFpbDogMQ0K"}"#).unwrap(),
            "Mail: 1\r\n"
        );
        let s3 = r#"{"receipt":{"action":{"type":"S3","bucketName":"b","objectKey":"k"}}}"#;
        assert!(refusal(s3).contains("S3"));
        for text in [
            r#"{"receipt":{"action":{"type":"SNS","encoding":"UTF8"}},
                "content":"Subject: x\r\n\r\n"}"#,
            r#"{"receipt":{"action":{"type":"SNS"}},"content":"Subject: x\r\n\r\n"}"#,
        ] {
            assert!(refusal(text).contains("Base64"));
        }
        for other in [
            "Hello",
            "{}",
            r#"{"notificationType":"AMAZON_SES_SETUP_NOTIFICATION"}"#,
            r#"{"content":""}"#,
        ] {
            assert!(refusal(other).contains("not a mail"), "{other}");
        }
    }
}
